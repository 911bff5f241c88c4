"""Conversations: nothing that came is ever lost, whatever the server does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support import tiny_models
from tests.support.chat_stub import DONE, ChatStub, Exchange, Script, event, piece
from tests.support.waiting import run_async, wait_until
from variet_gui.chat import conversation as module
from variet_gui.chat.conversation import ChatMessage, Conversation, ConversationError, Sampling, Speaker, StreamState
from variet_gui.chat.messages import wire_messages
from variet_gui.client.api import Http, LlamaApi
from variet_gui.client.images import ImageError, Picture
from variet_gui.client.stream import TextArrived
from variet_gui.events import AnswerChanged, AnswerTimed, Event, EventStream, Timings

PICTURE = tiny_models.png(8, 8)
TIMINGS = {"cache_n": 0, "prompt_n": 45, "prompt_ms": 9.0, "prompt_per_second": 5000.0}
TIMINGS |= {"predicted_n": 2, "predicted_ms": 20.0, "predicted_per_second": 50.0}
END = (
    event({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]}),
    event({"choices": [], "usage": {"prompt_tokens": 45, "completion_tokens": 2}, "timings": TIMINGS}),
    DONE,
)


def saying(*texts: str) -> Script:
    """A server that answers in those pieces."""

    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(*(piece(text) for text in texts), *END)
        await exchange.end_stream()

    return script


def replying(status: int, value: Any) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.reply(status, value)

    return script


class Room:
    """A conversation, the server it talks to, and what it announced."""

    def __init__(self, stub: ChatStub, http: Http) -> None:
        self.stub = stub
        self.api = LlamaApi(http, stub.url)
        self.events = EventStream()
        self.announced: list[ChatMessage | None] = []
        self.timed: list[AnswerTimed] = []
        self.conversation = Conversation(self.events, tier="fast", wall_clock=lambda: 1000.0)
        self.events.subscribe(self._note)

    def _note(self, announced: Event) -> None:
        if isinstance(announced, AnswerTimed):
            self.timed.append(announced)
            return
        assert isinstance(announced, AnswerChanged)
        assert announced.conversation_id == self.conversation.id
        self.announced.append(self.conversation.message(announced.message_id))

    @property
    def sent(self) -> list[list[dict[str, Any]]]:
        """The messages of every chat request so far."""
        return [each.body["messages"] for each in self.stub.requests if each.path == "/v1/chat/completions"]

    async def until_text(self, text: str) -> None:
        await wait_until(
            lambda: [m.text for m in self.conversation.messages[-1:]] == [text], what=f"an answer of {text!r}"
        )


@asynccontextmanager
async def room(chat: Script, **scripts: Script) -> AsyncIterator[Room]:
    paths = {"/" + name.replace("__", "/"): script for name, script in scripts.items()}
    async with ChatStub(chat, paths) as stub, Http() as http:
        yield Room(stub, http)


def test_that_an_answer_streams_and_ends_with_its_timings() -> None:
    async def scenario() -> None:
        async with room(saying("Hel", "lo")) as r:
            answer = await r.conversation.ask(r.api, "Hi")
            question, kept = r.conversation.messages
            assert kept is answer
            assert (question.role, question.text, question.at) == (Speaker.USER, "Hi", 1000.0)
            assert (answer.role, answer.text, answer.state) == (Speaker.ASSISTANT, "Hello", StreamState.DONE)
            assert (answer.tier, answer.reply_to, answer.finish_reason) == ("fast", question.id, "stop")
            assert answer.timings is not None
            assert answer.timings.generation_tps == 50.0
            assert answer.timings.generated_tokens == 2
            assert answer.timings.time_to_first_token_ms is not None
            assert answer.timings.image_tokens is None
            assert r.announced[0] == question
            assert r.announced[-1] == answer
            assert r.timed == [AnswerTimed("fast", answer.timings)]
            assert not r.conversation.busy

    run_async(scenario())


def test_that_the_history_goes_along_and_reasoning_does_not() -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin_stream()
        thought = event({"choices": [{"delta": {"reasoning_content": "hm, "}}]})
        await exchange.send(thought, thought, piece("yes"), *END)
        await exchange.end_stream()

    async def scenario() -> None:
        async with room(chat) as r:
            r.conversation.system_prompt = "Be brief."
            answer = await r.conversation.ask(
                r.api, "One?", sampling={"temperature": 0.2, "max_tokens": None, "seed": 7}
            )
            assert answer.reasoning == "hm, hm, "
            await r.conversation.ask(r.api, "Two?", tier="ultra")
            assert r.conversation.messages[-1].tier == "ultra"
            assert r.sent[1] == [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "One?"},
                {"role": "assistant", "content": "yes"},
                {"role": "user", "content": "Two?"},
            ]
            for request in r.stub.requests:  # the settings stay with the conversation
                assert (request.body["temperature"], request.body["seed"]) == (0.2, 7)
                assert "max_tokens" not in request.body

    run_async(scenario())


@pytest.mark.parametrize("ending", ["drop", "clean_end", "error"])
def test_that_a_broken_answer_keeps_what_came_and_says_why(ending: str) -> None:
    async def chat(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(piece("half an "), piece("answer", timings=TIMINGS))
        if ending == "drop":
            exchange.drop()
        elif ending == "clean_end":
            await exchange.end_stream()
        else:
            await exchange.send(event({"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}))
            await exchange.end_stream()

    async def scenario() -> None:
        async with room(chat) as r:
            answer = await r.conversation.ask(r.api, "Hi")
            assert (answer.text, answer.state) == ("half an answer", StreamState.FAILED)
            assert ("Compute error." if ending == "error" else "cut off") in str(answer.failure)
            assert answer.timings is not None
            assert answer.timings.generated_tokens == 2
            assert r.announced[-1] == answer
            await r.conversation.ask(r.api, "Go on")  # and the half answer is part of what follows
            assert r.sent[1][1] == {"role": "assistant", "content": "half an answer"}

    run_async(scenario())


def test_that_a_refusal_is_a_failed_answer_and_does_not_poison_the_conversation() -> None:
    def chats() -> Script:
        refuse = replying(
            500, {"error": {"code": 500, "message": "image input is not supported", "type": "server_error"}}
        )
        scripts = iter([refuse, saying("fine")])

        async def chat(exchange: Exchange) -> None:
            await next(scripts)(exchange)

        return chat

    async def scenario() -> None:
        async with room(chats()) as r:
            answer = await r.conversation.ask(r.api, "Look", [PICTURE])
            assert (answer.text, answer.state) == ("", StreamState.FAILED)
            assert "projector" in str(answer.failure)
            assert r.conversation.messages[0].pictures[0].data == PICTURE
            assert (await r.conversation.ask(r.api, "Then without")).state is StreamState.DONE
            assert r.sent[1] == [{"role": "user", "content": "Then without"}]
            assert len(r.conversation.messages) == 4

    run_async(scenario())


def test_that_no_server_at_all_is_a_failed_answer() -> None:
    async def scenario() -> None:
        async with Http() as http:
            answer = await Conversation(EventStream()).ask(LlamaApi(http, "http://127.0.0.1:1"), "Hi")
            assert answer.state is StreamState.FAILED
            assert "No server answers" in str(answer.failure)

    run_async(scenario())


def endless(hung_up: asyncio.Event) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(piece("half"))
        await exchange.hung_up()
        hung_up.set()

    return script


def test_that_stop_keeps_what_came_and_hangs_up_at_once() -> None:
    async def scenario() -> None:
        hung_up = asyncio.Event()
        async with room(endless(hung_up)) as r:
            asking = asyncio.create_task(r.conversation.ask(r.api, "Hi"))
            await r.until_text("half")
            assert r.conversation.busy
            await r.conversation.stop()
            kept = r.conversation.messages[-1]
            assert (kept.text, kept.state, kept.failure) == ("half", StreamState.STOPPED, None)
            assert not r.conversation.busy
            assert await asking == kept
            await asyncio.wait_for(hung_up.wait(), 5)
            await r.conversation.stop()  # once more does nothing

    run_async(scenario())


def test_that_stop_before_the_request_was_sent_works_too() -> None:
    async def scenario() -> None:
        async with room(saying("never")) as r:
            asking = asyncio.create_task(r.conversation.ask(r.api, "Hi"))
            await asyncio.sleep(0)  # one turn of the loop: the reading task exists and has not run yet
            assert r.conversation.busy
            await r.conversation.stop()
            assert (await asking).state is StreamState.STOPPED
            assert r.stub.requests == []

    run_async(scenario())


def test_that_cancelling_the_asking_task_closes_the_stream_and_keeps_the_half() -> None:
    async def scenario() -> None:
        hung_up = asyncio.Event()
        async with room(endless(hung_up)) as r:
            asking = asyncio.create_task(r.conversation.ask(r.api, "Hi"))
            await r.until_text("half")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert r.conversation.messages[-1].state is StreamState.STOPPED
            await asyncio.wait_for(hung_up.wait(), 5)

    run_async(scenario())


def test_that_an_answer_waits_for_its_turn_and_settings_are_checked_first() -> None:
    async def scenario() -> None:
        hung_up = asyncio.Event()
        async with room(endless(hung_up)) as r:
            for wrong in ({"temperature": -1}, {"temperature": "warm"}, {"max_tokens": 0}, {"max_tokens": 1.5}):
                with pytest.raises(ConversationError, match="not allowed"):
                    await r.conversation.ask(r.api, "Hi", sampling=wrong)
            with pytest.raises(ConversationError, match="nothing to send"):
                await r.conversation.ask(r.api, "  \n")
            with pytest.raises(ConversationError, match="no question"):
                await r.conversation.regenerate(r.api)
            with pytest.raises(ImageError, match="cut off"):
                await r.conversation.ask(r.api, "Look", [PICTURE[:-5]])
            assert r.conversation.messages == ()
            asking = asyncio.create_task(r.conversation.ask(r.api, "Hi"))
            await r.until_text("half")
            with pytest.raises(ConversationError, match="still being written"):
                await r.conversation.ask(r.api, "And?")
            await r.conversation.clear()
            assert r.conversation.messages == ()
            assert (await asking).state is StreamState.STOPPED
            assert r.conversation.messages == ()

    run_async(scenario())


def test_that_regenerate_keeps_the_answer_before() -> None:
    async def scenario() -> None:
        async with room(saying("same")) as r:
            first = await r.conversation.ask(r.api, "Hi")
            second = await r.conversation.regenerate(r.api)
            question = r.conversation.messages[0]
            assert r.conversation.messages == (question, second)
            assert r.conversation.earlier_answers(question.id) == (first,)
            assert r.sent[0] == r.sent[1]

    run_async(scenario())


def test_that_image_tokens_are_the_difference_that_the_pictures_make() -> None:
    counted: list[Any] = []

    async def count(exchange: Exchange) -> None:
        counted.append(exchange.body["messages"])
        await exchange.reply(200, {"input_tokens": 29})

    async def scenario() -> None:
        async with room(saying("a cat"), v1__chat__completions__input_tokens=count) as r:
            answer = await r.conversation.ask(r.api, "What?", [PICTURE])
            assert answer.timings is not None
            assert answer.timings.image_tokens == 45 - 29
            assert [part["type"] for part in r.sent[0][0]["content"]] == ["image_url", "text"]
            assert counted == [[{"role": "user", "content": [{"type": "text", "text": "What?"}]}]]
            await r.conversation.ask(r.api, "Sure?")
            assert len(counted) == 1
            again = await r.conversation.ask(r.api, "And this?", [PICTURE])
            assert again.timings is not None
            assert [part["type"] for part in counted[1][0]["content"]] == ["image_url", "text"]
            assert counted[1][-1]["content"] == [{"type": "text", "text": "And this?"}]

    run_async(scenario())


@pytest.mark.parametrize("status", [404, 500])
def test_that_image_tokens_stay_unknown_where_the_server_cannot_count(status: int) -> None:
    refuse = replying(status, {"error": {"code": status, "message": "no", "type": "x"}})

    async def scenario() -> None:
        async with room(saying("a cat"), v1__chat__completions__input_tokens=refuse) as r:
            answer = await r.conversation.ask(r.api, "What?", [PICTURE])
            assert answer.state is StreamState.DONE
            assert answer.timings is not None
            assert answer.timings.image_tokens is None

    run_async(scenario())


def test_that_image_time_can_be_told_while_and_after_the_answer_came() -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def chat(exchange: Exchange) -> None:
            await exchange.begin_stream()
            await exchange.send(piece("a "))
            await go_on.wait()
            await exchange.send(piece("cat"), *END)
            await exchange.end_stream()

        async with room(chat) as r:
            asking = asyncio.create_task(r.conversation.ask(r.api, "What?", [PICTURE]))
            await r.until_text("a ")
            r.conversation.note_image_ms(30.0)
            assert r.conversation.messages[-1].timings == Timings(
                image_ms=30.0, time_to_first_token_ms=r.conversation.messages[-1].timings.time_to_first_token_ms
            )
            go_on.set()
            await asking
            r.conversation.note_image_ms(12.0)
            final = r.conversation.messages[-1].timings
            assert final is not None
            assert (final.image_ms, final.generated_tokens) == (42.0, 2)
            await r.conversation.ask(r.api, "No picture")
            r.conversation.note_image_ms(5.0)
            assert r.conversation.messages[-1].timings.image_ms is None

    run_async(scenario())


def test_that_the_prompt_shows_how_far_it_is_read() -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def chat(exchange: Exchange) -> None:
            await exchange.begin_stream()
            for processed in (20, 60):
                progress = {"total": 100, "cache": 20, "processed": processed, "time_ms": 1}
                await exchange.send(event({"choices": [], "prompt_progress": progress}))
            await go_on.wait()
            await exchange.send(piece("x"), *END)
            await exchange.end_stream()

        async with room(chat) as r:
            asking = asyncio.create_task(r.conversation.ask(r.api, "Hi"))
            await wait_until(
                lambda: r.conversation.messages[-1:] and r.conversation.messages[-1].prompt_progress == 0.5
            )
            go_on.set()
            assert (await asking).prompt_progress is None

    run_async(scenario())


def test_that_a_flood_is_announced_thirty_times_a_second_and_its_end_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUBLISH_INTERVAL_S", 30.0)

    async def scenario() -> None:
        async with room(saying(*["word "] * 500)) as r:
            answer = await r.conversation.ask(r.api, "Hi")
            assert answer.text == "word " * 500
            # question, empty answer, first piece at once, and the end: nothing between within the interval
            assert [message.text if message else None for message in r.announced[:2]] == ["Hi", ""]
            assert len(r.announced) == 4
            assert r.announced[-1] == answer

    run_async(scenario())


def test_that_the_last_piece_before_a_silence_is_announced() -> None:
    async def scenario() -> None:
        hung_up = asyncio.Event()

        async def chat(exchange: Exchange) -> None:
            await exchange.begin_stream()
            await exchange.send(piece("a"), piece("b"), piece("c"))
            await exchange.hung_up()
            hung_up.set()

        async with room(chat) as r:
            asking = asyncio.create_task(r.conversation.ask(r.api, "Hi"))
            await r.until_text("abc")
            await r.conversation.stop()
            await asking

    run_async(scenario())


def test_that_live_speed_comes_from_the_server_and_else_from_our_clock() -> None:
    ticks = iter(float(number) for number in range(100))
    seen: list[float | None] = []

    async def scenario(*parts: bytes) -> ChatMessage:
        async def chat(exchange: Exchange) -> None:
            await exchange.begin_stream()
            await exchange.send(*parts)
            exchange.drop()

        async with room(chat) as r:
            r.conversation = Conversation(r.events, clock=lambda: next(ticks))
            r.events.subscribe(
                lambda _: seen.append(t.generation_tps if (t := r.conversation.messages[-1].timings) else None)
            )
            return await r.conversation.ask(r.api, "Hi")

    answer = run_async(scenario(piece("a"), piece("b"), piece("c", timings=TIMINGS)))
    assert 50.0 in seen
    assert answer.timings is not None
    assert answer.timings.generation_tps == 50.0
    assert answer.timings.time_to_first_token_ms == 1000.0
    seen.clear()
    module_interval = module.PUBLISH_INTERVAL_S
    module.PUBLISH_INTERVAL_S = 0.0
    try:
        answer = run_async(scenario(piece("a"), piece("b"), piece("c")))
    finally:
        module.PUBLISH_INTERVAL_S = module_interval
    assert 1.0 in seen  # one piece a second by that clock
    assert answer.timings is not None
    assert answer.timings.generation_tps is None  # the server said nothing, and what stays is what it said


def test_that_snapshots_of_another_thread_are_whole() -> None:
    torn: list[str] = []
    stop = threading.Event()

    def watch(read: Callable[[], tuple[ChatMessage, ...]]) -> None:
        while not stop.is_set():
            for message in read():
                if message.role is Speaker.ASSISTANT and message.text.replace("word ", ""):
                    torn.append(message.text)  # noqa: PERF401 - a thread that watches

    async def scenario() -> None:
        async with room(saying(*["word "] * 800)) as r:
            thread = threading.Thread(target=watch, args=(lambda: r.conversation.messages,))
            thread.start()
            try:
                for _ in range(3):
                    await r.conversation.ask(r.api, "Hi")
            finally:
                stop.set()
                thread.join()

    run_async(scenario())
    assert torn == []


def test_that_a_fault_of_our_own_is_shown_and_not_swallowed() -> None:
    class Broken:
        async def stream_chat(self, request: object) -> AsyncIterator[Any]:
            yield TextArrived("half")
            raise ValueError("our own mistake")

        async def count_prompt_tokens(self, messages: object) -> int | None:
            return None

    async def scenario() -> None:
        talk = Conversation(EventStream())
        with pytest.raises(ValueError, match="our own"):
            await talk.ask(Broken(), "Hi")  # type: ignore[arg-type]
        assert talk.messages[-1].state is StreamState.FAILED
        assert talk.messages[-1].text == "half"
        assert "panel itself" in str(talk.messages[-1].failure)
        assert not talk.busy

    run_async(scenario())


def test_that_a_restored_conversation_goes_on() -> None:
    async def scenario() -> None:
        async with room(saying("yes")) as r:
            await r.conversation.ask(r.api, "One?")
            restored = Conversation(r.events, messages=r.conversation.messages, conversation_id=r.conversation.id)
            await restored.ask(r.api, "Two?")
            assert [each["content"] for each in r.sent[1]] == ["One?", "yes", "Two?"]
            assert len(r.conversation.messages) == 2

    run_async(scenario())


def test_that_unset_settings_are_not_sent() -> None:
    assert Sampling().fields() == {}
    assert Sampling.of({"temperature": 0, "top_p": None}).fields() == {"temperature": 0.0}
    assert Sampling.of({"max_tokens": 5, "grammar": "root"}).fields() == {"max_tokens": 5, "grammar": "root"}


def test_that_a_picture_alone_is_a_question() -> None:
    alone = ChatMessage("1", Speaker.USER, pictures=(Picture.of(PICTURE),))
    (message,) = wire_messages([alone])
    assert [part["type"] for part in message["content"]] == ["image_url"]
    assert wire_messages([alone], without_pictures_of="1") == [
        {"role": "user", "content": [{"type": "text", "text": ""}]}
    ]
