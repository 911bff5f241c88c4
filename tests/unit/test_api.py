"""One server's endpoints: the shapes of new and old builds, and every trouble in plain words."""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing
from typing import Any

import pytest

from tests.support.chat_stub import DONE, ChatStub, Exchange, Script, piece
from tests.support.waiting import run_async
from variet_gui.client.api import ApiError, ChatRequest, ErrorKind, Health, Http, LlamaApi, LlamaClient
from variet_gui.client.replies import Props, SlotState, health_of
from variet_gui.client.stream import StreamCut, TextArrived

HELLO = ChatRequest([{"role": "user", "content": "hello"}], {"temperature": 0.5})


def replying(status: int, value: Any) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.reply(status, value)

    return script


def error(code: int, message: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": kind, **more}}


async def trouble_of(chat: Script) -> ApiError:
    """Return what a chat request to a server with that script raises."""
    async with ChatStub(chat) as stub, Http() as http, aclosing(LlamaApi(http, stub.url).stream_chat(HELLO)) as events:
        with pytest.raises(ApiError) as caught:
            _ = [event async for event in events]
        return caught.value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("status", "reply", "kind", "words"),
    [
        (503, error(503, "Loading model", "unavailable_error"), ErrorKind.LOADING, "still loading"),
        (503, {"error": "Loading model"}, ErrorKind.LOADING, "still loading"),
        (503, error(503, "no slot available", "unavailable_error"), ErrorKind.BUSY, "busy"),
        (
            400,
            error(
                400, "request (6619 tokens) exceeds …", "exceed_context_size_error", n_prompt_tokens=6619, n_ctx=2048
            ),
            ErrorKind.CONTEXT_EXCEEDED,
            "takes 6\u202f619 tokens and this server has room for 2\u202f048",
        ),
        (
            400,
            error(400, "the request exceeds the available context size. try increasing it", "invalid_request_error"),
            ErrorKind.CONTEXT_EXCEEDED,
            "larger context",
        ),
        (
            500,
            error(500, "image input is not supported - hint: … provide the mmproj", "server_error"),
            ErrorKind.NO_VISION,
            "without a projector",
        ),
        (
            400,
            error(400, "Failed to load image or audio file", "invalid_request_error"),
            ErrorKind.BAD_IMAGE,
            "PNG or JPEG",
        ),
        (401, error(401, "Invalid API Key", "authentication_error"), ErrorKind.UNAUTHORISED, "API key"),
        (404, error(404, "File Not Found", "not_found_error"), ErrorKind.NOT_FOUND, "does not offer"),
        (501, error(501, "does not support metrics", "not_supported_error"), ErrorKind.NOT_SUPPORTED, "switched off"),
        (400, error(400, "Field 'n_predict': …", "invalid_request_error"), ErrorKind.BAD_REQUEST, "n_predict"),
        (500, error(500, "Compute error.", "server_error"), ErrorKind.SERVER_ERROR, "Compute error."),
        (502, "<html>Bad Gateway</html>", ErrorKind.SERVER_ERROR, "Bad Gateway"),
        (200, "<html>A router</html>", ErrorKind.UNEXPECTED_REPLY, "Another program"),
    ],
)
def test_that_every_refusal_has_a_kind_and_plain_words(status: int, reply: Any, kind: ErrorKind, words: str) -> None:
    raised = run_async(trouble_of(replying(status, reply)))
    assert raised.kind is kind
    assert words in str(raised)
    assert words in raised.message.english


def test_that_a_port_where_nothing_listens_is_named() -> None:
    async def scenario() -> None:
        port = free_port()
        async with Http() as http:
            api = LlamaClient(http).for_port(port)
            assert await api.health() is Health.DOWN
            for ask in (api.props(), api.slots(), anext(api.stream_chat(HELLO))):
                with pytest.raises(ApiError, match=f":{port}") as caught:
                    await ask
                assert caught.value.kind is ErrorKind.UNREACHABLE

    run_async(scenario())


