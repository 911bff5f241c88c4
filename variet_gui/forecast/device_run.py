"""One device of one context: its compute buffer from the inputs to the last layer, replayed.

Sources: `ggml/src/ggml-backend.cpp` (ggml_backend_sched_split_graph: what is copied to a device, and when),
`src/llama-graph.cpp` (build_inp_embd, llm_graph_result::set_outputs), b11434.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from variet_gui.forecast.allocator import Allocator, Place, State, empty
from variet_gui.forecast.graph_inputs import BatchSettings, GraphInputs
from variet_gui.forecast.layers import Step
from variet_gui.forecast.replays import NOWHERE, Outcome, chained, outcome
from variet_gui.forecast.shape import ModelShape
from variet_gui.forecast.tape import ENTRANCE, Tape, replay


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """The tape of one step."""

    tape: Tape
    slides: bool
    away: bool
    """It belongs to a layer of another device."""
    predicts: bool


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The tapes of one device, in the order of computation."""

    model: ModelShape
    steps: tuple[Step, ...]
    """Kept, so that their identity stays their own."""
    timed: tuple[Timed, ...]
    names: tuple[str, ...]
    """Of all inputs that its layers need."""


class DeviceRun:
    """One device, from its inputs to its last layer."""

    def __init__(
        self,
        model: ModelShape,
        batch: BatchSettings,
        inputs: GraphInputs,
        course: Course,
        *,
        first: bool,
        on_host: bool = False,
        after_host: bool = False,
    ) -> None:
        tapes, names = course.timed, course.names
        self._tapes, self._first = tapes, first
        self._model, self._batch, self._inputs = model, batch, inputs
        self._names = frozenset(names)
        self._there: set[str] = set()
        self._predicts = bool(tapes) and tapes[0].predicts
        self._kept = 0
        picked = self._model.picks_early and not tapes
        self._state_bytes = self._inputs.rows_bytes if picked else self._inputs.state_bytes
        if on_host:
            self._there = set(names)
        elif self._batch.copies > 1:
            # All copies of all inputs lie at the bottom and stay: they only add to the rest.
            self._there = set(names)
            alone = 0 if tapes else self._state_bytes
            each = 0 if self._predicts else self._inputs.handed_over(first=first, head_alone=alone)
            each += sum(self._inputs.size(name, first=first) for name in names)
            self._kept = self._batch.copies * each
        if first and self._inputs.converts_masks and not on_host and self._batch.copies > 1:
            self._kept += self._inputs.converted_masks(names)
        self._converts = first and self._inputs.converts_masks and not on_host and self._batch.copies == 1
        self._brings_state = (on_host or self._batch.copies == 1) and not self._predicts
        if tapes and all(timed.away for timed in tapes):
            self._brings_state = False  # no layer begins here
        follows = self._brings_state and not first and bool(tapes)
        self._brings_twice = self._batch.dry_run and follows and not after_host
        # What follows the CPU's last weight is computed here: the sum with the residual, unless a weight scales that.
        self._adds_residual = after_host and follows and not self._model.scales_layers
        self._comes_late = self._brings_twice and not tapes[0].tape.parts[0].uses_entrance
        """The states as they are come only when the first layer, after a break, needs them."""
        self._early: dict[int, Place] = {}
        self._brought: list[Place] = []
        self._mixed = first and self._batch.mixed_inputs and not on_host and not self._predicts

    def peak(self, *, output: bool) -> int:
        """Return the highest address that is used, bytes."""
        allocator = Allocator(empty())
        place = self._begin(allocator)
        peak, state = allocator.peak, allocator.state
        layers = enumerate(self._tapes)
        if self._in_one_go():
            batch = self._batch
            state, place, peak = chained(self._tapes, batch.cells, batch.sliding_cells, state, place)
            peak, layers = max(peak, allocator.peak), enumerate(())
        for index, timed in layers:
            if timed.away and self._brought:
                # Layers of other devices begin: the states have gone on to them, and no input is needed any more.
                state, place = _without(state, [place, *self._brought]), NOWHERE
                self._brought.clear()
            # What a break brings may be for later layers.
            same = len(timed.tape.parts) == 1 or self._there.issuperset(self._names)
            same = same and (index > 0 or not (self._comes_late or self._early))
            known = outcome(timed.tape, self._cells(timed), state, place) if same else self._replay(index, state, place)
            if self._converts and any(name.startswith("mask") for name in timed.tape.inputs):
                peak = max(peak, self._conversion(timed, state, place))
                self._converts = False
            state, place, reached = known
            peak = max(peak, reached)
        if output:
            peak = max(peak, self._output(Allocator(state), place))
        return self._kept + peak

    def _in_one_go(self) -> bool:
        """Whether all inputs are there, and no layer needs anything between it and the next."""
        if self._converts or self._comes_late or self._early or not self._there.issuperset(self._names):
            return False
        return not self._brought or not any(timed.away for timed in self._tapes)

    def _cells(self, timed: Timed) -> int:
        return self._batch.sliding_cells if timed.slides else self._batch.cells

    def _begin(self, allocator: Allocator) -> Place:
        """Copy the inputs of the first run to the device, do what comes before the first layer, and return the state.

        A state that is among the inputs for good has no place of its own here.
        """
        size, place = self._state_bytes, NOWHERE
        passing: list[Place] = []
        if self._brings_state:
            sizes = self._inputs.mixed_sizes if self._mixed else ()
            passing = [(allocator.allocate(part), part) for part in sizes]
            place = (allocator.allocate(size), size)
        if self._brings_twice:
            # Normalised first, then what the first layer needs, then as they are.
            allocator.free(*place)
            replay(self._tapes[0].tape.parts[0].staging, allocator, self._early, self._cells(self._tapes[0]))
            self._bring(0, 0, allocator, only_first=True)
            place = NOWHERE if self._comes_late else (allocator.allocate(size), size)
        residual = (allocator.allocate(size), size) if self._adds_residual else NOWHERE
        self._bring(0, 0, allocator)
        if residual[1]:
            allocator.free(*residual)
        if self._mixed:
            # The branch for batches of text and pictures writes into a copy, which nobody reads and nobody frees.
            allocator.allocate(size)
        for part in passing:
            allocator.free(*part)
        if place is NOWHERE and self._first and self._inputs.scales_embeddings:
            place = (allocator.allocate(size), size)
        return place

    def _replay(self, index: int, state: State, place: Place) -> Outcome:
        tape, cells = self._tapes[index].tape, self._cells(self._tapes[index])
        allocator, slots = Allocator(state), {ENTRANCE: place}
        awaited = self._comes_late and not index
        if self._early and not index:
            slots |= self._early
        for number, part in enumerate(tape.parts):
            if number or not self._early or index:
                replay(part.staging, allocator, slots, cells)
            if number:
                self._bring(index, number, allocator)
            if awaited and part.uses_entrance:
                slots[ENTRANCE] = (allocator.allocate(self._state_bytes), self._state_bytes)
                awaited = False
            replay(part.events, allocator, slots, cells)
        return allocator.state, slots.get(tape.exit_slot, NOWHERE), allocator.peak

    def _conversion(self, timed: Timed, state: State, place: Place) -> int:
        """Return what is used when the first layer that attends converts its mask: the wide one goes only then."""
        allocator, slots, cells = Allocator(state), {ENTRANCE: place}, self._cells(timed)
        for part in timed.tape.parts:
            replay(part.staging, allocator, slots, cells)
            replay(part.events[: part.before_attention], allocator, slots, cells)
            if part.before_attention is not None:
                break
        return allocator.peak + 2 * self._inputs.converted_masks(timed.tape.inputs)

    def _bring(self, index: int, number: int, allocator: Allocator, *, only_first: bool = False) -> None:
        """Copy the inputs of the run that begins with this part of this layer, and ends before the next break."""
        if self._there.issuperset(self._names):
            return
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
        """The last norm (in place), the rows that are wanted, and their logits; return the peak.

        What was normed is an output of the graph (`llm_graph_result::set_outputs`): nothing takes its place.
        """
        state = self._inputs.rows_bytes if self._model.picks_early else self._inputs.state_bytes
        if self._batch.copies == 1:
            # The inputs of the layers are not needed any more.
            states = 2 * state if self._tapes else state
            return states + self._inputs.rows_bytes + self._inputs.logits_bytes
        if not place[1]:
            allocator.allocate(state)
        allocator.allocate(self._inputs.rows_bytes)
        allocator.allocate(self._inputs.logits_bytes)
        return allocator.peak


def _without(state: State, places: Iterable[Place]) -> State:
    allocator = Allocator(state)
    for place in places:
        if place[1]:
            allocator.free(*place)
    return allocator.state
