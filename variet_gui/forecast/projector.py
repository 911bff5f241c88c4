"""The projector (mmproj): its weights, and the buffer in which it encodes a picture.

Sources: `tools/mtmd/clip.cpp` (load_hparams, warmup, build_vit, build_attn, build_ffn), `tools/mtmd/clip-model.h`
(set_limit_image_tokens, set_warmup_n_tokens), `tools/mtmd/models/gemma4v.cpp`, `qwen3vl.cpp`, `siglip.cpp`, b11434.
The same figures as b11434 prints at warm-up: Gemma 4 150.63 MiB (an older
build took 140.50), Qwen 3.5 248.10 MiB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from variet_gui.forecast.allocator import Allocator, empty, padded
from variet_gui.forecast.graph import FLOAT_BYTES, Graph, Op, Tensor, Where
from variet_gui.forecast.tape import ENTRANCE, compile_tape, replay
from variet_gui.forecast.weights import device_bytes
from variet_gui.gguf.header import GgufHeader
from variet_gui.gguf.projector import projector_type

_CHANNELS = 3
_HALF = 2
_POSITIONS = 4
"""Numbers per patch at most that say where it is."""
_LAYERS_UNTIL_STEADY = 3
_TURNS: Mapping[str, int] = {"gemma4v": 2, "qwen3vl_merger": 1}
"""Rotations by position of queries and keys."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of projector cuts pictures."""

    warmup_tokens: int | None
    """Tokens of the picture that is tried at the start; None: the one size that it takes."""
    largest_tokens: int | None
    merge: int
    """Patches per token and side, where the file does not say."""


_KINDS: Mapping[str, _Kind] = {
    "gemma4v": _Kind(256, 1120, 3),
    "qwen3vl_merger": _Kind(46 * 46, 4096, 2),
    "gemma3": _Kind(None, None, 4),
    "idefics3": _Kind(None, None, 4),
    "nemotron_v2_vl": _Kind(None, None, 2),
}
_MERGE_KEYS = ("clip.vision.spatial_merge_size", "clip.vision.projector.scale_factor", "clip.vision.n_merge")


@dataclass(frozen=True, slots=True)
class ProjectorBytes:
    """What a projector takes. None: not known for this kind."""

    weights: int
    encode: int | None
    """Buffer after the start, when it has tried one picture."""
    encode_largest: int | None
    """Buffer once it has seen a picture of the largest size."""


def projector_bytes(header: GgufHeader, *, image_max_tokens: int | None, micro_batch: int) -> ProjectorBytes:
    """Return what the projector of `header` takes on one device.

    Args:
        header: of the projector file.
        image_max_tokens: largest picture as the profile limits it, or None.
        micro_batch: Gemma's pictures must fit into one.
    """
    weights = sum(padded(device_bytes(tensor)) for tensor in header.tensors)
    kind = _KINDS.get(projector_type(header) or "")
    width, layers = _number(header, "clip.vision.embedding_length"), _number(header, "clip.vision.block_count")
    patch = _number(header, "clip.vision.patch_size")
    if kind is None or not width or not layers or not patch:
        return ProjectorBytes(weights, None, None)
    merge = next((value for value in (_number(header, key) for key in _MERGE_KEYS) if value), kind.merge)
    if kind.warmup_tokens is None or kind.largest_tokens is None:
        side = _number(header, "clip.vision.image_size")
        encode = _encode(header, side, patch) if side else None
        return ProjectorBytes(weights, encode, encode)
    largest = image_max_tokens or kind.largest_tokens
    if projector_type(header) == "gemma4v":
        largest = min(largest, micro_batch)
    tried = min(kind.warmup_tokens, largest)
    sides = [math.isqrt(tokens) * patch * merge for tokens in (tried, largest)]
    encode, later = (_encode(header, side, patch) for side in sides)
    return ProjectorBytes(weights, encode, max(encode, later))


def _encode(header: GgufHeader, side: int, patch: int) -> int:
    """Return the compute buffer for a square picture of `side` pixels."""
    tower = _Tower(header, side, patch)
    tape = compile_tape([tower.nodes], tower.entrance, tower.exit, {}, entrance_stays=False)
    allocator = Allocator(empty())
    pixels = padded(tower.entrance.n_bytes)
    slots = {ENTRANCE: (allocator.allocate(pixels), pixels)}
    allocator.allocate(padded(tower.patches * _POSITIONS * FLOAT_BYTES))
    replay(tape.parts[0].events, allocator, slots, 0)
    return allocator.peak


