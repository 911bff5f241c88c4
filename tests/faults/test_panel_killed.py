"""A panel that is killed, in every state of its server: nothing outlives it but what was to, and that is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import REPOSITORY, free_port, kill, stub
from tests.faults.watching import Seen
from tests.support.waiting import run_async, wait_until
from variet_gui.client.api import Http, LlamaApi
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.records import StateFile
from variet_gui.engine.server import Surroundings
from variet_gui.events import EventStream, MarkKind, NoticeRaised, ServerState
from variet_gui.panel.recovery import Recovery

PREFLIGHT, STARTING, LOADING, READY, BUSY, STOPPING, STOPPED = (
    ServerState.PREFLIGHT,
    ServerState.STARTING,
    ServerState.LOADING,
    ServerState.READY,
    ServerState.BUSY,
    ServerState.STOPPING,
    ServerState.STOPPED,
)
GONE_WITHIN_S = 5.0
OPTIONS = {STARTING: ["--stub-polls", "40"], LOADING: ["--stub-polls", "40"], STOPPING: ["--stub-ignore-term"]}


def servers_on(port: int) -> list[psutil.Process]:
    """Return every process that has this port on its command line, but for helpers that only hand it on."""
    found = []
    for process in psutil.process_iter():
        try:
            argv = process.cmdline()
            helper = "_lifeline" in argv or any("stand_in_fleet" in word for word in argv)
            if str(port) in argv and not helper and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def killed_panel(folder: Path, port: int, state: ServerState, *, keep: bool) -> Iterator[None]:
    """Start a panel with one server, and kill it with -9 once its server is in `state`."""
    argv = stub(*OPTIONS.get(state, []), port=port)
    command = [sys.executable, "-m", "tests.faults.stand_in_fleet", str(folder), "keep" if keep else "end"]
    panel = subprocess.Popen(
        [*command, state.value, str(port), *argv], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    try:
        assert panel.stdout is not None
        for line in panel.stdout:
            said = json.loads(line)
            if said["state"] == state.value and (said["pid"] is not None or not (keep and state is STARTING)):
                break
        panel.kill()
        panel.wait()
        yield
    finally:
        if panel.poll() is None:
            panel.kill()
            panel.wait()
        assert panel.stdout is not None
        panel.stdout.close()
        kill(*(process.pid for process in servers_on(port)))


def until_only(port: int, count: int) -> None:
    """Wait, as long as the product promises, until `count` servers are left on `port`."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while len(servers_on(port)) != count:
        assert time.monotonic() < deadline, f"{servers_on(port)} run {GONE_WITHIN_S} s after the panel was killed"
        time.sleep(0.05)


@pytest.mark.parametrize("attempt", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", [PREFLIGHT, STARTING, LOADING, READY, BUSY, STOPPING])
def test_that_no_server_outlives_a_killed_panel(tmp_path: Path, state: ServerState, attempt: int) -> None:
    port = free_port()
    with killed_panel(tmp_path, port, state, keep=False):
        until_only(port, 0)


@pytest.mark.parametrize("attempt", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", [STARTING, LOADING, READY, BUSY])
def test_that_a_server_that_is_to_keep_running_is_taken_over(tmp_path: Path, state: ServerState, attempt: int) -> None:
    async def scenario(port: int) -> None:
        async with Http() as http:
            events, seen = EventStream(), Seen()
            events.subscribe(seen)
            state_file = StateFile(tmp_path / "state.json")
            fleet = Fleet(Surroundings(events, lambda url: LlamaApi(http, url), tmp_path / "logs", state_file))
            recovery = Recovery(state_file, fleet, lambda: ["fast"], events)
            assert await recovery.recover() == {"fast"}
            server = fleet.server("fast")
            await wait_until(lambda: server.status.state is READY, what="ready")
            assert server.status.adopted
            assert server.status.pid in {process.pid for process in servers_on(port)}
            assert server.status.port == port
            assert dict(server.status.values or {}) == {"ctx_size": 2048}
            assert any("loading model" in line for line in server.lines), "its log is there from the first line on"
            assert seen.marks == [MarkKind.READY]
            await wait_until(lambda: any("has been taken over" in text for text in notices(seen)), what="a notice")
            await server.stop()
            assert server.status.state is STOPPED
            assert state_file.load() == ()
            await recovery.close()

    port = free_port()
    with killed_panel(tmp_path, port, state, keep=True):
        run_async(scenario(port))
        until_only(port, 0)


def notices(seen: Seen) -> list[str]:
    """Return the text of every notice."""
    return [event.text.english for event in seen.events if isinstance(event, NoticeRaised)]


def test_that_a_server_taken_over_is_let_go_again_at_the_end(tmp_path: Path) -> None:
    async def scenario(port: int) -> None:
        async with Http() as http:
            state_file = StateFile(tmp_path / "state.json")
            fleet = Fleet(Surroundings(EventStream(), lambda url: LlamaApi(http, url), tmp_path / "logs", state_file))
            recovery = Recovery(state_file, fleet, lambda: ["fast"], EventStream())
            await recovery.recover()
            await wait_until(lambda: fleet.server("fast").status.state is READY, what="ready")
            await fleet.close()
            await recovery.close()
            assert len(servers_on(port)) == 1
            assert [record.role for record in StateFile(tmp_path / "state.json").load()] == ["fast"]

    port = free_port()
    with killed_panel(tmp_path, port, READY, keep=True):
        run_async(scenario(port))
        run_async(scenario(port))


def test_that_the_end_of_a_server_taken_over_is_noticed_at_once(tmp_path: Path) -> None:
    async def scenario(port: int) -> None:
        async with Http() as http:
            state_file = StateFile(tmp_path / "state.json")
            fleet = Fleet(Surroundings(EventStream(), lambda url: LlamaApi(http, url), tmp_path / "logs", state_file))
            recovery = Recovery(state_file, fleet, lambda: ["fast"], EventStream())
            await recovery.recover()
            server = fleet.server("fast")
            await wait_until(lambda: server.status.state is READY, what="ready")
            assert server.status.pid is not None
            os.kill(server.status.pid, signal.SIGKILL)
            await wait_until(lambda: server.status.state is ServerState.FAILED, what="failed")
            assert state_file.records == ()
            await recovery.close()

    port = free_port()
    with killed_panel(tmp_path, port, READY, keep=True):
        run_async(scenario(port))


def test_that_one_that_ended_meanwhile_is_told_and_forgotten(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Http() as http:
            events, seen = EventStream(), Seen()
            events.subscribe(seen)
            state_file = StateFile(tmp_path / "state.json")
            fleet = Fleet(Surroundings(events, lambda url: LlamaApi(http, url), tmp_path / "logs", state_file))
            recovery = Recovery(state_file, fleet, lambda: ["fast"], events)
            assert await recovery.recover() == frozenset()
            assert any("has ended while no panel was open" in text for text in notices(seen))
            assert fleet.server("fast").status.state is STOPPED
            assert state_file.load() == ()
            await recovery.close()

    port = free_port()
    with killed_panel(tmp_path, port, READY, keep=True):
        for process in servers_on(port):
            process.kill()
        until_only(port, 0)
        run_async(scenario())
