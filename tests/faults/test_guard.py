"""What the panel does by itself after a failure, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.processes import free_port, stub
from tests.faults.watching import Seen, launch_of
from tests.support.waiting import run_async, wait_until
from variet_gui.client.api import Http, LlamaApi
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.launch import Launch, StartFailed
from variet_gui.engine.server import Server, Surroundings
from variet_gui.events import EventStream, NoticeRaised, ServerState
from variet_gui.panel.guard import Guard
from variet_gui.panel.load_times import LoadTimes

READY, FAILED = ServerState.READY, ServerState.FAILED


class DyingApi(LlamaApi):
    """A client that can also tell the stub to die."""

    port: int

    async def ask_to_exit(self, code: int) -> None:
        """Have the stub end with `code`; negative: by that signal."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET /stub/exit/{code} HTTP/1.1\r\nHost: stub\r\n\r\n".encode())
        await writer.drain()
        await reader.read()
        writer.close()


@dataclass
class Guarded:
    """One guarded server on a stub."""

    server: Server
    guard: Guard
    seen: Seen
    load_times: LoadTimes
    api: DyingApi
    argv: list[str]
    starts: list[str] = field(default_factory=list)

    async def start(self) -> None:
        """Start the stub and return when it is ready."""

        async def prepared() -> Launch:
            self.starts.append("fast")
            return launch_of(self.argv, int(self.argv[self.argv.index("--port") + 1]))

        await self.server.start_with(prepared)

    async def crash(self, code: int) -> None:
        """Make the running stub die, and wait until that is known."""
        await self.api.ask_to_exit(code)

    @property
    def notices(self) -> list[str]:
        """The text of every notice."""
        return [event.text.english for event in self.seen.events if isinstance(event, NoticeRaised)]


@asynccontextmanager
async def guarded(
    folder: Path, *options: str, pauses_s: tuple[float, ...] = (0.05, 0.05, 0.05)
) -> AsyncIterator[Guarded]:
    events, seen = EventStream(), Seen()
    events.subscribe(seen)
    port = free_port()
    async with Http() as http:
        fleet = Fleet(Surroundings(events, lambda url: LlamaApi(http, url), folder))
        load_times = LoadTimes(folder / "load_times.json")
        api = DyingApi(http, f"http://127.0.0.1:{port}")
        api.port = port

        async def start_again(_: str) -> None:
            await case.start()

        guard = Guard(fleet, events, load_times, start_again, pauses_s=pauses_s)
        case = Guarded(fleet.server("fast"), guard, seen, load_times, api, stub(*options, port=port))
        guard.begin()
        try:
            yield case
        finally:
            await guard.close()
            await fleet.stop_all()


def test_that_a_crash_at_work_is_tried_again_and_says_when(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with guarded(tmp_path) as case:
            await case.start()
            await case.crash(-11)
            await wait_until(lambda: len(case.starts) == 2, what="a second start")
            await wait_until(lambda: case.server.status.state is READY, what="ready again")
            waiting = [change.status for change in case.seen.changes if change.status.retry_at is not None]
            assert [(status.state, status.retry) for status in waiting] == [(FAILED, 1)]
            assert case.server.status.retry_at is None

    run_async(scenario())


def test_that_it_stays_down_after_three_attempts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with guarded(tmp_path) as case:
            await case.start()
            for count in (2, 3, 4):
                await case.crash(-11)
                await wait_until(lambda count=count: len(case.starts) == count, what=f"start {count}")
                await wait_until(lambda: case.server.status.state is READY, what="ready again")
            await case.crash(-11)
            await wait_until(lambda: bool(case.notices), what="a notice")
            assert "stays down" in case.notices[0]
            assert case.server.status.state is FAILED
            assert case.server.status.retry_at is None
            assert len(case.starts) == 4

    run_async(scenario())


def test_that_running_out_of_memory_is_never_tried_again(tmp_path: Path) -> None:
    said = "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 8192.00 MiB on device 0: cudaMalloc failed: "
    said += "out of memory"

    async def scenario() -> None:
        async with guarded(tmp_path, "--stub-say", said) as case:
            await case.start()
            await case.crash(1)
            await wait_until(lambda: case.server.status.state is FAILED, what="failed")
            failure = case.server.status.failure
            assert failure is not None
            assert "memory" in failure.code
            await asyncio.sleep(0.2)  # several times the pause before an attempt
            assert len(case.starts) == 1
            assert case.server.status.retry_at is None

    run_async(scenario())


def test_that_a_crash_while_loading_is_not_tried_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with guarded(tmp_path, "--stub-exit", "-11", "--stub-polls", "2") as case:
            with pytest.raises(StartFailed) as caught:
                await case.start()
            assert caught.value.failure.code == "crashed"
            await asyncio.sleep(0.2)  # several times the pause before an attempt
            assert len(case.starts) == 1

    run_async(scenario())


def test_that_the_operator_can_call_an_attempt_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with guarded(tmp_path, pauses_s=(60.0,)) as case:
            await case.start()
            await case.crash(-11)
            await wait_until(lambda: case.server.status.retry_at is not None, what="an attempt that waits")
            case.guard.give_up("fast")
            assert case.server.status.state is FAILED
            assert case.server.status.retry_at is None
            assert case.server.status.failure is not None, "why it is down can still be read"

    run_async(scenario())


def test_that_a_countdown_comes_from_earlier_loads(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with guarded(tmp_path) as case:
            assert case.load_times.expected("fast", "stub.gguf") is None
            await case.start()
            await wait_until(lambda: case.load_times.expected("fast", "stub.gguf") is not None, what="a load time")
            assert LoadTimes(tmp_path / "load_times.json").expected("fast", "stub.gguf") == round(
                case.server.status.load_seconds or 0.0, 2
            )

    run_async(scenario())


def test_that_a_damaged_file_of_load_times_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "load_times.json"
    path.write_text('{"seconds": {"fast|a.gguf": "soon"}}', encoding="utf-8")
    times = LoadTimes(path)
    assert times.expected("fast", "a.gguf") is None
    times.add("fast", "a.gguf", 12.5)
    assert LoadTimes(path).expected("fast", "a.gguf") == 12.5
