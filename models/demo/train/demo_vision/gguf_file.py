"""GGUF files with their weights: reading a language model as plain numbers, and writing a projector.

Layout: `ggml/src/gguf.cpp`; packed types: `ggml/src/ggml-quants.c` (dequantize_row_*), llama.cpp b11434.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_U32, _F32, _BOOL = 4, 6, 7
_WRITABLE = {"float32": 0, "float16": 1}
_BLOCK_BYTES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}
"""Elements and bytes of a block: f32, f16, q4_0, q4_1, q5_0, q5_1, q8_0."""


class GgufFile:
    """A GGUF file in memory: all metadata, and tensors on demand."""

    def __init__(self, path: Path) -> None:
        self._data = memoryview(path.read_bytes())
        self._at = 0
        if bytes(self._data[:4]) != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file")
        self._at = 8
        n_tensors, n_keys = self._number("Q"), self._number("Q")
        self.metadata: dict[str, Any] = {}
        for _ in range(n_keys):
            key = self._string()
            self.metadata[key] = self._value(self._number("I"))
        self.tensors: dict[str, tuple[tuple[int, ...], int, int]] = {}
        """By name: shape in numpy's order, number of the type, offset behind the header."""
        for _ in range(n_tensors):
            name = self._string()
            shape = tuple(self._number("Q") for _ in range(self._number("I")))
            self.tensors[name] = (shape[::-1], self._number("I"), self._number("Q"))
        alignment = int(self.metadata.get("general.alignment", ALIGNMENT))
        self._start = -(-self._at // alignment) * alignment

    def weights(self, name: str) -> NDArray[np.float32]:
        """Return a tensor as float32.

        Raises:
            KeyError: there is no such tensor.
            ValueError: it is packed in a way that is not known here.
        """
        shape, kind, offset = self.tensors[name]
        if kind not in _BLOCK_BYTES:
            raise ValueError(f"{name} is packed as type {kind}, which is not known here")
        block, size = _BLOCK_BYTES[kind]
        begin = self._start + offset
        raw = np.frombuffer(self._data, np.uint8, int(np.prod(shape)) // block * size, begin)
        return unpacked(raw.reshape(-1, size), kind).reshape(shape)

    def _number(self, code: str) -> Any:
        layout = struct.Struct("<" + code)
        (value,) = layout.unpack_from(self._data, self._at)
        self._at += layout.size
        return value

    def _string(self) -> str:
        length = self._number("Q")
        self._at += length
        return bytes(self._data[self._at - length : self._at]).decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = self._number("I"), self._number("Q")
            return [self._value(inner) for _ in range(count)]
        return self._number(_SCALARS[kind])


def unpacked(blocks: NDArray[np.uint8], kind: int) -> NDArray[np.float32]:
    """Return the numbers in `blocks` (one block a row) of a ggml type."""
    if kind == 0:
        return blocks.reshape(-1).view(np.float32).copy()
    if kind == 1:
        return blocks.reshape(-1).view(np.float16).astype(np.float32)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    if kind == 8:
        return scale * blocks[:, 2:].view(np.int8).astype(np.float32)
    has_minimum = kind in (3, 7)
    at = 4 if has_minimum else 2
    high = np.zeros((len(blocks), 32), np.uint8)
    if kind in (6, 7):
        bits = blocks[:, at : at + 4].copy().view("<u4")
        high = ((bits >> np.arange(32, dtype=np.uint32) & 1) << 4).astype(np.uint8)
        at += 4
    packed = blocks[:, at : at + 16]
    numbers = (np.concatenate([packed & 15, packed >> 4], axis=1) | high).astype(np.float32)
    if has_minimum:
        return scale * numbers + blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
    return scale * (numbers - (16 if kind == 6 else 8))


class GgufWriter:
    """A GGUF v3 file in the making."""

    def __init__(self, architecture: str) -> None:
        self._keys: list[bytes] = []
        self._tensors: list[tuple[str, Array]] = []
        self.text("general.architecture", architecture)

    def text(self, key: str, value: str) -> None:
        """Add a string."""
        self._keys.append(_packed(key) + struct.pack("<I", _STRING) + _packed(value))

    def u32(self, key: str, value: int) -> None:
        """Add an unsigned whole number."""
        self._keys.append(_packed(key) + struct.pack("<II", _U32, value))

    def f32(self, key: str, value: float) -> None:
        """Add a float."""
        self._keys.append(_packed(key) + struct.pack("<If", _F32, value))

    def boolean(self, key: str, value: bool) -> None:
        """Add a truth value."""
        self._keys.append(_packed(key) + struct.pack("<I?", _BOOL, value))

    def f32s(self, key: str, values: Sequence[float]) -> None:
        """Add a list of floats."""
        head = struct.pack("<IIQ", _ARRAY, _F32, len(values))
        self._keys.append(_packed(key) + head + struct.pack(f"<{len(values)}f", *values))

    def tensor(self, name: str, values: Array) -> None:
        """Add a tensor, float32 or float16, in numpy's order of dimensions."""
        self._tensors.append((name, np.ascontiguousarray(values)))

    def write(self, path: Path) -> Path:
        """Write the file and return `path`."""
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self._tensors), len(self._keys)) + b"".join(self._keys)
        body: list[bytes] = []
        offset = 0
        for name, values in self._tensors:
            shape = struct.pack(f"<I{values.ndim}Q", values.ndim, *reversed(values.shape))
            head += _packed(name) + shape + struct.pack("<IQ", _WRITABLE[values.dtype.name], offset)
            data = values.tobytes()
            body.append(data + b"\0" * (-len(data) % ALIGNMENT))
            offset += len(body[-1])
        path.write_bytes(head + b"\0" * (-len(head) % ALIGNMENT) + b"".join(body))
        return path


def _packed(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data
