"""One server per role: the state machine from "nothing runs" to "ready" and back, whatever happens between."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from variet_gui.catalog.command import Command
from variet_gui.engine import launch as launches
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.diagnosis import explain
from variet_gui.engine.image_timer import ImageTimer
from variet_gui.engine.launch import Launch, Prepare, StartFailed
from variet_gui.engine.log_feed import LineRing
from variet_gui.engine.log_parser import Fact, LoadProgress, LoadReport, ModelLoading
from variet_gui.engine.log_tail import rotate
from variet_gui.engine.process import GRACE_S, SpawnError
from variet_gui.engine.readiness import ApiFactory
from variet_gui.engine.server_run import ProcessEndedError, ServerRun, StopAskedError, unless
from variet_gui.events import (
    EventStream,
    Failure,
    MarkAdded,
    MarkKind,
    ParameterValue,
    PictureRead,
    ServerState,
    ServerStateChanged,
    ServerStatus,
)
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

T = TypeVar("T")


class Server:
    """The server of one role. All methods belong to the core's event loop; `status` and `lines` may be read anywhere.

    A *life* is one task that owns everything from the first check to the last trace of the process; there is never
    more than one, and only it changes the state. `start` and `stop` begin it, tell it, and wait for it:

    * start while it is coming up joins that start; while it is up, returns at once; while it ends, starts afterwards.
    * stop in any state returns when nothing is left of it; where nothing runs, at once, and a failure stays to be read.
    """

    def __init__(
        self,
        role: str,
        events: EventStream,
        client: ApiFactory,
        logs_dir: Path,
        clock: Callable[[], float] = time.time,
        *,
        load_limit_s: float | None = None,
    ) -> None:
        self.role = role
        self.log_path = logs_dir / f"{role}.log"
        self.on_stopping: list[Callable[[], Awaitable[None]]] = []
        """Awaited before the process is told to end: whoever holds a stream to it closes it here. An open request
        keeps llama-server alive after SIGTERM."""
        self.grace_s = GRACE_S
        self._events = events
        self._client = client
        self._clock = clock
        self._load_limit_s = load_limit_s
        self._status = ServerStatus(role, since=clock())
        self._ring = LineRing()
        self._report = LoadReport()
        self._pictures = ImageTimer()
        self._life: asyncio.Task[None] | None = None
        self._up: asyncio.Future[Failure | None] | None = None
        self._stop_asked = asyncio.Event()
        self._ending = False
        self._releasing = False

    @property
    def status(self) -> ServerStatus:
        """Everything that is known of it now."""
        return self._status

    @property
    def report(self) -> LoadReport:
        """What its log said of the load: devices, layers, buffers."""
        return self._report

    @property
    def lines(self) -> list[str]:
        """The last 10,000 lines of its current log, oldest first."""
        return self._ring.since(0)[1]

    def lines_since(self, serial: int) -> tuple[int, list[str]]:
        """Return the number behind the newest line and the lines from `serial` on. Safe from any thread."""
        return self._ring.since(serial)

    async def start(
        self,
        command: Command,
        environment: Mapping[str, str],
        binary: EngineBinary,
        *,
        values: Mapping[str, ParameterValue],
        port: int,
        keep_running: bool = False,
    ) -> None:
        """Start `command` and return when the server is READY.

        Raises:
            StartFailed: it died, could not be started, or was stopped meanwhile (code "cancelled").
        """
        launch = Launch(command, environment, binary, values, port, keep_running)

        async def prepared() -> Launch:
            return launch

        await self.start_with(prepared)

    async def start_with(self, prepare: Prepare) -> None:
        """Show PREFLIGHT while `prepare` checks and puts together what to start; go on like `start`.

        Raises:
            StartFailed: as `start`, or as `prepare` raised it.
        """
        while self._life is not None and self._ending:
            await asyncio.shield(self._life)
        begun = self._life is None
        if self._life is None or self._up is None:
            self._stop_asked.clear()
            self._ending = False
            self._up = asyncio.get_running_loop().create_future()
            self._life = asyncio.create_task(self._live(prepare, self._up), name=f"life of {self.role}")
        try:
            failure = await asyncio.shield(self._up)
        except asyncio.CancelledError:
            if begun:
                await self.stop()
            raise
        if failure is not None:
            raise StartFailed(failure)

    async def stop(self) -> None:
        """End the server, or its start, and return when its process is gone and its port closed."""
        if self._life is not None:
            self._ending = True
            self._stop_asked.set()
            await asyncio.shield(self._life)

    async def release(self) -> None:
        """At the end of the panel: leave a server alone that was started to keep running, and stop any other."""
        self._releasing = True
        try:
            await self.stop()
        finally:
            self._releasing = False

    def mark_busy(self, busy: bool) -> None:
        """Tell between READY and BUSY while it is up; fed by whoever counts its tokens."""
        if self._status.state.is_up and not self._ending:
            self._change(ServerState.BUSY if busy else ServerState.READY)

    # ------------------------------------------------------------------------------------------------------ one life

    async def _live(self, prepare: Prepare, up: asyncio.Future[Failure | None]) -> None:
        failure: Failure | None = None
        try:
            self._change(ServerState.PREFLIGHT, of=ServerStatus(self.role))
            launch = await self._unless_stopped(prepare())
            rotate(self.log_path)
            failure = await self._run(launch, up)
        except StopAskedError:
            failure = None
        except StartFailed as refused:
            failure = refused.failure
        except SpawnError as error:
            failure = launches.not_spawned(error)
        except OSError as error:
            failure = launches.no_log_folder(error)
        except Exception as error:  # a mistake of ours must show as a failure, not as a card that hangs
            log.exception("%s failed by a mistake in the panel", self.role)
            failure = launches.own_mistake(error)
        finally:
            self._ending = True
            self._finish(failure)
            self._life = None
            if not up.done():
                up.set_result(failure or launches.cancelled(self.role))

    async def _run(self, launch: Launch, up: asyncio.Future[Failure | None]) -> Failure:
        """Spawn, hold and end one process. Returns why it ended unasked; raises for every other reason."""
        self._ring.clear()
        self._report, self._pictures = LoadReport(), ImageTimer()
        self._change(
            ServerState.STARTING,
            port=launch.port,
            values=launch.values,
            argv=launch.command.argv,
            embedded=launch.binary.embedded,
        )
        run = await self._unless_stopped(
            ServerRun.spawn(self.role, launch, self.log_path, self._events, self._ring, self._learn)
        )
        try:
            self._change(ServerState.STARTING, pid=run.process.pid)
            self._mark(MarkKind.START, msg("{role} started", role=self.role))
            api = self._client(f"http://127.0.0.1:{launch.port}")
            props, seconds = await self._unless_stopped(run.until_ready(api, self._load_limit_s, self._loading))
            self._change(
                ServerState.READY,
                progress=None,
                vision=props.vision,
                context_size=props.context_size,
                build=props.build_info,
                load_seconds=seconds,
            )
            self._mark(MarkKind.READY, msg("{role} ready after {seconds} s", role=self.role, seconds=f"{seconds:.1f}"))
            up.set_result(None)
            await self._unless_stopped(run.until_ended())
        except ProcessEndedError:
            self._ending = True
        except asyncio.CancelledError:
            self._releasing = True  # the loop itself ends: who was to keep running does
            raise
        finally:
            await self._end(run)
        return explain(role=self.role, exit_code=run.process.exit_code, lines=self.lines, was_ready=up.done())

    async def _end(self, run: ServerRun) -> None:
        """Bring the process to its end, or let it go, and clear up after it."""
        self._ending = True
        if not run.has_ended and not (self._releasing and run.launch.keep_running):
            self._change(ServerState.STOPPING, progress=None)
            began_at = time.monotonic()
            await run.terminate(self.grace_s, self.on_stopping)
            self._change(ServerState.STOPPING, stop_seconds=time.monotonic() - began_at)
        await run.close()

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        """Return the result of `work`, or raise StopAskedError once a stop is asked and `work` is over."""
        try:
            return await unless(self._stop_asked, work)
        except StopAskedError:
            self._change(ServerState.STOPPING, progress=None)
            raise

    # --------------------------------------------------------------------------------------------------------- state

    def _loading(self) -> None:
        if self._status.state is ServerState.STARTING:
            self._change(ServerState.LOADING)

    def _learn(self, facts: Sequence[Fact]) -> None:
        """Take over what the log says of the load."""
        progress = self._status.progress
        for fact in facts:
            self._report.add(fact)
            picture_ms = self._pictures.add(fact)
            if picture_ms is not None:
                self._events.publish(PictureRead(self.role, picture_ms))
            if isinstance(fact, ModelLoading):
                self._loading()
            elif isinstance(fact, LoadProgress):
                progress = fact.fraction
        if self._status.state.is_coming_up:
            self._change(self._status.state, buffers=self._report.buffers, progress=progress)
        elif self._status.state.is_up:
            self._change(self._status.state, buffers=self._report.buffers)

    def _finish(self, failure: Failure | None) -> None:
        """The last change of a life, and its mark if there was a process at all."""
        last = self._status
        if failure is None:
            self._change(ServerState.STOPPED, of=ServerStatus(self.role, stop_seconds=last.stop_seconds))
        else:
            self._change(
                ServerState.FAILED,
                of=ServerStatus(self.role, argv=last.argv, port=last.port, embedded=last.embedded, failure=failure),
            )
        if last.pid is None:
            return
        if failure is None:
            self._mark(MarkKind.STOP, msg("{role} stopped", role=self.role))
        else:
            self._mark(MarkKind.CRASH, failure.title)

    def _change(self, state: ServerState, *, of: ServerStatus | None = None, **updates: Any) -> None:
        """The one place where the state changes; announced once, and only if something did change."""
        before = self._status
        since = before.since if state is before.state else self._clock()
        self._status = replace(of or before, state=state, since=since, **updates)
        if self._status != before:
            self._events.publish(ServerStateChanged(self._status, before.state))

    def _mark(self, kind: MarkKind, text: Message) -> None:
        self._events.publish(MarkAdded(self._clock(), kind, self.role, text))
