"""What a layer makes of a state of the compute buffer, remembered: the same question comes again and again.

It comes for every layer of a kind, for other devices, and for other contexts. Where a context only makes one tensor of
a layer larger, and that one lies above all others while it is there, nothing else in the layer depends on its size:
then one replay tells the outcome for every context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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


_outcomes: dict[tuple[Tape, int, State, Place], Outcome] = {}
_growing: dict[tuple[Tape, State, Place], _Growing] = {}


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
        known = _replayed(tape, cells, state, place)
        _make_room()
        _outcomes[question] = known
    return known


def _make_room() -> None:
    for memory in (_outcomes, _growing):
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
