"""Follow a server's log file: whole lines in batches, whatever the server writes and however much of it.

The server writes to a file and not to a pipe: a file survives a crash of the panel and never blocks the server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

CHUNK_BYTES = 256 * 1024
"""Read at once; keeps one step of the event loop under a millisecond or two."""
LONGEST_LINE_BYTES = 64 * 1024
"""A longer line is handed over in pieces, so that a server that never ends its line cannot fill our memory."""
FASTEST_POLL_S = 0.05
SLOWEST_POLL_S = 0.25
OLDER_LOGS = 5


class LogTail:
    """A reader that remembers how far it got in one log file. Needs no file to begin with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = b""
        self.position = 0
        """Bytes read so far."""

    def read(self, most_bytes: int = CHUNK_BYTES) -> tuple[str, ...]:
        """Return the whole lines of the next chunk (at most `most_bytes`), without their line ends.

        Empty when there is nothing new, or no file. A file that became shorter is read again from its start; bytes
        that are not UTF-8 become U+FFFD.

        Raises:
            OSError: the file is there and cannot be read.
        """
        chunk = self._next_chunk(most_bytes)
        if not chunk:
            return ()
        *lines, rest = (self._unfinished + chunk).split(b"\n")
        while len(rest) > LONGEST_LINE_BYTES:
            lines.append(rest[:LONGEST_LINE_BYTES])
            rest = rest[LONGEST_LINE_BYTES:]
        self._unfinished = rest
        return tuple(_text(line) for line in lines)

    def last_words(self) -> tuple[str, ...]:
        """Return the last line if it was never ended, for when its writer is gone; the next read starts after it."""
        unfinished, self._unfinished = self._unfinished, b""
        return (_text(unfinished),) if unfinished else ()

    def _next_chunk(self, most_bytes: int) -> bytes:
        try:
            with self._path.open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size < self.position:  # it was truncated, or made anew
                    self.position = 0
                    self._unfinished = b""
                file.seek(self.position)
                chunk = file.read(most_bytes) or b""
        except FileNotFoundError:
            return b""
        self.position += len(chunk)
        return chunk


async def tail(
    path: Path, *, fastest_poll_s: float = FASTEST_POLL_S, slowest_poll_s: float = SLOWEST_POLL_S
) -> AsyncIterator[tuple[str, ...]]:
    """Yield the lines of the log at `path`, from its first on, in batches; ends only when it is cancelled or closed.

    Looks for more at once while there is more, and the more rarely the longer nothing comes.
    """
    reader = LogTail(path)
    pause_s = fastest_poll_s
    while True:
        before = reader.position
        lines = reader.read()
        if lines:
            yield lines
        if reader.position != before:
            pause_s = fastest_poll_s
            await asyncio.sleep(0)  # a flood must leave the loop to others between two chunks
        else:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, slowest_poll_s)


def rotate(path: Path, keep: int = OLDER_LOGS) -> None:
    """Make room for a new log at `path`: `fast.log` becomes `fast.1.log`, and so on; the oldest of `keep` goes.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        _shift(path, keep)
        path.replace(older(path, 1))


def cut(path: Path, keep: int = OLDER_LOGS) -> None:
    """Copy the log at `path` to `fast.1.log` and empty it, while its writer goes on appending to the same file.

    What is written between the two is lost: a few lines of a flood, which is what makes a log grow that large.

    Raises:
        OSError: the disk is full, or the folder cannot be written. The log itself is then as it was.
    """
    _shift(path, keep)
    shutil.copyfile(path, older(path, 1))
    os.truncate(path, 0)


def older(path: Path, number: int) -> Path:
    """Return the name of the log that was current `number` starts ago."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _shift(path: Path, keep: int) -> None:
    for number in range(keep - 1, 0, -1):
        if older(path, number).exists():
            older(path, number).replace(older(path, number + 1))


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", errors="replace")
