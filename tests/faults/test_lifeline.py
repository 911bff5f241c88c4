"""A server never outlives the panel, unless it was told to; and nothing but our own is ever hit."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import REPOSITORY, is_gone, kill, stub, stub_child
from tests.support.waiting import run_async, wait_until
from variet_gui.engine.process import ServerProcess, SpawnError
from variet_gui.helpers import Helper, helper_command

WITHIN_S = 5.0
"""The promise: so long after the death of the panel, nothing of it runs."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "fast.log"


@asynccontextmanager
async def stand_in_panel(log: Path, keep: str, *argv: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A panel of its own process that holds a server; yields it and the server's pid."""
    panel = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("stand_in_panel.py")),
        str(log),
        keep,
        *argv,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert panel.stdout is not None
    server = json.loads(await panel.stdout.readline())["server"]
    try:
        yield panel, server
    finally:
        kill(server)
        if panel.returncode is None:
            panel.kill()
        await panel.wait()


async def spawn(log: Path, *options: str, keep_running: bool = False) -> ServerProcess:
    return await ServerProcess.spawn(stub(*options), os.environ, log, keep_running=keep_running)


def text_of(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""


async def said(log: Path, text: str) -> str:
    await wait_until(lambda: text in text_of(log), what=f"{text!r} in the log")
    return text_of(log)


def lifeline_of(server: int) -> int:
    parent = psutil.Process(server).parent()
    assert parent is not None
    assert Helper.LIFELINE.value in parent.cmdline()
    return parent.pid


def test_that_a_killed_panel_takes_even_a_stubborn_server_and_its_child_along(log: Path) -> None:
    async def scenario() -> None:
        async with stand_in_panel(log, "end", *stub("--stub-ignore-term", "--stub-child")) as (panel, server):
            child = stub_child(await said(log, "loading model"))
            lifeline = lifeline_of(server)
            assert child is not None
            os.kill(panel.pid, signal.SIGKILL)
            killed_at = time.monotonic()
            await wait_until(lambda: all(map(is_gone, (server, child, lifeline))), WITHIN_S, "the end of all three")
            assert time.monotonic() - killed_at < WITHIN_S

    run_async(scenario())


def test_that_a_killed_panel_leaves_a_willing_server_time_to_end_in_order(log: Path) -> None:
    async def scenario() -> None:
        async with stand_in_panel(log, "end", *stub()) as (panel, server):
            await said(log, "loading model")
            os.kill(panel.pid, signal.SIGKILL)
            await wait_until(lambda: is_gone(server), WITHIN_S, "the end of the server")
            assert "cleaning up before exit" in text_of(log)

    run_async(scenario())


def test_that_a_server_that_is_to_keep_running_survives_the_killed_panel(log: Path) -> None:
    async def scenario() -> None:
        async with stand_in_panel(log, "keep", *stub("--stub-flood", "3")) as (panel, server):
            await said(log, "flood line 2")
            lifeline = lifeline_of(server)
            os.kill(panel.pid, signal.SIGKILL)
            await wait_until(lambda: is_gone(lifeline), WITHIN_S, "the end of the lifeline")
            assert not is_gone(server)
            os.kill(server, signal.SIGTERM)
            await wait_until(lambda: is_gone(server), what="the end of the server")

    run_async(scenario())


def test_that_a_killed_lifeline_takes_the_server_and_its_child_along(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log, "--stub-ignore-term", "--stub-child")
        child = stub_child(await said(log, "loading model"))
        assert child is not None
        os.kill(lifeline_of(process.pid), signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        await wait_until(lambda: is_gone(process.pid) and is_gone(child), WITHIN_S, "the end of both")

    run_async(scenario())


def test_that_a_lifeline_told_to_end_ends_its_server_first(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log)
        await said(log, "loading model")
        os.kill(lifeline_of(process.pid), signal.SIGTERM)
        assert await process.wait() == 0

    run_async(scenario())


def test_that_a_released_server_runs_on_without_its_lifeline(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log, keep_running=True)
        try:
            lifeline = lifeline_of(process.pid)
            await process.release()
            assert is_gone(lifeline)
            assert not is_gone(process.pid)
            assert process.exit_code is None
        finally:
            kill(process.pid)

    run_async(scenario())


def test_that_a_kept_server_whose_lifeline_is_lost_is_still_followed_and_ended(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log, keep_running=True)
        os.kill(lifeline_of(process.pid), signal.SIGKILL)
        assert await process.terminate(grace_s=1.0) is None  # nobody saw how it ended
        assert is_gone(process.pid)

    run_async(scenario())


@pytest.mark.parametrize("code", [0, 1, 7, -signal.SIGABRT, -signal.SIGSEGV])
def test_that_the_exit_code_of_the_server_reaches_the_panel(log: Path, code: int) -> None:
    async def scenario() -> None:
        process = await spawn(log, "--stub-exit-at-once", str(code))
        assert await process.wait() == code

    run_async(scenario())


def test_that_an_orderly_end_is_just_a_word(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log)
        await said(log, "loading model")
        assert await process.terminate() == 0
        assert await process.terminate() == 0  # once more does no harm
        assert "cleaning up before exit" in text_of(log)

    run_async(scenario())


def test_that_a_server_that_ignores_everything_is_killed_with_all_it_started(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log, "--stub-ignore-term", "--stub-child")
        child = stub_child(await said(log, "loading model"))
        assert child is not None
        assert await process.terminate(grace_s=0.2) == -signal.SIGKILL
        assert is_gone(process.pid)
        await wait_until(lambda: is_gone(child), what="the end of the child")

    run_async(scenario())


def test_that_a_crashed_server_leaves_no_child_behind(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log, "--stub-child", "--stub-exit-at-once", "3")
        assert await process.wait() == 3
        child = stub_child(text_of(log))
        assert child is not None
        await wait_until(lambda: is_gone(child), what="the end of the child")

    run_async(scenario())


def test_that_a_lifeline_that_hangs_does_not_keep_its_server_alive(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log)
        await said(log, "loading model")
        os.kill(lifeline_of(process.pid), signal.SIGSTOP)
        assert await process.terminate(grace_s=0.1) == -signal.SIGKILL
        assert is_gone(process.pid)

    run_async(scenario())


def test_that_a_stranger_with_the_number_of_our_server_is_not_hit(log: Path) -> None:
    async def scenario() -> None:
        process = await spawn(log, "--stub-exit-at-once", "0")
        await process.wait()
        stranger = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
        process.pid = stranger.pid  # the system has given the number away
        process.kill_group()
        assert stranger.returncode is None
        assert not is_gone(stranger.pid)
        stranger.kill()
        await stranger.wait()

    run_async(scenario())


def test_that_a_cancelled_spawn_leaves_nothing_behind(log: Path) -> None:
    async def scenario() -> None:
        spawning = asyncio.ensure_future(spawn(log, "--stub-ignore-term"))
        children = psutil.Process().children
        await wait_until(lambda: bool(children()), what="the lifeline")
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        assert not [child for child in children(recursive=True) if not is_gone(child.pid)]

    run_async(scenario())


def test_that_a_program_that_cannot_run_is_named_with_the_way_out(tmp_path: Path, log: Path) -> None:
    plain, damaged, foreign = (tmp_path / name for name in ("plain", "damaged", "foreign"))
    plain.write_text("hello")
    damaged.write_bytes(b"\x7fELF and then nothing")
    foreign.write_text("#!/nowhere/interpreter\n")
    damaged.chmod(0o755)
    foreign.chmod(0o755)
    cases = {
        str(tmp_path / "missing"): ("engine_not_found", "was not found"),
        "no-such-llama-server": ("engine_not_found", "was not found"),
        str(plain): ("engine_not_executable", "chmod +x"),
        str(tmp_path): ("engine_not_executable", "is a folder"),
        str(damaged): ("engine_wrong_format", "another kind of processor"),
        str(foreign): ("engine_wrong_format", "loader or interpreter"),
    }

    async def scenario() -> None:
        for program, (code, words) in cases.items():
            with pytest.raises(SpawnError, match=re.escape(words)) as caught:
                await ServerProcess.spawn([program], os.environ, log)
            assert caught.value.code == code
            assert program in caught.value.message.english

    run_async(scenario())


def test_that_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = tmp_path / "no" / "such" / "folder.log"

    async def scenario() -> None:
        with pytest.raises(SpawnError, match=r"folder\.log cannot be written") as caught:
            await ServerProcess.spawn(stub(), os.environ, log)
        assert caught.value.code == "log_not_writable"

    run_async(scenario())


def test_that_the_server_gets_exactly_the_environment_and_nothing_to_read(log: Path) -> None:
    script = (
        "import os, sys; print(os.environ.get('ONLY'), os.environ.get('HOME'), repr(sys.stdin.read()), os.getsid(0))"
    )

    async def scenario() -> None:
        environment = {"ONLY": "this", "PYTHONPATH": str(REPOSITORY)}
        process = await ServerProcess.spawn([sys.executable, "-c", script], environment, log)
        assert await process.wait() == 0
        assert text_of(log) == f"this None '' {process.pid}\n"

    run_async(scenario())


def test_that_signals_that_the_panel_blocks_or_ignores_still_reach_the_server(log: Path) -> None:
    async def scenario() -> None:
        earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            process = await ServerProcess.spawn(["sleep", "60"], os.environ, log)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
        assert await process.terminate(grace_s=10.0) == -signal.SIGTERM

    run_async(scenario())


def test_that_the_log_is_appended_to(log: Path) -> None:
    log.write_text("earlier\n")

    async def scenario() -> None:
        process = await ServerProcess.spawn(["echo", "now"], os.environ, log)
        assert await process.wait() == 0

    run_async(scenario())
    assert text_of(log) == "earlier\nnow\n"


def test_that_wrong_usage_is_told() -> None:
    wrong: tuple[tuple[str, ...], ...] = ((), ("--log", "x"), ("--", "true"), ("--log", "x", "--"))
    for arguments in wrong:
        result = subprocess.run(
            helper_command(Helper.LIFELINE, *arguments), capture_output=True, text=True, cwd=REPOSITORY, check=False
        )
        assert result.returncode == 2
        assert result.stderr.startswith("usage: ")


def test_that_the_lifeline_imports_next_to_nothing() -> None:
    script = (
        "import sys, variet_gui.helpers, variet_gui.engine.lifeline\n"
        "print(sorted({'asyncio', 'ctypes', 'json', 'subprocess', 'psutil', 'pydantic', 'gettext'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert result.stdout.strip() == "[]"
