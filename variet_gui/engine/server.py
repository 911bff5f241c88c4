"""One server per role: the state machine from "nothing runs" to "ready" and back, whatever happens between."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import psutil

from variet_gui.catalog.command import Command
from variet_gui.engine import launch as launches
from variet_gui.engine.attached import until_answering, until_lost
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.diagnosis import explain
from variet_gui.engine.launch import Launch, Prepare, StartFailed
from variet_gui.engine.log_feed import LineRing
from variet_gui.engine.log_parser import LoadReport
from variet_gui.engine.log_tail import rotate
from variet_gui.engine.process import GRACE_S, SpawnError
from variet_gui.engine.readiness import ApiFactory
from variet_gui.engine.records import ServerRecord, StateFile
from variet_gui.engine.server_run import ProcessEndedError, ServerRun, StopAskedError, close_streams, unless
from variet_gui.engine.status_board import StatusBoard
from variet_gui.events import DeviceBuffers, EventStream, Failure, ServerState, ServerStatus
from variet_gui.i18n import msg
from variet_gui.telemetry.memory_back import MemoryWatch

log = logging.getLogger(__name__)

T = TypeVar("T")

WatchMemory: TypeAlias = Callable[[int, Iterable[DeviceBuffers]], MemoryWatch]
"""Makes a watch of one process, given its pid and what it allocated."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every server of a panel needs of the rest of it."""

    events: EventStream
    client: ApiFactory
    logs_dir: Path
    state_file: StateFile | None = None
    """Where running servers are written down; None: nowhere."""
    watch_memory: WatchMemory | None = None
    """Tells when GPU memory is free again; None: nobody looks."""
    clock: Callable[[], float] = time.time


