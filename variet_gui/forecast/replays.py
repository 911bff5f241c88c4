"""What a layer makes of a state of the compute buffer, remembered: the same question comes again and again.

It comes for every layer of a kind, for other devices, and for other contexts. Where a context only makes one tensor of
a layer larger, and that one lies above all others while it is there, nothing else in the layer depends on its size:
then one replay tells the outcome for every context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from variet_gui.forecast.allocator import Allocator, Place, State, padded
from variet_gui.forecast.tape import ENTRANCE, Tape

Outcome: TypeAlias = tuple[State, Place, int]
"""(state, place of the layer's result, highest address that was used)."""

NOWHERE: Place = (0, 0)
_MOST_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class _Growing:
    """The outcome of a layer in which one tensor grows with the cells of the cache."""

    state: State
    place: Place
    peak: int
    """Without the growing tensor."""
    offset: int
    """Where the growing tensor begins."""
    hole: int
    """It has to be larger than that, else it would lie in a hole below."""
    n_bytes: int
    cell_bytes: int


@dataclass(frozen=True, slots=True)
class _Chain:
    """The outcome of several layers one after another, for any number of cells of their caches."""

    state: State
    place: Place
    peak: int
    rules: tuple[tuple[bool, int, int, int, int], ...]
    """(its cache slides, hole, offset, bytes, bytes per cell) of every tensor that grows."""


class Layer(Protocol):
    """One layer of a chain."""

    @property
    def tape(self) -> Tape:
        """Return its tape."""

    @property
    def slides(self) -> bool:
        """Return whether its cache has the cells of a sliding one."""


_chains: dict[tuple[tuple[Layer, ...], State, Place], _Chain] = {}
_outcomes: dict[tuple[Tape, int, State, Place], Outcome] = {}
_growing: dict[tuple[Tape, State, Place], _Growing] = {}


def chained(layers: tuple[Layer, ...], cells: int, sliding_cells: int, state: State, place: Place) -> Outcome:
    """Return what `layers` leave one after another, all of whose inputs are on the device.

    Args:
        layers: compared by identity.
        cells: of an ordinary cache.
        sliding_cells: of a sliding cache.
        state: of the buffer, before.
        place: of what came before.
    """
    question = (layers, state, place)
    known = _chains.get(question)
    if known is not None:
        peak = known.peak
        for slides, hole, offset, n_bytes, cell_bytes in known.rules:
            size = padded(n_bytes + cell_bytes * (sliding_cells if slides else cells))
            if size <= hole:
                break
            peak = max(peak, offset + size)
        else:
            return known.state, known.place, peak
    peak = fixed = state[-1][0]
    rules: dict[tuple[bool, int, int, int, int], None] | None = {}
    for layer in layers:
        tape = layer.tape
        after, left, reached = outcome(tape, sliding_cells if layer.slides else cells, state, place)
        rule = _growing.get((tape, state, place)) if tape.grows else None
        if rule is not None and rules is not None:
            rules[layer.slides, rule.hole, rule.offset, rule.n_bytes, rule.cell_bytes] = None
            fixed = max(fixed, rule.peak)
        elif tape.grows:
            rules = None
        else:
            fixed = max(fixed, reached)
        peak = max(peak, reached)
        state, place = after, left
    if rules is not None:
        _make_room()
        _chains[question] = _Chain(state, place, fixed, tuple(rules))
    return state, place, peak


def outcome(tape: Tape, cells: int, state: State, place: Place) -> Outcome:
    """Return what the layer of `tape` leaves, all of whose inputs are on the device.

    Args:
        tape: of the layer.
        cells: of its cache.
        state: of the buffer, before.
        place: of what the layer before left.
    """
    if tape.grows:
        rule = _growing.get((tape, state, place))
        if rule is not None:
            size = padded(rule.n_bytes + rule.cell_bytes * cells)
            if size > rule.hole:
                return rule.state, rule.place, max(rule.peak, rule.offset + size)
    else:
        cells = 0
    question = (tape, cells, state, place)
    known = _outcomes.get(question)
    if known is None:
        low = state[0][0]
        movable = low and (place[1] or not tape.frees_entrance)
        known = _moved(tape, cells, state, place, low) if movable else _replayed(tape, cells, state, place)
        _make_room()
        _outcomes[question] = known
    return known


def _moved(tape: Tape, cells: int, state: State, place: Place, by: int) -> Outcome:
    """Return the outcome from that of the same holes `by` bytes lower: where they lie decides nothing."""
    holes = tuple((offset - by, size) for offset, size in state)
    entrance = (place[0] - by, place[1]) if place[1] else place
    left, result, peak = outcome(tape, cells, holes, entrance)
    rule = _growing.get((tape, holes, entrance))
    if rule is not None:
        _growing[tape, state, place] = replace(
            rule,
            state=_higher(rule.state, by),
            place=_place_higher(rule.place, by),
            peak=rule.peak + by,
            offset=rule.offset + by,
        )
    return _higher(left, by), _place_higher(result, by), peak + by


def _higher(state: State, by: int) -> State:
    return tuple((offset + by, size) for offset, size in state)


def _place_higher(place: Place, by: int) -> Place:
    return (place[0] + by, place[1]) if place[1] else place


def _make_room() -> None:
    for memory in (_chains, _outcomes, _growing):
        if len(memory) >= _MOST_REMEMBERED:
            memory.clear()


def _replayed(tape: Tape, cells: int, state: State, place: Place) -> Outcome:
    """Replay the tape, and keep the rule where one tensor alone grows and lies above all others while it is there."""
    allocator, slots = Allocator(state), {ENTRANCE: place}
    if tape.growing is None:
        allocator.run(tape.events, slots, cells)
        return allocator.state, slots.get(tape.exit_slot, NOWHERE), allocator.peak
    before, growing, meanwhile, behind = tape.growing
    allocator.run(before, slots, cells)
    hole, reached = allocator.largest_hole, allocator.peak
    allocator.run((growing,), slots, cells)
    offset, size = slots[growing[1]]
    allocator.peak = offset
    allocator.run(meanwhile, slots, cells)
    ruled = size > hole and allocator.peak == offset
    allocator.peak = max(allocator.peak, reached)
    allocator.run(behind, slots, cells)
    after, left, peak = allocator.state, slots.get(tape.exit_slot, NOWHERE), allocator.peak
    if ruled:
        _growing[tape, state, place] = _Growing(after, left, peak, offset, hole, *growing[2:])
    return after, left, max(peak, offset + size)
