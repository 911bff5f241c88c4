"""Start, ready, stop and restart of real engines with a real, tiny model, through the whole of `engine.server`."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import free_port, is_gone
from tests.faults.watching import Watched, launch_of, watched
from tests.support.tiny_models import write_text_model
from tests.support.waiting import run_async, wait_until
from variet_gui.client.api import ChatRequest, LlamaApi
from variet_gui.client.stream import AnswerFinished, StreamCut, StreamEvent
from variet_gui.engine.launch import Launch, StartFailed
from variet_gui.events import MarkKind, ServerState
from variet_gui.helpers import Helper, helper_command

pytestmark = pytest.mark.engine

RESTARTS = 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_text_model(path)
    return path


@pytest.fixture(params=["llama-server", "embedded"])
def program(request: pytest.FixtureRequest) -> Sequence[str]:
    if request.param == "embedded":
        return helper_command(Helper.EMBEDDED_ENGINE)
    return [str(request.getfixturevalue("llama_server"))]


def engine_launch(program: Sequence[str], model: Path, *options: str, port: int | None = None) -> Launch:
    port = port or free_port()
    flags = ["-lv", "4", "--offline", "--host", "127.0.0.1", "--alias", "fast", "-c", "512", "-np", "1", "--metrics"]
    return launch_of([*program, *flags, "--port", str(port), "-m", str(model), *options], port)


def api_of(w: Watched) -> LlamaApi:
    return LlamaApi(w.http, f"http://127.0.0.1:{w.status.port}")


def test_that_a_real_engine_comes_up_says_what_it_is_and_goes(
    program: Sequence[str], model: Path, tmp_path: Path
) -> None:
    model_mib = model.stat().st_size / 2**20

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start(engine_launch(program, model))
            ready = w.status
            assert ready.state is ServerState.READY
            assert ready.context_size == 512
            assert ready.vision is False
            assert ready.build
            assert ready.pid is not None
            weights = sum(part.weights_mib or 0.0 for part in ready.buffers)
            assert weights == pytest.approx(model_mib, rel=0.2)
            assert sum(part.context_mib or 0.0 for part in ready.buffers) > 0
            await w.server.stop()
            assert is_gone(ready.pid)
            states = w.seen.states
            assert [state for state in states if state is not ServerState.LOADING] == [
                ServerState.PREFLIGHT,
                ServerState.STARTING,
                ServerState.READY,
                ServerState.STOPPING,
                ServerState.STOPPED,
            ]
            assert w.seen.marks == [MarkKind.START, MarkKind.READY, MarkKind.STOP]

    run_async(scenario())


def test_that_twenty_restarts_leak_nothing(program: Sequence[str], model: Path, tmp_path: Path) -> None:
    me = psutil.Process()

    def held() -> tuple[int, int, int]:
        return len(me.children(recursive=True)), me.num_fds(), threading.active_count()

    async def scenario() -> None:
        async with watched(tmp_path) as w:
            port = free_port()
            after_first: tuple[int, int, int] | None = None
            for number in range(RESTARTS):
                await w.start(engine_launch(program, model, port=port))
                assert w.status.state is ServerState.READY, number
                await w.server.stop()
                if number == 1:  # by now every pool and cache of the process itself has been filled
                    await wait_until(lambda: len(me.children(recursive=True)) == 0, what="the end of all children")
                    after_first = held()
            assert after_first is not None
            before = after_first
            await wait_until(
                lambda: all(now <= then for now, then in zip(held(), before, strict=True)),
                what=f"as few children, open files and threads as after two starts ({before})",
            )
            tasks = asyncio.all_tasks()
            assert len(tasks) <= 2, tasks  # this one and the one that bounds it

    run_async(scenario(), timeout_s=110)


async def open_answer(w: Watched) -> AsyncGenerator[StreamEvent, None]:
    """Ask for an answer that goes on for a while, and return the stream after its first event."""
    request = ChatRequest([{"role": "user", "content": "go on"}], {"max_tokens": -1, "ignore_eos": True})
    answer = api_of(w).stream_chat(request)
    assert isinstance(answer, AsyncGenerator)
    await anext(answer)
    return answer


def test_that_our_own_open_answer_holds_nothing_up(program: Sequence[str], model: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start(engine_launch(program, model, "-c", "32768"))
            answer = await open_answer(w)
            assert any(slot.is_processing for slot in await api_of(w).slots())
            w.server.on_stopping.append(answer.aclose)
            began_at = time.monotonic()
            await w.server.stop()
            assert w.status.state is ServerState.STOPPED
            assert time.monotonic() - began_at < w.server.grace_s  # it went when asked; nothing had to be forced
            assert "terminating immediately" not in "\n".join(w.server.lines)

    run_async(scenario())


def test_that_an_answer_that_nobody_closes_is_cut_after_the_grace(
    program: Sequence[str], model: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            w.server.grace_s = 0.3
            await w.start(engine_launch(program, model, "-c", "32768"))
            answer = await open_answer(w)
            pid = w.status.pid
            assert pid is not None
            await w.server.stop()
            assert w.status.state is ServerState.STOPPED
            assert is_gone(pid)
            with pytest.raises(StreamCut):
                async for _ in answer:
                    pass

    run_async(scenario())


def test_that_it_answers_after_a_restart(program: Sequence[str], model: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            for _ in range(2):
                await w.start(engine_launch(program, model))
                request = ChatRequest([{"role": "user", "content": "hello"}], {"max_tokens": 4})
                events = [event async for event in api_of(w).stream_chat(request)]
                assert isinstance(events[-1], AnswerFinished)
                await w.server.stop()

    run_async(scenario())


def test_that_a_killed_engine_is_a_crash_and_can_be_started_again(
    program: Sequence[str], model: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            await w.start(engine_launch(program, model))
            assert w.status.pid is not None
            os.kill(w.status.pid, signal.SIGKILL)
            await w.until(ServerState.FAILED)
            assert w.status.failure is not None
            assert w.status.failure.exit_code == -signal.SIGKILL
            await w.start(engine_launch(program, model))
            assert w.status.state is ServerState.READY

    run_async(scenario())


def test_that_a_missing_model_ends_the_start_with_its_name(program: Sequence[str], model: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            with pytest.raises(StartFailed) as caught:
                await w.start(engine_launch(program, model.with_name("gone.gguf")))
            assert caught.value.failure.exit_code == 1
            assert caught.value.failure.code == "model_missing"
            assert any("gone.gguf" in line for line in caught.value.failure.evidence)

    run_async(scenario())


def test_that_two_engines_on_one_port_are_told_apart(program: Sequence[str], model: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        port = free_port()
        async with watched(tmp_path / "first") as first, watched(tmp_path / "second") as second:
            await first.start(engine_launch(program, model, port=port))
            with pytest.raises(StartFailed) as caught:
                await second.start(engine_launch(program, model, port=port))
            assert caught.value.failure.code == "port_in_use"
            assert ServerState.READY not in second.seen.states
            assert first.status.state is ServerState.READY

    run_async(scenario())
