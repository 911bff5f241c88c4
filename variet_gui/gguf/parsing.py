"""One GGUF file, from its first byte to the start of its weights.

Layout and checks after `ggml/src/gguf.cpp` (gguf_init_from_reader), b11434: what it refuses is refused here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from variet_gui.gguf.reader import GgufError, GgufProblem, HeaderReader, Scalar, SkippedArray, corrupt
from variet_gui.gguf.types import ARRAY, TENSOR_TYPES
from variet_gui.i18n import Message, msg

MetadataValue: TypeAlias = Scalar | tuple[Scalar, ...] | SkippedArray

_MOST_KEYS = 2**16
_MOST_TENSORS = 2**18
_LONGEST_TENSOR_NAME = 63
_MOST_DIMENSIONS = 4
_MOST_ELEMENTS = 2**63 - 1
_DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor, without its numbers."""

    name: str
    shape: tuple[int, ...]
    """Elements per dimension, innermost first (ggml's ne), as the file stores them."""
    type: str
    """ggml's name: "q4_K"; "type 99" where this program does not know the number."""
    offset: int
    """Bytes from the start of the file of its shard."""
    n_bytes: int
    """Without the padding behind it; with it where the type is not known."""
    shard: int = 0

    @property
    def n_elements(self) -> int:
        """Return the number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What one file holds."""

    version: int
    metadata: Mapping[str, MetadataValue]
    tensors: tuple[GgufTensor, ...]
    data_start: int
    """Where the weights begin, bytes from the start of the file."""
    data_end: int
    """Where the last tensor ends, padding not counted: the file must be at least this long."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    shape: tuple[int, ...]
    type_number: int
    offset: int


def parse(reader: HeaderReader, shard: int = 0) -> ParsedFile:
    """Read everything before the weights; `shard` is noted in the tensors.

    Raises:
        GgufError: not GGUF, cut short, or damaged.
    """
    _check_magic(reader)
    version = reader.u32()
    if version not in (2, 3):
        raise GgufError(
            GgufProblem.UNSUPPORTED,
            reader.path,
            msg("{file} is in a version or byte order of GGUF that cannot be used here.", file=reader.path.name),
        )
    n_tensors, n_keys = reader.u64(), reader.u64()
    if n_tensors > _MOST_TENSORS or n_keys > _MOST_KEYS:
        raise corrupt(reader.path, msg("It claims {tensors} tensors and {keys} keys.", tensors=n_tensors, keys=n_keys))
    metadata = _metadata(reader, n_keys)
    entries = [_entry(reader) for _ in range(n_tensors)]
    if len({entry.name for entry in entries}) != len(entries):
        raise corrupt(reader.path, msg("A tensor stands in it twice."))
    alignment = _alignment(metadata, reader.path)
    data_start = _padded(reader.position, alignment)
    tensors = _placed(reader, entries, data_start, alignment, shard)
    data_end = max((tensor.offset + tensor.n_bytes for tensor in tensors), default=reader.position)
    return ParsedFile(version, metadata, tensors, data_start, data_end)


def _check_magic(reader: HeaderReader) -> None:
    name = reader.path.name
    if reader.file_size < 4:
        problem: Message = msg("{file} is empty.", file=name)
    else:
        magic = reader.raw(4)
        if magic == b"GGUF":
            return
        if magic.startswith(b"<") or magic.lower() in (b"vers", b'{"er', b"entr"):
            # What a failed download leaves behind: an error page, or the pointer file of Git LFS.
            problem = msg(
                "{file} is a short text, not a model: the download brought an error page or a pointer.", file=name
            )
        else:
            problem = msg("{file} is not a GGUF file.", file=name)
    raise GgufError(GgufProblem.NOT_GGUF, reader.path, problem)


def _metadata(reader: HeaderReader, n_keys: int) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for _ in range(n_keys):
        key, value_type = reader.string(), reader.u32()
        if not key or key in metadata:
            raise corrupt(reader.path, msg("A key stands in it twice or has no name."))
        metadata[key] = reader.array() if value_type == ARRAY else reader.scalar(value_type)
    return metadata


def _entry(reader: HeaderReader) -> _Entry:
    name, n_dimensions = reader.string(), reader.u32()
    if len(name.encode()) > _LONGEST_TENSOR_NAME or n_dimensions > _MOST_DIMENSIONS:
        raise corrupt(reader.path, msg("The tensor {tensor} has an impossible name or shape.", tensor=name[:80]))
    shape = tuple(reader.u64() for _ in range(n_dimensions))
    if math.prod(shape) > _MOST_ELEMENTS:
        raise corrupt(reader.path, msg("The tensor {tensor} has an impossible name or shape.", tensor=name))
    return _Entry(name, shape, reader.u32(), reader.u64())


def _alignment(metadata: Mapping[str, MetadataValue], path: Path) -> int:
    value = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or value <= 0 or value & (value - 1):
        raise corrupt(path, msg("Its alignment is not a power of two."))
    return value


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _placed(
    reader: HeaderReader, entries: list[_Entry], data_start: int, alignment: int, shard: int
) -> tuple[GgufTensor, ...]:
    tensors: list[GgufTensor] = []
    expected = 0
    for index, entry in enumerate(entries):
        if entry.offset != expected:
            raise corrupt(reader.path, msg("The tensor {tensor} is not where it should be.", tensor=entry.name))
        known = TENSOR_TYPES.get(entry.type_number)
        if known is None:
            # Newer than our table. Tensors lie one behind the other, so the next one says where this one ends.
            following = entries[index + 1].offset if index + 1 < len(entries) else reader.file_size - data_start
            name, n_bytes = f"type {entry.type_number}", max(0, following - entry.offset)
        else:
            row = entry.shape[0] if entry.shape else 1
            if row % known.block:
                raise corrupt(
                    reader.path, msg("The tensor {tensor} has an impossible name or shape.", tensor=entry.name)
                )
            name, n_bytes = known.name, math.prod(entry.shape) // known.block * known.n_bytes
        tensors.append(GgufTensor(entry.name, entry.shape, name, data_start + entry.offset, n_bytes, shard))
        expected += _padded(n_bytes, alignment)
    return tuple(tensors)
