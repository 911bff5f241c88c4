"""Stand-ins for GPUs in the demo: their memory follows what the running servers really allocated.

Nothing is invented: no utilisation, no temperature, no power, and no memory beyond the servers' own buffers. Every
sample says that it is simulated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from variet_gui.events import EventStream, GpuProcess, GpuSample, GpusSampled, ServerState, ServerStatus


class SimulatedGpus:
    """Publishes GpusSampled for cards that do not exist."""

    def __init__(
        self,
        capacities_mib: Sequence[int],
        events: EventStream,
        statuses: Callable[[], Iterable[ServerStatus]],
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`capacities_mib`: one number per card. `statuses` returns every server there is, running or not."""
        self._capacities = tuple(capacities_mib)
        self._events = events
        self._statuses = statuses
        self._interval_s = interval_s
        self._clock = clock
        self.latest: GpusSampled | None = None
        """The newest round; None before the first."""

    async def run(self) -> None:
        """Publish one round per interval until cancelled."""
        while True:
            self.sample()
            await asyncio.sleep(self._interval_s)

    def sample(self) -> GpusSampled:
        """Publish one round now, and return it."""
        used = [0.0] * len(self._capacities)
        holders: list[list[GpuProcess]] = [[] for _ in self._capacities]
        for status in self._statuses():
            for index, mib in enumerate(self._held_by(status)):
                used[index] += mib
                if mib and status.pid is not None:
                    holders[index].append(GpuProcess(status.pid, round(mib, 2)))
        samples = tuple(
            GpuSample(
                index=index,
                name=f"Simulated GPU {index}",
                # Stand-in cards cannot refuse an allocation; a full one is full.
                memory_used_mib=round(min(mib, capacity), 2),
                memory_total_mib=float(capacity),
                processes=tuple(holders[index]),
                simulated=True,
            )
            for index, (mib, capacity) in enumerate(zip(used, self._capacities, strict=True))
        )
        self.latest = GpusSampled(self._clock(), samples)
        self._events.publish(self.latest)
        return self.latest

    def _held_by(self, status: ServerStatus) -> list[float]:
        """Return what one server would hold on each card, MiB."""
        if not status.state.is_active or not self._capacities:
            return [0.0] * len(self._capacities)
        weights = sum(buffers.weights_mib or 0.0 for buffers in status.buffers)
        if status.state is ServerState.LOADING and status.progress is not None:
            weights *= min(max(status.progress, 0.0), 1.0)
        rest = sum((buffers.context_mib or 0.0) + (buffers.compute_mib or 0.0) for buffers in status.buffers)
        held = [(weights + rest) * share for share in self._shares(status)]
        if (status.values or {}).get("mmproj_offload") is not False:
            held[0] += sum(buffers.projector_mib or 0.0 for buffers in status.buffers)
        return held

    def _shares(self, status: ServerStatus) -> list[float]:
        """Return the part of the model on each card; 1 in sum, or all 0 when the tier keeps its layers in host RAM.

        The order of precedence is llama.cpp's: no layers offloaded, one card only, the given split, else even.
        """
        count = len(self._capacities)
        values = status.values or {}
        if values.get("n_gpu_layers") == 0:
            return [0.0] * count
        if values.get("split_mode") == "none":
            main = values.get("main_gpu")
            chosen = main if isinstance(main, int) and 0 <= main < count else 0
            return [1.0 if index == chosen else 0.0 for index in range(count)]
        split = values.get("tensor_split")
        if isinstance(split, tuple):
            parts = [max(part, 0.0) for part in split[:count]] + [0.0] * (count - len(split))
            if sum(parts) > 0:
                return [part / sum(parts) for part in parts]
        return [1 / count] * count
