"""Speeds: how fast a tier will likely answer, before it was measured, and what measured answers teach about it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import (
    AnswerTimed,
    Event,
    EventStream,
    NoticeRaised,
    OutlookChanged,
    ServerState,
    ServerStatus,
    Severity,
)
from variet_gui.forecast.speed import DEPTH_TOKENS, SpeedAnswer, assess
from variet_gui.forecast.speed_calibration import SpeedCalibration, SpeedObservation, observation
from variet_gui.forecast.speed_rates import SpeedDevice
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg
from variet_gui.panel.learning import Launched
from variet_gui.panel.outlook_basis import Basis
from variet_gui.panel.outlook_machine import Machine
from variet_gui.panel.speed_book import SpeedBook
from variet_gui.telemetry.host_bandwidth import measure_host_bandwidth

log = logging.getLogger(__name__)

FEWEST_TOKENS = 64
"""Of an answer that is measured: in fewer, the first ones count for too much."""
FURTHEST = 4.0
"""A speed further than this factor from what was expected is another matter (a full card, say) and no lesson."""
FURTHEST_WITH_CPU = 12.0
"""The same where the processor has a part, of which little is known before."""
_WORKING = frozenset({ServerState.LOADING, ServerState.BUSY})
NO_CARDS = msg("Simulated cards have no speed.")


class Speeds:
    """The speed estimates of one panel. `answer` and `state` may be asked from any thread, the rest on the loop."""

    def __init__(
        self,
        path: Path,
        events: EventStream,
        statuses: Callable[[], Sequence[ServerStatus]],
        launched: Callable[[str], Launched | None],
        basis: Callable[[str, LaunchProfile], Basis | Message],
        *,
        measure: Callable[[], float | None] = measure_host_bandwidth,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the service.

        Args:
            path: of `speeds.json`.
            events: of the panel.
            statuses: returns the status of every server.
            launched: returns the last start of a tier that had a forecast.
            basis: returns what a forecast is made from, or why there can be none.
            measure: reads the computer's own memory as fast as it can; blocking.
            clock: Unix time.
        """
        self._events = events
        self._statuses = statuses
        self._launched = launched
        self._basis = basis
        self._measure = measure
        self._clock = clock
        self.book = SpeedBook(path)
        self.host_bandwidth_gib_s: float | None = None
        """Of the computer's own memory; None until it was measured, which is done where it matters."""
        self._measured = False
        self._asked = asyncio.Event()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = _nothing

    async def open(self, *, background: bool) -> None:
        """Read what was measured earlier; in the `background`, learn from answers, and measure where it matters."""
        problem = await self.book.load()
        if problem is not None:
            self._events.publish(NoticeRaised(Severity.WARNING, problem))
        if background:
            self._unsubscribe = self._events.subscribe(self._receive)
            self._running = asyncio.create_task(self._run(), name="speed of the computer's own memory")

    async def close(self) -> None:
        """Listen no longer; what was just measured is written down first."""
        self._unsubscribe()
        if self._running is not None:
            self._running.cancel()
        await asyncio.gather(*self._tasks, *([self._running] if self._running else []), return_exceptions=True)

    # ------------------------------------------------------------------------------------------------- estimates

    @property
    def state(self) -> tuple[SpeedCalibration, float | None]:
        """Return what answers depend on beside their basis; the very same object while nothing was learned."""
        return self.book.calibration, self.host_bandwidth_gib_s

    def answer(self, basis: Basis, depth_tokens: int = DEPTH_TOKENS) -> SpeedAnswer:
        """Return how fast a start will likely answer, or why that cannot be said. Some tenths of a millisecond."""
        if basis.machine.simulated:
            return SpeedAnswer(None, (NO_CARDS,))
        found = assess(
            basis.model,
            basis.profile,
            speed_devices(basis.machine),
            self.host_bandwidth_gib_s,
            depth_tokens=depth_tokens,
            build=basis.build,
            calibration=self.book.calibration,
            model=model_key(basis.model),
        )
        if found.estimate is None and not self._measured and found.needs_host:
            with self._lock:
                loop = self._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._asked.set)
        return found

    # ------------------------------------------------------------------------------------------------- host memory

    async def _run(self) -> None:
        """Measure the computer's own memory once that matters and no server works."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        try:
            while not self._measured:
                await self._asked.wait()
                self._asked.clear()
                if any(status.state in _WORKING for status in self._statuses()):
                    continue  # it is asked again as soon as anything changes
                await self.measure_host()
                self._events.publish(OutlookChanged())
        finally:
            with self._lock:
                self._loop = None

    async def prepare(self, role: str, profile: LaunchProfile) -> None:
        """Measure what the estimate of `profile` needs and that was not measured yet."""
        basis = self._basis(role, profile)
        if not isinstance(basis, Message) and self.answer(basis).needs_host:
            await self.measure_host()

    async def measure_host(self) -> None:
        """Measure the computer's own memory now, unless that was done."""
        if not self._measured:
            self._measured = True
            self.host_bandwidth_gib_s = await asyncio.to_thread(self._measure)

    # ------------------------------------------------------------------------------------------------- learning

    def _receive(self, event: Event) -> None:
        if isinstance(event, AnswerTimed) and (seen := self._lesson(event)) is not None:
            task = asyncio.get_running_loop().create_task(self._keep(seen), name="learning from a speed")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _lesson(self, answer: AnswerTimed) -> SpeedObservation | None:
        """Return what an answer teaches; None where it was short, guessed at, or something else worked beside it."""
        launched, timings = self._launched(answer.role), answer.timings
        tps = timings.generation_tps
        if launched is None or tps is None or timings.generated_tokens < FEWEST_TOKENS or timings.draft_tokens:
            return None
        if launched.profile.get("parallel") not in (None, 1):
            return None
        if any(status.role != answer.role and status.state in _WORKING for status in self._statuses()):
            return None
        basis = self._basis(answer.role, launched.profile)
        if isinstance(basis, Message):
            return None
        depth = timings.prompt_tokens + timings.cached_tokens + timings.generated_tokens // 2
        expected = self.answer(basis, depth)
        if expected.parts is None:
            return None
        furthest = FURTHEST_WITH_CPU if expected.needs_host else FURTHEST
        if not 1 / furthest < tps * expected.parts.total / 1000.0 < furthest:
            log.info(
                "%s answered with %.2f t/s, %.2f ms were expected: not learned", answer.role, tps, expected.parts.total
            )
            return None
        fingerprint = {"role": answer.role, "build": basis.build, "depth_tokens": depth}
        model = model_key(basis.model)
        return observation(expected.parts, expected.used, tps, model=model, at=self._clock(), fingerprint=fingerprint)

    async def _keep(self, seen: SpeedObservation) -> None:
        await self.book.learn(seen)
        self._events.publish(OutlookChanged())


def _nothing() -> None:
    """Nobody listens yet."""


def speed_devices(machine: Machine) -> tuple[SpeedDevice, ...]:
    """Return the devices of a machine with how fast their memory is, as far as that is known."""
    return tuple(
        SpeedDevice(
            slot.device.name,
            None if slot.bandwidth is None else slot.bandwidth.gib_s,
            stacked=slot.bandwidth is not None and slot.bandwidth.stacked,
            card=slot.card_name,
            free_mib=(slot.device.capacity_mib or 0.0) - slot.device.used_mib,
        )
        for slot in machine.slots
    )


def model_key(header: GgufHeader) -> str:
    """Return what tells a model from others among measured speeds: its file's name and size."""
    if not header.shards:
        return header.name or ""
    return f"{header.shards[0].path.name} {header.file_size}"
