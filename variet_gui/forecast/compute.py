"""The compute buffer of every device: llama.cpp's own allocation, replayed.

Each device runs a programme: its inputs, its layers, perhaps the output head. The peak of the allocator over it is the
size of the buffer. Layers repeat and so do the allocator's states, so a programme costs a few replays, however many
layers it has. Sources: `src/llama-context.cpp` (sched_reserve, graph_reserve, graph_get_cb), `src/llama-graph.cpp`
(build_inp_embd), `ggml/src/ggml-backend.cpp` (ggml_backend_sched_split_graph), b11434.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from variet_gui.forecast.allocator import Allocator, State, empty, padded
from variet_gui.forecast.graph_inputs import BatchSettings, GraphInputs
from variet_gui.forecast.layers import layer_tape
from variet_gui.forecast.shape import Attention, LayerShape, ModelShape
from variet_gui.forecast.tape import ENTRANCE, Place, Tape, replay

_Memory: TypeAlias = dict[tuple[int, int, State, Place], tuple[State, Place, int]]
_NOWHERE: Place = (0, 0)


@dataclass(frozen=True, slots=True)
class Step:
    """One layer as a device runs it."""

    layer: LayerShape
    staged: Mapping[str, int] = field(default_factory=dict)
    """Its weights in host memory, which the device copies when it needs them: name -> bytes."""
    cache_on_host: bool = False
    predicts: bool = False
    """It is the layer of a multi-token prediction context."""


class Programme:
    """Measures the devices of one context. Keep it for all of them: what one learns, the next one knows."""

    def __init__(self, model: ModelShape, batch: BatchSettings) -> None:
        self._model, self._batch = model, batch
        self._inputs = GraphInputs(model, batch)
        self._pipeline = batch.copies > 1
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
        tapes = self._tapes(steps, first=first)
        run = _Run(self, tapes, first=first)
        return run.peak(output=output)

    def host(self, steps: Sequence[Step], own: Sequence[Step] = ()) -> int:
        """Return the bytes of the buffer in host memory: all inputs, the embeddings, and layers that the CPU runs.

        Args:
            steps: every layer of the context.
            own: those that the CPU itself runs.
        """
        tapes = self._tapes(steps, first=True)
        names = dict.fromkeys(name for tape, _ in tapes for part in tape.parts for name in part.inputs)
        inputs = self._batch.copies * (self._inputs.host_bytes + sum(self._inputs.size(n, first=True) for n in names))
        if own:
            # Its layers begin with the embeddings, which are counted among the inputs' rows.
            return inputs + _Run(self, self._tapes(own, first=True), first=True, on_host=True).peak(output=False)
        return inputs + self._inputs.state_bytes * (2 if self._batch.mixed_inputs else 1)

    def _tapes(self, steps: Sequence[Step], *, first: bool) -> list[tuple[Tape, int]]:
        batch, result = self._batch, []
        for index, step in enumerate(steps):
            # Gemma scales the embeddings first, so that what enters the first layer is no input any more.
            stays = self._pipeline and not index and not (first and self._inputs.scales_embeddings)
            tape = layer_tape(
                self._model,
                step.layer,
                batch.graph,
                step.staged,
                cache_on_host=step.cache_on_host,
                entrance_stays=stays,
                predicts=step.predicts,
            )
            result.append((tape, batch.sliding_cells if step.layer.attention is Attention.SLIDING else batch.cells))
        return result


class _Run:
    """One device, from its inputs to its last layer."""

    def __init__(
        self, programme: Programme, tapes: Sequence[tuple[Tape, int]], *, first: bool, on_host: bool = False
    ) -> None:
        self._tapes, self._first = tapes, first
        self._model, self._batch = programme._model, programme._batch
        self._inputs, self._memory = programme._inputs, programme._memory
        names = dict.fromkeys(name for tape, _ in tapes for part in tape.parts for name in part.inputs)
        self._there: set[str] = set()
        self._kept = 0
        if on_host:
            self._there = set(names)
        elif self._batch.copies > 1:
            # All copies of all inputs lie at the bottom and stay: they only add to the rest.
            self._there = set(names)
            each = self._inputs.handed_over(first=first) + sum(self._inputs.size(name, first=first) for name in names)
            self._kept = self._batch.copies * each
        self._kept += self._inputs.converted_masks(names, first=first)
        self._brings_state = on_host or self._batch.copies == 1
        self._mixed = first and self._batch.mixed_inputs and not on_host

    def peak(self, *, output: bool) -> int:
        """Return the highest address that is used, bytes."""
        allocator = Allocator(empty())
        place = self._begin(allocator)
        peak, state = allocator.peak, allocator.state
        for index, (tape, cells) in enumerate(self._tapes):
            complete = self._there.issuperset(tape.inputs)
            key = (id(tape), cells, state, place)
            known = self._memory.get(key) if complete else None
            if known is None:
                known = self._replay(index, state, place)
                if complete:
                    self._memory[key] = known
            state, place, reached = known
            peak = max(peak, reached)
        if output:
            peak = max(peak, self._output(Allocator(state), place))
        return self._kept + peak

    def _begin(self, allocator: Allocator) -> Place:
        """Copy the inputs of the first run to the device, do what comes before the first layer, and return the state.

        A state that is among the inputs for good has no place of its own here.
        """
        size, place = self._inputs.state_bytes, _NOWHERE
        passing: list[Place] = []
        if self._brings_state:
            sizes = self._inputs.mixed_sizes if self._mixed else ()
            passing = [(allocator.allocate(part), part) for part in sizes]
            place = (allocator.allocate(size), size)
        self._bring(0, 0, allocator)
        if self._mixed:
            # The branch for batches of text and pictures writes into a copy, which nobody reads and nobody frees.
            allocator.allocate(size)
        for part in passing:
            allocator.free(*part)
        if place is _NOWHERE and self._first and self._inputs.scales_embeddings:
            place = (allocator.allocate(size), size)
        return place

    def _replay(self, index: int, state: State, place: Place) -> tuple[State, Place, int]:
        tape, cells = self._tapes[index]
        allocator, slots = Allocator(state), {ENTRANCE: place}
        for number, part in enumerate(tape.parts):
            replay(part.staging, allocator, slots, cells)
            if number:
                self._bring(index, number, allocator)
            replay(part.events, allocator, slots, cells)
        return allocator.state, slots[tape.exit_slot], allocator.peak

    def _bring(self, index: int, number: int, allocator: Allocator) -> None:
        """Copy the inputs of the run that begins with this part of this layer, and ends before the next break."""
        for tape, _ in self._tapes[index:]:
            for name in tape.parts[number].inputs:
                if name not in self._there:
                    allocator.allocate(self._inputs.size(name, first=self._first))
                    self._there.add(name)
            if number + 1 < len(tape.parts):
                return
            number = 0

    def _output(self, allocator: Allocator, place: Place) -> int:
        """The last norm (in place), the rows that are wanted, and their logits; return the peak."""
        if place is _NOWHERE or not place[1]:
            place = (allocator.allocate(self._inputs.state_bytes), self._inputs.state_bytes)
        allocator.allocate(self._inputs.rows_bytes)
        allocator.free(*place)
        allocator.allocate(self._inputs.logits_bytes)
        return allocator.peak
