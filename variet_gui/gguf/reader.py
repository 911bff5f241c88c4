"""Reading the front of a GGUF file, piece by piece, without believing any length that it claims.

The file is read in chunks, not mapped: a mapped file that somebody truncates (a download that starts again) would end
the whole program with SIGBUS.
"""

from __future__ import annotations

import struct
from enum import Enum
from pathlib import Path
from typing import BinaryIO, TypeAlias

from variet_gui.gguf.types import ARRAY, SCALARS, STRING
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
        msg("{file} is damaged: {what} Download it again.", file=path.name, what=what),
    )


class HeaderReader:
    """A cursor over the front of one file, which it reads as far as it is asked to."""

    def __init__(self, file: BinaryIO, path: Path, file_size: int) -> None:
        self.path = path
        self.file_size = file_size
        self.position = 0
        self._file = file
        self._buffer = bytearray()
        self._strings_left = MOST_STRINGS

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
        end = self.position + length
        self._fill_to(end)
        data = bytes(self._buffer[self.position : end])
        self.position = end
        return data

    def string(self) -> str:
        """Read a string; bytes that are no UTF-8 are replaced.

        Raises:
            GgufError: it claims a length that cannot be, or the file ends before.
        """
        length = self.u64()
        if length > LONGEST_STRING_BYTES:
            raise corrupt(self.path, msg("it claims a text of {length} bytes.", length=length))
        return self.raw(length).decode("utf-8", errors="replace")

    def scalar(self, value_type: int) -> Scalar:
        """Read one metadata value that is no array.

        Raises:
            GgufError: there is no such type, or the file ends before.
        """
        if value_type == STRING:
            return self.string()
        try:
            return self._unpack(SCALARS[value_type])
        except KeyError:
            raise corrupt(self.path, msg("metadata of an unknown type {type}.", type=value_type)) from None

    def array(self) -> tuple[int, int, tuple[Scalar, ...] | None]:
        """Read an array: its element type, its length, and its elements or None when there are too many to keep.

        Raises:
            GgufError: it claims a length that cannot be, or the file ends before.
        """
        element_type, length = self.u32(), self.u64()
        smallest = 8 if element_type == STRING else SCALARS[element_type].size if element_type in SCALARS else 0
        if element_type == ARRAY or not smallest:
            raise corrupt(self.path, msg("a list of an unknown type {type}.", type=element_type))
        limit = self._strings_left if element_type == STRING else MOST_NUMBERS
        if length > limit or length * smallest > self.file_size - self.position:
            raise corrupt(self.path, msg("it claims a list of {length} entries.", length=length))
        if length <= LONGEST_KEPT_ARRAY:
            return element_type, length, tuple(self.scalar(element_type) for _ in range(length))
        if element_type == STRING:
            self._skip_strings(length)
        else:
            self._skip(length * smallest)
        return element_type, length, None

    def _skip_strings(self, count: int) -> None:
        # The hot loop: half a million lengths for one vocabulary. It runs over what was read already and asks for
        # more only when it falls off the end.
        self._strings_left -= count
        unpack, buffer, position = _U64.unpack_from, self._buffer, self.position
        left = count
        while left:
            try:
                while left:
                    position += 8 + unpack(buffer, position)[0]
                    left -= 1
            except (struct.error, OverflowError):
                self._fill_to(position + 8)
        self.position = position
        self._fill_to(position)

    def _skip(self, length: int) -> None:
        self._fill_to(self.position + length)
        self.position += length

    def _unpack(self, layout: struct.Struct) -> bool | int | float:
        end = self.position + layout.size
        self._fill_to(end)
        value: bool | int | float = layout.unpack_from(self._buffer, self.position)[0]
        self.position = end
        return value

    def _fill_to(self, end: int) -> None:
        if end <= len(self._buffer):
            return
        if end > self.file_size:
            raise self._ends_early()
        while len(self._buffer) < end:
            chunk = self._file.read(max(CHUNK_BYTES, end - len(self._buffer)))
            if not chunk:
                raise self._ends_early()
            self._buffer += chunk

    def _ends_early(self) -> GgufError:
        return GgufError(
            GgufProblem.TRUNCATED,
            self.path,
            msg("{file} ends in the middle of its header. Download it again.", file=self.path.name),
        )
