"""How llama.cpp packs the intermediate tensors of a graph into one compute buffer.

A best-fit allocator over one growing address range, with its merging of neighbouring holes. What matters is its highest
address: that is the size of the compute buffer. Source: `ggml/src/ggml-alloc.c` (ggml_dyn_tallocr_alloc,
ggml_dyn_tallocr_free_bytes), b11434.
"""

from __future__ import annotations

from typing import TypeAlias

ALIGNMENT = 128
"""Bytes, of the CUDA buffer type. A CPU buffer aligns to 32, which makes no visible difference."""

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

    __slots__ = ("_holes", "peak")

    def __init__(self, state: State) -> None:
        self._holes = [list(hole) for hole in state]
        self.peak = state[-1][0]

    @property
    def state(self) -> State:
        """Return the holes; an allocator that is made from it goes on alike."""
        return tuple((offset, size) for offset, size in self._holes)

    def allocate(self, size: int) -> int:
        """Take `size` bytes (a multiple of the alignment) and return where they start.

        The smallest hole that is large enough, of equal ones the last; only where none is, the open end.
        """
        holes = self._holes
        best, best_size = len(holes) - 1, _OPEN_END
        for index in range(len(holes) - 1):
            if size <= holes[index][1] <= best_size:
                best, best_size = index, holes[index][1]
        hole = holes[best]
        offset = hole[0]
        hole[0] += size
        hole[1] -= size
        if not hole[1]:
            del holes[best]
        self.peak = max(self.peak, offset + size)
        return offset

    def free(self, offset: int, size: int) -> None:
        """Give `size` bytes at `offset` back; holes that touch become one."""
        holes = self._holes
        end = offset + size
        for index, hole in enumerate(holes):
            if hole[0] + hole[1] == offset:
                hole[1] += size
                if index + 1 < len(holes) and holes[index + 1][0] == hole[0] + hole[1]:
                    hole[1] += holes[index + 1][1]
                    del holes[index + 1]
                return
            if hole[0] >= end:
                if hole[0] == end:
                    hole[0] = offset
                    hole[1] += size
                else:
                    holes.insert(index, [offset, size])
                return
