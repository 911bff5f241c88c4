"""One layer of each architecture whose graph is known, as a tape.

Sources: `src/models/` qwen35.cpp, qwen35moe.cpp, gemma4.cpp, gemma3.cpp, llama.cpp, qwen2.cpp, qwen3.cpp, qwen3moe.cpp
(graph::graph, graph_mtp::graph_mtp), b11434.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from variet_gui.forecast.fusion import fuse
from variet_gui.forecast.graph import Op, Tensor, Where
from variet_gui.forecast.layer_blocks import delta_net, experts
from variet_gui.forecast.layer_graph import NORM, GraphSettings, LayerGraph
from variet_gui.forecast.shape import Attention, LayerShape, ModelShape
from variet_gui.forecast.tape import Tape, compile_tape, interpolated, split

_ENTRIES = 512
_lock = threading.Lock()


class Part(Enum):
    """Which part of a layer a device computes."""

    WHOLE = "whole"
    """All of it. Weights in host memory are copied to it."""
    AT_HOME = "at_home"
    """What needs no weight from host memory: the first device does the rest."""
    AWAY = "away"
    """The rest, on the first device."""


@dataclass(frozen=True, slots=True)
class Step:
    """One layer as a device runs it."""

    layer: LayerShape
    staged: tuple[tuple[str, int], ...] = ()
    """Its weights in host memory: (name, bytes)."""
    cache_on_host: bool = False
    """Its KV cache or its state is in host memory."""
    part: Part = Part.WHOLE
    entrance_stays: bool = False
    """What comes in is an input that exists in several copies."""
    comes_normed: bool = False
    """What comes in comes a second time, normalised."""
    norms_away: bool = False
    """Norms behind what is computed away are computed there too."""
    predicts: bool = False
    """The layer of a multi-token prediction context, with what leads up to it."""
    picks_rows: bool = False
    """It is the last one, and goes on with the wanted rows alone once it has attended."""


_Key: TypeAlias = tuple[int, GraphSettings, Step]
_kept: OrderedDict[_Key, tuple[ModelShape, Tape]] = OrderedDict()
_patterns: OrderedDict[_Key, tuple[ModelShape, Tape, Tape]] = OrderedDict()
_SAMPLES = (1009, 2003)
"""Tokens per sequence: primes, that no width of a model equals."""


def layer_tape(model: ModelShape, settings: GraphSettings, step: Step) -> Tape:
    """Return the tape of one layer; equal layers share it. The graph of the model must be known."""
    key = (id(model), settings, step)
    with _lock:
        found = _kept.get(key)
        if found is not None and found[0] is model:
            _kept.move_to_end(key)
            return found[1]
    # Every size is a multiple of the tokens plus something: two compilations tell all the others.
    pattern = replace(settings, tokens=0)
    with _lock:
        known = _patterns.get((id(model), pattern, step))
    if known is None or known[0] is not model:
        one, two = (_compile(model, replace(settings, tokens=count * settings.sequences), step) for count in _SAMPLES)
        known = (model, one, two)
    few, many = (count * settings.sequences for count in _SAMPLES)
    tape = interpolated(known[1], known[2], (few, many), settings.tokens)
    with _lock:
        _patterns[id(model), pattern, step] = known
        _kept[key] = (model, tape)
        for kept in (_kept, _patterns):
            if len(kept) > _ENTRIES:
                kept.popitem(last=False)
    return tape


def _compile(model: ModelShape, settings: GraphSettings, step: Step) -> Tape:
    graph = LayerGraph(
        model,
        step.layer,
        settings,
        dict(step.staged),
        cache_on_host=step.cache_on_host,
        comes_normed=step.comes_normed,
        picks_rows=step.picks_rows,
    )
    build = _prediction if step.predicts else _BUILDERS.get(model.architecture, _standard)
    result = build(graph)
    graph.expand(result)
    nodes = graph.nodes
    entrance: Tensor | None = graph.entrance
    exit_: Tensor | None = result
    if step.part is not Part.WHOLE:
        away = _away(nodes, norms=step.norms_away)
        if step.part is Part.AT_HOME:
            for node in away:
                node.where = Where.HOST
        elif away:
            members = {id(node) for node in away}
            nodes = [node for node in nodes if id(node) in members or id(node.base) in members]
            entrance = exit_ = None
    parts, pins = split(nodes), dict[int, list[Tensor]]()
    if settings.fused and model.experts:
        for part in parts:
            fuse(part, model, step.layer, pins)
    return compile_tape(parts, entrance, exit_, pins, entrance_stays=step.entrance_stays)


def _away(nodes: Sequence[Tensor], *, norms: bool) -> list[Tensor]:
    """Return the nodes that go where weights from host memory are worked on, and those that follow them there.

    Operations follow until one has a weight on its own device, or is a norm, whose place llama.cpp says.
    """
    found, following = [], False
    for node in nodes:
        if node.op is Op.VIEW:
            continue
        places = {source.where for source in node.sources if source.op is Op.NONE}
        if Where.STAGED_WEIGHT in places:
            following = True
        elif Where.DEVICE in places or (node.name == NORM and not norms):
            following = False
        if following:
            found.append(node)
    return found


def _gated_attention(graph: LayerGraph, tensor: Tensor) -> Tensor:
    """Qwen 3.5: queries and their gate come from one matrix."""
    layer, tokens = graph.layer, graph.settings.tokens
    width = layer.heads * layer.key_length
    both = graph.linear("attn_q", tensor, 2 * width)
    keys = graph.linear("attn_k", tensor, layer.key_width)
    values = graph.linear("attn_v", tensor, layer.value_width)
    queries = graph.norm(graph.view(both, (width, tokens)), "attn_q_norm")
    keys = graph.norm(graph.view(keys, keys.shape), "attn_k_norm")
    gate = graph.add(Op.OTHER, (width, tokens), graph.view(both, (width, tokens)))
    result = graph.attention(graph.rope(queries), graph.rope(keys), graph.view(values, values.shape), order="qvk")
    result = graph.add(Op.MULTIPLY, result.shape, result, graph.unary(gate))
    return graph.linear("attn_output", result, graph.model.width)


def _qwen35(graph: LayerGraph) -> Tensor:
    tensor = graph.first_norm()
    graph.expand(tensor)
    recurrent = graph.layer.attention is Attention.RECURRENT
    tensor = delta_net(graph, tensor) if recurrent else _gated_attention(graph, tensor)
    if recurrent:
        tensor = graph.view(tensor, tensor.shape)
    return _qwen35_feed_forward(graph, graph.add(Op.ADD, tensor.shape, tensor, graph.entrance))


def _qwen35_feed_forward(graph: LayerGraph, residual: Tensor) -> Tensor:
    model = graph.model
    tensor = graph.norm(residual, "post_attention_norm")
    if not graph.has("ffn_gate_inp.weight"):
        tensor = graph.feed_forward(tensor, graph.layer.feed_forward)
    else:
        total = experts(graph, tensor)
        if graph.has("ffn_up_shexp.weight"):
            shared = graph.feed_forward(tensor, model.shared_feed_forward, "_shexp")
            gate = graph.unary(graph.linear("ffn_gate_inp_shexp", tensor, 1))
            total = graph.add(Op.ADD, total.shape, total, graph.add(Op.MULTIPLY, shared.shape, shared, gate))
        tensor = total
    return graph.add(Op.ADD, tensor.shape, tensor, residual)


def _prediction(graph: LayerGraph) -> Tensor:
    """Qwen 3.5: the last hidden state and the next token's embedding, joined, then one full layer."""
    token, hidden = graph.input("token_embeddings"), graph.input("hidden_states")
    shape = graph.entrance.shape
    hidden.shape = token.shape = shape
    joined = graph.add(
        Op.OTHER, (2 * shape[0], shape[1]), graph.norm(token, "nextn.enorm"), graph.norm(hidden, "nextn.hnorm")
    )
    residual = graph.linear("nextn.eh_proj", joined, shape[0])
    attended = _gated_attention(graph, graph.norm(residual, "attn_norm"))
    return _qwen35_feed_forward(graph, graph.add(Op.ADD, attended.shape, attended, residual))


