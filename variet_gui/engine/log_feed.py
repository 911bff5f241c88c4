"""One server's log on its way from the file to everybody: kept in a ring, parsed into facts, published in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from variet_gui.engine.log_parser import Fact, parse
from variet_gui.engine.log_tail import CHUNK_BYTES, FASTEST_POLL_S, SLOWEST_POLL_S, LogTail, cut
from variet_gui.events import EventStream, LogAppended

log = logging.getLogger(__name__)

RING_LINES = 10_000
"""Lines of the current log that stay in memory; the file has them all."""
PUBLISH_S = 0.1
"""At most one LogAppended in this time."""
LARGEST_LOG_BYTES = 64 * 1024 * 1024
PARSED_CHUNK_BYTES = 32 * 1024
"""A chunk whose every line is parsed is smaller: a line costs up to 10 microseconds."""
PARSED_IN_A_FLOOD = 200
"""Lines of one large chunk that are parsed once the server is up: a load says 900 in all, more than this is a flood."""


class LineRing:
    """The newest lines of one server's logs, each with a serial number that never comes again. Safe from any thread."""

    def __init__(self, size: int = RING_LINES) -> None:
        self._lines: deque[str] = deque(maxlen=size)
        self._end = 0
        self._lock = threading.Lock()

    def extend(self, lines: Sequence[str]) -> None:
        """Add lines, oldest first."""
        with self._lock:
            self._lines.extend(lines)
            self._end += len(lines)

    def clear(self) -> None:
        """Forget the lines of an earlier run; numbering goes on."""
        with self._lock:
            self._lines.clear()

    def since(self, serial: int) -> tuple[int, list[str]]:
        """Return the serial number behind the newest line, and the lines from `serial` on as far as they are kept."""
        with self._lock:
            fresh = min(self._end - serial, len(self._lines))
            return self._end, list(self._lines)[len(self._lines) - fresh :]


class LogFeed:
    """Follows one log from its first line on. `run` until the writer has ended, then `drain`."""

    def __init__(
        self,
        role: str,
        path: Path,
        events: EventStream,
        ring: LineRing,
        on_facts: Callable[[Sequence[Fact]], None],
    ) -> None:
        self._role = role
        self._path = path
        self._events = events
        self._ring = ring
        self._on_facts = on_facts
        self._tail = LogTail(path)
        self._unpublished: deque[str] = deque(maxlen=RING_LINES)
        self._published_at = 0.0
        self._cut_at = LARGEST_LOG_BYTES
        self.parse_everything = True
        """True during a load, where every line counts; False: a flood is not parsed to its last line."""

    async def run(self) -> None:
        """Follow the log until cancelled. A log that cannot be read is reported once, and tried again."""
        pause_s = FASTEST_POLL_S
        readable = True
        while True:
            try:
                more = self.step()
                readable = True
            except OSError as error:
                if readable:
                    log.warning("the log %s cannot be read: %s", self._path, error)
                readable = more = False
            if self._tail.position > self._cut_at:
                await self._cut()
            await asyncio.sleep(0.0 if more else pause_s)
            pause_s = FASTEST_POLL_S if more or self._unpublished else min(pause_s * 1.5, SLOWEST_POLL_S)

    def step(self) -> bool:
        """Take the next chunk; return whether there was one."""
        before = self._tail.position
        self._take(self._tail.read(PARSED_CHUNK_BYTES if self.parse_everything else CHUNK_BYTES))
        self._publish_when_due()
        return self._tail.position != before

    def catch_up(self) -> None:
        """Take what a whole load says, now and not at the next look; a log that cannot be read is for `run` to tell."""
        with contextlib.suppress(OSError):
            for _ in range(CHUNK_BYTES // PARSED_CHUNK_BYTES):
                if not self.step():
                    break

    async def drain(self) -> None:
        """Take and publish all that is left, the unfinished last line included. The writer has ended."""
        try:
            while self.step():  # noqa: ASYNC110 - nothing is waited for: others get a turn between two chunks
                await asyncio.sleep(0)
        except OSError as error:
            log.warning("the end of the log %s cannot be read: %s", self._path, error)
        self._take(self._tail.last_words())
        self._publish()

    def _take(self, lines: tuple[str, ...]) -> None:
        if not lines:
            return
        self._ring.extend(lines)
        self._unpublished.extend(lines)
        parsed = lines if self.parse_everything else lines[-PARSED_IN_A_FLOOD:]
        facts = [fact for fact in map(parse, parsed) if fact is not None]
        if facts:
            self._on_facts(facts)

    def _publish_when_due(self) -> None:
        if time.monotonic() - self._published_at >= PUBLISH_S:
            self._publish()

    def _publish(self) -> None:
        if self._unpublished:
            self._published_at = time.monotonic()
            lines = tuple(self._unpublished)
            self._unpublished.clear()
            self._events.publish(LogAppended(self._role, lines))

    async def _cut(self) -> None:
        try:
            await asyncio.to_thread(cut, self._path)
            self._cut_at = LARGEST_LOG_BYTES
        except OSError as error:
            log.warning("the log %s cannot be cut: %s", self._path, error)
            self._cut_at = self._tail.position + LARGEST_LOG_BYTES
