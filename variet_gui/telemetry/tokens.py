"""Tokens per second of every running server, while it works: from /slots, and from our own streams.

llama-server's /metrics counts a request when it has ended, so the live figure is made of differences of the counters
in /slots (tools/server/server-context.cpp): `n_decoded` grows with every generated token, `n_prompt_tokens_processed`
with every prompt batch that was decoded. Both begin anew with every task.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from variet_gui.client.errors import ApiError
from variet_gui.events import Event, EventStream, LogAppended, ServerStateChanged, ServerStatus, SpeedSampled
from variet_gui.telemetry.rates import Rate

log = logging.getLogger(__name__)

IDLE_S, BUSY_S = 15.0, 0.2
"""Seconds between two looks at a server without and with work. Each look at an idle server puts a line into its log, so
an idle one is left alone until its log, or our own stream, says that there is work."""
_ECHO = "all slots are idle"
"""What a look at an idle server leaves in its log."""
TIMEOUT_S = 1.0
"""Older builds answer /slots only between two batches: seconds, with experts on the CPU. That is no failure."""
NOTE_FRESH_S = 1.5
"""For how long a figure from our own stream stands."""


class SlotReading(Protocol):
    """One slot of /slots; counters are None until the slot has had a task."""

    @property
    def id(self) -> int:
        """The slot's number."""
        ...

    @property
    def id_task(self) -> int | None:
        """The task it works on, or worked on last."""
        ...

    @property
    def is_processing(self) -> bool:
        """Whether it works now."""
        ...

    @property
    def n_prompt_processed(self) -> int | None:
        """Prompt tokens decoded for this task, cached ones not counted."""
        ...

    @property
    def n_decoded(self) -> int | None:
        """Tokens generated for this task; 0 while the prompt is processed."""
        ...


class SlotsApi(Protocol):
    """The part of `client.api.LlamaApi` that is needed here."""

    async def slots(self) -> Sequence[SlotReading]:
        """Return the state of every slot."""
        ...


class _SlotMeter:
    """One task in one slot."""

    def __init__(self, task: int | None) -> None:
        self.task = task
        self._decoded = -1
        self._generation = Rate(step=1)
        self._prefill = Rate(step=None)

    def follows(self, slot: SlotReading) -> bool:
        return self.task == slot.id_task and (slot.n_decoded or 0) >= self._decoded

    def feed(self, at: float, slot: SlotReading, gap_s: float) -> tuple[float | None, float | None]:
        """Return (generation, prefill) in tokens per second."""
        self._decoded = slot.n_decoded or 0
        if self._decoded:
            return self._generation.feed(at, self._decoded, gap_s), None
        return None, self._prefill.feed(at, slot.n_prompt_processed or 0, gap_s)


