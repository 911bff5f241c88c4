"""Memory and CPU of the computer itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import psutil

from variet_gui.events import EventStream, HostSample, HostSampled

log = logging.getLogger(__name__)

_MIB = 1024 * 1024
_QUICK_S = 0.001
"""What a reading may take on the core's own thread; a slower one (hundreds of cores) moves to a worker thread."""


class HostSampler:
    """Publishes HostSampled once per interval."""

    def __init__(self, events: EventStream, interval_s: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self._events = events
        self._interval_s = interval_s
        self._clock = clock
        self._cost_s = 0.0
        self._primed = False
        self.latest: HostSampled | None = None
        """The newest round; None before the first."""

    async def run(self) -> None:
        """Sample until cancelled. The first round comes after one interval: CPU load is a difference of two."""
        while True:
            try:
                sample = await asyncio.to_thread(self._read) if self._cost_s > _QUICK_S else self._read()
            except (OSError, RuntimeError, psutil.Error) as error:  # containers that hide /proc files
                log.debug("host memory and CPU could not be read: %s", error)
                sample = None
            if sample is not None:
                self.latest = HostSampled(self._clock(), sample)
                self._events.publish(self.latest)
            await asyncio.sleep(self._interval_s)

    def _read(self) -> HostSample | None:
        started = time.perf_counter()
        cpu = psutil.cpu_percent(None)
        memory = psutil.virtual_memory()
        self._cost_s = time.perf_counter() - started
        if not self._primed:
            self._primed = True
            return None
        # "Used" is what cannot be had: the page cache (a memory-mapped model, too) is given back when asked for.
        return HostSample((memory.total - memory.available) / _MIB, memory.total / _MIB, cpu)
