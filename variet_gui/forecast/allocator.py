"""How llama.cpp packs the intermediate tensors of a graph into one compute buffer.

A best-fit allocator over one growing address range, with its merging of neighbouring holes. What matters is its highest
address: that is the size of the compute buffer. Source: `ggml/src/ggml-alloc.c` (ggml_dyn_tallocr_alloc,
ggml_dyn_tallocr_free_bytes), b11434.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TypeAlias

ALIGNMENT = 128
"""Bytes, of the CUDA buffer type. A CPU buffer aligns to 32, which makes no visible difference."""

Event: TypeAlias = tuple[int, int, int, int]
"""(kind, slot, bytes, bytes per cell of the layer's cache)."""
ALLOCATE, FREE = 0, 1
Place: TypeAlias = tuple[int, int]
"""(offset, size) in the compute buffer."""
State: TypeAlias = tuple[tuple[int, int], ...]
"""The holes as (offset, size), ascending; the last one is open upwards."""

_OPEN_END = 2**60


def padded(n_bytes: int) -> int:
    """Round up to the alignment."""
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def empty(start: int = 0) -> State:
    """Return the state in which everything from `start` on is free."""
    return ((start, _OPEN_END),)


class Allocator:
    """Hands out places in a range of addresses, in bytes, and remembers the highest that was used."""

    __slots__ = ("_ends", "_starts", "peak")

    def __init__(self, state: State) -> None:
        self._starts = [offset for offset, _ in state]
        self._ends = [offset + size for offset, size in state]
        self.peak = self._starts[-1]

    @property
    def state(self) -> State:
        """Return the holes; an allocator that is made from it goes on alike."""
        return tuple((start, end - start) for start, end in zip(self._starts, self._ends, strict=True))

    @property
    def largest_hole(self) -> int:
        """Return the size of the largest hole below the open end, 0 where there is none."""
        last = len(self._starts) - 1
        return max((self._ends[index] - self._starts[index] for index in range(last)), default=0)

    def allocate(self, size: int) -> int:
        """Take `size` bytes (a multiple of the alignment) and return where they start."""
        slots: dict[int, Place] = {}
        self.run(((ALLOCATE, 0, size, 0),), slots, 0)
        return slots[0][0]

    def free(self, offset: int, size: int) -> None:
        """Give `size` bytes at `offset` back."""
        self.run(((FREE, 0, 0, 0),), {0: (offset, size)}, 0)

    def run(self, events: Iterable[Event], slots: dict[int, Place], cells: int) -> None:
        """Take and give back as `events` say. In one loop: a forecast does so thousands of times.

        To take is to take the smallest hole that is large enough, of equal ones the last; only where none is, the open
        end. What is given back becomes one with the holes that it touches.

        Args:
            events: what to do.
            slots: where each slot is; carried from one run to the next.
            cells: of the layer's cache.
        """
        starts, ends, peak = self._starts, self._ends, self.peak
        for kind, slot, n_bytes, cell_bytes in events:
            if kind == ALLOCATE:
                size = n_bytes + cell_bytes * cells
                size += -size % ALIGNMENT
                best, best_size = len(starts) - 1, _OPEN_END
                for index in range(best):
                    room = ends[index] - starts[index]
                    if size <= room <= best_size:
                        best, best_size = index, room
                offset = starts[best]
                end = offset + size
                slots[slot] = (offset, size)
                if end == ends[best]:
                    del starts[best], ends[best]
                else:
                    starts[best] = end
                if end > peak:
                    peak = end
                continue
            offset, size = slots.pop(slot)
            end = offset + size
            index = bisect_left(starts, end)
            touches = index < len(starts) and starts[index] == end
            if index and ends[index - 1] == offset:
                ends[index - 1] = ends.pop(index) if touches else end
                if touches:
                    del starts[index]
            elif touches:
                starts[index] = offset
            else:
                starts.insert(index, offset)
                ends.insert(index, end)
        self.peak = peak