class Server:
    """The server of one role. All methods belong to the core's event loop; `status` and `lines` may be read anywhere.

    A *life* is one task that owns everything from the first check to the last trace of the process; there is never
    more than one, and only it changes the state. `start` and `stop` begin it, tell it, and wait for it:

    * start while it is coming up joins that start; while it is up, returns at once; while it ends, starts afterwards.
    * stop in any state returns when nothing is left of it; where nothing runs, at once, and a failure stays to be read.
    """

    def __init__(self, role: str, around: Surroundings, *, load_limit_s: float | None = None) -> None:
        self.role = role
        self.log_path = around.logs_dir / f"{role}.log"
        self.on_stopping: list[Callable[[], Awaitable[None]]] = []
        """Awaited before the process is told to end: whoever holds a stream to it closes it here. An open request
        keeps llama-server alive after SIGTERM."""
        self.grace_s = GRACE_S
        self._around = around
        self._load_limit_s = load_limit_s
        self._board = StatusBoard(role, around.events, around.clock)
        self._ring = LineRing()
        self._life: asyncio.Task[None] | None = None
        self._up: asyncio.Future[Failure | None] | None = None
        self._stop_asked = asyncio.Event()
        self._ending = False
        self._releasing = False
        self._kept = False
        self._written_down = False

    @property
    def status(self) -> ServerStatus:
        """Everything that is known of it now."""
        return self._board.status

    @property
    def report(self) -> LoadReport:
        """What its log said of the load: devices, layers, buffers."""
        return self._board.report

    @property
    def lines(self) -> list[str]:
        """The last 10,000 lines of its current log, oldest first."""
        return self._ring.since(0)[1]

    def lines_since(self, serial: int) -> tuple[int, list[str]]:
        """Return the number behind the newest line and the lines from `serial` on. Safe from any thread."""
        return self._ring.since(serial)

    async def adopt(self, record: ServerRecord, process: psutil.Process) -> None:
        """Take over a server that an earlier panel started and left running; returns when it is READY.

        Raises:
            StartFailed: it ended before it was ready, or was stopped meanwhile.
        """
        binary = EngineBinary(record.argv[:1], None, record.embedded, msg("taken over"))
        await self._start_as(
            Launch(Command(record.argv), {}, binary, record.values, record.port, record.keep_running, running=process)
        )

    async def start_with(self, prepare: Prepare) -> None:
        """Show PREFLIGHT while `prepare` checks and puts together what to start; return when the server is READY.

        Raises:
            StartFailed: it died, could not be started, was stopped meanwhile (code "cancelled"), or `prepare` said so.
        """
        while self._life is not None and self._ending:
            await asyncio.shield(self._life)
        begun = self._life is None
        if self._life is None or self._up is None:
            self._stop_asked.clear()
            self._ending = self._kept = self._written_down = False
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
        """At the end of the panel: leave a server alone that was started to keep running, and stop any other.

        One that was started to keep running and is no longer meant to is stopped with `stop`.
        """
        self._releasing = True
        try:
            await self.stop()
        finally:
            self._releasing = False

    def mark_busy(self, busy: bool) -> None:
        """Tell between READY and BUSY while it is up; fed by whoever counts its tokens."""
        if self.status.state.is_up and not self._ending:
            self._board.change(ServerState.BUSY if busy else ServerState.READY)

    def note(self, **updates: Any) -> None:
        """Add to what is known of it (fields of `ServerStatus`); the state stays."""
        self._board.note(**updates)

    # ------------------------------------------------------------------------------------------------------ one life

    async def _start_as(self, launch: Launch) -> None:
        async def prepared() -> Launch:
            return launch

        await self.start_with(prepared)

    async def _live(self, prepare: Prepare, up: asyncio.Future[Failure | None]) -> None:
        failure: Failure | None = None
        try:
            self._board.change(ServerState.PREFLIGHT, of=ServerStatus(self.role))
            launch = await self._unless_stopped(prepare())
            if launch.url is not None:
                failure = await self._attend(launch, launch.url, up)
            else:
                if launch.running is None:
                    rotate(self.log_path)
                    await self._write_down(launch)
                self._written_down = True
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
            await self._cross_off()
            self._board.finish(failure, kept=self._kept)
            self._life = None
            if not up.done():
                up.set_result(failure or launches.cancelled(self.role))

    async def _run(self, launch: Launch, up: asyncio.Future[Failure | None]) -> Failure:
        """Spawn, hold and end one process. Returns why it ended unasked; raises for every other reason."""
        self._ring.clear()
        self._board.spawning(launch)
        run = await self._unless_stopped(
            ServerRun.spawn(self.role, launch, self.log_path, self._around.events, self._ring, self._board.learn)
        )
        try:
            self._board.spawned(run.process.pid)
            await self._note_record(pid=run.process.pid, created_at=run.process.created_at)
            api = self._around.client(f"http://127.0.0.1:{launch.port}")
            props, seconds = await self._unless_stopped(run.until_ready(api, self._load_limit_s, self._board.loading))
            self._board.ready(props, seconds)
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

    async def _attend(self, launch: Launch, url: str, up: asyncio.Future[Failure | None]) -> Failure:
        """Hold on to a server that somebody else runs. Returns why it was lost; raises for every other reason."""
        self._ring.clear()
        self._board.spawning(launch)
        api = self._around.client(url)
        began_at = time.monotonic()
        props = await self._unless_stopped(until_answering(api, url, self._board.loading))
        self._board.ready(props, time.monotonic() - began_at)
        up.set_result(None)
        try:
            return await self._unless_stopped(until_lost(api, url))
        finally:
            self._ending = True
            await close_streams(self.role, self.on_stopping)

    async def _end(self, run: ServerRun) -> None:
        """Bring the process to its end, or let it go, and clear up after it."""
        self._ending = True
        self._kept = self._releasing and run.launch.keep_running and not run.has_ended
        if not run.has_ended and not self._kept:
            self._board.change(ServerState.STOPPING, progress=None)
            watch = self._around.watch_memory
            memory = watch(run.process.pid, self.report.buffers) if watch is not None else None
            began_at = time.monotonic()
            await run.terminate(self.grace_s, self.on_stopping)
            back = await memory.until_back() if memory is not None else None
            self._board.change(ServerState.STOPPING, stop_seconds=time.monotonic() - began_at, memory_back=back)
        await run.close()

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        """Return the result of `work`, or raise StopAskedError once a stop is asked and `work` is over."""
        try:
            return await unless(self._stop_asked, work)
        except StopAskedError:
            self._board.change(ServerState.STOPPING, progress=None)
            raise

    # --------------------------------------------------------------------------------------------- what is written down

    async def _write_down(self, launch: Launch) -> None:
        """Write down what is about to be spawned: should the panel die now, the next one finds it."""
        if self._around.state_file is not None:
            record = ServerRecord(
                self.role,
                launch.command.argv,
                launch.port,
                self.log_path,
                self._around.clock(),
                launch.values,
                launch.keep_running,
                launch.binary.embedded,
            )
            await asyncio.to_thread(self._around.state_file.began, record)

    async def _note_record(self, **known: Any) -> None:
        if self._around.state_file is not None:
            await asyncio.to_thread(self._around.state_file.update, self.role, **known)

    async def _cross_off(self) -> None:
        """Its process is gone; one that is kept stays written down, and so does one that this life never knew."""
        if self._around.state_file is not None and self._written_down and not self._kept:
            await asyncio.to_thread(self._around.state_file.ended, self.role)
