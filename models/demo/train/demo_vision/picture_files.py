"""Pictures as PNG files, without any library of pictures."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from demo_vision.drawing import Pixels


def png(pixels: Pixels) -> bytes:
    """Return (height, width, 3) pixels as an 8-bit RGB PNG."""
    height, width = pixels.shape[:2]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, 3 * width)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def data_url(pixels: Pixels) -> str:
    """Return the picture as a chat request carries it."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
