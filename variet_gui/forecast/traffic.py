"""What one token makes every device read: weights, caches and states, and how much is started one by one for it.

One sequence, one token at a time, as an answer is generated. Every weight of a dense layer is read once, of a mixture
of experts only the used ones; of the input embeddings one row. Sources: `src/llama-graph.cpp` (build_moe_ffn,
build_attn), `src/llama-kv-cache.cpp` (get_n_kv: the cells in use, padded to 256), `ggml/src/ggml-backend.cpp` (with
fewer than 32 tokens the CPU works with the weights that it has), b11434.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from variet_gui.forecast.cache_types import bytes_of, is_quantised
from variet_gui.forecast.overrides import CPU, Override
from variet_gui.forecast.plan import Plan
from variet_gui.forecast.settings import CELLS_PAD, Settings, sliding_cells
from variet_gui.forecast.shape import Attention, LayerShape, ModelShape
from variet_gui.forecast.weights import layer_weights
from variet_gui.gguf.header import GgufTensor

_EXPERTS = "_exps."
_ROWS = frozenset({"token_embd.weight", "per_layer_token_embd.weight", "position_embd.weight", "token_types.weight"})
"""Of these a token reads one row."""
_OUTPUT = ("output", "cls")
_STATE_BYTES = 4
_NATIVE = "f16"


@dataclass(slots=True)
class Work:
    """What one device, or the CPU, does for one token. Bytes unless said otherwise."""

    weights: int = 0
    cache: int = 0
    """Of keys and values, as they are stored."""
    converted: int = 0
    """How many of those values are not F16, so that a GPU has to turn them into F16 first. A number."""
    states: int = 0
    """Of recurrent layers, read and written."""
    tensors: int = 0
    """Weight tensors that are used: about one start of a kernel each. A number."""
    rotated: int = 0
    """Attention layers whose quantised cache is rotated before it is written. A number."""

    @property
    def read(self) -> int:
        """Return the bytes of weights, caches and states together."""
        return self.weights + self.cache + self.states


@dataclass(frozen=True, slots=True)
class Traffic:
    """One token, from its embedding to its logits."""

    devices: tuple[Work, ...]
    """In the order of use."""
    host: Work
    """What the CPU does; one row of the embeddings at least."""
    handovers: int
    """How often the work goes on from one GPU to the next."""
    visits: int
    """How often the CPU takes over from a GPU, or begins."""
    words: int
    """Of the vocabulary: each has a probability of which one is drawn."""


@dataclass(frozen=True, slots=True)
class _ActiveLayer:
    own: int
    own_tensors: int
    staged: int
    staged_tensors: int


@dataclass(slots=True)
class _Tally:
    devices: list[Work]
    host: Work = field(default_factory=Work)
    visits: int = 0

    def at(self, where: int | None) -> Work:
        """Return the work of a device; None: the CPU."""
        return self.host if where is None else self.devices[where]


def traffic(model: ModelShape, settings: Settings, plan: Plan, n_devices: int, depth_tokens: int) -> Traffic:
    """Return what the next token needs once `depth_tokens` tokens are in the cache.

    Args:
        model: a model whose cache rule is known.
        settings: of the start; overrides that name another GPU are not followed.
        plan: the layers on the devices.
        n_devices: devices in use.
        depth_tokens: tokens of the conversation so far; more than a slot can hold counts as full.
    """
    tally = _Tally([Work() for _ in range(n_devices)])
    active = _active_layers(model, settings.overrides)
    places = plan.placed.layer_device[: model.trunk_layers]
    last: int | None = -1
    handovers = 0
    for index, where in enumerate(places):
        layer, weights = model.layers[index], active[index]
        device = tally.at(where)
        device.weights += weights.own
        device.tensors += weights.own_tensors
        if where is None:
            tally.visits += last is not None
        else:
            handovers += last is not None and last >= 0 and where != last
            tally.host.weights += weights.staged
            tally.host.tensors += weights.staged_tensors
            tally.visits += weights.staged_tensors > 0
        _remember(tally, model, settings, layer, where, plan.cache_place[index], depth_tokens)
        last = where
    home = plan.placed.output_device
    if home is not None:
        handovers += last is not None and home != last
    elif last is not None:
        tally.visits += 1
    _frame(tally, model, home)
    return Traffic(tuple(tally.devices), tally.host, handovers, tally.visits, model.vocabulary)


def _remember(
    tally: _Tally,
    model: ModelShape,
    settings: Settings,
    layer: LayerShape,
    where: int | None,
    kept: int | None,
    depth_tokens: int,
) -> None:
    """Add what a layer reads of what it remembers."""
    if layer.attention is Attention.RECURRENT:
        values = model.recurrence.state_values if model.recurrence is not None else 0
        tally.at(kept).states += 2 * values * _STATE_BYTES
        return
    cells = min(settings.slot_cells, -(-(depth_tokens + 1) // CELLS_PAD) * CELLS_PAD)
    if layer.attention is Attention.SLIDING:
        cells = min(cells, sliding_cells(settings, model.window))
    # Where the cache stays in host memory, the CPU computes the attention too.
    work = tally.at(kept)
    tally.visits += where is not None and kept is None
    turned = False
    for kind, width in ((settings.key_type, layer.key_width), (settings.value_type, layer.value_width)):
        work.cache += cells * bytes_of(kind, width)
        if kept is not None and kind != _NATIVE:
            work.converted += cells * width
            turned = turned or is_quantised(kind)
    work.rotated += turned


def _frame(tally: _Tally, model: ModelShape, output: int | None) -> None:
    """Add what comes before the first layer and after the last."""
    for name, tensor in model.other_tensors.items():
        if name in _ROWS:
            tally.host.weights += _row_bytes(tensor)
            continue
        work = tally.at(output if name.startswith((*_OUTPUT, "rope_freqs.")) else None)
        work.weights += tensor.n_bytes
        work.tensors += 1
    embeddings = model.other_tensors.get("token_embd.weight")
    if model.tied and embeddings is not None:
        work = tally.at(output)
        work.weights += embeddings.n_bytes
        work.tensors += 1


@lru_cache(maxsize=32)
def _active_layers(model: ModelShape, overrides: tuple[Override, ...]) -> tuple[_ActiveLayer, ...]:
    """Return the bytes of each layer that one token reads, apart from and with the CPU's by `overrides`."""
    stays = [{name for name, _ in weights.staged} for weights in layer_weights(model, overrides)]
    return tuple(
        _ActiveLayer(
            sum(_read(model, name, tensor) for name, tensor in tensors.items() if name not in staged),
            len(tensors) - len(staged),
            sum(_read(model, name, tensors[name]) for name in staged),
            len(staged),
        )
        for tensors, staged in zip(model.layer_tensors, stays, strict=True)
    )


def _read(model: ModelShape, name: str, tensor: GgufTensor) -> int:
    if _EXPERTS in name and model.experts and model.experts_used and model.experts in tensor.shape:
        return tensor.n_bytes * model.experts_used // model.experts
    return tensor.n_bytes


def _row_bytes(tensor: GgufTensor) -> int:
    return tensor.n_bytes // tensor.shape[1] if len(tensor.shape) > 1 and tensor.shape[1] else tensor.n_bytes


def names_other_devices(overrides: Sequence[Override]) -> bool:
    """Whether an override sends weights anywhere but to the CPU."""
    return any(override.buffer != CPU for override in overrides)
