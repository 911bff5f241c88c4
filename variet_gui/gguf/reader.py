"""Reading the front of a GGUF file, piece by piece, without believing any length that it claims.

The file is read in chunks, not mapped: a mapped file that somebody truncates (a download that starts again) would end
the whole program with SIGBUS.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, TypeAlias

from variet_gui.gguf.types import SCALARS, STRING
from variet_gui.i18n import Message, msg

CHUNK_BYTES = 4 * 2**20
LONGEST_STRING_BYTES = 16 * 2**20
"""llama.cpp allows 1 GiB; a chat template has some 20 KB, and a header must not cost memory."""
MOST_STRINGS = 2**24
"""Over all string arrays of one file. The largest vocabularies with their merges have 2**20."""
MOST_NUMBERS = 2**30
"""In one array of numbers; llama.cpp's own limit (GGUF_MAX_ARRAY_ELEMENTS)."""
LONGEST_KEPT_ARRAY = 4096
"""Elements. Per-layer lists stay below; vocabularies are above, and only their length matters here."""

_U32 = SCALARS[4]
_U64 = SCALARS[10]

Scalar: TypeAlias = bool | int | float | str


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """A metadata list that was too long to keep: what it holds (a type of `gguf.types`) and how many entries."""

    element_type: int
    length: int


class GgufProblem(Enum):
    """What is wrong with a file, for those who react to it."""

    UNREADABLE = "unreadable"
    NOT_GGUF = "not_gguf"
    UNSUPPORTED = "unsupported"
    """Big-endian, or a version that llama.cpp does not read."""
    TRUNCATED = "truncated"
    """The header itself ends too early."""
    CORRUPT = "corrupt"
    """Lengths, shapes or offsets that cannot be true."""
    NOT_FIRST_SHARD = "not_first_shard"
    MISSING_SHARD = "missing_shard"
    WRONG_SHARD = "wrong_shard"


class GgufError(Exception):
    """A GGUF file that cannot be used. The message names the file and what is wrong with it."""

    def __init__(self, problem: GgufProblem, path: Path, message: Message) -> None:
        super().__init__(message.english)
        self.problem = problem
        self.path = path
        self.message = message


def corrupt(path: Path, what: Message) -> GgufError:
    """Return the error for a file whose contents contradict each other; `what` says where."""
    return GgufError(
        GgufProblem.CORRUPT,
        path,
        msg("{file} is damaged. {what} Download it again.", file=path.name, what=what),
    )


class HeaderReader:
    """A cursor over the front of one file. Holds a few MiB of it at a time, whatever the file claims."""

    def __init__(self, file: BinaryIO, path: Path, file_size: int) -> None:
        self.path = path
        self.file_size = file_size
        self._file = file
        self._buffer = bytearray()
        self._base = 0  # offset in the file of the first byte in the buffer
        self._at = 0  # the cursor, as an index into the buffer; beyond its end after a skip
        self._strings_left = MOST_STRINGS

    @property
    def position(self) -> int:
        """Return where the cursor stands, bytes from the start of the file."""
        return self._base + self._at

    def u32(self) -> int:
        """Read an unsigned 32-bit number."""
        return int(self._unpack(_U32))

    def u64(self) -> int:
        """Read an unsigned 64-bit number."""
        return int(self._unpack(_U64))

    def raw(self, length: int) -> bytes:
        """Read `length` bytes.

        Raises:
            GgufError: the file ends before.
        """
        self._need(length)
        data = bytes(self._buffer[self._at : self._at + length])
        self._at += length
        return data

    def string(self) -> str:
        """Read a string; bytes that are no UTF-8 are replaced.

        Raises:
            GgufError: it claims a length that cannot be, or the file ends before.
        """
        length = self.u64()
        if length > LONGEST_STRING_BYTES:
            raise corrupt(self.path, msg("It claims a text of {length} bytes.", length=length))
        return self.raw(length).decode("utf-8", errors="replace")

    def scalar(self, value_type: int) -> Scalar:
        """Read one metadata value that is no array.

        Raises:
            GgufError: there is no such type, or the file ends before.
        """
        if value_type == STRING:
            return self.string()
        layout = SCALARS.get(value_type)
        if layout is None:
            raise corrupt(self.path, msg("It holds a value of the unknown type {type}.", type=value_type))
        return self._unpack(layout)

    def array(self) -> tuple[Scalar, ...] | SkippedArray:
        """Read an array, or step over one that is too long to keep.

        Raises:
            GgufError: it claims a length that cannot be, or the file ends before.
        """
        element_type, length = self.u32(), self.u64()
        if element_type == STRING:
            smallest, most = _U64.size, self._strings_left
        elif element_type in SCALARS:
            smallest, most = SCALARS[element_type].size, MOST_NUMBERS
        else:
            raise corrupt(self.path, msg("It holds a list of the unknown type {type}.", type=element_type))
        if length > most or length * smallest > self.file_size - self.position:
            raise corrupt(self.path, msg("It claims a list of {length} entries.", length=length))
        if length <= LONGEST_KEPT_ARRAY:
            return tuple(self.scalar(element_type) for _ in range(length))
        if element_type == STRING:
            self._skip_strings(length)
        else:
            self._at += length * smallest
        return SkippedArray(element_type, length)

    def _skip_strings(self, count: int) -> None:
        # The hot loop: half a million lengths for one vocabulary. It runs over what was read already, asks for more
        # when it falls off the end, and then takes the one that it fell on.
        self._strings_left -= count
        unpack, buffer, at, steps = _U64.unpack_from, self._buffer, self._at, iter(range(count))
        while True:
            try:
                for _ in steps:
                    (length,) = unpack(buffer, at)
                    at += length + 8
                break
            except (struct.error, OverflowError):
                self._at = at
                length = self.u64()
                at = self._at + length
        self._at = at

    def _unpack(self, layout: struct.Struct) -> bool | int | float:
        self._need(layout.size)
        value: bool | int | float = layout.unpack_from(self._buffer, self._at)[0]
        self._at += layout.size
        return value

    def _need(self, length: int) -> None:
        """See to it that `length` bytes from the cursor on are in the buffer."""
        if self._at + length <= len(self._buffer):
            return
        if self.position + length > self.file_size:
            raise self._ends_early()
        if self._at > len(self._buffer):
            self._file.seek(self.position)
        self._base = self.position
        del self._buffer[: self._at]
        self._at = 0
        while len(self._buffer) < length:
            chunk = self._file.read(max(CHUNK_BYTES, length - len(self._buffer)))
            if not chunk:
                raise self._ends_early()
            self._buffer += chunk

    def _ends_early(self) -> GgufError:
        return GgufError(
            GgufProblem.TRUNCATED,
            self.path,
            msg("{file} ends in the middle of its header. Download it again.", file=self.path.name),
        )
