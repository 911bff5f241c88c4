"""Watches servers at work: one without progress is stuck, one that crawls on a full card spills into system memory.

Both answer /health with "ok" all the time; only what they do tells.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psutil

from variet_gui.engine.load_report import is_gpu
from variet_gui.events import (
    AnswerChanged,
    Event,
    EventStream,
    Fix,
    GpuSample,
    GpusSampled,
    LogAppended,
    NoticeRaised,
    ServerState,
    ServerStatus,
    Severity,
    SpeedSampled,
)
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

TICK_S = 5.0
STUCK_S = 60.0
"""Without a token, a prompt batch or a log line, while neither its GPUs nor its processor time move."""
STUCK_FOR_CERTAIN_S = 600.0
"""The same although something is busy: a driver that hangs can keep a processor core spinning."""
SPILL_S = 20.0
"""So long must it crawl before it is told."""
CRAWL = 0.4
"""Part of a tier's usual speed below which it crawls."""
FULL = 0.97
"""Part of a card's memory from which on it is full."""
_IDLE_GPU_PERCENT = 5.0
_IDLE_CPU_SHARE = 0.05
_USUAL_SAMPLES = 200
_FEWEST_SAMPLES = 20

_FIXES = (
    Fix(msg("Save evidence"), action="save_evidence"),
    Fix(msg("Start again"), action="restart"),
)


@dataclass(slots=True)
class _Watched:
    """One server since it was ready."""

    pid: int
    moved_at: float
    cpu_s: float | None = None
    told_stuck: bool = False
    told_spill: bool = False
    crawls_since: float | None = None
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=_USUAL_SAMPLES))


class Vigil:
    """Watches until it is closed. Everything belongs to the core's event loop."""

    def __init__(
        self,
        events: EventStream,
        statuses: Callable[[], Iterable[ServerStatus]],
        gpus: Callable[[], GpusSampled | None],
        usual_tps: Callable[[str], float | None],
        *,
        tick_s: float = TICK_S,
        stuck_s: float = STUCK_S,
        spill_s: float = SPILL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`usual_tps(role)` is the speed that is recorded for a tier, None where none is."""
        self._events = events
        self._statuses = statuses
        self._gpus = gpus
        self._usual_tps = usual_tps
        self._tick_s, self._stuck_s, self._spill_s = tick_s, stuck_s, spill_s
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def begin(self) -> None:
        """Watch from now on."""
        self._unsubscribe = self._events.subscribe(self._receive)
        self._task = asyncio.create_task(self._run(), name="vigil")

    async def close(self) -> None:
        """Watch no longer."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            try:
                self.look()
            except Exception:  # a mistake in the watch must not end it, or anything else
                log.exception("the watch over stuck servers failed")

    # --------------------------------------------------------------------------------------------------------- events

    def _receive(self, event: Event) -> None:
        match event:
            case SpeedSampled(role=role) if event.generation_tps or event.prefill_tps:
                self._note_speed(role, event.generation_tps)
            case LogAppended(role=role):
                self._note_progress(role)
            case AnswerChanged():
                for role in self._watched:
                    self._note_progress(role)
            case _:
                pass

    def _note_progress(self, role: str) -> None:
        if role in self._watched:
            self._watched[role].moved_at = self._clock()

    def _note_speed(self, role: str, generation_tps: float | None) -> None:
        watched = self._watched.get(role)
        if watched is None:
            return
        now = watched.moved_at = self._clock()
        if not generation_tps:
            return
        usual = self._usual(role, watched)
        if usual is None or generation_tps >= CRAWL * usual:
            watched.crawls_since = None
            watched.speeds.append(generation_tps)
        elif watched.crawls_since is None:
            watched.crawls_since = now

    def _usual(self, role: str, watched: _Watched) -> float | None:
        """Return what this tier usually makes: by its own figures of this life, else by what is recorded."""
        if len(watched.speeds) >= _FEWEST_SAMPLES:
            return statistics.median(watched.speeds)
        return self._usual_tps(role)

    # ----------------------------------------------------------------------------------------------------------- looks

    def look(self) -> None:
        """Judge every server once."""
        now = self._clock()
        up = {status.role: status for status in self._statuses() if status.state.is_up and status.pid is not None}
        for role in tuple(self._watched):
            if role not in up or up[role].pid != self._watched[role].pid:
                del self._watched[role]
        for role, status in up.items():
            assert status.pid is not None
            watched = self._watched.setdefault(role, _Watched(status.pid, now))
            if status.state is not ServerState.BUSY:
                watched.moved_at = now
                watched.told_stuck = False
                watched.crawls_since = None
                continue
            self._judge_stuck(status, watched, now)
            self._judge_spill(status, watched, now)

    def _judge_stuck(self, status: ServerStatus, watched: _Watched, now: float) -> None:
        works = self._works(status, watched)
        still_s = now - watched.moved_at
        if watched.told_stuck or still_s < self._stuck_s or (works and still_s < STUCK_FOR_CERTAIN_S):
            return
        watched.told_stuck = True
        self._tell(
            status.role,
            msg(
                "{role} has been working on a request for {seconds} s without any progress, although it says that it "
                "is well. Wait, save the evidence, or start it again.",
                role=status.role,
                seconds=round(still_s),
            ),
        )

    def _works(self, status: ServerStatus, watched: _Watched) -> bool:
        """Whether its GPUs are busy, or its process uses the processor."""
        before, watched.cpu_s = watched.cpu_s, _cpu_seconds(watched.pid)
        cards = [gpu.utilisation_percent for gpu in self._cards_of(status) if gpu.utilisation_percent is not None]
        if cards:
            return max(cards) >= _IDLE_GPU_PERCENT
        if before is None or watched.cpu_s is None:
            return True
        return watched.cpu_s - before >= _IDLE_CPU_SHARE * self._tick_s

    def _judge_spill(self, status: ServerStatus, watched: _Watched, now: float) -> None:
        if watched.told_spill or watched.crawls_since is None or now - watched.crawls_since < self._spill_s:
            return
        full = [
            gpu
            for gpu in self._cards_of(status)
            if gpu.memory_total_mib and (gpu.memory_used_mib or 0.0) >= FULL * gpu.memory_total_mib
        ]
        if not full:
            return
        watched.told_spill = True
        self._tell(
            status.role,
            msg(
                "{role} is far slower than usual and GPU {index} is full: it probably spills into the computer's own "
                "memory. A smaller context or cache type gives it room.",
                role=status.role,
                index=full[0].index,
            ),
        )

    def _cards_of(self, status: ServerStatus) -> list[GpuSample]:
        """Return the real cards that hold memory of this server; all of them where nobody tells which."""
        latest = self._gpus()
        if latest is None or not any(is_gpu(part.device) and part.total_mib for part in status.buffers):
            return []
        cards = [gpu for gpu in latest.samples if not gpu.simulated]
        named = [gpu for gpu in cards if any(held.pid == status.pid for held in gpu.processes or ())]
        return named or cards

    def _tell(self, role: str, text: Message) -> None:
        self._events.publish(NoticeRaised(Severity.WARNING, text, role=role, fixes=_FIXES))


def _cpu_seconds(pid: int) -> float | None:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
