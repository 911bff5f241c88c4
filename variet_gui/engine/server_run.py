"""One run of one server process: spawned, its log followed, asked until it is ready, ended without a trace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from variet_gui.client.api import Props
from variet_gui.engine.adopted import AdoptedProcess
from variet_gui.engine.launch import Launch, StartFailed, another_answers, too_slow
from variet_gui.engine.log_feed import LineRing, LogFeed
from variet_gui.engine.log_parser import Fact
from variet_gui.engine.process import ServerProcess
from variet_gui.engine.readiness import (
    AnotherServerAnswersError,
    AskableServer,
    model_argument,
    until_port_closed,
    until_ready,
)
from variet_gui.events import EventStream

log = logging.getLogger(__name__)

T = TypeVar("T")

_OWN_DEATH_S = 1.0
_HOOK_LIMIT_S = 3.0


class ProcessEndedError(Exception):
    """The process ended and nobody had asked it to."""


class ServerRun:
    """The process of one launch with all that hangs on it. `spawn` first, `close` last and always."""

    def __init__(
        self, role: str, launch: Launch, process: ServerProcess | AdoptedProcess, feed: LogFeed, began_at: float
    ) -> None:
        self.launch = launch
        self.process = process
        self._role = role
        self._feed = feed
        self._began_at = began_at
        self._feeding = asyncio.create_task(feed.run(), name=f"log of {role}")
        self._feeding.add_done_callback(_report)
        self._ended = asyncio.create_task(process.wait(), name=f"end of {role}")

    @classmethod
    async def spawn(
        cls,
        role: str,
        launch: Launch,
        log_path: Path,
        events: EventStream,
        ring: LineRing,
        on_facts: Callable[[Sequence[Fact]], None],
    ) -> ServerRun:
        """Start the process of `launch`, or take it over, and begin to follow its log.

        A cancelled spawn leaves nothing behind.

        Raises:
            SpawnError: it could not be started at all.
        """
        began_at = time.monotonic()
        process: ServerProcess | AdoptedProcess
        if launch.running is not None:
            process = AdoptedProcess(launch.running)
        else:
            process = await ServerProcess.spawn(
                launch.command.argv, launch.environment, log_path, keep_running=launch.keep_running
            )
        return cls(role, launch, process, LogFeed(role, log_path, events, ring, on_facts), began_at)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._ended.done()

    async def until_ready(
        self, api: AskableServer, limit_s: float | None, on_loading: Callable[[], None]
    ) -> tuple[Props, float]:
        """Wait until it answers as itself; return what it says of itself and how long it took since the spawn, s.

        Raises:
            ProcessEndedError: it ended before.
            StartFailed: `limit_s` passed, or another server answers on its port.
        """
        launch = self.launch
        ready = asyncio.create_task(
            until_ready(
                api,
                pid=self.process.pid,
                port=launch.port,
                model=model_argument(launch.command.argv),
                on_loading=on_loading,
            ),
            name=f"readiness of {self._role}",
        )
        try:
            await asyncio.wait({self._ended, ready}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                raise ProcessEndedError
            if not ready.done():
                raise StartFailed(too_slow(self._role, limit_s or 0.0))
            props = ready.result()
        except AnotherServerAnswersError as other:
            await asyncio.wait({self._ended}, timeout=_OWN_DEATH_S)
            if self._ended.done():  # its own last words say more
                raise ProcessEndedError from None
            raise StartFailed(another_answers(launch.port, other.model_path)) from None
        finally:
            await cancelled(ready)
        seconds = time.monotonic() - self._began_at
        self._feed.catch_up()  # what the load said belongs to the status that says "ready"
        self._feed.parse_everything = False
        return props, seconds

    async def until_ended(self) -> None:
        """Wait until the process has ended.

        Raises:
            ProcessEndedError: always; nobody had asked it to.
        """
        await asyncio.shield(self._ended)
        raise ProcessEndedError

    async def terminate(self, grace_s: float, before: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Await `before`, end the process and all it started, and wait until its port is closed."""
        await close_streams(self._role, before)
        await self.process.terminate(grace_s)
        if not await until_port_closed(self.launch.port):
            log.warning("%s has ended, and something still answers on port %s", self._role, self.launch.port)

    async def close(self) -> None:
        """Let go of the process if it still runs (it was to be kept), and read its log to the end."""
        if not self._ended.done():
            await self.process.release()
        await self._ended
        await cancelled(self._feeding)
        await self._feed.drain()


async def close_streams(role: str, hooks: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Have everybody who holds a stream to `role` close it; who cannot in time does not hold up the end."""

    async def told(hook: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(_HOOK_LIMIT_S):
                await hook()
        except Exception:  # whatever it is, it must not keep the server from being ended
            log.exception("closing a stream to %s failed", role)

    await asyncio.gather(*(told(hook) for hook in hooks))


class StopAskedError(Exception):
    """The operator wants it to end before what was waited for had come."""


async def unless(stop_asked: asyncio.Event, work: Awaitable[T]) -> T:
    """Return the result of `work`; cancel it when a stop is asked meanwhile.

    Raises:
        StopAskedError: a stop was asked, and `work` is over.
    """
    task = asyncio.ensure_future(work)
    stop = asyncio.create_task(stop_asked.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise StopAskedError
    finally:
        await cancelled(stop)
        await cancelled(task)


async def cancelled(task: asyncio.Task[Any] | asyncio.Future[Any]) -> None:
    """Cancel `task` and wait until it is over. What it raises is marked as seen: its result was asked for before."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s is no longer followed", task.get_name(), exc_info=error)