class _Watch:
    """What is known of one server between two looks."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        self.task: asyncio.Task[None] | None = None
        self.nudge = asyncio.Event()
        self.busy = False
        self.slots: dict[int, _SlotMeter] = {}
        self.looked_at = -math.inf
        self.measured: tuple[float | None, float | None] = (None, None)
        self.measured_at = -math.inf
        self.note: tuple[float | None, float | None] = (None, None)
        self.noted_at = -math.inf
        self.published: tuple[float | None, float | None] = (None, None)
        self.published_at = -math.inf

    def speed(self, now: float) -> tuple[float | None, float | None]:
        """Merge: /slots sees every client and wins; our own stream fills in what /slots does not tell."""
        fresh = now - self.measured_at <= NOTE_FRESH_S
        measured = self.measured if fresh else (None, None)
        note = self.note if now - self.noted_at <= NOTE_FRESH_S else (None, None)
        generation, prefill = (a if a is not None else b for a, b in zip(measured, note, strict=True))
        return generation, prefill


class TokenMeter:
    """Publishes SpeedSampled for every server that is up: while it works, and once (None) when it stops working."""

    def __init__(
        self,
        events: EventStream,
        statuses: Callable[[], Iterable[ServerStatus]],
        *,
        api_for: Callable[[ServerStatus], SlotsApi],
        on_busy: Callable[[str, bool], None] | None = None,
        clock: Callable[[], float] = time.time,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`statuses` returns every server there is; `api_for` the way to ask one that is up.

        `on_busy(role, busy)` is called when a server was seen to begin or end work.
        """
        self._events = events
        self._api_for = api_for
        self._statuses = statuses
        self._on_busy = on_busy
        self._clock = clock
        self._timeout_s = timeout_s
        self._watches: dict[str, _Watch] = {}

    async def run(self) -> None:
        """Measure until cancelled."""
        changed = asyncio.Event()

        def receive(event: Event) -> None:
            if isinstance(event, ServerStateChanged):
                changed.set()
            elif isinstance(event, LogAppended):
                self._hear(event)

        unsubscribe = self._events.subscribe(receive)
        try:
            while True:
                changed.clear()
                self._reconcile()
                await changed.wait()
        finally:
            unsubscribe()
            tasks = [self._forget(role) for role in tuple(self._watches)]
            # Their open requests must be closed before the servers are asked to stop.
            await asyncio.gather(*filter(None, tasks), return_exceptions=True)

    def note_stream(self, role: str, generation_tps: float | None, prefill_tps: float | None) -> None:
        """Take the figures that our own answer's stream tells, so that the curve moves when /slots does not answer.

        Both None: the stream has ended.
        """
        watch = self._watches.get(role)
        if watch is None:
            return
        now = time.monotonic()
        ended = generation_tps is None and prefill_tps is None
        watch.note, watch.noted_at = (generation_tps, prefill_tps), now
        if not ended:
            self._set_busy(role, watch, busy=True)
        elif watch.task is None:
            self._set_busy(role, watch, busy=False)
        watch.nudge.set()
        if ended or now - watch.published_at >= BUSY_S:
            self._publish(role, watch)

    def _hear(self, event: LogAppended) -> None:
        watch = self._watches.get(event.role)
        if watch is not None and not watch.busy and any(_ECHO not in line for line in event.lines):
            watch.nudge.set()

    def _reconcile(self) -> None:
        up = {status.role: status for status in self._statuses() if status.state.is_up}
        for role, watch in tuple(self._watches.items()):
            if role not in up or up[role].pid != watch.pid:
                self._forget(role)
        for role, status in up.items():
            if role not in self._watches:
                watch = self._watches[role] = _Watch(status.pid)
                # A look at /slots wakes a sleeping server and keeps it awake: there our own stream has to do.
                if not may_sleep(status):
                    watch.task = asyncio.create_task(self._follow(status, watch), name=f"token meter {role}")
                    watch.task.add_done_callback(_report)

    def _forget(self, role: str) -> asyncio.Task[None] | None:
        watch = self._watches.pop(role)
        if watch.task is not None:
            watch.task.cancel()
        watch.measured = watch.note = (None, None)
        self._publish(role, watch)
        return watch.task

    async def _follow(self, status: ServerStatus, watch: _Watch) -> None:
        api = self._api_for(status)
        while True:
            await self._look(api, status.role, watch)
            watch.nudge.clear()
            try:
                async with asyncio.timeout(BUSY_S if watch.busy else IDLE_S):
                    await watch.nudge.wait()
                    # Nudged by our own stream, which can be quick: no more often than five times a second.
                    await asyncio.sleep(BUSY_S)
            except TimeoutError:
                continue

    async def _look(self, api: SlotsApi, role: str, watch: _Watch) -> None:
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                slots = await api.slots()
        except TimeoutError:
            log.debug("%s did not answer /slots within %s s", role, self._timeout_s)
            slots = None
        except (ApiError, OSError) as error:  # a gap in the curve; whether the server lives is judged elsewhere
            log.debug("/slots of %s could not be read: %s", role, error)
            slots = None
        now = time.monotonic()
        if slots is not None:
            self._take(role, watch, slots, asked, now)
        self._publish(role, watch)

    def _take(self, role: str, watch: _Watch, slots: Sequence[SlotReading], asked: float, now: float) -> None:
        gap_s, watch.looked_at = now - watch.looked_at, now
        working = [slot for slot in slots if slot.is_processing]
        speeds = []
        meters: dict[int, _SlotMeter] = {}
        for slot in working:
            meter = watch.slots.get(slot.id)
            meters[slot.id] = meter if meter and meter.follows(slot) else _SlotMeter(slot.id_task)
            speeds.append(meters[slot.id].feed(now, slot, gap_s))
        watch.slots = meters
        watch.measured = (_sum(generation for generation, _ in speeds), _sum(prefill for _, prefill in speeds))
        watch.measured_at = now
        if not working and watch.noted_at < asked:
            watch.note = (None, None)
        if working or watch.noted_at < asked:
            self._set_busy(role, watch, busy=bool(working))

    def _set_busy(self, role: str, watch: _Watch, *, busy: bool) -> None:
        if watch.busy != busy:
            watch.busy = busy
            if self._on_busy is not None:
                self._on_busy(role, busy)

    def _publish(self, role: str, watch: _Watch) -> None:
        now = time.monotonic()
        speed = watch.speed(now)
        if speed == (None, None) == watch.published:
            return
        watch.published, watch.published_at = speed, now
        self._events.publish(SpeedSampled(self._clock(), role, *speed))


def may_sleep(status: ServerStatus) -> bool:
    """Whether this server was started with permission to unload its model when idle."""
    value = (status.values or {}).get("sleep_idle_seconds")
    words = [word.replace("_", "-") for word in status.argv]
    if value is None and "--sleep-idle-seconds" in words[:-1]:
        value = words[words.index("--sleep-idle-seconds") + 1]  # given among the extra arguments
    try:
        return value is not None and float(str(value)) > 0
    except ValueError:
        return True


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended by an error", task.get_name(), exc_info=error)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None