class _Tower(Graph):
    """The vision tower: pixels to patches, and as many layers as it takes until they are alike."""

    def __init__(self, header: GgufHeader, side: int, patch: int) -> None:
        super().__init__((side, side, _CHANNELS))
        self._names = {tensor.name: tensor.shape for tensor in header.tensors}
        self._width = _number(header, "clip.vision.embedding_length")
        self.patches = (side // patch) ** 2
        self._pixels_per_patch = _CHANNELS * patch * patch
        self._kind = projector_type(header) or ""
        tensor = self._patches()
        if self._kind == "nemotron_v2_vl":
            # Its registers stand before the patches.
            registers = self._names.get("v.class_embd", (0, 0))[-1]
            size = (self._width, self.patches + registers)
            tensor = self.add(Op.OTHER, size, self._weight("class_embd"), tensor)
        for _ in range(_LAYERS_UNTIL_STEADY):
            tensor = self._layer(tensor)
        self.exit = tensor
        self.expand(tensor)

    def _patches(self) -> Tensor:
        """Return one vector per patch, with its place added."""
        size = (self._width, self.patches)
        if self._kind == "gemma4v":
            vectors = self._turned(self._convolved(self.add(Op.UNARY, self.entrance.shape, self.entrance)))
            for _ in range(2):
                vectors = self.add(Op.ADD, size, vectors, self.add(Op.OTHER, size, self._weight("position_embd")))
            return vectors
        if self._kind == "qwen3vl_merger":
            # A picture is a film of two equal frames; patches go together two by two.
            frames = [self._convolved(self.entrance) for _ in range(2)]
            vectors = self._turned(self._turned(self.add(Op.ADD, size, *frames)))
            vectors = self.add(Op.ADD, size, vectors, self._weight("patch_bias"))
            places = self.add(Op.OTHER, size, self._weight("position_embd"))
            return self.add(Op.ADD, size, vectors, self._turned(self._turned(self._turned(places))))
        vectors = self._turned(self._convolved(self.entrance))
        return self.add(Op.ADD, size, self.add(Op.ADD, size, vectors, self._weight("patch_bias")), self._weight("pos"))

    def _convolved(self, pixels: Tensor) -> Tensor:
        unfolded = self.add(Op.OTHER, (self._pixels_per_patch, self.patches), pixels)
        unfolded.n_bytes //= _HALF
        return self._turned(self.add(Op.MATRIX, (self._width, self.patches), unfolded, self._weight("patch_embd")))

    def _turned(self, tensor: Tensor) -> Tensor:
        """Return a transposed copy."""
        return self.add(Op.OTHER, tensor.shape, self.view(tensor, tensor.shape))

    def _layer(self, entrance: Tensor) -> Tensor:
        tensor = self._attention(self._norm(entrance, "ln1"))
        if self._has("attn_post_norm.weight"):
            tensor = self._norm(tensor, "attn_post_norm")
        residual = self.add(Op.ADD, tensor.shape, tensor, entrance)
        tensor = self._norm(residual, "ln2")
        up = self._linear("ffn_up", tensor)
        if self._has("ffn_gate.weight"):
            up = self.add(Op.GATED, up.shape, self._linear("ffn_gate", tensor), up)
        else:
            up = self.add(Op.UNARY, up.shape, up)
        tensor = self._linear("ffn_down", up)
        if self._has("ffn_post_norm.weight"):
            tensor = self._norm(tensor, "ffn_post_norm")
        return self.add(Op.ADD, tensor.shape, residual, tensor)

    def _attention(self, tensor: Tensor) -> Tensor:
        size = tensor.shape
        if self._has("attn_qkv.weight"):
            joined = self._linear("attn_qkv", tensor)
            parts = [self.view(joined, size) for _ in range(3)]
        else:
            parts = [self._linear(name, tensor) for name in ("attn_q", "attn_k", "attn_v")]
            parts = [self.view(part, size) for part in parts]
        queries, keys, values = parts
        if self._has("attn_q_norm.weight"):
            queries, keys = self._norm(queries, "attn_q_norm"), self._norm(keys, "attn_k_norm")
        for _ in range(_TURNS.get(self._kind, 0)):
            queries, keys = (self.add(Op.ROPE, size, part) for part in (queries, keys))
        if self._kind == "gemma4v":
            values = self.add(Op.UNARY, size, values)
        for part in (queries, keys, values):
            self.expand(part)
        halves = [self._turned(part) for part in (keys, values)]
        for half in halves:
            half.n_bytes //= _HALF
        result = self.add(Op.ATTENTION, size, self.view(queries, size), *halves)
        return self._linear("attn_out", self.view(result, size))

    def _has(self, name: str) -> bool:
        return f"v.blk.0.{name}" in self._names

    def _weight(self, name: str) -> Tensor:
        return Tensor(Op.NONE, (1,), where=Where.DEVICE, name=name)

    def _linear(self, name: str, tensor: Tensor) -> Tensor:
        shape = self._names.get(f"v.blk.0.{name}.weight", (0, self._width))
        result = self.add(Op.MATRIX, (shape[1], *tensor.shape[1:]), self._weight(name), tensor)
        if self._has(f"{name}.bias"):
            result = self.add(Op.ADD, result.shape, result, self._weight(f"{name}.bias"))
        return result

    def _norm(self, tensor: Tensor, name: str) -> Tensor:
        result = self.add(Op.UNARY, tensor.shape, tensor)
        result = self.add(Op.MULTIPLY, tensor.shape, result, self._weight(name))
        if self._has(f"{name}.bias"):
            result = self.add(Op.ADD, tensor.shape, result, self._weight(f"{name}.bias"))
        return result


def _number(header: GgufHeader, key: str) -> int:
    value = header.metadata.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
