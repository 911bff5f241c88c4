"""The tape of one layer: what it takes from the compute buffer and gives back, in order.

A layer's graph (`graph.Graph`) is compiled once; the tape is replayed with the numbers of the moment. Sources:
`ggml/src/ggml-alloc.c` (ggml_gallocr_alloc_graph_impl: what is freed when, what is computed in place) and
`ggml/src/ggml-backend.cpp` (ggml_backend_sched_split_graph: what is copied to the device, and when), b11434.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from variet_gui.forecast.allocator import ALLOCATE, FREE, Allocator, Event, Place
from variet_gui.forecast.graph import IN_PLACE, Op, Tensor, Where

ENTRANCE = 0
"""Slot of what the layer before left."""
NOTHING = -1
"""Slot of a result that does not stay."""

Pins: TypeAlias = Mapping[int, Sequence[Tensor]]
"""id of a node -> tensors that are kept until it was computed."""

_COPIED_WHILE_NEEDED = frozenset({Where.STAGED, Where.STAGED_WEIGHT, Where.HOST})


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A run of operations without a break. What it needs from outside is copied to the device before it begins."""

    staging: tuple[Event, ...]
    """Weights and caches that are copied from host memory."""
    inputs: tuple[str, ...]
    """Inputs of the whole graph, in the order of their first use; behind those of the staging."""
    events: tuple[Event, ...]
    before_attention: int | None = None
    """How many of the events come before flash attention; None: there is none in this part."""
    uses_entrance: bool = True
    """Whether it reads what the layer before left."""


