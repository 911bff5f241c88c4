"""What every kind of layer is made of: attention, feed-forward, experts, the gated delta net.

Shapes and order as in `src/llama-graph.cpp` (build_norm, build_qkv, build_attn, build_attn_mha, build_ffn,
build_moe_ffn), `src/llama-kv-cache.cpp` (cpy_k, cpy_v, get_k, get_v) and `src/models/delta-net-base.cpp`, b11434.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from variet_gui.forecast.cache_types import bytes_of, is_quantised
from variet_gui.forecast.graph import Graph, Op, Tensor, Where
from variet_gui.forecast.shape import Attention, LayerShape, ModelShape

SMALLEST_ROTATION = 64
WANTED = "wanted_rows"
"""Name of the input that says whose logits are wanted."""
_NO_SCRATCH = frozenset({"f16", "f32"})
"""F32 is turned into F16 before."""
NORM = "norm"
"""Name of a norm that a weight follows: llama.cpp pins it to its layer's device."""


def rotation_size(length: int) -> int:
    """Return the width of the rotation of keys of this length; 0: they cannot be rotated."""
    if not length or length % SMALLEST_ROTATION:
        return 0
    return SMALLEST_ROTATION * ((length // SMALLEST_ROTATION) & -(length // SMALLEST_ROTATION))


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """What a graph depends on beside the model. The size of the cache is not among it: tapes take that late."""

    tokens: int
    """In the largest batch (n_ubatch), a multiple of `sequences`."""
    sequences: int
    streams: int
    """Parts of the cache; 1 when all sequences share one."""
    flash_attention: bool
    key_type: str
    value_type: str
    turned_values: bool = False
    """The value cache is transposed: flash attention was switched off before the cache was made."""
    rotated: bool = True
    """Quantised caches are rotated (Hadamard) before they are written."""
    scratch: bool = True
    """Flash attention keeps room for the whole cache as F16 when it is of another type."""
    snapshots: int = 1
    """States that a recurrent layer keeps: more than one with speculative decoding."""
    fused: bool = True
    """The CUDA back end keeps tensors for its fused operations."""
    outputs: int = 0
    """Rows that the last layer goes on with, where it picks them; 0: all."""


class LayerGraph(Graph):
    """A graph with the building blocks of a layer."""

    def __init__(
        self,
        model: ModelShape,
        layer: LayerShape,
        settings: GraphSettings,
        staged: Mapping[str, int],
        *,
        cache_on_host: bool,
        comes_normed: bool,
        picks_rows: bool = False,
    ) -> None:
        super().__init__((model.width, settings.tokens))
        self._comes_normed, self.picks_rows = comes_normed, picks_rows
        self.model, self.layer, self.settings = model, layer, settings
        self._staged = staged
        self.cache_place = Where.STAGED if cache_on_host else Where.DEVICE

    def has(self, name: str) -> bool:
        """Whether the layer has the tensor."""
        return name in self.layer.tensors

    def weight(self, name: str) -> Tensor:
        """Return a weight of the layer."""
        staged = self._staged.get(name)
        where = Where.DEVICE if staged is None else Where.STAGED_WEIGHT
        return Tensor(Op.NONE, (1,), where=where, n_bytes=staged or 0, name=name)

    def input(self, name: str) -> Tensor:
        """Return an input of the whole graph."""
        return Tensor(Op.NONE, (1,), where=Where.INPUT, name=name)

    def linear(self, name: str, tensor: Tensor, rows: int) -> Tensor:
        """Return `tensor` through a weight matrix, and its bias where it has one."""
        result = self.add(Op.MATRIX, (rows, *tensor.shape[1:]), self.weight(f"{name}.weight"), tensor)
        if self.has(f"{name}.bias"):
            result = self.add(Op.ADD, result.shape, result, self.weight(f"{name}.bias"))
        return result

    def norm(self, tensor: Tensor, name: str | None) -> Tensor:
        """Return `tensor` normalised, and scaled by a weight where there is one."""
        result = self.add(Op.UNARY, tensor.shape, tensor)
        if name is None:
            return result
        result.name = NORM
        return self.add(Op.MULTIPLY, tensor.shape, result, self.weight(f"{name}.weight"))

    def first_norm(self) -> Tensor:
        """Return what comes in, normalised."""
        if not self._comes_normed:
            return self.norm(self.entrance, "attn_norm")
        shape = self.entrance.shape
        normed = Tensor(Op.NONE, shape, where=Where.STAGED, n_bytes=self.entrance.n_bytes)
        return self.add(Op.MULTIPLY, shape, normed, self.weight("attn_norm.weight"))

    def wanted_rows(self, tensor: Tensor) -> Tensor:
        """Return those rows of `tensor` whose logits are wanted."""
        rows = self.settings.outputs or self.settings.tokens
        return self.add(Op.OTHER, (tensor.shape[0], rows), tensor, self.input(WANTED))

    def unary(self, tensor: Tensor) -> Tensor:
        """Return `tensor` through an activation or a scale."""
        return self.add(Op.UNARY, tensor.shape, tensor)

    def rope(self, tensor: Tensor) -> Tensor:
        """Return `tensor` with its positions."""
        return self.add(Op.ROPE, tensor.shape, tensor, self.input("positions"))

    def attention(self, queries: Tensor, keys: Tensor | None, values: Tensor | None, order: str) -> Tensor:
        """Store keys and values (None: an earlier layer did), attend, and return one row per token."""
        layer, settings = self.layer, self.settings
        key_turn = self._rotation(layer.key_length, settings.key_type, largest=True)
        value_turn = self._rotation(layer.value_length, settings.value_type, largest=False)
        sliding = "_sliding" if layer.attention is Attention.SLIDING else ""
        if key_turn:
            queries = self._turn(queries, key_turn, f"rotation_k{sliding}")
            keys = self._turn(keys, key_turn, f"rotation_k{sliding}") if keys is not None else None
        if value_turn and values is not None:
            values = self._turn(values, value_turn, f"rotation_v{sliding}")
        for which in order:
            tensor = {"q": queries, "k": keys, "v": values}[which]
            if tensor is not None:
                self.expand(tensor)
        key_cache, value_cache = (Tensor(Op.NONE, (1,), where=self.cache_place) for _ in range(2))
        if keys is not None and values is not None:
            self._remember(keys, key_cache, values, value_cache, sliding)
        cached_keys = self._cached(key_cache, layer.key_width, settings.key_type)
        cached_values = self._cached(value_cache, layer.value_width, settings.value_type)
        attend = self._flash if settings.flash_attention else self._softmax
        result = attend(
            self.view(self.view(queries, queries.shape), queries.shape), cached_keys, cached_values, sliding
        )
        self.expand(result)
        return self._turn(result, value_turn, f"rotation_v{sliding}") if value_turn else result

    def _rotation(self, length: int, cache_type: str, *, largest: bool) -> int:
        if not self.settings.rotated or not is_quantised(cache_type):
            return 0
        size = rotation_size(length)
        return size if largest else min(size, SMALLEST_ROTATION)

    def _turn(self, tensor: Tensor, size: int, name: str) -> Tensor:
        rows = 1
        for dimension in tensor.shape:
            rows *= dimension
        flat = self.view(tensor, (size, rows // size))
        return self.view(self.add(Op.MATRIX, flat.shape, self.input(name), flat), tensor.shape)

    def _remember(self, keys: Tensor, key_cache: Tensor, values: Tensor, value_cache: Tensor, sliding: str) -> None:
        layer, tokens = self.layer, self.settings.tokens
        key_rows, value_rows = self.input(f"key_rows{sliding}"), self.input(f"value_rows{sliding}")
        self.expand(self.store(key_cache, self.view(keys, (layer.key_width, tokens)), key_rows))
        flat = self.view(values, (layer.value_width, tokens))
        widest = self.model.widest_value
        if self.settings.turned_values and layer.value_width < widest:
            flat = self.view(self.add(Op.OTHER, (widest, tokens), flat), (1, widest * tokens))
        self.expand(self.store(value_cache, flat, value_rows))

    def _cached(self, cache: Tensor, width: int, cache_type: str) -> Tensor:
        """Return the view of a whole cache that attention reads."""
        view = self.view(self.view(cache, (1,)), (1,))
        view.n_bytes, view.cell_bytes = 0, bytes_of(cache_type, width) * self.settings.streams
        return view

    def _flash(self, queries: Tensor, keys: Tensor, values: Tensor, sliding: str) -> Tensor:
        layer, settings = self.layer, self.settings
        width = layer.heads * layer.value_length
        keys = self._narrowed(keys, settings.key_type, layer.key_width)
        values = self._narrowed(values, settings.value_type, layer.value_width)
        result = self.add(Op.ATTENTION, (width, settings.tokens), queries, keys, values, self.input(f"mask{sliding}"))
        if settings.scratch:
            parts = ((settings.key_type, layer.key_width), (settings.value_type, layer.value_width))
            result.cell_bytes = sum(
                2 * settings.streams * numbers for kind, numbers in parts if kind not in _NO_SCRATCH
            )
        return self.view(result, result.shape)

    def _narrowed(self, cached: Tensor, kind: str, numbers: int) -> Tensor:
        """Return an F32 cache as the F16 copy that flash attention is given; any other as it is."""
        if kind != "f32":
            return cached
        result = self.add(Op.OTHER, (1,), cached)
        result.n_bytes, result.cell_bytes = 0, 2 * self.settings.streams * numbers
        return result

    def _softmax(self, queries: Tensor, keys: Tensor, values: Tensor, sliding: str) -> Tensor:
        layer, settings = self.layer, self.settings
        scores = self.add(Op.MATRIX, (1, settings.tokens, layer.heads), keys, queries)
        scores.n_bytes, scores.cell_bytes = 0, settings.tokens * layer.heads * 4
        weights = self.add(Op.SOFTMAX, scores.shape, scores, self.input(f"mask{sliding}"))
        weights.n_bytes, weights.cell_bytes = 0, scores.cell_bytes
        if not settings.turned_values:
            values = self.add(Op.OTHER, (1,), values)
            values.n_bytes = 0
            values.cell_bytes = bytes_of(settings.value_type, layer.value_width) * settings.streams
        mixed = self.add(Op.MATRIX, (layer.value_length, settings.tokens, layer.heads), values, weights)
        turned = self.view(mixed, mixed.shape)
        return self.add(Op.OTHER, (layer.heads * layer.value_length, settings.tokens), turned)

    def feed_forward(self, tensor: Tensor, width: int, suffix: str = "") -> Tensor:
        """Return `tensor` through up, gate (where there is one) and down."""
        up = self.linear(f"ffn_up{suffix}", tensor, width)
        if self.has(f"ffn_gate{suffix}.weight"):
            up = self.add(Op.GATED, up.shape, self.linear(f"ffn_gate{suffix}", tensor, width), up)
        else:
            up = self.unary(up)
        return self.linear(f"ffn_down{suffix}", up, self.model.width)
