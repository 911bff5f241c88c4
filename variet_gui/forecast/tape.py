"""One layer's graph, and the tape of what it takes from the compute buffer and gives back, in order.

A graph is built as llama.cpp builds it (same operations, same order) and compiled once; the tape is then replayed with
the numbers of the moment. Sources: `ggml/src/ggml.c` (ggml_visit_parents_graph: the order), `ggml/src/ggml-alloc.c`
(ggml_gallocr_alloc_graph_impl: what is freed when, what is computed in place) and `ggml/src/ggml-backend.cpp`
(ggml_backend_sched_split_graph: what is copied to the device, and when), b11434.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from variet_gui.forecast.allocator import Allocator, State, padded

FLOAT_BYTES = 4


class Op(Enum):
    """The operations, as far as the compute buffer tells them apart."""

    NONE = auto()
    """A leaf: weight, cache, input."""
    VIEW = auto()
    """View, reshape, permute, transpose: no memory of its own."""
    MATRIX = auto()
    """Matrix product."""
    EXPERTS = auto()
    """Matrix product with the chosen experts (MUL_MAT_ID)."""
    GATED = auto()
    """Gated activation (GLU)."""
    ADD = auto()
    MULTIPLY = auto()
    UNARY = auto()
    """Norms, scales, activations, clamps: whatever may be computed in place and has one source."""
    ROPE = auto()
    SOFTMAX = auto()
    SORT = auto()
    ATTENTION = auto()
    """Flash attention."""
    STORE = auto()
    """Writes into memory that is there already: a cache, or another tensor."""
    OTHER = auto()
    """Anything that needs a place of its own: rows, sums, copies, convolutions."""


_IN_PLACE = frozenset({Op.ADD, Op.MULTIPLY, Op.UNARY, Op.ROPE, Op.SOFTMAX})


class Where(Enum):
    """Where a tensor's bytes are."""

    BUFFER = auto()
    """In the compute buffer."""
    DEVICE = auto()
    """On this device already: a weight, a cache."""
    STAGED = auto()
    """In host memory; copied into the compute buffer for as long as it is needed."""
    STAGED_WEIGHT = auto()
    """Likewise, a weight: every operation with one begins a new part of the graph, so that they follow each other."""
    INPUT = auto()
    """An input of the whole graph, which the device's programme keeps (masks, positions)."""
    HOST = auto()
    """Computed and kept on the CPU."""


@dataclass(slots=True, eq=False)
class Tensor:
    """One node or leaf. Sizes in bytes: `n_bytes` plus `cell_bytes` for every cell of the layer's cache."""

    op: Op
    shape: tuple[int, ...]
    sources: tuple[Tensor, ...] = ()
    base: Tensor | None = None
    """What it is a view of."""
    where: Where = Where.BUFFER
    n_bytes: int = 0
    cell_bytes: int = 0
    name: str = ""

    @property
    def owner(self) -> Tensor:
        """Return the tensor whose memory it is."""
        return self.base or self


Event: TypeAlias = tuple[int, int, int, int]
"""(kind, slot, bytes, bytes per cell)."""
ALLOCATE, FREE = 0, 1
ENTRANCE = 0
"""Slot of what the layer before left."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a layer that runs without a break: its inputs are copied to the device before it begins."""

    inputs: tuple[str, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """One layer. The first part goes on where the layer before ended; a new part follows each break."""

    parts: tuple[Part, ...]
    exit_slot: int
    exit_bytes: int


class Graph:
    """Collects the operations of one layer in llama.cpp's order."""

    def __init__(self, entrance_shape: tuple[int, ...]) -> None:
        self.entrance = Tensor(Op.NONE, entrance_shape, n_bytes=math.prod(entrance_shape) * FLOAT_BYTES)
        self.nodes: list[Tensor] = []
        self._seen: set[int] = set()

    def add(self, op: Op, shape: tuple[int, ...], *sources: Tensor, where: Where = Where.BUFFER) -> Tensor:
        """Return a new float32 tensor that `op` makes of `sources`."""
        return Tensor(op, shape, sources, None, where, math.prod(shape) * FLOAT_BYTES)

    def view(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return another look at `tensor`."""
        return Tensor(Op.VIEW, shape, (tensor,), tensor.owner, tensor.where)

    def store(self, target: Tensor, *sources: Tensor) -> Tensor:
        """Return the writing of `sources` into `target`; done on the CPU when the target lies there."""
        where = Where.HOST if target.owner.where is Where.STAGED else Where.DEVICE
        return Tensor(Op.STORE, (1,), (*sources, target), target.owner, where)

    def expand(self, tensor: Tensor) -> None:
        """Put `tensor` and what it still needs into the graph, sources first."""
        if id(tensor) in self._seen:
            return
        self._seen.add(id(tensor))
        for source in tensor.sources:
            self.expand(source)
        if tensor.op is not Op.NONE:
            self.nodes.append(tensor)


def compile_tape(nodes: list[Tensor], entrance: Tensor, exit_: Tensor, pins: dict[int, list[Tensor]]) -> Tape:
    """Return the tape of `nodes`.

    Args:
        nodes: in the order of their computation.
        entrance: what the layer before left.
        exit_: what goes on to the next layer.
        pins: id of a node -> tensors that are kept until it is computed (the CUDA back end fuses operations).
    """
    return _Compiler(nodes, entrance, exit_, pins).compile()


def replay(
    part: Part, allocator: Allocator, slots: dict[int, tuple[int, int]], cells: int, *, keep_entrance: bool
) -> None:
    """Run one part on `allocator`; `slots` (slot -> offset, size) is carried from part to part."""
    for kind, slot, n_bytes, cell_bytes in part.events:
        if kind == ALLOCATE:
            size = padded(n_bytes + cell_bytes * cells)
            slots[slot] = (allocator.allocate(size), size)
        elif slot != ENTRANCE or not keep_entrance:
            allocator.free(*slots.pop(slot))


def after(state: State, size: int) -> tuple[int, State]:
    """Return where `size` bytes go in `state`, and the state with them."""
    allocator = Allocator(state)
    return allocator.allocate(size), allocator.state


class _Compiler:
    """Follows ggml's bookkeeping: how many uses and views of each tensor are still to come."""

    def __init__(
        self, nodes: list[Tensor], entrance: Tensor, exit_: Tensor, pins: dict[int, list[Tensor]]
    ) -> None:
        self._nodes, self._exit, self._pins = nodes, exit_, pins
        self._uses: dict[int, int] = {}
        self._views: dict[int, int] = {}
        self._slot: dict[int, int] = {id(entrance): ENTRANCE}
        self._next_slot = ENTRANCE + 1
        self._events: list[Event] = []
        self._inputs: list[str] = []
        self._parts: list[Part] = []

    def compile(self) -> Tape:
        for node in self._nodes:
            self._count(node)
        self._uses[id(self._exit)] = self._uses.get(id(self._exit), 0) + 1  # the next layer
        for index, node in enumerate(self._nodes):
            if node.where is Where.HOST:
                # The device waits for the CPU; what it does afterwards is a new part.
                self._release(node.sources)
                continue
            if self._breaks(index):
                self._end_part()
            self._stage(self._part_from(index) if self._events_empty() else (node,))
            self._compute(node)
            for pinned in (self._pins.get(id(node), ()),):
                self._release(pinned)
        self._end_part()
        exit_slot = self._slot[id(self._exit)]
        return Tape(tuple(self._parts), exit_slot, padded(self._exit.n_bytes))
