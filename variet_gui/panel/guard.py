"""What happens by itself after a server changed its state: a passing failure is tried again, a load is timed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from variet_gui.engine.fleet import Fleet
from variet_gui.engine.launch import StartFailed
from variet_gui.engine.readiness import model_argument
from variet_gui.events import Event, EventStream, NoticeRaised, ServerState, ServerStateChanged, ServerStatus, Severity
from variet_gui.i18n import msg
from variet_gui.panel.load_times import LoadTimes

log = logging.getLogger(__name__)

PAUSES_S = (2.0, 10.0, 30.0)
"""Before the first, second and third attempt; then it stays down."""
SETTLED_S = 300.0
"""Who was up for so long has recovered: the next failure is a new one."""
PASSING = frozenset({"gpu_fault", "rpc_unreachable", "rpc_worker_lost", "attached_lost"})
"""Failures that another attempt may not meet again. Running out of memory is not among them, and nothing that only a
change of the settings mends."""
PASSING_AT_WORK = PASSING | {"crashed"}
"""The same for a server that was up. One that crashes while it loads does so every time."""


@dataclass(slots=True)
class _Trouble:
    attempts: int = 0
    ready_at: float | None = None
    waiting: asyncio.Task[None] | None = None


class Guard:
    """Watches all servers of the panel. Everything belongs to the core's event loop."""

    def __init__(
        self,
        fleet: Fleet,
        events: EventStream,
        load_times: LoadTimes,
        start_again: Callable[[str], Awaitable[None]],
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`start_again(role)` starts a tier exactly as it was started last."""
        self._fleet = fleet
        self._events = events
        self._load_times = load_times
        self._start_again = start_again
        self._pauses_s = pauses_s
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None

    def begin(self) -> None:
        """Watch from now on."""
        self._unsubscribe = self._events.subscribe(self._receive)

    async def close(self) -> None:
        """Give up every attempt that waits, and watch no longer."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def give_up(self, role: str) -> None:
        """The operator decides now: no attempt of its own is made any more for the failure that there was."""
        trouble = self._troubles.pop(role, None)
        if trouble is not None and trouble.waiting is not None:
            trouble.waiting.cancel()
            if self._fleet.server(role).status.retry_at is not None:
                self._fleet.server(role).note(retry_at=None, retry=0)

    # ------------------------------------------------------------------------------------------------------- reactions

    def _receive(self, event: Event) -> None:
        if not isinstance(event, ServerStateChanged) or event.status.state is event.previous:
            return
        status = event.status
        if status.state is ServerState.READY and event.previous is not ServerState.BUSY:
            self._note_ready(status)
        elif status.state is ServerState.FAILED:
            self._consider(status, PASSING_AT_WORK if event.previous.is_up else PASSING)
        elif status.state is ServerState.STOPPED and status.memory_back is False:
            self._events.publish(
                NoticeRaised(
                    Severity.WARNING,
                    msg(
                        "{role} has ended, and 10 s later its GPU memory is still not free. Another process may hold "
                        "it; restarting the computer frees it for certain.",
                        role=status.role,
                    ),
                    role=status.role,
                )
            )

    def _note_ready(self, status: ServerStatus) -> None:
        if status.role in self._troubles:
            self._troubles[status.role].ready_at = self._clock()
        if status.load_seconds is not None:
            model = model_argument(status.argv)
            self.spawn(
                asyncio.to_thread(self._load_times.add, status.role, model, status.load_seconds),
                f"load time of {status.role}",
            )

    def _consider(self, status: ServerStatus, passing: Collection[str]) -> None:
        """Try again after a passing failure, up to three times."""
        failure = status.failure
        if failure is None or failure.code not in passing:
            self._troubles.pop(status.role, None)
            return
        trouble = self._troubles.setdefault(status.role, _Trouble())
        if trouble.ready_at is not None and self._clock() - trouble.ready_at >= SETTLED_S:
            trouble.attempts = 0
        trouble.ready_at = None
        if trouble.attempts >= len(self._pauses_s):
            self._troubles.pop(status.role)
            self._events.publish(
                NoticeRaised(
                    Severity.ERROR,
                    msg(
                        "{role} failed again after {count} attempts and stays down: {reason}",
                        role=status.role,
                        count=len(self._pauses_s),
                        reason=failure.title,
                    ),
                    role=status.role,
                    fixes=failure.fixes,
                )
            )
            return
        pause_s = self._pauses_s[trouble.attempts]
        trouble.attempts += 1
        trouble.waiting = self.spawn(self._again(status.role, pause_s, trouble), f"{status.role} again")

    async def _again(self, role: str, pause_s: float, trouble: _Trouble) -> None:
        server = self._fleet.server(role)
        server.note(retry_at=self._clock() + pause_s, retry=trouble.attempts)
        await asyncio.sleep(pause_s)
        trouble.waiting = None  # from here on it is a start like any other, which a stop ends
        try:
            await self._start_again(role)
        except StartFailed as error:
            log.info("%s failed again: %s", role, error)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Do something in the background that ends with the panel; a mistake in it is logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