def _gemma4(graph: LayerGraph) -> Tensor:
    model, layer = graph.model, graph.layer
    tensor = graph.first_norm()
    queries = graph.linear("attn_q", tensor, layer.heads * layer.key_length)
    queries = graph.rope(graph.norm(graph.view(queries, queries.shape), "attn_q_norm"))
    keys = values = None
    if layer.owns_cache:
        raw = graph.linear("attn_k", tensor, layer.key_width)
        values = graph.linear("attn_v", tensor, layer.value_width) if graph.has("attn_v.weight") else raw
        keys = graph.norm(graph.view(raw, raw.shape), "attn_k_norm")
        values = graph.norm(graph.view(values, values.shape), None)
        keys = graph.rope(keys)
    tensor = graph.linear("attn_output", graph.attention(queries, keys, values, order="qkv"), model.width)
    tensor = graph.norm(tensor, "post_attention_norm")
    residual = graph.add(Op.ADD, tensor.shape, tensor, graph.entrance)
    if graph.has("ffn_gate_inp.weight"):
        tensor = _gemma4_experts(graph, residual)
    else:
        tensor = graph.feed_forward(graph.norm(residual, "ffn_norm"), layer.feed_forward)
    tensor = graph.norm(tensor, "post_ffw_norm")
    tensor = graph.add(Op.ADD, tensor.shape, tensor, residual)
    if model.per_layer_width:
        tensor = _gemma4_per_layer(graph, tensor)
    if graph.has("layer_output_scale.weight"):
        tensor = graph.add(Op.MULTIPLY, tensor.shape, tensor, graph.weight("layer_output_scale.weight"))
    return tensor


