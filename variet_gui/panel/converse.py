"""Converse: one conversation with each tier, and what ties it to the tier's server and to the plots."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from variet_gui.chat.conversation import ChatApi, ChatMessage, Conversation, ConversationError, StreamState
from variet_gui.client.api import LlamaApi
from variet_gui.client.images import Picture
from variet_gui.engine.fleet import Fleet
from variet_gui.events import AnswerChanged, Event, EventStream, PictureRead
from variet_gui.i18n import msg
from variet_gui.telemetry.tokens import TokenMeter

log = logging.getLogger(__name__)

_TOKENS_FOR_A_SPEED = 8
"""Before that, one slow or quick token makes the figure."""


class Converse:
    """The conversations of a panel. `conversation` may be called from any thread, the rest on the core's loop."""

    def __init__(self, fleet: Fleet, api: Callable[[str], LlamaApi], meter: TokenMeter, events: EventStream) -> None:
        self._fleet = fleet
        self._api = api
        self._meter = meter
        self._events = events
        self._lock = threading.Lock()
        self._conversations: dict[str, Conversation] = {}
        self._hooked: set[str] = set()
        self._prefill_drawn = ""
        self._unsubscribe = events.subscribe(self._receive)

    def conversation(self, role: str) -> Conversation:
        """Return the conversation with the tier, an empty one at first."""
        with self._lock:
            if role not in self._conversations:
                self._conversations[role] = Conversation(self._events, tier=role)
            return self._conversations[role]

    async def ask(
        self,
        role: str,
        text: str,
        pictures: Iterable[bytes | Picture] = (),
        sampling: Mapping[str, Any] | None = None,
        system_prompt: str | None = None,
    ) -> ChatMessage:
        """Send a message to the tier; returns the answer when it has ended, in whatever way.

        Raises:
            ConversationError: the tier does not run, an answer is being written, or there is nothing to send.
            ImageError: a picture cannot be sent.
        """
        conversation = self.conversation(role)
        if system_prompt is not None:
            conversation.system_prompt = system_prompt
        return await conversation.ask(self._running_api(role), text, pictures, sampling)

    async def regenerate(self, role: str, sampling: Mapping[str, Any] | None = None) -> ChatMessage:
        """Ask the last question again; the earlier answer is kept.

        Raises:
            ConversationError: the tier does not run, nothing was asked, or an answer is being written.
        """
        conversation = self.conversation(role)
        if sampling is not None:
            conversation.sampling = type(conversation.sampling).of(sampling)
        return await conversation.regenerate(self._running_api(role))

    async def stop(self, role: str) -> None:
        """End the answer that is being written and keep what came."""
        await self.conversation(role).stop()

    async def begin(self, role: str) -> None:
        """Begin an empty conversation with the tier."""
        await self.conversation(role).clear()

    async def answer_once(
        self,
        api: ChatApi,
        role: str,
        text: str,
        pictures: Iterable[Picture],
        sampling: Mapping[str, Any],
        on_text: Callable[[str], None] | None = None,
    ) -> ChatMessage:
        """Ask one question outside the kept conversations; `on_text` is given the answer as it grows.

        Raises:
            ConversationError: the answer failed; what had come was handed to `on_text`.
            ImageError: a picture cannot be sent.
        """
        conversation = Conversation(self._events, tier=role)
        written = 0

        def write(event: Event) -> None:
            nonlocal written
            if isinstance(event, PictureRead) and event.role == role:
                conversation.note_image_ms(event.milliseconds)
            if not isinstance(event, AnswerChanged) or event.conversation_id != conversation.id or on_text is None:
                return
            message = conversation.message(event.message_id)
            if message is not None and message.reply_to is not None and len(message.text) > written:
                on_text(message.text[written:])
                written = len(message.text)

        forget = self._events.subscribe(write)
        try:
            answer = await conversation.ask(api, text, pictures, sampling)
        finally:
            forget()
        if answer.state is StreamState.FAILED:
            raise ConversationError(answer.failure or msg("The answer failed."))
        return answer

    async def close(self) -> None:
        """Stop every answer."""
        self._unsubscribe()
        with self._lock:
            conversations = list(self._conversations.values())
        await asyncio.gather(*(conversation.stop() for conversation in conversations))

    def _running_api(self, role: str) -> LlamaApi:
        server = self._fleet.server(role)
        if not server.status.state.is_up:
            raise ConversationError(msg("{role} does not run. Start it first; what you wrote is kept.", role=role))
        if role not in self._hooked:
            # An open request keeps llama-server alive after SIGTERM: our own stream is closed before it is told to end.
            server.on_stopping.append(lambda: self.stop(role))
            self._hooked.add(role)
        return self._api(server.status.base_url or "")

    def _receive(self, event: Event) -> None:
        """Note how long a picture took, and let the curve follow our own stream: older builds' /slots is silent."""
        if isinstance(event, PictureRead):
            self.conversation(event.role).note_image_ms(event.milliseconds)
            return
        if not isinstance(event, AnswerChanged):
            return
        with self._lock:
            found = [(role, c) for role, c in self._conversations.items() if c.id == event.conversation_id]
        for role, conversation in found:
            message = conversation.message(event.message_id)
            if message is None or message.reply_to is None:
                continue
            if message.state is not StreamState.STREAMING:
                self._meter.note_stream(role, None, None)
            elif (
                message.timings is not None
                and message.timings.generation_tps is not None
                and message.timings.generated_tokens >= _TOKENS_FOR_A_SPEED
            ):
                # A short prompt is read between two looks at /slots: its speed is drawn once, from the stream.
                first = self._prefill_drawn != message.id
                self._prefill_drawn = message.id
                prefill_tps = message.timings.prefill_tps if first else None
                self._meter.note_stream(role, message.timings.generation_tps, prefill_tps)
