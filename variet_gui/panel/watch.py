"""Watch: the samplers and the store behind the plots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from variet_gui.client.api import LlamaApi
from variet_gui.events import Event, EventStream, GpusSampled, ServerStatus
from variet_gui.telemetry.gpu import GpuSampler
from variet_gui.telemetry.host import HostSampler
from variet_gui.telemetry.simulated_gpu import SimulatedGpus
from variet_gui.telemetry.store import MetricStore
from variet_gui.telemetry.tokens import TokenMeter

log = logging.getLogger(__name__)


class Watch:
    """Owns every sampler while the panel is open. One sampler of each kind for the whole application."""

    def __init__(
        self,
        events: EventStream,
        api: Callable[[str], LlamaApi],
        statuses: Callable[[], Iterable[ServerStatus]],
        on_busy: Callable[[str, bool], None],
    ) -> None:
        self._events = events
        self._statuses = statuses
        self.store = MetricStore()
        self.meter = TokenMeter(events, statuses, api_for=lambda status: api(status.base_url or ""), on_busy=on_busy)
        self.gpus: GpusSampled | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._unfollow: list[Callable[[], None]] = []

    def start(self, simulated_mib: list[int] | None) -> None:
        """Begin sampling. With `simulated_mib`, GPUs of those capacities stand in for real ones (demo)."""
        self._unfollow = [self.store.follow(self._events), self._events.subscribe(self._remember_gpus)]
        gpus = (
            SimulatedGpus(simulated_mib, self._events, self._statuses)
            if simulated_mib is not None
            else GpuSampler(self._events)
        )
        for name, sampler in (("gpu", gpus), ("host", HostSampler(self._events)), ("tokens", self.meter)):
            self._tasks.append(asyncio.create_task(sampler.run(), name=f"sampler-{name}"))

    async def close(self) -> None:
        """End every sampler and wait until it is gone."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a sampler ended with an error", exc_info=result)
        self._tasks.clear()
        for unfollow in self._unfollow:
            unfollow()
        self._unfollow.clear()

    def _remember_gpus(self, event: Event) -> None:
        if isinstance(event, GpusSampled):
            self.gpus = event
