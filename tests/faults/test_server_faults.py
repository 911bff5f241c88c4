"""The state machine of a server against one that misbehaves, and against an operator who changes his mind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import free_port, is_gone, kill, stub, stub_child
from tests.faults.watching import Seen, Watched, stub_launch, watched
from tests.support.waiting import run_async, wait_until
from variet_gui.client.api import ChatRequest, Http, LlamaApi
from variet_gui.engine import server_run
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.launch import Launch, StartFailed
from variet_gui.engine.log_feed import RING_LINES
from variet_gui.engine.log_tail import older
from variet_gui.engine.server import Surroundings
from variet_gui.events import EventStream, Failure, LogAppended, MarkKind, ServerState
from variet_gui.i18n import msg

STOPPED, PREFLIGHT, STARTING, LOADING = (
    ServerState.STOPPED,
    ServerState.PREFLIGHT,
    ServerState.STARTING,
    ServerState.LOADING,
)
READY, BUSY, STOPPING, FAILED = ServerState.READY, ServerState.BUSY, ServerState.STOPPING, ServerState.FAILED


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def failure_of(start: asyncio.Future[None]) -> Failure:
    with pytest.raises(StartFailed) as caught:
        await start
    return caught.value.failure


def test_that_a_start_and_a_stop_go_through_every_state_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            port = free_port()
            await w.start_stub("--stub-polls", "3", port=port)
            ready = w.status
            assert (ready.state, ready.port, ready.build, ready.context_size) == (READY, port, "b1-stub", 2048)
            assert ready.pid is not None
            assert ready.vision is False
            assert ready.values == {"ctx_size": 2048}
            assert ready.load_seconds is not None
            assert "--port" in ready.argv
            await w.server.stop()
            assert w.seen.states == [PREFLIGHT, STARTING, LOADING, READY, STOPPING, STOPPED]
            assert w.seen.marks == [MarkKind.START, MarkKind.READY, MarkKind.STOP]
            assert is_gone(ready.pid)
            assert port_is_free(port)
            stopped = w.status
            assert (stopped.pid, stopped.values, stopped.port, stopped.failure) == (None, None, None, None)
            assert stopped.stop_seconds is not None
            assert "cleaning up before exit" in w.seen.log_lines[-1]

    run_async(scenario())


def test_that_every_announcement_follows_from_the_one_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start_stub()
            w.server.mark_busy(True)
            w.server.mark_busy(True)
            w.server.mark_busy(False)
            await w.server.stop()
            changes = w.seen.changes
            assert all(a.status.state is b.previous for a, b in pairwise(changes))
            assert all(a.status != b.status for a, b in pairwise(changes))
            assert w.seen.states[-5:] == [READY, BUSY, READY, STOPPING, STOPPED]

    run_async(scenario())


def test_that_busy_means_something_only_while_it_is_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            w.server.mark_busy(True)
            assert w.status.state is STOPPED
            start = asyncio.ensure_future(w.start_stub("--stub-never-ready"))
            await w.until(LOADING)
            w.server.mark_busy(True)
            assert w.status.state is LOADING
            await w.server.stop()
            assert (await failure_of(start)).code == "cancelled"

    run_async(scenario())


def test_that_starting_twice_starts_one_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await asyncio.gather(w.start_stub("--stub-polls", "2"), w.start_stub(), w.start_stub())
            await w.start_stub()
            assert w.seen.marks == [MarkKind.START, MarkKind.READY]

    run_async(scenario())


def test_that_everybody_who_waits_for_a_start_learns_of_its_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            starts = [asyncio.ensure_future(w.start_stub("--stub-exit", "3")) for _ in range(3)]
            failures = [await failure_of(start) for start in starts]
            assert [failure.exit_code for failure in failures] == [3, 3, 3]

    run_async(scenario())


def test_that_stopping_what_does_not_run_does_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.server.stop()
            assert w.seen.events == []

    run_async(scenario())


def test_that_a_preflight_can_be_cancelled_before_anything_is_spawned(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            tidied = False

            async def endless() -> Launch:
                nonlocal tidied
                try:
                    await asyncio.Event().wait()
                finally:
                    tidied = True
                raise AssertionError

            start = asyncio.ensure_future(w.server.start_with(endless))
            await w.until(PREFLIGHT)
            await w.server.stop()
            assert (await failure_of(start)).code == "cancelled"
            assert tidied
            assert w.seen.states == [PREFLIGHT, STOPPING, STOPPED]
            assert w.seen.marks == []

    run_async(scenario())


def test_that_a_refused_preflight_says_why_and_spawns_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:

            async def refuses() -> Launch:
                raise StartFailed(Failure("model_missing", msg("No such file.")))

            failure = await failure_of(asyncio.ensure_future(w.server.start_with(refuses)))
            assert failure.code == "model_missing"
            assert w.status.failure == failure
            assert w.seen.states == [PREFLIGHT, FAILED]
            assert not w.server.log_path.exists()

    run_async(scenario())


def test_that_a_mistake_of_the_panel_is_a_failure_and_no_hanging_card(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:

            async def breaks() -> Launch:
                raise ZeroDivisionError("of all things")

            failure = await failure_of(asyncio.ensure_future(w.server.start_with(breaks)))
            assert failure.code == "internal_error"
            assert "of all things" in failure.title.english
            assert "ZeroDivisionError" in caplog.text
            await w.start_stub()
            assert w.status.state is READY
            assert w.status.failure is None

    run_async(scenario())


@pytest.mark.parametrize("state", [STARTING, LOADING, READY])
def test_that_a_stop_works_in_every_state(tmp_path: Path, state: ServerState) -> None:
    options = {STARTING: ["--stub-no-port"], LOADING: ["--stub-never-ready"], READY: []}

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            start = asyncio.ensure_future(w.start_stub(*options[state]))
            await w.until(*((STARTING, LOADING) if state is STARTING else (state,)))
            await asyncio.gather(w.server.stop(), w.server.stop())
            assert w.status.state is STOPPED
            assert w.seen.states[-2:] == [STOPPING, STOPPED]
            if state is READY:
                await start
            else:
                assert (await failure_of(start)).code == "cancelled"

    run_async(scenario())


def test_that_a_cancelled_caller_takes_its_start_along(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            start = asyncio.ensure_future(w.start_stub("--stub-never-ready"))
            await w.until(LOADING)
            pid = w.status.pid
            assert pid is not None
            start.cancel()
            with pytest.raises(asyncio.CancelledError):
                await start
            assert w.status.state is STOPPED
            assert is_gone(pid)

    run_async(scenario())


def test_that_a_start_while_it_is_stopping_waits_for_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            w.server.grace_s = 0.3
            await w.start_stub("--stub-ignore-term")
            first = w.status.pid
            assert first is not None
            stop = asyncio.ensure_future(w.server.stop())
            await w.until(STOPPING)
            await w.start_stub()
            assert is_gone(first)
            assert w.status.state is READY
            await stop
            life = [PREFLIGHT, STARTING, LOADING, READY]
            assert w.seen.states == [*life, STOPPING, STOPPED, *life]

    run_async(scenario())


def test_that_a_death_while_loading_is_explained_with_its_last_words(tmp_path: Path) -> None:
    words = "0.00.001 E error loading model: unable to allocate CUDA0 buffer"

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            failure = await failure_of(
                asyncio.ensure_future(w.start_stub("--stub-say", words, "--stub-polls", "9", "--stub-exit", "1"))
            )
            assert failure.exit_code == 1
            assert any("CUDA0" in line for line in failure.evidence)
            assert w.status.state is FAILED
            assert w.status.failure == failure
            assert w.seen.marks == [MarkKind.START, MarkKind.CRASH]
            await w.server.stop()
            assert w.status.state is FAILED  # the reason stays to be read

    run_async(scenario())


def test_that_a_death_at_work_is_a_crash_and_a_new_start_is_possible(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start_stub()
            assert w.status.pid is not None
            os.kill(w.status.pid, signal.SIGSEGV)
            await w.until(FAILED)
            assert w.status.failure is not None
            assert w.status.failure.exit_code == -signal.SIGSEGV
            assert w.status.pid is None
            assert w.seen.marks == [MarkKind.START, MarkKind.READY, MarkKind.CRASH]
            await w.start_stub()
            assert w.status.failure is None

    run_async(scenario())


def test_that_an_end_without_error_that_nobody_asked_for_is_a_failure_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start_stub()
            assert w.status.pid is not None
            os.kill(w.status.pid, signal.SIGTERM)
            await w.until(FAILED)
            assert w.status.failure is not None
            assert w.status.failure.exit_code == 0

    run_async(scenario())


def test_that_a_killed_lifeline_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start_stub()
            assert w.status.pid is not None
            lifeline = psutil.Process(w.status.pid).parent()
            assert lifeline is not None
            lifeline.kill()
            await w.until(FAILED)
            assert w.status.failure is not None
            assert w.status.failure.exit_code == -signal.SIGKILL

    run_async(scenario())


@pytest.mark.parametrize("state", [STARTING, LOADING, READY, BUSY, STOPPING])
def test_that_a_kill_in_any_state_is_survived(tmp_path: Path, state: ServerState) -> None:
    options = {STARTING: ["--stub-no-port"], LOADING: ["--stub-never-ready"], STOPPING: ["--stub-ignore-term"]}

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            start = asyncio.ensure_future(w.start_stub(*options.get(state, [])))
            await w.until(*((STARTING, LOADING) if state is STARTING else (state, READY)))
            await wait_until(lambda: w.status.pid is not None, what="a pid")
            pid = w.status.pid
            assert pid is not None
            w.server.mark_busy(state is BUSY)
            stop = asyncio.ensure_future(w.server.stop()) if state is STOPPING else None
            await asyncio.sleep(0)
            kill(pid)
            await w.until(FAILED, STOPPED)
            assert w.status.state is (STOPPED if state is STOPPING else FAILED)
            if stop is not None:
                await stop
            await asyncio.wait({start})
            assert (start.exception() is None) is (state in (READY, BUSY, STOPPING))

    run_async(scenario())


def test_that_a_server_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            w.server.grace_s = 0.2
            port = free_port()
            await w.start_stub("--stub-ignore-term", "--stub-child", port=port)
            pid = w.status.pid
            child = stub_child(await w.until_logged("stub child"))
            assert pid is not None
            assert child is not None
            await w.server.stop()
            assert w.status.state is STOPPED
            assert is_gone(pid)
            assert is_gone(child)
            assert port_is_free(port)

    run_async(scenario())


def test_that_our_own_streams_are_closed_before_the_server_is_told_to_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start_stub()
            answer = LlamaApi(w.http, f"http://127.0.0.1:{w.status.port}").stream_chat(ChatRequest([]))
            await anext(aiter(answer))
            w.server.on_stopping.append(answer.aclose)  # type: ignore[attr-defined]
            await w.server.stop()
            assert "stub waits" not in "\n".join(w.server.lines)
            assert "cleaning up before exit" in w.server.lines[-1]

    run_async(scenario())


def test_that_a_strangers_open_request_holds_a_stop_up_only_for_the_grace(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            w.server.grace_s = 0.3
            await w.start_stub()
            reader, writer = await asyncio.open_connection("127.0.0.1", w.status.port)
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n\r\n")
            assert b" 200 " in await reader.readline()
            await w.server.stop()
            log = "\n".join(w.server.lines)
            assert "stub waits for its open requests" in log
            assert "Received second interrupt" in log
            writer.close()

    run_async(scenario())


def test_that_whoever_cannot_close_his_stream_does_not_keep_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_run, "_HOOK_LIMIT_S", 0.2)

    async def breaks() -> None:
        raise OSError("broken hook")

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start_stub()
            w.server.on_stopping += [breaks, hangs]
            await w.server.stop()
            assert w.status.state is STOPPED
            assert "broken hook" in caplog.text
            assert "TimeoutError" in caplog.text

    run_async(scenario())


@pytest.mark.parametrize("option", ["--stub-never-ready", "--stub-silent", "--stub-broken-props", "--stub-no-port"])
def test_that_a_server_that_never_comes_up_is_given_up_after_the_limit(tmp_path: Path, option: str) -> None:
    async def scenario() -> None:
        async with watched(tmp_path, load_limit_s=0.6) as w:
            failure = await failure_of(asyncio.ensure_future(w.start_stub(option)))
            assert failure.code == "load_timeout"
            assert w.seen.states == [PREFLIGHT, STARTING, LOADING, STOPPING, FAILED]

    run_async(scenario())


def test_that_a_server_with_another_model_on_our_port_is_not_taken_for_ours(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            failure = await failure_of(asyncio.ensure_future(w.start_stub("--stub-model", "/models/other.gguf")))
            assert failure.code == "another_server_answers"
            assert "/models/other.gguf" in failure.title.english

    run_async(scenario())


def test_that_a_stranger_who_took_the_port_is_never_ready_for_us(tmp_path: Path) -> None:
    async def scenario() -> None:
        port = free_port()
        stranger = await asyncio.create_subprocess_exec(*stub(port=port), stderr=asyncio.subprocess.DEVNULL)
        try:
            await wait_until(lambda: not port_is_free(port), what="the stranger")
            async with watched(tmp_path) as w:
                failure = await failure_of(asyncio.ensure_future(w.start_stub(port=port)))
                assert failure.code == "port_in_use"
                assert READY not in w.seen.states
                assert stranger.returncode is None
        finally:
            stranger.kill()
            await stranger.wait()

    run_async(scenario())


def test_that_garbage_in_the_log_is_shown_and_harms_nothing(tmp_path: Path) -> None:
    garbage = [r"\xff\xfe\x00 garbage", r"\x1b[31mred\x1b[0m", "0.00.000.000 E ", r"x" * 70_000, r"\x80"]

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start_stub(*(part for line in garbage for part in ("--stub-say", line)))
            await w.server.stop()
            text = "".join(w.server.lines)
            assert "\ufffd\ufffd\x00 garbage" in text
            assert text.count("x" * 100) == 700

    run_async(scenario())


def test_that_a_flood_of_log_lines_neither_blocks_nor_grows(tmp_path: Path) -> None:
    count = 200_000

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            gaps: list[float] = []

            async def heartbeat() -> None:
                last = time.monotonic()
                while True:
                    await asyncio.sleep(0.005)
                    gaps.append(time.monotonic() - last)
                    last = time.monotonic()

            published_at: list[float] = []
            w.events.subscribe(
                lambda event: published_at.append(time.monotonic()) if isinstance(event, LogAppended) else None
            )
            beating = asyncio.create_task(heartbeat())
            await w.start_stub("--stub-flood", str(count))
            await w.until_logged(f"flood line {count - 1} ")
            await w.server.stop()
            beating.cancel()
            assert len(w.server.lines) == RING_LINES
            assert w.seen.log_lines[0].endswith("loading model 'stub.gguf'")
            largest = max(len(event.lines) for event in w.seen.events if isinstance(event, LogAppended))
            assert largest <= RING_LINES
            between = [b - a for a, b in pairwise(published_at[:-1])]
            assert min(between) > 0.09
            assert sorted(gaps)[int(len(gaps) * 0.9)] < 0.25

    run_async(scenario())


def test_that_each_start_has_a_log_of_its_own_and_the_last_ones_are_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            for number in range(3):
                await w.start_stub("--stub-say", f"start {number}")
                await w.server.stop()
                assert sum("start " in line for line in w.server.lines) == 1
            assert "start 2" in w.server.log_path.read_text()
            assert "start 0" in older(w.server.log_path, 2).read_text()

    run_async(scenario())


def test_that_a_log_folder_that_cannot_be_made_is_a_failure_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file stands in the way")

    async def scenario() -> None:
        async with watched(tmp_path / "logs") as w:
            failure = await failure_of(asyncio.ensure_future(w.start_stub()))
            assert failure.code == "log_not_writable"
            assert "logs" in failure.title.english

    run_async(scenario())


def test_that_a_missing_program_is_a_failure_with_a_way_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            launch = stub_launch()
            missing = Launch(
                type(launch.command)(("/nowhere/llama-server",), {}, (), ()), {}, launch.binary, {}, launch.port
            )
            failure = await failure_of(asyncio.ensure_future(w.start(missing)))
            assert failure.code == "engine_not_found"
            assert failure.fixes[0].action == "pick_engine"
            assert w.seen.marks == []

    run_async(scenario())


def test_that_a_loop_that_ends_takes_its_servers_along(tmp_path: Path) -> None:
    pids: list[int] = []

    async def scenario() -> None:
        async with Http() as http:
            fleet = Fleet(Surroundings(EventStream(), lambda url: LlamaApi(http, url), tmp_path))
            w = Watched(fleet.server("fast"), Seen(), http, EventStream())
            await w.start_stub()
            assert w.status.pid is not None
            pids.append(w.status.pid)

    run_async(scenario())  # nobody stopped it: the life is cancelled with the loop
    assert is_gone(pids[0])


def test_that_a_server_set_to_keep_running_is_left_alone_at_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Http() as http:
            fleet = Fleet(Surroundings(EventStream(), lambda url: LlamaApi(http, url), tmp_path))
            for role, keep in (("fast", True), ("ultra", False)):
                w = Watched(fleet.server(role), Seen(), http, EventStream())
                await w.start_stub(keep_running=keep)
            kept, ended = (server.status.pid for server in fleet.running())
            assert kept is not None
            assert ended is not None
            try:
                await fleet.close()
                assert not is_gone(kept)
                assert is_gone(ended)
                assert fleet.running() == ()
            finally:
                kill(kept)

    run_async(scenario())


def test_that_all_servers_are_stopped_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        events, seen = EventStream(), Seen()
        events.subscribe(seen)
        async with Http() as http:
            fleet = Fleet(Surroundings(events, lambda url: LlamaApi(http, url), tmp_path))
            starts = []
            for role in ("fast", "ultra"):
                fleet.server(role).grace_s = 0.3
                w = Watched(fleet.server(role), seen, http, events)
                starts.append(w.start_stub("--stub-ignore-term"))
            await asyncio.gather(*starts)
            assert {status.state for status in fleet.statuses()} == {READY}
            await fleet.stop_all()
            assert {status.state for status in fleet.statuses()} == {STOPPED}
            assert seen.states[-4:] == [STOPPING, STOPPING, STOPPED, STOPPED]
            assert fleet.server("fast") is fleet.server("fast")

    run_async(scenario())
