"""Headers of model files in memory: asked for from any thread, read in the background, looked at again now and then."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from variet_gui.gguf.header import GgufError, GgufHeader, read_header
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 5.0
"""A file that is still asked for after so long is looked at again: it may have come, gone or been replaced."""


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """What is known of one file: its header, or why there is none."""

    header: GgufHeader | None
    problem: Message | None
    looked_at: float
    """Monotonic, s."""


class HeaderShelf:
    """The headers of one panel."""

    def __init__(self, on_change: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`on_change` is called on the loop's thread when a file that was asked for turns out to be another."""
        self._on_change = on_change
        self._clock = clock
        self._entries: dict[Path, ShelfEntry] = {}
        self._wanted: set[Path] = set()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked = asyncio.Event()

    def get(self, path: Path) -> ShelfEntry | None:
        """Return what is known of `path`; None until it was looked at, which is then asked for. Never waits."""
        entry = self._entries.get(path)
        if entry is None or self._clock() - entry.looked_at > LOOK_AGAIN_S:
            with self._lock:
                new = path not in self._wanted
                self._wanted.add(path)
                loop = self._loop
            if new and loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._asked.set)
        return entry

    async def read(self, path: Path) -> ShelfEntry:
        """Look at `path` now and return what it says."""
        entry = await asyncio.to_thread(self._look, path)
        self._entries[path] = entry
        return entry

    async def run(self) -> None:
        """Look at what is asked for, until cancelled."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        try:
            while True:
                with self._lock:
                    wanted, self._wanted = self._wanted, set()
                    self._asked.clear()
                changed = False
                for path in sorted(wanted):
                    before = self._entries.get(path)
                    after = await self.read(path)
                    # A file that did not change gives the very same header.
                    changed |= before is None or before.header is not after.header or before.problem != after.problem
                if changed:
                    self._on_change()
                await self._asked.wait()
        finally:
            with self._lock:
                self._loop = None

    def _look(self, path: Path) -> ShelfEntry:
        try:
            return ShelfEntry(read_header(path), None, self._clock())
        except GgufError as error:
            return ShelfEntry(None, error.message, self._clock())
        except OSError as error:
            problem = msg("{file} cannot be read: {reason}.", file=path.name, reason=error.strerror or str(error))
            return ShelfEntry(None, problem, self._clock())
