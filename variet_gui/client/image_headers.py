"""Size and wholeness of a picture from its bytes, without decoding it. One function per format.

Each returns a `Header`, or raises `TruncatedError` or `DamagedError`. What the engine can decode follows stb_image,
which llama.cpp uses (vendor/stb/stb_image.h): baseline and progressive Huffman JPEG, PNG, first frame of GIF, BMP
without run-length coding; no WebP.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class TruncatedError(Exception):
    """The bytes end before the picture does."""


class DamagedError(Exception):
    """The bytes contradict the format."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture says of itself."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    engine_reads: bool
    """Whether llama.cpp's decoder takes this variant."""


def read_png(data: bytes) -> Header:
    """PNG: every chunk up to IEND must be there (https://www.w3.org/TR/png-3/, section 5)."""
    if data[12:16] != b"IHDR":
        raise DamagedError if len(data) >= 16 else TruncatedError
    width, height = _unpack(">II", data, 16)
    position, pixels_seen = 8, False
    while True:
        (length,) = _unpack(">I", data, position)
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if position > len(data):
            raise TruncatedError
        pixels_seen = pixels_seen or kind == b"IDAT"
        if kind == b"IEND":
            break
    if not pixels_seen:
        raise DamagedError
    return Header(width, height, engine_reads=True)


def read_jpeg(data: bytes) -> Header:
    """JPEG: segments up to the scan, and an end marker somewhere behind it (ITU-T T.81, annex B)."""
    position = 2
    header: Header | None = None
    while True:
        if position + 2 > len(data):
            raise TruncatedError
        if data[position] != 0xFF:
            raise DamagedError
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_ALONE:
            position += 2
            continue
        if marker == 0xDA:
            break
        if marker == 0xD9:
            raise DamagedError
        (length,) = _unpack(">H", data, position + 2)
        if marker in _JPEG_FRAMES:
            height, width = _unpack(">HH", data, position + 5)
            header = Header(width, height, engine_reads=marker in (0xC0, 0xC1, 0xC2))
        position += 2 + length
    if header is None:
        raise DamagedError
    if data.rfind(b"\xff\xd9", position) < 0:
        raise TruncatedError
    return header


_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0..SOF15; C4, C8 and CC lie among them and mean other things."""
_JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
"""Markers that no length follows."""


def read_gif(data: bytes) -> Header:
    """GIF: the first frame must be whole (GIF89a specification, section 20 to 22)."""
    width, height, flags = _unpack("<HHB", data, 6)
    position = 13 + _colour_table_size(flags)
    while True:
        (introducer,) = _unpack("<B", data, position)
        if introducer == 0x21:
            position = _after_sub_blocks(data, position + 2)
        elif introducer == 0x2C:
            (local_flags,) = _unpack("<B", data, position + 9)
            _after_sub_blocks(data, position + 11 + _colour_table_size(local_flags))
            return Header(width, height, engine_reads=True)
        else:
            raise DamagedError


def _colour_table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, position: int) -> int:
    while True:
        (length,) = _unpack("<B", data, position)
        position += 1 + length
        if position > len(data):
            raise TruncatedError
        if length == 0:
            return position


def read_bmp(data: bytes) -> Header:
    """BMP: Windows and OS/2 headers; the rows must be there where they are not compressed."""
    offset, header_size = _unpack("<II", data, 10)
    compression = 0
    if header_size == 12:
        width, height, _, bits = _unpack("<HHHH", data, 18)
    elif 40 <= header_size <= 124:
        width, height, _, bits, compression = _unpack("<iiHHI", data, 18)
    else:
        raise DamagedError
    height = abs(height)
    if bits not in (1, 4, 8, 16, 24, 32) and compression in (0, 3):
        raise DamagedError
    if compression in (0, 3) and offset + (width * bits + 31) // 32 * 4 * height > len(data):
        raise TruncatedError
    plain = compression == 0 or (compression == 3 and bits in (16, 32))
    return Header(width, height, engine_reads=plain and header_size in (12, 40, 56, 108, 124))


def read_webp(data: bytes) -> Header:
    """WebP: lossy, lossless and extended (RFC 9649)."""
    (riff_size,) = _unpack("<I", data, 4)
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise DamagedError
        width, height = (side & 0x3FFF for side in _unpack("<HH", data, 26))
    elif kind == b"VP8L":
        mark, bits = _unpack("<BI", data, 20)
        if mark != 0x2F:
            raise DamagedError
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    elif kind == b"VP8X":
        low_w, high_w, low_h, high_h = _unpack("<HBHB", data, 24)
        width, height = (low_w | high_w << 16) + 1, (low_h | high_h << 16) + 1
    else:
        raise DamagedError if len(data) >= 16 else TruncatedError
    if riff_size + 8 > len(data) + 1:  # some writers leave the padding byte of an odd last chunk out
        raise TruncatedError
    return Header(width, height, engine_reads=False)


READERS: Mapping[str, Callable[[bytes], Header]] = {
    "png": read_png,
    "jpeg": read_jpeg,
    "gif": read_gif,
    "bmp": read_bmp,
    "webp": read_webp,
}


def _unpack(layout: str, data: bytes, position: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, position)
    except struct.error:
        raise TruncatedError from None
