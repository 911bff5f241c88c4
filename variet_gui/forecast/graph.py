"""The operations of one layer, collected in llama.cpp's order.

Only what the size of the compute buffer depends on is kept: which operation, of what shape, of which sources, and where
the result lies. Order: `ggml/src/ggml.c` (ggml_visit_parents_graph); what may be computed in place:
`ggml/src/ggml-alloc.c` (ggml_op_can_inplace), b11434.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

FLOAT_BYTES = 4
Shape: TypeAlias = tuple[int, ...]


class Op(Enum):
    """The operations, as far as the compute buffer tells them apart."""

    NONE = auto()
    """A leaf: a weight, a cache, an input."""
    VIEW = auto()
    """View, reshape, permute, transpose: no memory of its own."""
    MATRIX = auto()
    """A matrix product."""
    EXPERTS = auto()
    """A matrix product with the experts that were chosen (MUL_MAT_ID)."""
    GATED = auto()
    """A gated activation (GLU)."""
    ADD = auto()
    MULTIPLY = auto()
    UNARY = auto()
    """Norms, scales, activations, clamps."""
    ROPE = auto()
    SOFTMAX = auto()
    SORT = auto()
    ATTENTION = auto()
    """Flash attention."""
    STORE = auto()
    """Writes into memory that is there already."""
    OTHER = auto()
    """Anything else that needs a place of its own: rows, sums, copies, convolutions."""


IN_PLACE = frozenset({Op.ADD, Op.MULTIPLY, Op.UNARY, Op.ROPE, Op.SOFTMAX})
"""May overwrite a source of the same shape that nobody needs any more."""


class Where(Enum):
    """Where a tensor's bytes are."""

    BUFFER = auto()
    """In the compute buffer."""
    DEVICE = auto()
    """On the device already: a weight, a cache."""
    STAGED = auto()
    """In host memory; a copy lies in the compute buffer for as long as it is needed."""
    STAGED_WEIGHT = auto()
    """Likewise, a weight. Every operation with one begins a new part of the graph, so that copies follow each other."""
    INPUT = auto()
    """An input of the whole graph: masks, positions."""
    HOST = auto()
    """Computed by the CPU."""


@dataclass(slots=True, eq=False)
class Tensor:
    """A node or a leaf. Its size is `n_bytes`, plus `cell_bytes` for every cell of the layer's cache."""

    op: Op
    shape: Shape
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


class Graph:
    """Collects the nodes of one layer."""

    def __init__(self, entrance: Shape) -> None:
        self.entrance = Tensor(Op.NONE, entrance, n_bytes=math.prod(entrance) * FLOAT_BYTES)
        self.nodes: list[Tensor] = []
        self._seen: set[int] = set()

    def add(self, op: Op, shape: Shape, *sources: Tensor) -> Tensor:
        """Return what `op` makes of `sources`, float32."""
        return Tensor(op, shape, sources, n_bytes=math.prod(shape) * FLOAT_BYTES)

    def view(self, tensor: Tensor, shape: Shape) -> Tensor:
        """Return another look at `tensor`."""
        size = math.prod(shape) * FLOAT_BYTES
        return Tensor(Op.VIEW, shape, (tensor,), tensor.owner, tensor.where, size, name=tensor.name)

    def store(self, target: Tensor, *sources: Tensor) -> Tensor:
        """Return the writing of `sources` into `target`; the CPU does it when the target is in host memory."""
        where = Where.HOST if target.owner.where is Where.STAGED else Where.DEVICE
        return Tensor(Op.STORE, (1,), (*sources, target), target.owner, where)

    def expand(self, tensor: Tensor) -> None:
        """Put `tensor` into the graph, and before it what it needs and what is not there yet."""
        if id(tensor) in self._seen:
            return
        self._seen.add(id(tensor))
        for source in tensor.sources:
            self.expand(source)
        if tensor.op is not Op.NONE:
            self.nodes.append(tensor)
