"""What the CUDA back end keeps longer than its last use, because it computes several operations as one.

Source: `ggml/src/ggml-cuda/ggml-cuda.cu` (ggml_backend_cuda_graph_optimize, ggml_cuda_match_shared_expert,
ggml_cuda_match_moe_weighted_reduction, ggml_cuda_topk_moe_fusion), b11434. Only mixtures of experts are concerned.
"""

from __future__ import annotations

from variet_gui.forecast.graph import Op, Tensor
from variet_gui.forecast.shape import LayerShape, ModelShape

_ODD_EXPERT_COUNTS = (288, 576)
_MOST_EXPERTS = 512
_MOST_EXPERTS_USED = 32
"""MOE_WEIGHTED_REDUCTION_MAX_EXPERTS."""


def fuse(nodes: list[Tensor], model: ModelShape, layer: LayerShape, pins: dict[int, list[Tensor]]) -> None:
    """Reorder `nodes` of one part as the back end does, and add to `pins` what is kept until which node."""
    if layer.experts_alike:
        _shared_expert(nodes, pins)
    index = 0
    while index < len(nodes):
        index += _weighted_sum(nodes, index, pins) or _choice(nodes, index, model, pins) or 1


def _pin(pins: dict[int, list[Tensor]], until: Tensor, tensors: list[Tensor]) -> None:
    kept = pins.setdefault(id(until), [])
    kept += [tensor for tensor in dict.fromkeys(tensors) if tensor not in kept]


def _shared_expert(nodes: list[Tensor], pins: dict[int, list[Tensor]]) -> None:
    """The first half of the shared expert moves up to that of the routed experts."""
    shape = (Op.EXPERTS, Op.EXPERTS, Op.GATED)
    routed = next((i for i in range(len(nodes) - 5) if tuple(n.op for n in nodes[i : i + 3]) == shape), None)
    if routed is None:
        return
    for index in range(routed + 3, len(nodes) - 2):
        first, second, third = nodes[index : index + 3]
        names = [node.sources[0].name for node in (first, second) if node.op is Op.MATRIX]
        if third.op is Op.GATED and len(names) == 2 and all(name.endswith("_shexp.weight") for name in names):
            up = nodes[routed + 1]
            kept = [*up.sources[1:]]
            nodes[routed + 3 : index + 3] = [first, second, third, *nodes[routed + 3 : index]]
            _pin(pins, third, kept)
            return


def _weighted_sum(nodes: list[Tensor], index: int, pins: dict[int, list[Tensor]]) -> int:
    """The experts' results are kept until they are weighted and added up; return how many nodes that is, or 0."""
    first = nodes[index]
    if not _is_weighting(first):
        return 0
    kept, last = list(first.sources), 1
    if index + 1 < len(nodes) and _is_weighting(nodes[index + 1]) and nodes[index + 1].sources[0] is first:
        kept.append(nodes[index + 1].sources[1])
        last = 2
    used = first.shape[1]
    count = 2 * used + last - 1
    if not 2 <= used <= _MOST_EXPERTS_USED or index + count > len(nodes) or nodes[index + count - 1].op is not Op.ADD:
        return 0
    _pin(pins, nodes[index + count - 1], kept)
    return count


def _is_weighting(node: Tensor) -> bool:
    """Whether each expert's row is multiplied with one number."""
    if node.op is not Op.MULTIPLY or len(node.shape) != 3 or node.shape[0] == 1:
        return False
    weights = node.sources[1].shape
    return len(weights) == 3 and weights[0] == 1 and weights[1:] == node.shape[1:]


def _choice(nodes: list[Tensor], index: int, model: ModelShape, pins: dict[int, list[Tensor]]) -> int:
    """Whatever the choice of experts needs is kept until it is made; return how many nodes that is, or 0."""
    experts = model.experts
    fits = experts in _ODD_EXPERT_COUNTS or (experts <= _MOST_EXPERTS and not experts & (experts - 1))
    pattern = (
        Op.SOFTMAX, Op.VIEW, Op.SORT, Op.VIEW, Op.OTHER, Op.VIEW, Op.OTHER, Op.UNARY, Op.OTHER, Op.VIEW,
    )  # fmt: skip
    run = nodes[index : index + len(pattern)]
    if not fits or tuple(node.op for node in run) != pattern or index + len(pattern) >= len(nodes):
        return 0
    kept = [tensor for node in run for tensor in (node, *node.sources)]
    _pin(pins, nodes[index + len(pattern)], kept)
    return len(pattern)
