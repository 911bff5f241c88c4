"""The compute buffer of every device: llama.cpp's own allocation, replayed.

Each device runs a programme: its inputs, its layers, perhaps the output head. The peak of the allocator over it is the
size of the buffer. Layers repeat and so do the allocator's states, so a programme costs a few replays, however many
layers it has. Sources: `src/llama-context.cpp` (sched_reserve, graph_reserve, graph_get_cb),
`ggml/src/ggml-backend.cpp` (ggml_backend_sched_split_graph, ggml_backend_sched_reserve_size), b11434.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from variet_gui.forecast.allocator import Allocator, State, empty, padded
from variet_gui.forecast.layer_graph import SMALLEST_ROTATION, GraphSettings, rotation_size
from variet_gui.forecast.shape import LayerShape, ModelShape
from variet_gui.forecast.tape import ENTRANCE, Place, Tape, replay

FLOAT_BYTES = 4
_NO_WEIGHTS: Mapping[str, int] = {}

Step: TypeAlias = tuple[Tape, int]
"""A layer and the cells of its cache."""
_Memory: TypeAlias = dict[tuple[int, int, State, Place, bool], tuple[State, Place, int]]


@dataclass(frozen=True, slots=True)
class PlacedLayer:
    """One layer as a device runs it."""

    layer: LayerShape
    device: int | None
    """Which runs it; None: the CPU."""
    staged: Mapping[str, int]
    """Its weights in host memory that the device copies when it needs them: name -> bytes."""
    cache_on_host: bool


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """What the compute buffers depend on beside model and placement."""

    graph: GraphSettings
    cells: int
    """Of an ordinary cache, per stream."""
    sliding_cells: int
    outputs: int
    """Tokens of a batch whose logits are wanted."""
    copies: int
    """Of every input: 4 with pipeline parallelism."""
    mixed_inputs: bool
    """The graph has a branch for batches of text and pictures."""
    wide_masks: bool
    """Masks come as F32 and are converted on the first device."""
    dry_run: bool = False
    """As llama-server's own forecast counts: it hands the normalised states over beside the states themselves."""


@dataclass(frozen=True, slots=True)
class ComputeBuffers:
    """Bytes per device, and in host memory."""

    devices: tuple[int, ...]
    host: int


