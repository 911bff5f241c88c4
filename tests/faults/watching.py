"""A server under test and everything that it announces."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.processes import free_port, stub
from tests.support.waiting import wait_until
from variet_gui.catalog.command import Command
from variet_gui.client.api import Http, LlamaApi
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.launch import Launch
from variet_gui.engine.server import Server, Surroundings
from variet_gui.events import (
    Event,
    EventStream,
    LogAppended,
    MarkAdded,
    MarkKind,
    ServerState,
    ServerStateChanged,
    ServerStatus,
)
from variet_gui.i18n import msg


@dataclass
class Seen:
    """What an event stream said, in order."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def changes(self) -> list[ServerStateChanged]:
        """Every announcement of a status."""
        return [event for event in self.events if isinstance(event, ServerStateChanged)]

    @property
    def states(self) -> list[ServerState]:
        """The states gone through; what was announced within one state is left out."""
        return [change.status.state for change in self.changes if change.status.state is not change.previous]

    @property
    def marks(self) -> list[MarkKind]:
        """The marks made."""
        return [event.kind for event in self.events if isinstance(event, MarkAdded)]

    @property
    def log_lines(self) -> list[str]:
        """All log lines published."""
        return [line for event in self.events if isinstance(event, LogAppended) for line in event.lines]


@dataclass
class Watched:
    """One server, its events, and ways to start it on a stub."""

    server: Server
    seen: Seen
    http: Http
    events: EventStream

    @property
    def status(self) -> ServerStatus:
        """The server's status."""
        return self.server.status

    async def start_stub(self, *options: str, port: int | None = None, keep_running: bool = False) -> None:
        """Start the stub server with `options` and return when it is ready."""
        await self.start(stub_launch(*options, port=port, keep_running=keep_running))

    async def start(self, launch: Launch) -> None:
        """Start `launch` and return when it is ready."""

        async def prepared() -> Launch:
            return launch

        await self.server.start_with(prepared)

    async def until(self, *states: ServerState) -> None:
        """Wait until the server is in one of `states`."""
        await wait_until(lambda: self.status.state in states, what=" or ".join(state.value for state in states))

    async def until_logged(self, text: str) -> str:
        """Wait until a line with `text` stands in the log, and return it."""

        def found() -> str | None:
            return next((line for line in self.server.lines if text in line), None)

        await wait_until(lambda: found() is not None, what=f"{text!r} in the log")
        return found() or ""


def stub_launch(*options: str, port: int | None = None, keep_running: bool = False) -> Launch:
    """Return the launch of a stub server."""
    port = port or free_port()
    return launch_of(stub(*options, port=port), port, keep_running=keep_running)


def launch_of(argv: Sequence[str], port: int, *, embedded: bool = False, keep_running: bool = False) -> Launch:
    """Return a launch of any command line."""
    command = Command(argv=tuple(argv), environment={}, removed_environment=(), notes=())
    binary = EngineBinary(program=(argv[0],), path=Path(argv[0]), embedded=embedded, source=msg("a test"))
    return Launch(command, dict(os.environ), binary, {"ctx_size": 2048}, port, keep_running)


@asynccontextmanager
async def watched(
    logs_dir: Path, *, load_limit_s: float | None = None, api: Callable[[str], LlamaApi] | None = None
) -> AsyncIterator[Watched]:
    """A server whose log goes to `logs_dir`; it is stopped at the end."""
    events, seen = EventStream(), Seen()
    events.subscribe(seen)
    async with Http() as http:
        server = Server(
            "fast", Surroundings(events, api or (lambda url: LlamaApi(http, url)), logs_dir), load_limit_s=load_limit_s
        )
        try:
            yield Watched(server, seen, http, events)
        finally:
            await server.stop()