@dataclass(frozen=True, eq=False)
class Tape:
    """One layer. Its first part goes on where the layer before ended; each further part follows a break."""

    parts: tuple[Part, ...]
    exit_slot: int
    """Where its result is when it has run."""
    inputs: frozenset[str]
    """Of all parts."""

    @cached_property
    def grows(self) -> bool:
        """Whether anything in it depends on the cells of the cache."""
        return any(event[3] for event in self.events)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Return the events of all parts, as they follow each other where all inputs are there already."""
        return tuple(event for part in self.parts for event in (*part.staging, *part.events))

    @cached_property
    def frees_entrance(self) -> bool:
        """Whether what the layer before left is given back."""
        return any(event[:2] == (FREE, ENTRANCE) for event in self.events)

    @cached_property
    def growing(self) -> tuple[tuple[Event, ...], Event, tuple[Event, ...], tuple[Event, ...]] | None:
        """Return (before, event, while it is there, behind) where one tensor alone depends on the cells; else None."""
        events = self.events
        found = [index for index, event in enumerate(events) if event[3]]
        if len(found) != 1:
            return None
        start = found[0] + 1
        ends = (index + 1 for index in range(start, len(events)) if events[index][:2] == (FREE, events[start - 1][1]))
        end = next(ends, None)
        return None if end is None else (events[: start - 1], events[start - 1], events[start:end], events[end:])


def replay(events: Iterable[Event], allocator: Allocator, slots: dict[int, Place], cells: int) -> None:
    """Run the staging or the events of one part.

    Args:
        events: what to run.
        allocator: the compute buffer.
        slots: where each slot is; carried from part to part.
        cells: of the layer's cache.
    """
    allocator.run(events, slots, cells)


def compile_tape(
    parts: Sequence[Sequence[Tensor]],
    entrance: Tensor | None,
    exit_: Tensor | None,
    pins: Pins,
    *,
    entrance_stays: bool,
) -> Tape:
    """Return the tape of a layer.

    Args:
        parts: the nodes in the order of their computation, cut at the breaks. Nodes of the CPU stand where they are
            computed; the cut behind them is the caller's.
        entrance: what the layer before left; None: it does not go on from there.
        exit_: what goes on to the next layer; None: all results go to other devices and leave nothing here.
        pins: what is kept longer than its last use (the CUDA back end fuses operations).
        entrance_stays: the entrance is an input that exists in several copies: it is neither freed nor overwritten.
    """
    return _Compiler(parts, entrance, exit_, pins, entrance_stays=entrance_stays).compile()


def interpolated(one: Tape, two: Tape, tokens: tuple[int, int], wanted: int) -> Tape:
    """Return the tape for `wanted` tokens from those of the same layer for two other numbers of tokens."""
    apart, away = tokens[1] - tokens[0], wanted - tokens[0]

    def between(first: tuple[Event, ...], second: tuple[Event, ...]) -> tuple[Event, ...]:
        if not first:
            return ()
        kinds, slots, sizes, cell_bytes = zip(*first, strict=True)
        _, _, other_sizes, other_cell_bytes = zip(*second, strict=True)
        return tuple(zip(kinds, slots, line(sizes, other_sizes), line(cell_bytes, other_cell_bytes), strict=True))

    def line(low: Sequence[int], high: Sequence[int]) -> Sequence[int]:
        if low == high:
            return low
        return [one + (other - one) * away // apart for one, other in zip(low, high, strict=True)]

    parts = tuple(
        Part(
            between(first.staging, second.staging),
            first.inputs,
            between(first.events, second.events),
            first.before_attention,
            first.uses_entrance,
        )
        for first, second in zip(one.parts, two.parts, strict=True)
    )
    return Tape(parts, one.exit_slot, one.inputs)


def split(nodes: Iterable[Tensor]) -> list[list[Tensor]]:
    """Cut a layer's nodes at the breaks: before a node with a weight that has to be copied, and behind the CPU's.

    The first part may be empty: then the layer begins with a break.
    """
    parts: list[list[Tensor]] = [[]]
    host = False
    for node in nodes:
        if node.op is not Op.VIEW:
            staged = any(source.where is Where.STAGED_WEIGHT and source.op is Op.NONE for source in node.sources)
            on_host = node.where is Where.HOST
            if staged or (host and not on_host):
                parts.append([])
            host = on_host
        parts[-1].append(node)
    return parts


class _Compiler:
    """ggml's bookkeeping: how many uses and views of each tensor are still to come."""

    def __init__(
        self,
        parts: Sequence[Sequence[Tensor]],
        entrance: Tensor | None,
        exit_: Tensor | None,
        pins: Pins,
        *,
        entrance_stays: bool,
    ) -> None:
        self._nodes, self._exit, self._pins = parts, exit_, pins
        self._uses: dict[int, int] = {}
        self._views: dict[int, int] = {}
        self._slot: dict[int, int] = {} if entrance is None or entrance_stays else {id(entrance): ENTRANCE}
        self._used_slots = ENTRANCE + 1
        self._members = {id(node) for part in parts for node in part}
        if entrance is not None:
            self._members.add(id(entrance))
        self._events: list[Event] = []
        self._entrance = entrance

    def compile(self) -> Tape:
        for part in self._nodes:
            for node in part:
                self._count(node)
        if self._exit is not None:
            self._uses[id(self._exit)] = self._uses.get(id(self._exit), 0) + 1  # by the next layer
        parts = [self._part(part) for part in self._nodes]
        inputs = frozenset(name for part in parts for name in part.inputs)
        if self._exit is not None:
            if id(self._exit) not in self._slot:
                # Computed elsewhere: a copy comes back.
                self._events = []
                self._allocate(self._exit)
                parts.append(Part((), (), tuple(self._events)))
            return Tape(tuple(parts), self._slot[id(self._exit)], inputs)
        leaving = tuple((FREE, slot, 0, 0) for slot in self._slot.values())
        parts[-1] = replace(parts[-1], events=parts[-1].events + leaving)
        return Tape(tuple(parts), NOTHING, inputs)

    def _count(self, node: Tensor) -> None:
        if node.base is not None:
            self._views[id(node.base)] = self._views.get(id(node.base), 0) + 1
        for source in (*node.sources, *self._pins.get(id(node), ())):
            self._uses[id(source)] = self._uses.get(id(source), 0) + 1

    def _part(self, nodes: Sequence[Tensor]) -> Part:
        self._events = []
        inputs: dict[str, None] = {}
        uses_entrance = any(source.owner is self._entrance for node in nodes for source in node.sources)
        for node in nodes:
            if node.op is Op.VIEW or node.where is Where.HOST:
                continue
            for source in node.sources:
                if source.owner.where is Where.INPUT:
                    inputs[source.owner.name] = None
                elif id(source) not in self._slot and self._comes_from_elsewhere(source):
                    self._allocate(source)
        staging, self._events = self._events, []
        before_attention = None
        for node in nodes:
            if node.op is Op.ATTENTION:
                before_attention = len(self._events)
            if node.where is Where.BUFFER and node.base is None:
                self._compute(node)
            self._release(node.sources)
            self._release(self._pins.get(id(node), ()))
        return Part(tuple(staging), tuple(inputs), tuple(self._events), before_attention, uses_entrance)

    def _comes_from_elsewhere(self, source: Tensor) -> bool:
        where = source.owner.where if source.op is Op.VIEW else source.where
        if where in _COPIED_WHILE_NEEDED:
            return True
        return where is Where.BUFFER and id(source.owner) not in self._members

    def _compute(self, node: Tensor) -> None:
        if node.op in IN_PLACE:
            for source in node.sources:
                slot = self._slot.get(id(source))
                if slot is None or source.base is not None or source.shape != node.shape:
                    continue
                if self._uses[id(source)] == 1 and not self._views.get(id(source)):
                    self._slot[id(node)] = slot
                    del self._slot[id(source)]
                    return
        self._allocate(node)

    def _allocate(self, tensor: Tensor) -> None:
        slot, self._used_slots = self._used_slots, self._used_slots + 1
        self._slot[id(tensor)] = slot
        self._events.append((ALLOCATE, slot, tensor.n_bytes, tensor.cell_bytes))

    def _release(self, sources: Iterable[Tensor]) -> None:
        for source in sources:
            self._uses[id(source)] -= 1
            if self._uses[id(source)] or self._views.get(id(source)):
                continue
            self._free(source)
            base = source.base
            if base is not None and id(base) in self._views:
                self._views[id(base)] -= 1
                if not self._views[id(base)] and not self._uses.get(id(base)):
                    self._free(base)

    def _free(self, tensor: Tensor) -> None:
        slot = self._slot.pop(id(tensor), None)
        if slot is not None:
            self._events.append((FREE, slot, 0, 0))
