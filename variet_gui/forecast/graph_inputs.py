"""The inputs of a context's graph: what they are called, and what they take.

Source: `src/llama-graph.cpp` (build_inp_embd, build_inp_pos, build_attn_inp_kq_mask, build_attn_inp_kv_iswa,
build_rs_inp), `src/llama-kv-cache.cpp` (build_input_k_idxs, build_input_v_idxs, build_input_k_rot), b11434.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from variet_gui.forecast.allocator import padded
from variet_gui.forecast.layer_graph import SMALLEST_ROTATION, GraphSettings, rotation_size
from variet_gui.forecast.shape import Attention, ModelShape

FLOAT_BYTES = 4
_INDEX_BYTES = 8
_SCALED_EMBEDDINGS = ("gemma3", "gemma4")
_SLIDING = "_sliding"


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """What the compute buffers of a context depend on beside model and placement."""

    graph: GraphSettings
    cells: int
    """Of an ordinary cache, per stream."""
    sliding_cells: int
    outputs: int
    """Tokens of a batch whose logits are wanted."""
    copies: int
    """Of every input: 4 with pipeline parallelism, else 1."""
    mixed_inputs: bool
    """The graph has a branch for batches of text and pictures."""
    wide_masks: bool
    """Masks come as F32 and are converted on the first device."""
    dry_run: bool = False
    """As llama-server counts before it loads: it then forgets where norms belong, and hands two tensors over."""


class GraphInputs:
    """Sizes in bytes, padded as the allocator pads them."""

    def __init__(self, model: ModelShape, batch: BatchSettings) -> None:
        self._model, self._batch = model, batch
        tokens = batch.graph.tokens
        self.state_bytes = padded(model.width * tokens * FLOAT_BYTES)
        """The hidden states of a batch, as they go from layer to layer."""
        self.rows_bytes = padded(model.width * batch.outputs * FLOAT_BYTES)
        self.logits_bytes = padded(model.vocabulary * batch.outputs * FLOAT_BYTES)
        self.mixed_sizes = (self.state_bytes, self.state_bytes, padded(_INDEX_BYTES * tokens))
        """Embeddings, rows and places of a batch of text and pictures."""
        self.scales_embeddings = model.architecture in _SCALED_EMBEDDINGS
        self._sizes: dict[tuple[str, bool], int] = {}

    @property
    def host_bytes(self) -> int:
        """Return what lies in host memory of every graph beside the inputs of its layers."""
        batch, tokens = self._batch, self._batch.graph.tokens
        size = padded(FLOAT_BYTES * tokens) + self.state_bytes + padded(FLOAT_BYTES * batch.outputs)
        if batch.mixed_inputs:
            size += padded(FLOAT_BYTES * tokens) + padded(_INDEX_BYTES * tokens) + self.state_bytes
        return size

    def handed_over(self, *, first: bool, head_alone: int = 0) -> int:
        """Return what one copy takes of what a device gets from the one before it, or from the embeddings.

        `head_alone`: what a device gets that has no layer, only the output head: the last norm is done before.
        """
        if head_alone:
            return head_alone
        if not first:
            return self.state_bytes * (2 if self._batch.dry_run else 1)
        size = self.state_bytes
        if self._batch.mixed_inputs:
            size += sum(self.mixed_sizes)
        if self.scales_embeddings:
            size += padded(FLOAT_BYTES * self._batch.graph.tokens)
        return size

    def converted_masks(self, names: Iterable[str]) -> int:
        """Return what the F16 masks take that older builds make of the F32 ones."""
        return sum(padded(self._mask_values(name) * 2) for name in names if name.startswith("mask"))

    @property
    def converts_masks(self) -> bool:
        """Whether masks come as F32 although F16 is wanted."""
        return self._batch.wide_masks and self._batch.graph.flash_attention

    def host_size(self, name: str) -> int:
        """Return the bytes of an input where it is filled in, in host memory."""
        if name.startswith("mask") and self.converts_masks:
            return padded(self._mask_values(name) * FLOAT_BYTES)
        return self.size(name, first=True)

    def size(self, name: str, *, first: bool) -> int:
        """Return the bytes of an input of the layers, by its name."""
        known = self._sizes.get((name, first))
        if known is None:
            known = self._sizes[name, first] = self._size(name, first=first)
        return known

    def _size(self, name: str, *, first: bool) -> int:
        model, graph = self._model, self._batch.graph
        match name.removesuffix(_SLIDING):
            case "mask":
                wide = not graph.flash_attention or (first and self.converts_masks and self._batch.copies > 1)
                size = self._mask_values(name) * (FLOAT_BYTES if wide else 2)
            case "positions":
                size = FLOAT_BYTES * graph.tokens * (4 if model.recurrence is not None else 1)
            case "key_rows":
                size = _INDEX_BYTES * graph.tokens
            case "value_rows":
                # In a transposed value cache every number has a row of its own.
                size = _INDEX_BYTES * graph.tokens * (model.widest_value if graph.turned_values else 1)
            case "wanted_rows":
                size = FLOAT_BYTES * self._batch.outputs
            case "states":
                size = FLOAT_BYTES * graph.sequences
            case "rotation_k":
                kind = Attention.SLIDING if name.endswith(_SLIDING) else Attention.FULL
                lengths = [layer.key_length for layer in model.kinds if layer.attention is kind]
                size = FLOAT_BYTES * rotation_size(max(lengths, default=0)) ** 2
            case "rotation_v":
                size = FLOAT_BYTES * SMALLEST_ROTATION**2
            case "per_layer":
                size = FLOAT_BYTES * model.per_layer_width * len(model.layers) * graph.tokens
            case _:
                size = self.state_bytes
        return padded(size)

    def _mask_values(self, name: str) -> int:
        batch = self._batch
        return batch.graph.tokens * (batch.sliding_cells if name.endswith(_SLIDING) else batch.cells)