def _gemma4_experts(graph: LayerGraph, residual: Tensor) -> Tensor:
    """The dense feed-forward beside the experts, whose choice looks at the residual."""
    shared = graph.feed_forward(graph.norm(residual, "ffn_norm"), graph.layer.feed_forward)
    shared = graph.norm(shared, "post_ffw_norm_1")
    tensor = graph.norm(residual, "pre_ffw_norm_2")
    router = graph.unary(graph.norm(residual, None))
    router = graph.add(Op.MULTIPLY, router.shape, router, graph.weight("ffn_gate_inp.scale"))
    logits = graph.linear("ffn_gate_inp", router, graph.model.experts)
    routed = graph.norm(experts(graph, tensor, logits), "post_ffw_norm_2")
    return graph.add(Op.ADD, routed.shape, shared, routed)


def _gemma4_per_layer(graph: LayerGraph, tensor: Tensor) -> Tensor:
    width = graph.model.per_layer_width
    gated = graph.unary(graph.linear("inp_gate", tensor, width))
    own = graph.view(graph.input("per_layer"), gated.shape)
    mixed = graph.linear("proj", graph.add(Op.MULTIPLY, gated.shape, gated, own), graph.model.width)
    return graph.add(Op.ADD, tensor.shape, tensor, graph.norm(mixed, "post_norm"))


def _standard(graph: LayerGraph) -> Tensor:
    """Llama, Qwen 2 and 3, Gemma 3: norms and biases where the layer has them."""
    layer = graph.layer
    tensor = graph.first_norm()
    queries, keys, values = (graph.view(part, part.shape) for part in _projections(graph, tensor))
    if graph.has("attn_q_norm.weight"):
        queries = graph.norm(queries, "attn_q_norm")
    queries = graph.rope(queries)
    if graph.has("attn_k_norm.weight"):
        keys = graph.norm(keys, "attn_k_norm")
    keys = graph.rope(keys)
    gemma = graph.model.architecture == "gemma3"
    if gemma:
        queries = graph.unary(queries)
    tensor = graph.attention(queries, keys, values, order="qkv" if gemma else "qvk")
    tensor, entrance = graph.linear("attn_output", tensor, graph.model.width), graph.entrance
    if graph.picks_rows:
        tensor, entrance = graph.wanted_rows(tensor), graph.wanted_rows(entrance)
    if gemma:
        tensor = graph.norm(tensor, "post_attention_norm")
    residual = graph.add(Op.ADD, tensor.shape, tensor, entrance)
    tensor = graph.norm(residual, "ffn_norm")
    if graph.has("ffn_gate_inp.weight"):
        tensor = experts(graph, tensor)
    else:
        tensor = graph.feed_forward(tensor, layer.feed_forward)
    if gemma:
        tensor = graph.norm(tensor, "post_ffw_norm")
    return graph.add(Op.ADD, tensor.shape, tensor, residual)


def _projections(graph: LayerGraph, tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    layer, tokens = graph.layer, graph.settings.tokens
    widths = (layer.heads * layer.key_length, layer.key_width, layer.value_width)
    if graph.has("attn_qkv.weight"):
        joined = graph.linear("attn_qkv", tensor, sum(widths))
        first, second, third = (graph.view(joined, (width, tokens)) for width in widths)
    else:
        names = ("attn_q", "attn_k", "attn_v")
        first, second, third = (graph.linear(name, tensor, width) for name, width in zip(names, widths, strict=True))
    return first, second, third


_BUILDERS: Mapping[str, Callable[[LayerGraph], Tensor]] = {
    "qwen35": _qwen35,
    "qwen35moe": _qwen35,
    "gemma4": _gemma4,
}
