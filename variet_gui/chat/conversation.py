"""A conversation: questions, pictures and answers, streamed from whichever tier is asked.

Lives on the core's thread. `messages` and the other reads may be used from any thread: they hand out frozen values
that are replaced as a whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from variet_gui.chat.answer import AnswerBuilder, Throttle
from variet_gui.chat.messages import ChatMessage, ConversationError, Sampling, Speaker, StreamState, wire_messages
from variet_gui.client.api import ApiError, ChatRequest
from variet_gui.client.images import Picture
from variet_gui.client.stream import StreamEvent
from variet_gui.events import AnswerChanged, AnswerTimed, EventStream, Timings
from variet_gui.i18n import msg

__all__ = ["ChatApi", "ChatMessage", "Conversation", "ConversationError", "Sampling", "Speaker", "StreamState"]

log = logging.getLogger(__name__)

PUBLISH_INTERVAL_S = 1 / 30
"""An answer that streams is announced at most this often; a screen shows no more."""


class ChatApi(Protocol):
    """The part of `LlamaApi` that a conversation needs."""

    def stream_chat(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        """Give the answer as it comes."""

    async def count_prompt_tokens(self, messages: Sequence[Mapping[str, Any]]) -> int | None:
        """Count the tokens of a prompt, or None where this server cannot."""


class Conversation:
    """One conversation. Publishes `AnswerChanged` for every message that appears or changes.

    Kept in memory. What a store needs is here: frozen messages with ids, an event for each change, and a constructor
    that takes them back.
    """

    def __init__(
        self,
        events: EventStream,
        *,
        tier: str | None = None,
        system_prompt: str = "",
        sampling: Sampling | None = None,
        messages: Iterable[ChatMessage] = (),
        conversation_id: str | None = None,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.id = conversation_id or uuid.uuid4().hex
        self.tier = tier
        """The role that answers, unless `ask` names another."""
        self.system_prompt = system_prompt
        """Put in front of every request; empty: none."""
        self.sampling = sampling or Sampling()
        self._events = events
        self._clock = clock
        self._wall_clock = wall_clock
        self._messages = tuple(messages)
        self._superseded: tuple[ChatMessage, ...] = ()
        self._reader: asyncio.Task[None] | None = None
        self._builder: AnswerBuilder | None = None

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """Return all messages, oldest first; a snapshot that does not change. Safe from any thread."""
        return self._messages

    @property
    def busy(self) -> bool:
        """Whether an answer is being written. Safe from any thread."""
        return self._reader is not None

    def message(self, message_id: str) -> ChatMessage | None:
        """Return the message with that id, or None. Safe from any thread."""
        return next((message for message in reversed(self._messages) if message.id == message_id), None)

    def earlier_answers(self, question_id: str) -> tuple[ChatMessage, ...]:
        """Return the answers to that question that `regenerate` replaced, oldest first. Safe from any thread."""
        return tuple(answer for answer in self._superseded if answer.reply_to == question_id)

    async def ask(
        self,
        api: ChatApi,
        text: str,
        pictures: Iterable[bytes | Picture] = (),
        sampling: Sampling | Mapping[str, Any] | None = None,
        *,
        tier: str | None = None,
    ) -> ChatMessage:
        """Ask, and return the answer when it has ended, in whatever way; its `state` says how.

        `sampling` becomes the conversation's own. A server that refuses or dies does not raise: the answer is
        FAILED, keeps what had come and says why.

        Raises:
            ConversationError: an answer is being written, there is nothing to ask, or a setting is not allowed.
            ImageError: a picture cannot be sent. In both cases nothing was added to the conversation.
        """
        self._require_idle()
        checked = tuple(picture if isinstance(picture, Picture) else Picture.of(picture) for picture in pictures)
        if not text.strip() and not checked:
            raise ConversationError(msg("There is nothing to send yet: write something or add a picture."))
        if sampling is not None:
            self.sampling = sampling if isinstance(sampling, Sampling) else Sampling.of(sampling)
        question = ChatMessage(uuid.uuid4().hex, Speaker.USER, text, pictures=checked, at=self._wall_clock())
        self._append(question)
        return await self._answer(api, question, tier or self.tier)

    async def regenerate(self, api: ChatApi, *, tier: str | None = None) -> ChatMessage:
        """Ask the last question once more and return the new answer; the old one moves to `earlier_answers`.

        Raises:
            ConversationError: an answer is being written, or nothing was asked yet.
        """
        self._require_idle()
        question = next((message for message in reversed(self._messages) if message.role is Speaker.USER), None)
        if question is None:
            raise ConversationError(msg("There is no question yet that could be asked again."))
        self._superseded += tuple(message for message in self._messages if message.reply_to == question.id)
        self._messages = tuple(message for message in self._messages if message.reply_to != question.id)
        return await self._answer(api, question, tier or self.tier)

    async def stop(self) -> None:
        """Stop the answer that is being written. On return its connection is closed and what came is kept."""
        reader = self._reader
        if reader is not None:
            reader.cancel()
            await asyncio.wait({reader})

    async def clear(self) -> None:
        """Forget all messages; an answer that is being written is stopped first. Announced with an empty id."""
        await self.stop()
        self._messages = ()
        self._superseded = ()
        self._events.publish(AnswerChanged(self.id, ""))

    def note_image_ms(self, milliseconds: float) -> None:
        """Add time that the server's log says it spent on a picture of the newest question, if that had one.

        The stream itself cannot tell: to it, a picture and the text behind it are one step.
        """
        answer = self._messages[-1] if self._messages else None
        question = self.message(answer.reply_to or "") if answer is not None else None
        if answer is None or question is None or not question.pictures:
            return
        if self._builder is not None:
            self._builder.image_ms = (self._builder.image_ms or 0.0) + milliseconds
            self._replace(self._builder.snapshot())
        else:
            timings = answer.timings or Timings()
            timings = replace(timings, image_ms=(timings.image_ms or 0.0) + milliseconds)
            self._replace(replace(answer, timings=timings))

    async def _answer(self, api: ChatApi, question: ChatMessage, tier: str | None) -> ChatMessage:
        history, system_prompt = self._messages, self.system_prompt
        answer = ChatMessage(
            uuid.uuid4().hex,
            Speaker.ASSISTANT,
            state=StreamState.STREAMING,
            tier=tier,
            at=self._wall_clock(),
            reply_to=question.id,
        )
        self._append(answer)
        self._builder = builder = AnswerBuilder(answer, self._clock)
        request = ChatRequest(wire_messages(history, system_prompt), self.sampling.fields())
        self._reader = reader = asyncio.create_task(self._read(api, request, builder), name=f"answer {answer.id}")
        # As a callback, and the first one: whoever waits for the task then finds the answer settled, even where the
        # task was cancelled before it ever ran.
        settled: list[ChatMessage] = []
        reader.add_done_callback(lambda task: settled.append(self._settle(task, builder)))
        try:
            await asyncio.wait({reader})
        except asyncio.CancelledError:
            reader.cancel()
            await asyncio.wait({reader})
            raise
        error = None if reader.cancelled() else reader.exception()
        if error is not None and not isinstance(error, ApiError):
            raise error
        if error is None and question.pictures and builder.prompt_total is not None:
            plain = wire_messages(history, system_prompt, without_pictures_of=question.id)
            await self._count_image_tokens(api, plain, builder.prompt_total, answer.id)
        return self.message(answer.id) or settled[0]

    async def _read(self, api: ChatApi, request: ChatRequest, builder: AnswerBuilder) -> None:
        throttle = Throttle(PUBLISH_INTERVAL_S, lambda: self._replace(builder.snapshot()))
        try:
            async with aclosing(api.stream_chat(request)) as events:
                async for event in events:
                    builder.apply(event)
                    throttle.request()
        finally:
            throttle.cancel()

    def _settle(self, reader: asyncio.Task[None], builder: AnswerBuilder) -> ChatMessage:
        self._reader = None
        self._builder = None
        error = None if reader.cancelled() else reader.exception()
        if reader.cancelled():
            answer = builder.ended(StreamState.STOPPED)
        elif error is None:
            answer = builder.ended(StreamState.DONE)
        elif isinstance(error, ApiError):
            log.info("an answer failed (%s): %s %s", error.kind, error.message.english, error.said)
            answer = builder.ended(StreamState.FAILED, error.message)
        else:
            answer = builder.ended(
                StreamState.FAILED,
                msg("The panel itself failed while the answer came in ({error}).", error=repr(error)),
            )
        self._replace(answer)
        if answer.state is StreamState.DONE and answer.tier is not None and answer.timings is not None:
            self._events.publish(AnswerTimed(answer.tier, answer.timings))
        return answer

    async def _count_image_tokens(
        self, api: ChatApi, plain: Sequence[Mapping[str, Any]], prompt_total: int, answer_id: str
    ) -> None:
        """Note how many tokens longer the prompt was for its last pictures; both counts are the server's own."""
        try:
            without = await api.count_prompt_tokens(plain)
        except ApiError as error:
            log.info("image tokens are not known: %s", error.said or error.message.english)
            return
        answer = self.message(answer_id)
        if without is None or answer is None or prompt_total < without:
            return
        timings = replace(answer.timings or Timings(), image_tokens=prompt_total - without)
        self._replace(replace(answer, timings=timings))

    def _require_idle(self) -> None:
        if self.busy:
            raise ConversationError(msg("An answer is still being written. Stop it, or wait for its end."))

    def _append(self, message: ChatMessage) -> None:
        self._messages = (*self._messages, message)
        self._events.publish(AnswerChanged(self.id, message.id))

    def _replace(self, message: ChatMessage) -> None:
        """Put `message` in the place of the one with its id; nothing where that is gone (`clear`)."""
        messages = self._messages
        for index in range(len(messages) - 1, -1, -1):
            if messages[index].id == message.id:
                self._messages = (*messages[:index], message, *messages[index + 1 :])
                self._events.publish(AnswerChanged(self.id, message.id))
                return
