"""What a conversation is made of: frozen messages, the settings of a request, and how both are written on the wire."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

from variet_gui.client.images import Picture
from variet_gui.events import Timings
from variet_gui.i18n import Message, msg


class ConversationError(Exception):
    """Something that cannot be asked for now, or is not allowed; `message` says what to do instead."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message

    def __str__(self) -> str:
        return str(self.message)


class Speaker(StrEnum):
    """Who says it; the value is the word of the OpenAI format."""

    USER = "user"
    ASSISTANT = "assistant"


class StreamState(Enum):
    """How far a message is."""

    DRAFT = "draft"
    """Written, not sent."""
    STREAMING = "streaming"
    """An answer that is being written."""
    DONE = "done"
    STOPPED = "stopped"
    """The operator stopped it; the text is what had come."""
    FAILED = "failed"
    """It broke; the text is what had come, `failure` says why."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message. Never changed in place: an answer that grows is a new value with the same `id`."""

    id: str
    role: Speaker
    text: str = ""
    reasoning: str = ""
    """What the model thought before it answered; not sent back to it."""
    pictures: tuple[Picture, ...] = ()
    timings: Timings | None = None
    """Of an answer. While it streams: as far as known, with the speed so far in `generation_tps`."""
    state: StreamState = StreamState.DONE
    failure: Message | None = None
    tier: str | None = None
    """The tier that answered."""
    at: float = 0.0
    """Unix time when it was begun, s."""
    reply_to: str | None = None
    """Of an answer: the id of its question."""
    finish_reason: str | None = None
    """"stop", or "length" when max_tokens or the context came to its end."""
    prompt_progress: float | None = None
    """0..1 while the server reads the prompt; None before and after."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to generate. None: as the server is set."""

    temperature: float | None = None
    max_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of llama-server's request (top_p, seed, ...), sent as they are."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Sampling:
        """Check `values`, as they come from a form or a command line; a None means "as the server is set".

        Raises:
            ConversationError: a value is out of range; names it and what is allowed.
        """
        given = {key: value for key, value in values.items() if value is not None}
        temperature = given.pop("temperature", None)
        if temperature is not None and not _is_number(temperature, 0.0, 10.0):
            raise ConversationError(
                msg("The temperature {value} is not allowed: a number from 0 to 10.", value=str(temperature))
            )
        max_tokens = given.pop("max_tokens", None)
        if max_tokens is not None and not (isinstance(max_tokens, int) and _is_number(max_tokens, 1, 2**31 - 1)):
            raise ConversationError(
                msg("Max tokens {value} is not allowed: a whole number from 1 on.", value=str(max_tokens))
            )
        return cls(None if temperature is None else float(temperature), max_tokens, MappingProxyType(given))

    def fields(self) -> dict[str, Any]:
        """Return what to put into a request: only what is set."""
        own = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {**self.extra, **{key: value for key, value in own.items() if value is not None}}


def wire_messages(
    messages: Sequence[ChatMessage], system_prompt: str = "", *, without_pictures_of: str | None = None
) -> list[dict[str, Any]]:
    """Write a conversation as OpenAI messages, ready for `ChatRequest`.

    A question that got no answer at all is left out, unless it is the last message: one picture that the server
    refuses, or one text that is too long, would otherwise make every later request fail too. User and assistant
    so take turns, which several chat templates insist on. Pictures stand before the text, as vision models expect.

    Args:
        messages: questions and answers, oldest first.
        system_prompt: put in front unless empty.
        without_pictures_of: the id of a question to write without its pictures, to count what they take.
    """
    answered = {message.reply_to for message in messages if message.role is Speaker.ASSISTANT and message.text}
    wire: list[dict[str, Any]] = []
    if system_prompt.strip():
        wire.append({"role": "system", "content": system_prompt})
    for message in messages:
        if message.role is Speaker.ASSISTANT:
            if message.text:
                wire.append({"role": message.role.value, "content": message.text})
        elif message.id in answered or message is messages[-1]:
            wire.append({"role": message.role.value, "content": _content(message, message.id == without_pictures_of)})
    return wire


def _content(message: ChatMessage, without_pictures: bool) -> str | list[dict[str, Any]]:
    if not message.pictures:
        return message.text
    # Without its pictures a question stays a list of parts: templates write lists and strings differently.
    sent = () if without_pictures else message.pictures
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": picture.url}} for picture in sent]
    if message.text or not parts:
        parts.append({"type": "text", "text": message.text})
    return parts


def _is_number(value: object, low: float, high: float) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and low <= value <= high
