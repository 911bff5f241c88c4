"""What stepping over a vocabulary saves, beside reading every entry of it, in one run.

Run: python -m tests.benchmarks.bench_gguf_header
Read the ratio; the milliseconds are this machine's, of process time. The file has the vocabulary of a Gemma 4: 262,144
tokens, 514,906 merges, scores and kinds, 14 MiB of header.
"""

from __future__ import annotations

import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from variet_gui.gguf.reader import HeaderReader, SkippedArray
from variet_gui.gguf.types import ARRAY, SCALARS, STRING

TOKENS = 262_144
MERGES = 514_906


def write_header(path: Path) -> None:
    """Write a header with a vocabulary and no tensors."""
    words = [f"tok{number:07}".encode()[: 3 + number % 9] for number in range(TOKENS)]
    pairs = [f"{number % 7919:x} {number % 104729:x}".encode() for number in range(MERGES)]
    keys = [
        _key("general.architecture", STRING, struct.pack("<Q", 6) + b"gemma4"),
        _array("tokenizer.ggml.tokens", STRING, words),
        _numbers("tokenizer.ggml.scores", 6, TOKENS),
        _numbers("tokenizer.ggml.token_type", 5, TOKENS),
        _array("tokenizer.ggml.merges", STRING, pairs),
    ]
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))


def read_all(path: Path) -> int:
    """Read every entry of every list with struct, as a plain reader does; return how many there were."""
    data = path.read_bytes()
    count = 0
    (n_keys,) = struct.unpack_from("<Q", data, 16)
    position = 24
    for _ in range(n_keys):
        _, position = _read_string(data, position)
        (kind,) = struct.unpack_from("<I", data, position)
        position += 4
        if kind == STRING:
            _, position = _read_string(data, position)
        elif kind == ARRAY:
            kind, length = struct.unpack_from("<IQ", data, position)
            position += 12
            values: list[object] = []
            for _ in range(length):
                if kind == STRING:
                    value, position = _read_string(data, position)
                    values.append(value)
                else:
                    values.append(SCALARS[kind].unpack_from(data, position)[0])
                    position += SCALARS[kind].size
            count += len(values)
    return count


def skip_all(path: Path) -> int:
    """Step over the same lists with the reader of the panel; return how many entries there were."""
    count = 0
    with path.open("rb", buffering=0) as file:
        reader = HeaderReader(file, path, path.stat().st_size)
        reader.raw(16)
        for _ in range(reader.u64()):
            reader.string()
            kind = reader.u32()
            if kind == ARRAY:
                found = reader.array()
                count += found.length if isinstance(found, SkippedArray) else len(found)
            else:
                reader.scalar(kind)
    return count


def main() -> None:
    """Write the file, read it both ways, print the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.gguf"
        write_header(path)
        expected = 3 * TOKENS + MERGES
        skipping_ms = min(_ms(path, expected, skip_all) for _ in range(5))
        reading_ms = min(_ms(path, expected, read_all) for _ in range(3))
        print(f"header {path.stat().st_size / 2**20:.1f} MiB, {expected} entries")
        print(f"stepping over {skipping_ms:8.1f} ms")
        print(f"reading all   {reading_ms:8.1f} ms")
        print(f"ratio         {reading_ms / skipping_ms:8.1f}")


def _ms(path: Path, expected: int, read: Callable[[Path], int]) -> float:
    began = time.process_time()
    assert read(path) == expected
    return (time.process_time() - began) * 1000


def _read_string(data: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, position)
    position += 8
    return data[position : position + length].decode("utf-8", errors="replace"), position + length


def _key(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


def _array(name: str, kind: int, values: list[bytes]) -> bytes:
    body = b"".join(struct.pack("<Q", len(value)) + value for value in values)
    return _key(name, ARRAY, struct.pack("<IQ", kind, len(values)) + body)


def _numbers(name: str, kind: int, count: int) -> bytes:
    return _key(name, ARRAY, struct.pack("<IQ", kind, count) + b"\0" * (4 * count))


if __name__ == "__main__":
    main()