class Programme:
    """Runs the devices of one context."""

    def __init__(self, model: ModelShape, batch: BatchSettings) -> None:
        self._model, self._batch = model, batch
        self._state_bytes = padded(model.width * batch.graph.tokens * FLOAT_BYTES)
        self._memory: _Memory = {}

    def device(self, steps: Sequence[Step], *, first: bool, output: bool) -> int:
        """Return the bytes that one device needs for `steps`, 0 when it runs nothing.

        Args:
            steps: its layers.
            first: it runs the first layer, so that the embeddings come to it.
            output: it has the output head.
        """
        if not steps and not output:
            return 0
        names = list(dict.fromkeys(name for tape, _ in steps for part in tape.parts for name in part.inputs))
        converted = self._converted(names, first=first)
        if self._batch.copies > 1:
            each = self._handed_over(first=first) + sum(self._input(name, first=first) for name in names)
            allocator, there = Allocator(empty()), set(names)
            place, keep = self._begin(allocator, steps, there, first=first)
            return self._batch.copies * each + converted + self._run(
                steps, allocator, place, there, first=first, keep=keep, output=output
            )
        allocator, there = Allocator(empty()), set[str]()
        place, keep = self._begin(allocator, steps, there, first=first)
        return converted + self._run(steps, allocator, place, there, first=first, keep=keep, output=output)

    def host(self, names: Sequence[str], steps: Sequence[Step] = ()) -> int:
        """Return the bytes of the buffer in host memory: all inputs, the embeddings, and layers that the CPU runs."""
        batch, tokens = self._batch, self._batch.graph.tokens
        inputs = padded(FLOAT_BYTES * tokens) + self._state_bytes + padded(FLOAT_BYTES * batch.outputs)
        if batch.mixed_inputs:
            inputs += padded(FLOAT_BYTES * tokens) + padded(8 * tokens) + self._state_bytes
        inputs += sum(self._input(name, first=True) for name in names)
        rows = self._state_bytes * (2 if batch.mixed_inputs else 1)
        if not steps:
            return batch.copies * inputs + rows
        allocator = Allocator(empty())
        place: Place = (allocator.allocate(self._state_bytes), self._state_bytes)
        peak = self._run(steps, allocator, place, set(names), first=True, keep=False, output=False)
        return batch.copies * inputs + rows - self._state_bytes + peak

    def _handed_over(self, *, first: bool) -> int:
        """Return what one copy of the hidden states takes that come from the device before, or the embeddings."""
        batch = self._batch
        if not first:
            return self._state_bytes * (2 if batch.dry_run else 1)
        size = self._state_bytes
        if batch.mixed_inputs:
            size += 2 * self._state_bytes + padded(8 * batch.graph.tokens)
        if self._scales_embeddings:
            size += padded(FLOAT_BYTES * batch.graph.tokens)
        return size

    @property
    def _scales_embeddings(self) -> bool:
        return self._model.architecture in ("gemma3", "gemma4")

    def _begin(
        self, allocator: Allocator, steps: Sequence[Step], there: set[str], *, first: bool
    ) -> tuple[Place, bool]:
        """Copy the inputs of the first run to the device, and run what comes before the first layer.

        Returns the place of the hidden states, and whether they stay (inputs that exist in several copies do).
        """
        size, stays = self._state_bytes, self._batch.copies > 1
        mixed = first and self._batch.mixed_inputs
        passing: list[Place] = []
        if mixed and not stays:
            sizes = (size, size, padded(8 * self._batch.graph.tokens))
            passing = [(allocator.allocate(part), part) for part in sizes]
        place = (0, 0) if stays else (allocator.allocate(size), size)
        self._bring(self._needed(steps, 0, 0), allocator, there, first=first)
        if mixed:
            # The branch for batches of text and pictures writes into a copy, which nobody reads and nobody frees.
            allocator.allocate(size)
        for part in passing:
            allocator.free(*part)
        if first and stays and self._scales_embeddings:
            return (allocator.allocate(size), size), False
        return place, stays

    def _run(
        self,
        steps: Sequence[Step],
        allocator: Allocator,
        place: Place,
        there: set[str],
        *,
        first: bool,
        keep: bool,
        output: bool,
    ) -> int:
        """Replay the layers; `there` are the inputs that are on the device. Returns the peak."""
        peak, state = allocator.peak, allocator.state
        for index, (tape, cells) in enumerate(steps):
            key = (id(tape), cells, state, place, keep)
            known = self._memory.get(key) if there.issuperset(tape.inputs) else None
            if known is None:
                complete = there.issuperset(tape.inputs)
                allocator = Allocator(state)
                slots = {ENTRANCE: place}
                for number, part in enumerate(tape.parts):
                    if number:
                        self._bring(self._needed(steps, index, number), allocator, there, first=first)
                    replay(part, allocator, slots, cells, keep_entrance=keep)
                known = (allocator.state, slots[tape.exit_slot], allocator.peak)
                if complete:
                    self._memory[key] = known
            state, place, reached = known
            peak, keep = max(peak, reached), False
        if output:
            allocator = Allocator(state)
            self._output(allocator, place, keep=keep)
            peak = max(peak, allocator.peak)
        return peak

    def _needed(self, steps: Sequence[Step], index: int, number: int) -> list[str]:
        """Return the inputs of the run that begins with this part and ends before the next break."""
        names: list[str] = []
        for tape, _ in steps[index:]:
            names += tape.parts[number].inputs
            if number + 1 < len(tape.parts):
                break
            number = 0
        return names

    def _bring(self, names: Sequence[str], allocator: Allocator, there: set[str], *, first: bool) -> None:
        for name in names:
            if name not in there:
                allocator.allocate(self._input(name, first=first))
                there.add(name)

    def _output(self, allocator: Allocator, place: Place, *, keep: bool) -> None:
        """The last norm (in place), the rows that are wanted, and their logits."""
        if keep:
            allocator.allocate(self._state_bytes)
        allocator.allocate(padded(self._model.width * self._batch.outputs * FLOAT_BYTES))
        if not keep and place[1]:
            allocator.free(*place)
        allocator.allocate(padded(self._model.vocabulary * self._batch.outputs * FLOAT_BYTES))

    def _converted(self, names: Sequence[str], *, first: bool) -> int:
        """Return the F16 masks that older builds make of the F32 ones, on the first device."""
        if not (self._batch.wide_masks and first and self._batch.graph.flash_attention):
            return 0
        return sum(padded(self._mask_values(name) * 2) for name in names if name.startswith("mask"))

    def _mask_values(self, name: str) -> int:
        batch = self._batch
        return batch.graph.tokens * (batch.sliding_cells if name.endswith("_sliding") else batch.cells)

    def _input(self, name: str, *, first: bool) -> int:
        """Return the bytes of an input, padded."""
        model, graph = self._model, self._batch.graph
        match name.removesuffix("_sliding"):
            case "mask":
                narrow = graph.flash_attention and not (self._batch.wide_masks and first)
                size = self._mask_values(name) * (2 if narrow else 4)
            case "positions":
                size = FLOAT_BYTES * graph.tokens * (4 if model.recurrence is not None else 1)
            case "rows":
                size = 8 * graph.tokens
            case "value_rows":
                size = 8 * graph.tokens * model.widest_value
            case "states":
                size = FLOAT_BYTES * graph.sequences
            case "rotation_k":
                lengths = [layer.key_length for layer in model.layers if layer.owns_cache]
                size = FLOAT_BYTES * rotation_size(max(lengths, default=0)) ** 2
            case "rotation_v":
                size = FLOAT_BYTES * SMALLEST_ROTATION**2
            case "per_layer":
                size = FLOAT_BYTES * model.per_layer_width * len(model.layers) * graph.tokens
            case _:
                size = self._state_bytes
        return padded(size)
