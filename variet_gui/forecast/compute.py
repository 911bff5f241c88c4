"""The compute buffer of every device: llama.cpp's own allocation, replayed.

Each device runs a programme: its inputs, its layers, perhaps the output head. The peak of the allocator over it is the
size of the buffer. Layers repeat and so do the allocator's states, so a programme costs a few replays, however many
layers it has. Sources: `src/llama-context.cpp` (sched_reserve, graph_reserve, graph_get_cb), `src/llama-graph.cpp`
(build_inp_embd), `ggml/src/ggml-backend.cpp` (ggml_backend_sched_split_graph), b11434.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from variet_gui.forecast.allocator import Allocator, State, empty
from variet_gui.forecast.graph_inputs import BatchSettings, GraphInputs
from variet_gui.forecast.layer_graph import WANTED, GraphSettings
from variet_gui.forecast.layers import Part, Step, layer_tape
from variet_gui.forecast.replays import NOWHERE, Outcome, outcome
from variet_gui.forecast.shape import Attention, ModelShape
from variet_gui.forecast.tape import ENTRANCE, Place, Tape, replay

_ENTRIES = 256
_Key: TypeAlias = tuple[int, GraphSettings, bool, bool, bool, tuple[int, ...]]
_courses: OrderedDict[_Key, Course] = OrderedDict()
_names: dict[tuple[int, GraphSettings, bool, tuple[int, ...]], Course] = {}
_lock = threading.Lock()


class Programme:
    """Measures the devices of one context."""

    def __init__(self, model: ModelShape, batch: BatchSettings) -> None:
        self._model, self._batch = model, batch
        self._inputs = GraphInputs(model, batch)
        self._pipeline = batch.copies > 1

    def device(self, steps: Sequence[Step], *, first: bool, output: bool, after_host: bool = False) -> int:
        """Return the bytes that one device needs for `steps`, 0 when it runs nothing.

        Args:
            steps: its layers.
            first: it runs the first layer, so that the embeddings come to it.
            output: it has the output head.
            after_host: the CPU runs the layers before.
        """
        if not steps and not output:
            return 0
        tapes = self._tapes(steps, first=first, after_host=after_host)
        run = _Run(self, tapes, first=first, after_host=after_host)
        return run.peak(output=output)

    def host(self, steps: Sequence[Step], own: Sequence[Step] = ()) -> int:
        """Return the bytes of the buffer in host memory: all inputs, the embeddings, and layers that the CPU runs.

        Args:
            steps: every layer of the context.
            own: those that the CPU itself runs.
        """
        names = [name for name in self._names(steps) if name != WANTED]  # which is among the first
        inputs = self._batch.copies * (self._inputs.host_bytes + sum(map(self._inputs.host_size, names)))
        if own:
            # Its layers begin with the embeddings, which are counted among the inputs' rows.
            return inputs + _Run(self, self._tapes(own, first=True), first=True, on_host=True).peak(output=False)
        return inputs + self._inputs.state_bytes * (2 if self._batch.mixed_inputs else 1)

    def _names(self, steps: Sequence[Step]) -> tuple[str, ...]:
        """Return the inputs of all layers, which are the same for any number of tokens."""
        key = (id(self._model), replace(self._batch.graph, tokens=0), self._batch.dry_run, tuple(map(id, steps)))
        with _lock:
            found = _names.get(key)
            if found is not None and found.model is self._model:
                return found.names
        course = self._tapes(steps, first=True)
        with _lock:
            if len(_names) >= _ENTRIES:
                _names.clear()
            _names[key] = course
        return course.names

    def _tapes(self, steps: Sequence[Step], *, first: bool, after_host: bool = False) -> Course:
        """Return the tapes of `steps`; the same steps with other numbers of cells have the same."""
        stays = normed = False
        if steps and not steps[0].predicts:
            # Gemma scales the embeddings first, so that what enters its first layer is no input any more.
            stays = self._pipeline and not (first and self._inputs.scales_embeddings)
            normed = self._batch.dry_run and not first and not after_host and not self._pipeline
        # Steps are shared objects: looking them up by their fields would take longer than all the rest.
        key = (id(self._model), self._batch.graph, self._batch.dry_run, stays, normed, tuple(map(id, steps)))
        with _lock:
            found = _courses.get(key)
            if found is not None and found.model is self._model:
                _courses.move_to_end(key)
                return found
        made = self._course(steps, stays=stays, normed=normed)
        with _lock:
            _courses[key] = made
            if len(_courses) > _ENTRIES:
                _courses.popitem(last=False)
        return made

    def _course(self, steps: Sequence[Step], *, stays: bool, normed: bool) -> Course:
        known: dict[int, _Timed] = {}
        timed = []
        for step in steps:
            if id(step) not in known:
                known[id(step)] = self._timed(step)
            timed.append(known[id(step)])
        if stays:
            timed[0] = self._timed(replace(steps[0], entrance_stays=True))
        elif normed:
            timed[0] = self._timed(replace(steps[0], comes_normed=True))
        kinds = dict.fromkeys(timed)
        names = dict.fromkeys(name for one in kinds for part in one.tape.parts for name in part.inputs)
        return Course(self._model, tuple(steps), tuple(timed), tuple(names))

    def _timed(self, step: Step) -> _Timed:
        away = self._batch.dry_run and step.part is not Part.WHOLE
        tape = layer_tape(self._model, self._batch.graph, replace(step, norms_away=True) if away else step)
        return _Timed(tape, step.layer.attention is Attention.SLIDING, step.part is Part.AWAY, step.predicts)


@dataclass(frozen=True, slots=True, eq=False)
class _Timed:
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
    timed: tuple[_Timed, ...]
    names: tuple[str, ...]
    """Of all inputs that its layers need."""


class _Run:
    """One device, from its inputs to its last layer."""

    def __init__(
        self,
        programme: Programme,
        course: Course,
        *,
        first: bool,
        on_host: bool = False,
        after_host: bool = False,
    ) -> None:
        tapes, names = course.timed, course.names
        self._tapes, self._first = tapes, first
        self._model, self._batch = programme._model, programme._batch
        self._inputs = programme._inputs
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
        for index, timed in enumerate(self._tapes):
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

    def _cells(self, timed: _Timed) -> int:
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

    def _conversion(self, timed: _Timed, state: State, place: Place) -> int:
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
            return state + self._inputs.rows_bytes + self._inputs.logits_bytes
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
