"""How long a load will go on: what earlier loads say, counted down between two words of the server."""

from __future__ import annotations

import time
from collections.abc import Callable

from variet_gui.events import ServerStatus


class LoadCountdown:
    """Follows one server. A status holds for the moment its progress last changed; from then on time is taken off."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, clock: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._clock = clock
        self._progress: float | None = None
        self._left_s: float | None = None
        self._at: float | None = None

    def take(self, status: ServerStatus) -> None:
        """Take what is known of the server now."""
        if status.load_seconds_left is None:
            self._progress = self._left_s = self._at = None
        elif self._at is None or status.progress != self._progress:
            # Seen for the first time in the middle of a load (the window was built anew), it began when it says.
            before_s = max(0.0, self._clock() - status.since) if self._at is None and status.progress is None else 0.0
            self._progress, self._left_s = status.progress, status.load_seconds_left
            self._at = self._monotonic() - before_s

    def left_s(self) -> float | None:
        """Return how many seconds it will probably go on; below 0: so much longer than usual. None: nobody knows."""
        if self._left_s is None or self._at is None:
            return None
        return self._left_s - (self._monotonic() - self._at)
