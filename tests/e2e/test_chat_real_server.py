"""Conversations with the real llama-server on tiny models: text, pictures, refusals, and a server that is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.support import tiny_models
from tests.support.sample_pictures import BMP, GIF, JPEG, PNG, WEBP_LOSSLESS, WEBP_LOSSY
from tests.support.waiting import run_async, wait_until
from variet_gui.chat.conversation import Conversation, StreamState
from variet_gui.client.api import ApiError, ChatRequest, ErrorKind, Health, Http, LlamaApi
from variet_gui.events import EventStream

pytestmark = pytest.mark.engine

PICTURE = tiny_models.png(640, 480)


class RealServer:
    """A llama-server that answers, its API and a conversation with it."""

    def __init__(self, process: asyncio.subprocess.Process, http: Http, port: int, log: Path) -> None:
        self.process = process
        self.log = log
        self.api = LlamaApi(http, f"http://127.0.0.1:{port}")
        self.conversation = Conversation(EventStream(), tier="fast", sampling=None)

    @property
    def answer_text(self) -> str:
        return self.conversation.messages[-1].text if len(self.conversation.messages) > 1 else ""

    async def idle(self) -> bool:
        return not any(slot.is_processing for slot in await self.api.slots())


Start: TypeAlias = Callable[..., AbstractAsyncContextManager[RealServer]]


@pytest.fixture
def serving(llama_server: Path, tmp_path: Path) -> Start:
    """Give a context manager that runs a server with the given arguments; `vision` adds the tiny projector."""

    @asynccontextmanager
    async def start(*arguments: str, vision: bool = False, ends: bool = True) -> AsyncIterator[RealServer]:
        model = tiny_models.write_text_model(tmp_path / "tiny.gguf", ends=ends)
        if vision:
            arguments += ("--mmproj", str(tiny_models.write_projector(tmp_path / "vision.gguf")))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path / "server.log"
        argv = [
            str(llama_server),
            "-lv",
            "4",
            "--offline",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "-m",
            str(model),
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LLAMA_")}
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                *argv, "-np", "1", "-t", "1", *arguments, stdout=sink, stderr=sink, env=environment
            )
        try:
            async with Http() as http:
                server = RealServer(process, http, port, log)

                async def ready() -> bool:
                    assert process.returncode is None, log.read_text(errors="replace")[-2000:]
                    return await server.api.health() is Health.READY

                await wait_until(ready, what="the server's readiness")
                yield server
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return start


def run(scenario: Coroutine[Any, Any, None]) -> None:
    run_async(scenario, timeout_s=60.0)


def test_that_a_question_is_answered_with_timings(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "2048") as server:
            talk = server.conversation
            answer = await talk.ask(
                server.api, "안녕, tell me a story", sampling={"temperature": 0.0, "max_tokens": 12}
            )
            assert answer.state is StreamState.DONE, answer.failure
            assert answer.text.strip()
            assert answer.finish_reason in ("stop", "length")
            timings = answer.timings
            assert timings is not None
            assert 1 <= timings.generated_tokens <= 12
            assert timings.prompt_tokens > 10
            assert timings.prefill_tps is not None
            assert timings.image_tokens is None
            assert timings.time_to_first_token_ms is not None
            assert timings.time_to_first_token_ms > 0
            again = await talk.ask(server.api, "And then?")
            assert again.timings is not None
            assert again.timings.cached_tokens >= timings.prompt_tokens, "the history is in the server's cache"

    run(scenario())


def test_that_the_answer_grows_while_it_streams(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "4096", ends=False) as server:
            talk = server.conversation
            asking = asyncio.create_task(talk.ask(server.api, "Go", sampling={"max_tokens": 3000}))
            seen: list[tuple[int, float | None]] = []

            def grew() -> bool:
                if len(talk.messages) < 2:
                    return False
                now = talk.messages[-1]
                seen.append((len(now.text), now.timings.generation_tps if now.timings else None))
                return len({length for length, _ in seen}) > 4

            await wait_until(grew, what="an answer that grows")
            await talk.stop()
            assert (await asking).state is StreamState.STOPPED
            lengths = [length for length, _ in seen]
            assert lengths == sorted(lengths)
            assert any(tps and tps > 0 for _, tps in seen)

    run(scenario())


def test_that_stop_frees_the_server_and_lets_it_end_at_once(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "4096", ends=False) as server:
            asking = asyncio.create_task(server.conversation.ask(server.api, "Go", sampling={"max_tokens": 4000}))
            await wait_until(lambda: bool(server.answer_text), what="the first text")
            assert not await server.idle()
            await server.conversation.stop()
            await wait_until(server.idle, timeout_s=3.0, what="an idle slot")
            stopped = await asking
            assert stopped.text
            assert stopped.state is StreamState.STOPPED
            # With a request open llama-server does not react to SIGTERM; ending cleanly shows that none is.
            server.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(server.process.wait(), 10) == 0

    run(scenario())


def test_that_a_picture_reaches_the_model_and_its_tokens_are_counted(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "2048", vision=True) as server:
            assert (await server.api.props()).vision is True
            talk = server.conversation
            answer = await talk.ask(server.api, "What is this?", [PICTURE], {"max_tokens": 4})
            assert answer.state is StreamState.DONE, answer.failure
            assert answer.timings is not None
            assert answer.timings.image_tokens == tiny_models.image_tokens() == 16
            text_only = await talk.ask(server.api, "Are you sure?")
            assert text_only.timings is not None
            assert text_only.timings.image_tokens is None
            two = await talk.ask(server.api, "\n And these two?", [JPEG, tiny_models.png(30, 90, seed=2)])
            assert two.timings is not None
            assert two.timings.image_tokens == 32, "pictures of earlier messages are not counted again"

    run(scenario())


def test_that_the_log_at_verbosity_4_dates_the_work_on_a_picture(serving: Start) -> None:
    """What `note_image_ms` is fed with: the stamps of these lines, the first to the last (b11434)."""

    async def scenario() -> str:
        async with serving("-c", "2048", vision=True) as server:
            await server.conversation.ask(server.api, "What?", [PICTURE], {"max_tokens": 2})
            await wait_until(lambda: "stop processing" in server.log.read_text(errors="replace"), what="the log's end")
            return server.log.read_text(errors="replace")

    log = run_async(scenario())
    begun = re.search(r"^(\S+) I slot encode_mtmd_.*encoding mtmd batch", log, re.MULTILINE)
    ended = re.search(r"^(\S+) I image decoded \(batch 1/1\) in \d+ ms", log, re.MULTILINE)
    assert begun
    assert ended
    assert begun.start() < ended.start()


@pytest.mark.parametrize("data", [PNG, JPEG, GIF, BMP], ids=["png", "jpeg", "gif", "bmp"])
def test_that_the_engine_reads_what_we_say_it_reads(serving: Start, data: bytes) -> None:
    async def scenario() -> None:
        async with serving("-c", "1024", vision=True) as server:
            answer = await server.conversation.ask(server.api, "What?", [data], {"max_tokens": 1})
            assert answer.state is StreamState.DONE, answer.failure

    run(scenario())


@pytest.mark.parametrize("data", [WEBP_LOSSY, WEBP_LOSSLESS], ids=["lossy", "lossless"])
def test_that_the_engine_does_not_read_webp(serving: Start, data: bytes) -> None:
    """The reason why `Picture.of` refuses WebP; when this fails, llama.cpp has learned it."""
    import base64

    url = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    request = ChatRequest([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])

    async def scenario() -> None:
        async with serving("-c", "1024", vision=True) as server:
            with pytest.raises(ApiError) as caught:
                await anext(server.api.stream_chat(request))
            assert caught.value.kind is ErrorKind.BAD_IMAGE

    run(scenario())


def test_that_a_tier_without_a_projector_says_so_and_goes_on_with_text(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "1024") as server:
            assert (await server.api.props()).vision is False
            refused = await server.conversation.ask(server.api, "Look", [PICTURE])
            assert refused.state is StreamState.FAILED
            assert "without a projector" in str(refused.failure)
            text = await server.conversation.ask(server.api, "Then in words", sampling={"max_tokens": 4})
            assert text.state is StreamState.DONE, text.failure

    run(scenario())


def test_that_a_prompt_beyond_the_context_is_refused_with_both_numbers(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "512") as server:
            answer = await server.conversation.ask(server.api, "many words " * 400)
            assert answer.state is StreamState.FAILED
            assert re.search(r"takes \d\u202f\d{3} tokens and this server has room for 512", str(answer.failure))
            short = await server.conversation.ask(server.api, "short", sampling={"max_tokens": 4})
            assert short.state is StreamState.DONE, short.failure

    run(scenario())


def test_that_an_answer_up_to_the_end_of_the_context_ends_by_length(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "256", ends=False) as server:
            answer = await server.conversation.ask(server.api, "Go")
            assert (answer.state, answer.finish_reason) == (StreamState.DONE, "length")

    run(scenario())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a kill without a word exists on POSIX only")
def test_that_a_server_killed_in_the_middle_leaves_the_half_answer(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "4096", ends=False) as server:
            asking = asyncio.create_task(server.conversation.ask(server.api, "Go", sampling={"max_tokens": 4000}))
            await wait_until(lambda: len(server.answer_text) > 40, what="some text")
            server.process.kill()
            answer = await asking
            assert answer.state is StreamState.FAILED
            assert len(answer.text) > 40
            assert "cut off" in str(answer.failure)
            assert answer.timings is not None
            assert answer.timings.generated_tokens > 1
            assert await server.api.health() is Health.DOWN
            dead = await server.conversation.regenerate(server.api)
            assert "No server answers" in str(dead.failure)
            assert server.conversation.earlier_answers(answer.reply_to or "") == (answer,)

    run(scenario())


def test_that_the_server_describes_itself(serving: Start) -> None:
    async def scenario() -> None:
        async with serving("-c", "1024") as server:
            assert await server.api.tokenize("two cats")
            assert await server.api.count_prompt_tokens([{"role": "user", "content": "hi"}])
            (slot,) = await server.api.slots()
            assert slot.n_ctx == 1024
            props = await server.api.props()
            assert props.context_size == 1024
            assert props.model_path is not None
            assert props.model_path.endswith("tiny.gguf")
            assert props.build_info

    run(scenario())