def test_that_silence_is_not_death(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    monkeypatch.setattr("variet_gui.client.api._POLL", httpx.Timeout(0.05))

    async def silent(exchange: Exchange) -> None:
        await exchange.hung_up()

    async def scenario() -> None:
        async with ChatStub(silent, {"/health": silent, "/slots": silent}) as stub, Http() as http:
            api = LlamaApi(http, stub.url)
            assert await api.health() is Health.NO_ANSWER
            with pytest.raises(ApiError) as caught:
                await api.slots()
            assert caught.value.kind is ErrorKind.TIMEOUT

    run_async(scenario())


def test_that_a_server_that_dies_in_the_middle_cuts_the_stream() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(piece("half"))
        exchange.drop()

    assert isinstance(run_async(trouble_of(chat)), StreamCut)


def test_that_a_proper_end_without_done_is_a_cut_too() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(piece("half"))
        await exchange.end_stream()

    assert isinstance(run_async(trouble_of(chat)), StreamCut)


def test_that_a_server_that_dies_before_the_first_word_is_a_cut() -> None:
    async def chat(exchange: Exchange) -> None:
        exchange.drop()

    assert isinstance(run_async(trouble_of(chat)), StreamCut)


def test_that_the_request_asks_for_progress_and_timings_and_names_no_conversation() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(piece("hi"), DONE)
        await exchange.end_stream()

    async def scenario() -> dict[str, Any]:
        async with ChatStub(chat) as stub, Http() as http:
            api = LlamaApi(http, stub.url + "/v1/")
            async with aclosing(api.stream_chat(HELLO)) as events:
                assert await anext(events) == TextArrived("hi")
            body: dict[str, Any] = stub.requests[0].body
            return body

    assert run_async(scenario()) == {
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "timings_per_token": True,
        "return_progress": True,
    }


def test_that_closing_the_stream_hangs_up() -> None:
    hung_up = asyncio.Event()

    async def chat(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(piece("one"))
        await exchange.hung_up()
        hung_up.set()

    async def scenario() -> None:
        async with ChatStub(chat) as stub, Http() as http:
            async with aclosing(LlamaApi(http, stub.url).stream_chat(HELLO)) as events:
                assert await anext(events) == TextArrived("one")
            await asyncio.wait_for(hung_up.wait(), 5)

    run_async(scenario())


def test_that_a_closed_pool_refuses_politely() -> None:
    async def scenario() -> None:
        http = Http()
        await http.aclose()
        api = LlamaApi(http, "http://127.0.0.1:1")
        assert await api.health() is Health.DOWN
        with pytest.raises(ApiError):
            await anext(api.stream_chat(HELLO))

    run_async(scenario())


@pytest.mark.parametrize(
    ("status", "reply", "health"),
    [
        (200, {"status": "ok"}, Health.READY),
        (503, error(503, "Loading model", "unavailable_error"), Health.LOADING),
        (200, {"status": "loading model"}, Health.LOADING),
        (503, {"status": "loading model", "progress": 0.4}, Health.LOADING),
        (503, {"status": "no slot available"}, Health.READY),
        (200, {"status": "no slot available", "slots_idle": 0}, Health.READY),
        (500, {"status": "error", "error": "failed to load model"}, Health.DOWN),
        (404, None, Health.DOWN),
        (200, ["something", "else"], Health.DOWN),
    ],
)
def test_that_health_is_read_from_new_and_old_builds(status: int, reply: object, health: Health) -> None:
    assert health_of(status, reply) is health


def test_that_props_say_who_answers() -> None:
    props = Props.of(
        {
            "default_generation_settings": {"n_ctx": 2048, "params": {}},
            "total_slots": 1,
            "model_path": "/models/m.gguf",
            "model_alias": "fast",
            "modalities": {"vision": True, "audio": False},
            "build_info": "b11434-abc1234",
            "is_sleeping": False,
        }
    )
    assert props == Props(True, 2048, "b11434-abc1234", "/models/m.gguf", "fast", 1, False)
    assert Props.of({}) == Props(None, None, None, None, None, None, False)


@pytest.mark.parametrize("following", [{"n_decoded": 7}, [{"n_decoded": 7}]])
def test_that_slots_are_read_from_new_and_old_builds(following: object) -> None:
    raw = {
        "id": 0,
        "n_ctx": 512,
        "is_processing": True,
        "id_task": 9,
        "n_prompt_tokens": 30,
        "n_prompt_tokens_processed": 20,
        "n_prompt_tokens_cache": 3,
        "next_token": following,
    }
    assert SlotState.of(raw) == SlotState(0, 9, True, 30, 20, 3, 7, 512)


def test_that_a_slot_that_never_worked_says_so() -> None:
    assert SlotState.of({"id": 1, "n_ctx": 64, "is_processing": False}) == SlotState(
        1, None, False, None, None, None, None, 64
    )
    assert SlotState.of({"id": 0, "state": 1, "task_id": 4, "next_token": []}).is_processing


def test_that_tokens_are_read_with_pieces_and_without() -> None:
    async def scenario(reply: Any) -> list[int]:
        async with ChatStub(replying(500, ""), {"/tokenize": replying(200, reply)}) as stub, Http() as http:
            return await LlamaApi(http, stub.url).tokenize("hi")

    assert run_async(scenario({"tokens": [5, 6]})) == [5, 6]
    assert run_async(scenario({"tokens": [{"id": 5, "piece": "h"}, {"id": 6, "piece": [105]}]})) == [5, 6]


def test_that_older_builds_count_text_by_template_and_tokens_and_pictures_not_at_all() -> None:
    scripts = {
        "/apply-template": replying(200, {"prompt": "<user>hi"}),
        "/tokenize": replying(200, {"tokens": [1, 2, 3]}),
    }
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}

    async def scenario() -> None:
        async with ChatStub(replying(500, ""), scripts) as stub, Http() as http:
            api = LlamaApi(http, stub.url)
            assert await api.count_prompt_tokens([{"role": "user", "content": "hi"}]) == 3
            assert await api.count_prompt_tokens([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]) == 3
            assert await api.count_prompt_tokens([{"role": "user", "content": [picture]}]) is None

    run_async(scenario())


def test_that_a_reply_of_another_shape_is_refused() -> None:
    async def scenario() -> None:
        scripts = {"/props": replying(200, []), "/slots": replying(200, {}), "/tokenize": replying(200, "hello")}
        async with ChatStub(replying(500, ""), scripts) as stub, Http() as http:
            api = LlamaApi(http, stub.url)
            for ask in (api.props(), api.slots(), api.tokenize("x")):
                with pytest.raises(ApiError) as caught:
                    await ask
                assert caught.value.kind is ErrorKind.UNEXPECTED_REPLY

    run_async(scenario())


def test_that_an_api_key_is_sent_and_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def scenario() -> None:
        async with ChatStub(replying(500, ""), {"/health": replying(200, {"status": "ok"})}) as stub, Http() as http:
            assert await LlamaApi(http, stub.url, "secret").health() is Health.READY
            assert stub.requests[0].headers["authorization"] == "Bearer secret"

    run_async(scenario())
