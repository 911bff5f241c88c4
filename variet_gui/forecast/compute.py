"""The compute buffer of every device: llama.cpp's own allocation, replayed.

Each device runs a programme: its inputs, its layers, perhaps the output head. The peak of the allocator over it is the
size of the buffer. Layers repeat and so do the allocator's states, so a programme costs a few replays, however many
layers it has. Sources: `src/llama-context.cpp` (sched_reserve, graph_reserve, graph_get_cb), `src/llama-graph.cpp`
(build_inp_embd), `ggml/src/ggml-backend.cpp` (ggml_backend_sched_split_graph), b11434.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from variet_gui.forecast.allocator import Allocator, State, empty
from variet_gui.forecast.graph_inputs import BatchSettings, GraphInputs
from variet_gui.forecast.layers import Part, Step, layer_tape
from variet_gui.forecast.shape import Attention, ModelShape
from variet_gui.forecast.tape import ENTRANCE, Place, Tape, replay

_NOWHERE: Place = (0, 0)
_Question: TypeAlias = tuple[Tape, int, State, Place]
_MOST_REMEMBERED = 20_000
_memory: dict[_Question, tuple[State, Place, int]] = {}
"""What a layer makes of a state of the buffer: (state, place of its result, peak). The same question comes again for
every layer of a kind, for other devices, and for other contexts where nothing in the layer depends on the context."""


class Programme:
    """Measures the devices of one context."""

    def __init__(self, model: ModelShape, batch: BatchSettings) -> None:
        self._model, self._batch = model, batch
        self._inputs = GraphInputs(model, batch)
        self._pipeline = batch.copies > 1
        self._timed_steps: dict[int, _Timed] = {}

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
        names = dict.fromkeys(name for timed in tapes for part in timed.tape.parts for name in part.inputs)
        inputs = self._batch.copies * (self._inputs.host_bytes + sum(map(self._inputs.host_size, names)))
        if own:
            # Its layers begin with the embeddings, which are counted among the inputs' rows.
            return inputs + _Run(self, self._tapes(own, first=True), first=True, on_host=True).peak(output=False)
        return inputs + self._inputs.state_bytes * (2 if self._batch.mixed_inputs else 1)

    def _tapes(self, steps: Sequence[Step], *, first: bool) -> list[_Timed]:
        result = [self._timed(step) for step in steps]
        if not steps or steps[0].predicts:
            return result
        if self._pipeline and not (first and self._inputs.scales_embeddings):
            # Gemma scales the embeddings first, so that what enters its first layer is no input any more.
            result[0] = self._timed(replace(steps[0], entrance_stays=True))
        elif self._batch.dry_run and not first and not self._pipeline:
            result[0] = self._timed(replace(steps[0], comes_normed=True))
        return result

    def _timed(self, step: Step) -> _Timed:
        # Steps are shared objects: looking one up by its fields for every layer would take longer than all the rest.
        found = self._timed_steps.get(id(step))
        if found is None:
            batch = self._batch
            whole = replace(step, norms_away=True) if batch.dry_run and step.part is not Part.WHOLE else step
            cells = batch.sliding_cells if step.layer.attention is Attention.SLIDING else batch.cells
            tape = layer_tape(self._model, batch.graph, whole)
            found = _Timed(tape, cells, step.part is Part.AWAY, step.predicts, step)
            self._timed_steps[id(step)] = found
        return found


@dataclass(frozen=True, slots=True)
class _Timed:
    """A tape with the cells of its layer's cache."""

    tape: Tape
    cells: int
    away: bool
    """It belongs to a layer of another device."""
    predicts: bool
    step: Step
    """Kept, so that its identity stays its own."""


