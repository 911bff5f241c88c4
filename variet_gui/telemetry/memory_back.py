"""After a server has ended: is its GPU memory free again? The driver needs a moment, the next model needs it all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from variet_gui.events import DeviceBuffers, Event, EventStream, GpuSample, GpusSampled

LIMIT_S = 10.0
"""Drivers take up to a second or two; memory that is not back after this will not come back by itself."""
_ENOUGH = 0.9
"""Part of the buffers that must have come back where the driver does not tell who holds what."""
_HOST_DEVICES = ("CPU", "RPC", "BLAS")
_PINNED = "_Host"


class MemoryWatch:
    """Made before a server is told to end; `until_back` after its process is gone."""

    def __init__(
        self,
        events: EventStream,
        before: GpusSampled | None,
        pid: int,
        buffers: Iterable[DeviceBuffers],
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        """`before` is what was sampled last, None while nothing was; `buffers` are the server's own, by its log."""
        self._events = events
        self._pid = pid
        self._limit_s = limit_s
        samples = before.samples if before is not None else ()
        self._used_before = _used(samples)
        self._expected = sum(part.total_mib for part in buffers if _on_gpu(part.device))
        listed = any(held.pid == pid for sample in samples for held in sample.processes or ())
        self._worthwhile = (
            bool(samples) and not any(sample.simulated for sample in samples) and (listed or self._expected > 0)
        )

    async def until_back(self) -> bool | None:
        """Wait until no card holds memory of the process any more.

        Returns False when some still does after the limit; None when it held none, or no card can be looked at.
        """
        if not self._worthwhile:
            return None
        seen: asyncio.Queue[GpusSampled] = asyncio.Queue()

        def receive(event: Event) -> None:
            if isinstance(event, GpusSampled):
                seen.put_nowait(event)

        unsubscribe = self._events.subscribe(receive)
        try:
            async with asyncio.timeout(self._limit_s):
                while True:
                    sampled = await seen.get()
                    if not sampled.samples:
                        return None
                    if self._is_back(sampled.samples):
                        return True
        except TimeoutError:
            return False
        finally:
            unsubscribe()

    def _is_back(self, samples: tuple[GpuSample, ...]) -> bool:
        if any(held.pid == self._pid for sample in samples for held in sample.processes or ()):
            return False
        if all(sample.processes is not None for sample in samples):
            return True
        return self._used_before - _used(samples) >= _ENOUGH * self._expected


def memory_watch_factory(
    events: EventStream, latest: Callable[[], GpusSampled | None]
) -> Callable[[int, Iterable[DeviceBuffers]], MemoryWatch]:
    """Return what makes a watch of one process from what the sampler saw last."""
    return lambda pid, buffers: MemoryWatch(events, latest(), pid, buffers)


def _used(samples: Iterable[GpuSample]) -> float:
    return sum(sample.memory_used_mib or 0.0 for sample in samples)


def _on_gpu(device: str) -> bool:
    return not device.startswith(_HOST_DEVICES) and not device.endswith(_PINNED)
