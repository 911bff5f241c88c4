"""The shape of a model as plain values: what of it its memory depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from variet_gui.gguf.header import GgufTensor

_EARLY_ROWS = frozenset({"gemma3", "llama", "qwen2", "qwen3", "qwen3moe"})


class Attention(Enum):
    """How a layer remembers."""

    FULL = "full"
    SLIDING = "sliding"
    """Only a window of the last tokens."""
    RECURRENT = "recurrent"
    """A state of fixed size (gated delta net)."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The sizes of a gated delta net."""

    kernel: int
    inner: int
    groups: int
    state: int
    heads: int

    @property
    def channels(self) -> int:
        """Return the width of the convolution."""
        return self.inner + 2 * self.groups * self.state

    @property
    def state_values(self) -> int:
        """Return how many numbers one layer keeps of one sequence, convolution and state."""
        return (self.kernel - 1) * self.channels + self.state * self.inner


@dataclass(frozen=True, slots=True)
class LayerShape:
    """One repeating layer."""

    attention: Attention
    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    """Width of one head."""
    owns_cache: bool
    """False where it reads the cache of an earlier layer."""
    feed_forward: int
    tensors: frozenset[str]
    """What it has: "attn_q.weight"."""
    experts_alike: bool
    """Whether the shared expert has the type and the shape of the routed ones."""

    @property
    def key_width(self) -> int:
        """Return n_embd_k_gqa: numbers per token in the key cache."""
        return self.kv_heads * self.key_length

    @property
    def value_width(self) -> int:
        """Return n_embd_v_gqa: numbers per token in the value cache."""
        return self.kv_heads * self.value_length


@dataclass(frozen=True, eq=False)
class ModelShape:
    """A model. Compared by identity: one per header."""

    architecture: str
    width: int
    """n_embd."""
    vocabulary: int
    trained_context: int
    layers: tuple[LayerShape, ...]
    """All of them, those for multi-token prediction at the end. Equal ones are one object."""
    prediction_layers: int
    window: int
    """Of the sliding layers, tokens; 0: none slide."""
    experts: int
    experts_used: int
    expert_feed_forward: int
    shared_feed_forward: int
    recurrence: Recurrence | None
    layer_tensors: tuple[Mapping[str, GgufTensor], ...]
    """Per layer, by what follows "blk.N."."""
    other_tensors: Mapping[str, GgufTensor]
    cache_known: bool
    """Whether the rule for its cache is known."""
    graph_known: bool
    """Whether its graph is known, and with it the compute buffer."""
    per_layer_width: int
    """Width of the embeddings that every layer gets beside (Gemma 4 E); 0: none."""
    capped_logits: bool

    @property
    def picks_early(self) -> bool:
        """Whether the last layer, once it has attended, keeps only the wanted rows; else the output head picks them."""
        return self.architecture in _EARLY_ROWS

    @property
    def scales_layers(self) -> bool:
        """Whether the last operation of a layer has a weight (Gemma 4)."""
        return any("layer_output_scale.weight" in tensors for tensors in self.layer_tensors)

    @cached_property
    def trunk_layers(self) -> int:
        """Return the layers that every token passes."""
        return len(self.layers) - self.prediction_layers

    @property
    def tied(self) -> bool:
        """Whether the output head is the input embedding, of which a second copy lies on the output's device."""
        return "output.weight" not in self.other_tensors

    @cached_property
    def kinds(self) -> tuple[LayerShape, ...]:
        """Return the layers that differ, each once."""
        return tuple({id(layer): layer for layer in self.layers}.values())

    @cached_property
    def widest_value(self) -> int:
        """Return the widest value cache of a layer: without flash attention all are padded to it."""
        return max((layer.value_width for layer in self.kinds if layer.owns_cache), default=0)
