"""Two larger blocks of a layer: the mixture of experts, and the gated delta net.

Sources: `src/llama-graph.cpp` (build_moe_ffn), `src/models/delta-net-base.cpp`, `src/models/qwen35.cpp`, b11434.
"""

from __future__ import annotations

from variet_gui.forecast.graph import Op, Tensor, Where
from variet_gui.forecast.layer_graph import LayerGraph


def experts(graph: LayerGraph, tensor: Tensor, logits: Tensor | None = None) -> Tensor:
    """Return what the chosen experts make of `tensor`."""
    model, tokens = graph.model, tensor.shape[1]
    used, width = model.experts_used, model.expert_feed_forward
    if logits is None:
        logits = graph.linear("ffn_gate_inp", tensor, model.experts)
    chances = graph.add(Op.SOFTMAX, logits.shape, logits)
    chosen = graph.view(graph.add(Op.SORT, chances.shape, chances), (used, tokens))
    shares = _shares(graph, chances, chosen)
    rows = graph.view(tensor, (model.width, 1, tokens))

    def through(name: str, values: Tensor, out: int) -> Tensor:
        return graph.add(Op.EXPERTS, (out, used, tokens), graph.weight(f"{name}.weight"), values, chosen)

    if graph.has("ffn_gate_up_exps.weight"):
        both = through("ffn_gate_up_exps", rows, 2 * width)
        gate, up = graph.view(both, (width, used, tokens)), graph.view(both, (width, used, tokens))
    else:
        up = through("ffn_up_exps", rows, width)
        gate = through("ffn_gate_exps", rows, width)
    result = through("ffn_down_exps", graph.add(Op.GATED, (width, used, tokens), gate, up), model.width)
    if graph.has("ffn_down_exps.scale"):
        scale = graph.view(graph.weight("ffn_down_exps.scale"), (1, model.experts, 1))
        scale = graph.add(Op.OTHER, (1, model.experts, tokens), scale)
        result = graph.add(Op.MULTIPLY, result.shape, result, graph.add(Op.OTHER, (1, used, tokens), scale, chosen))
    result = graph.add(Op.MULTIPLY, result.shape, result, shares)
    graph.expand(result)
    views = [graph.view(result, (model.width, tokens)) for _ in range(used)]
    for view in views:
        graph.expand(view)
    total = views[0]
    for view in views[1:]:
        total = graph.add(Op.ADD, total.shape, total, view)
        graph.expand(total)
    return total


def _shares(graph: LayerGraph, chances: Tensor, chosen: Tensor) -> Tensor:
    """Return the weights of the chosen experts, normalised to 1."""
    experts, used, tokens = graph.model.experts, graph.model.experts_used, chosen.shape[1]
    picked = graph.add(Op.OTHER, (1, used, tokens), graph.view(chances, (1, experts, tokens)), chosen)
    flat = graph.view(picked, (used, tokens))
    total = graph.unary(graph.add(Op.OTHER, (1, tokens), flat))
    # Not in place: the flat rows are a view.
    shares = graph.view(graph.add(Op.OTHER, (used, tokens), flat, total), (1, used, tokens))
    graph.expand(shares)
    return shares


def delta_net(graph: LayerGraph, tensor: Tensor) -> Tensor:
    """Return `tensor` through a gated delta net, projections included."""
    sizes = graph.model.recurrence
    if sizes is None:
        raise ValueError("the model has no recurrent layers")
    settings, tokens = graph.settings, graph.settings.tokens
    mixed = graph.linear("attn_qkv", tensor, sizes.channels)
    gate = graph.linear("attn_gate", tensor, sizes.inner)
    beta = graph.linear("ssm_beta", tensor, sizes.heads)
    beta = graph.unary(graph.view(beta, beta.shape))
    decay = graph.linear("ssm_alpha", tensor, sizes.heads)
    decay = graph.add(Op.ADD, decay.shape, graph.view(decay, decay.shape), graph.weight("ssm_dt.bias"))
    decay = graph.add(Op.MULTIPLY, decay.shape, graph.unary(decay), graph.weight("ssm_a"))

    window, window_store = _state(graph, (sizes.kernel - 1) * sizes.channels)
    length = tokens + settings.sequences * (sizes.kernel - 1)
    joined = graph.add(Op.OTHER, (length, sizes.channels), window, graph.view(mixed, mixed.shape))
    graph.expand(graph.store(window_store, graph.view(joined, (1,))))
    state, state_store = _state(graph, sizes.state * sizes.inner)
    convolved = graph.add(Op.OTHER, (sizes.channels, tokens), joined, graph.weight("ssm_conv1d.weight"))
    convolved = graph.unary(convolved)
    narrow = (sizes.state * sizes.groups, tokens)
    query, key, value = (graph.view(convolved, shape) for shape in (narrow, narrow, (sizes.inner, tokens)))
    query, key = graph.unary(graph.norm(query, None)), graph.unary(graph.norm(key, None))
    states = settings.snapshots * sizes.state * settings.sequences
    result = graph.add(Op.OTHER, (sizes.inner, tokens + states), query, key, value, decay, beta, state)
    output, kept = graph.view(result, (sizes.inner, tokens)), graph.view(result, (1,))
    graph.expand(graph.store(state_store, kept))
    output = graph.norm(output, "ssm_norm")
    # silu(gate) reads a reshaped view and gets a place of its own.
    opened = graph.unary(graph.view(gate, gate.shape))
    return graph.linear("ssm_out", graph.add(Op.MULTIPLY, output.shape, output, opened), graph.model.width)


def _state(graph: LayerGraph, numbers: int) -> tuple[Tensor, Tensor]:
    """Return the states of all sequences, read, and where they are kept."""
    cache = Tensor(Op.NONE, (1,), where=graph.cache_place)
    graph.expand(graph.store(cache, graph.view(cache, (1,))))
    read = graph.add(Op.OTHER, (numbers, graph.settings.sequences), graph.view(cache, (1,)), graph.input("states"))
    if graph.cache_place is Where.STAGED:
        read.where = Where.HOST
    rows = graph.view(read, read.shape)
    graph.expand(rows)
    graph.expand(graph.store(cache, graph.view(read, (1,)), graph.view(cache, (1,))))
    return graph.view(rows, rows.shape), cache
