"""At the panel's start: take over what an earlier panel was to leave running, and name whatever else runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import psutil

from variet_gui.engine import adopted, found
from variet_gui.engine.adopted import AdoptedProcess
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.found import FoundServer
from variet_gui.engine.launch import StartFailed
from variet_gui.engine.readiness import until_port_closed
from variet_gui.engine.records import ServerRecord, StateFile, StateFileError
from variet_gui.events import EventStream, Fix, NoticeRaised, Severity
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

DEATH_LIMIT_S = 6.0
"""A lifeline ends its server within 5 s of the panel's death; who lives after this was not ended."""
END_FOUND = "end_found"
"""The action of a fix that ends a found server; its pid follows after a colon."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A server that was ended."""

    role: str
    pid: int
    seconds: float
    """From the request to the closed port."""


class Recovery:
    """Adopts, offers and names. Never ends anything unasked."""

    def __init__(
        self, state_file: StateFile, fleet: Fleet, roles: Callable[[], Iterable[str]], events: EventStream
    ) -> None:
        """`roles` returns the tiers of the catalog."""
        self._state_file = state_file
        self._fleet = fleet
        self._roles = roles
        self._events = events
        self._tasks: set[asyncio.Task[None]] = set()
        self._adoptions: set[asyncio.Task[None]] = set()
        self.found: tuple[FoundServer, ...] = ()
        """Model servers that are not this panel's, as they were when it last looked."""

    async def recover(self) -> frozenset[str]:
        """Take over the servers that are to be, in the background, and say what became of the others.

        Returns the roles of those that are being taken over. The data folder's lock must be held.
        """
        taken: set[str] = set()
        try:
            records = await asyncio.to_thread(self._state_file.load)
        except StateFileError as error:
            self._events.publish(NoticeRaised(Severity.WARNING, error.message))
            records = ()
        processes = await asyncio.to_thread(lambda: [adopted.find(record) for record in records])
        roles = set(self._roles())
        for record, process in zip(records, processes, strict=True):
            if process is None:
                await self._gone(record)
            elif not record.keep_running:
                self._spawn(self._await_death(record, process), f"last of {record.role}")
            elif record.role in roles:
                taken.add(record.role)
                self._spawn(self._adopt(record, process), f"adopt {record.role}", self._adoptions)
        self._spawn(self._look_around(), "look for strangers")
        await asyncio.sleep(0)  # every take-over has begun: a start of the same tier now joins it
        return frozenset(taken)

    async def stop_kept(self, roles: Iterable[str] | None = None) -> tuple[Stopped, ...]:
        """End the servers of `roles` (None: all) that an earlier panel left running; return those that did run.

        The data folder's lock must be held: while another panel has it, the servers are that panel's.

        Raises:
            StateFileError: what runs was not written down in a way that can be read.
        """
        wanted = None if roles is None else set(roles)
        records = [
            one for one in await asyncio.to_thread(self._state_file.load) if wanted is None or one.role in wanted
        ]
        return tuple(
            stopped for stopped in await asyncio.gather(*(self._stop(record) for record in records)) if stopped
        )

    async def _stop(self, record: ServerRecord) -> Stopped | None:
        process = await asyncio.to_thread(adopted.find, record)
        stopped = None
        if process is not None:
            began_at = time.monotonic()
            await AdoptedProcess(process).terminate()
            await until_port_closed(record.port)
            stopped = Stopped(record.role, process.pid, time.monotonic() - began_at)
        await asyncio.to_thread(self._state_file.ended, record.role)
        return stopped

    async def look(self) -> tuple[FoundServer, ...]:
        """Look again for model servers that are not this panel's."""
        ours = {status.pid for status in self._fleet.statuses() if status.pid is not None}
        records = self._state_file.records or await asyncio.to_thread(self._state_file.peek)
        ours |= {record.pid for record in records if record.pid is not None}
        self.found = await found.find(ours)
        return self.found

    async def end(self, pid: int) -> bool:
        """End a found server because the operator said so; False when it is gone already.

        Raises:
            PermissionError: it belongs to somebody else.
        """
        stranger = next((one for one in self.found if one.pid == pid), None)
        return False if stranger is None else await found.end(stranger)

    async def close(self) -> None:
        """Stop waiting for anything. After the fleet was closed: that lets go of servers that are being taken over."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._adoptions, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------- the cases

    async def _adopt(self, record: ServerRecord, process: psutil.Process) -> None:
        try:
            await self._fleet.server(record.role).adopt(record, process)
        except StartFailed as error:
            log.info("%s could not be taken over: %s", record.role, error)  # its card says why
            return
        self._tell(
            Severity.INFO, msg("{role} was still running and has been taken over.", role=record.role), record.role
        )

    async def _gone(self, record: ServerRecord) -> None:
        await asyncio.to_thread(self._state_file.ended, record.role)
        if record.keep_running:
            self._tell(
                Severity.WARNING,
                msg("{role} was to keep running, and has ended while no panel was open.", role=record.role),
                record.role,
                Fix(msg("Show the log"), action="show_log"),
            )

    async def _await_death(self, record: ServerRecord, process: psutil.Process) -> None:
        """The last panel died, and this server's lifeline ends it; wait, and offer it if that does not happen."""
        watched = AdoptedProcess(process)
        try:
            async with asyncio.timeout(DEATH_LIMIT_S):
                await watched.wait()
        except TimeoutError:
            await self.look()
            self._tell(
                Severity.WARNING,
                msg(
                    "{role} of an earlier panel still runs (process {pid}, port {port}), although it should have ended "
                    "with that panel.",
                    role=record.role,
                    pid=process.pid,
                    port=record.port,
                ),
                record.role,
                Fix(msg("End it"), action=f"{END_FOUND}:{process.pid}"),
            )
        finally:
            await watched.release()
        if not process.is_running():
            await asyncio.to_thread(self._state_file.ended, record.role)

    async def _look_around(self) -> None:
        for stranger in await self.look():
            self._tell(Severity.INFO, describe(stranger))

    def _tell(self, severity: Severity, text: Message, role: str | None = None, *fixes: Fix) -> None:
        self._events.publish(NoticeRaised(severity, text, role=role, fixes=fixes))

    def _spawn(self, work: Coroutine[Any, Any, None], name: str, among: set[asyncio.Task[None]] | None = None) -> None:
        task = asyncio.create_task(work, name=name)
        among = self._tasks if among is None else among
        among.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._adoptions.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


def describe(stranger: FoundServer) -> Message:
    """Return one sentence on a server that is not the panel's: what it is and what it holds."""
    memory = "?" if stranger.memory_mib is None else f"{stranger.memory_mib / 1024:.1f}"
    return msg(
        "{program} runs outside this panel (process {pid}, port {port}, model {model}) and holds {memory} GiB of the "
        "computer's memory.",
        program=stranger.name,
        pid=stranger.pid,
        port="?" if stranger.port is None else stranger.port,
        model=stranger.model or "?",
        memory=memory,
    )