class _Run:
    """One device, from its inputs to its last layer."""

    def __init__(self, programme: Programme, tapes: Sequence[_Timed], *, first: bool, on_host: bool = False) -> None:
        self._tapes, self._first = tapes, first
        self._model, self._batch = programme._model, programme._batch
        self._inputs = programme._inputs
        names = dict.fromkeys(name for timed in tapes for part in timed.tape.parts for name in part.inputs)
        self._names = frozenset(names)
        self._there: set[str] = set()
        self._predicts = bool(tapes) and tapes[0].predicts
        self._kept = 0
        if on_host:
            self._there = set(names)
        elif self._batch.copies > 1:
            # All copies of all inputs lie at the bottom and stay: they only add to the rest.
            self._there = set(names)
            each = 0 if self._predicts else self._inputs.handed_over(first=first)
            each += sum(self._inputs.size(name, first=first) for name in names)
            self._kept = self._batch.copies * each
        if first and self._inputs.converts_masks and not on_host and self._batch.copies > 1:
            self._kept += self._inputs.converted_masks(names)
        self._converts = first and self._inputs.converts_masks and not on_host and self._batch.copies == 1
        self._brings_state = (on_host or self._batch.copies == 1) and not self._predicts
        self._brings_twice = self._batch.dry_run and self._brings_state and not first and bool(tapes)
        self._early: dict[int, Place] = {}
        self._brought: list[Place] = []
        self._mixed = first and self._batch.mixed_inputs and not on_host and not self._predicts

    def peak(self, *, output: bool) -> int:
        """Return the highest address that is used, bytes."""
        allocator = Allocator(empty())
        place = self._begin(allocator)
        peak, state = allocator.peak, allocator.state
        for index, timed in enumerate(self._tapes):
            if timed.away and self._brought:
                # Layers of other devices begin: the states have gone on to them, and no input is needed any more.
                state, place = _without(state, [place, *self._brought]), _NOWHERE
                self._brought.clear()
            # What a break brings may be for later layers.
            same = len(timed.tape.parts) == 1 or self._there.issuperset(self._names)
            question = (timed.tape, timed.cells if timed.tape.grows else 0, state, place)
            known = _memory.get(question) if same else None
            if known is None:
                known = self._replay(index, state, place)
                if same:
                    if len(_memory) >= _MOST_REMEMBERED:
                        _memory.clear()
                    _memory[question] = known
            if self._converts and any(name.startswith("mask") for name in timed.tape.inputs):
                peak = max(peak, self._conversion(timed, state, place))
                self._converts = False
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
        if self._brings_twice:
            # Normalised first, then what the first layer needs, then as they are.
            allocator.free(*place)
            replay(self._tapes[0].tape.parts[0].staging, allocator, self._early, self._tapes[0].cells)
            self._bring(0, 0, allocator, only_first=True)
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
        tape, cells = self._tapes[index].tape, self._tapes[index].cells
        allocator, slots = Allocator(state), {ENTRANCE: place}
        if self._early and not index:
            slots |= self._early
        for number, part in enumerate(tape.parts):
            if number or not self._early or index:
                replay(part.staging, allocator, slots, cells)
            if number:
                self._bring(index, number, allocator)
            replay(part.events, allocator, slots, cells)
        return allocator.state, slots.get(tape.exit_slot, _NOWHERE), allocator.peak

    def _conversion(self, timed: _Timed, state: State, place: Place) -> int:
        """Return what is used when the first layer that attends converts its mask: the wide one goes only then."""
        allocator, slots = Allocator(state), {ENTRANCE: place}
        for part in timed.tape.parts:
            replay(part.staging, allocator, slots, timed.cells)
            replay(part.events[: part.before_attention], allocator, slots, timed.cells)
            if part.before_attention is not None:
                break
        return allocator.peak + 2 * self._inputs.converted_masks(timed.tape.inputs)

    def _bring(self, index: int, number: int, allocator: Allocator, *, only_first: bool = False) -> None:
        """Copy the inputs of the run that begins with this part of this layer, and ends before the next break."""
        for timed in self._tapes[index : index + 1] if only_first else self._tapes[index:]:
            tape = timed.tape
            for name in tape.parts[number].inputs:
                if name not in self._there:
                    size = self._inputs.size(name, first=self._first)
                    self._brought.append((allocator.allocate(size), size))
                    self._there.add(name)
            if number + 1 < len(tape.parts):
                return
            number = 0

    def _output(self, allocator: Allocator, place: Place) -> int:
        """The last norm (in place), the rows that are wanted, and their logits; return the peak."""
        if self._batch.copies == 1:
            # The inputs of the layers are not needed any more.
            return 2 * self._inputs.state_bytes + self._inputs.rows_bytes + self._inputs.logits_bytes
        if not place[1]:
            place = (allocator.allocate(self._inputs.state_bytes), self._inputs.state_bytes)
        allocator.allocate(self._inputs.rows_bytes)
        allocator.free(*place)
        allocator.allocate(self._inputs.logits_bytes)
        return allocator.peak


def _without(state: State, places: Iterable[Place]) -> State:
    allocator = Allocator(state)
    for place in places:
        if place[1]:
            allocator.free(*place)
    return allocator.state
