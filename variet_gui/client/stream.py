"""A streamed answer: bytes in whatever pieces the network makes of them -> typed events.

The wire format is Server-Sent Events (WHATWG HTML, section 9.2) with OpenAI `chat.completion.chunk` objects and
llama-server's additions `prompt_progress` and `timings` (tools/server, `server_task_result_cmpl_partial`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from variet_gui.client.errors import ApiError, ErrorKind, from_reply, unexpected_reply
from variet_gui.events import Timings
from variet_gui.i18n import msg


class StreamCut(ApiError):  # noqa: N818 - what happened, not a mistake of anybody
    """The stream ended before the answer did: the server died or was stopped, or the connection broke."""

    def __init__(self, said: str = "") -> None:
        super().__init__(
            ErrorKind.CUT,
            msg("The answer was cut off: the server ended or the connection broke."),
            said=said,
        )


@dataclass(frozen=True, slots=True)
class PromptProgressed:
    """The server read another part of the prompt. Counts are tokens, pictures included."""

    processed: int
    """Read so far, cached ones among them."""
    total: int
    cached: int
    """Already in the server's cache; nothing to do for those."""
    elapsed_ms: float | None = None

    @property
    def fraction(self) -> float:
        """Return how much of the work is done, 0..1."""
        work = self.total - self.cached
        return 1.0 if work <= 0 else min(1.0, max(0.0, (self.processed - self.cached) / work))


@dataclass(frozen=True, slots=True)
class TextArrived:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningArrived:
    """A piece of what the model thought before it answered."""

    text: str


@dataclass(frozen=True, slots=True)
class TimingsArrived:
    """What the server has measured of this answer so far."""

    timings: Timings
    raw: Mapping[str, Any]
    """`timings` as the server sent it."""


@dataclass(frozen=True, slots=True)
class AnswerFinished:
    """The answer is complete. The last event of every stream that was not cut."""

    reason: str | None
    """"stop", "length" (max_tokens reached or context full), "tool_calls"; None when the server did not say."""
    timings: Timings | None
    """None when the server sent none."""
    usage: Mapping[str, Any]
    """OpenAI usage: `prompt_tokens` (cached and image tokens included), `completion_tokens`; may be empty."""


StreamEvent: TypeAlias = PromptProgressed | TextArrived | ReasoningArrived | TimingsArrived | AnswerFinished


class SseDecoder:
    """Incremental decoder of Server-Sent Events; returns the data of each complete event.

    Any cut between chunks is fine: inside a character, between CR and LF, inside a field name. Work is proportional
    to what arrives, also when one line is megabytes long. Invalid UTF-8 becomes U+FFFD.
    """

    _LINE_END = re.compile(rb"\r\n|\n|\r")

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[str] = []
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes and return the data of the events that they complete, oldest first."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if not chunk:
            return []
        *whole, rest = self._LINE_END.split(chunk)
        self._after_cr = chunk.endswith(b"\r")
        events: list[str] = []
        for piece in whole:
            self._line.append(piece)
            line = b"".join(self._line)
            self._line.clear()
            self._take_line(line, events)
        if rest:
            self._line.append(rest)
        return events

    def _take_line(self, line: bytes, events: list[str]) -> None:
        if self._at_start:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._at_start = False
        if not line:
            if self._data:
                events.append("\n".join(self._data))
                self._data.clear()
            return
        name, _, value = line.partition(b":")
        if name == b"data":  # a comment has an empty name; event, id and retry mean nothing here
            self._data.append(value.removeprefix(b" ").decode("utf-8", errors="replace"))


class AnswerDecoder:
    """Turns the bytes of one streamed answer into `StreamEvent`s."""

    def __init__(self) -> None:
        self._sse = SseDecoder()
        self._reason: str | None = None
        self._timings: Timings | None = None
        self._usage: Mapping[str, Any] = {}
        self.finished = False
        """Whether `AnswerFinished` was given out; nothing that comes after it matters."""

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Take the next bytes and give the events that they complete; to be consumed before the next call.

        Raises:
            ApiError: the server sent an error instead of going on, or something that is no chunk. Events that
                stood before it were given first.
        """
        for data in self._sse.feed(chunk):
            if self.finished:
                return
            if data.strip() == "[DONE]":
                self.finished = True
                yield AnswerFinished(self._reason, self._timings, self._usage)
                return
            yield from self._take(data)

    def end(self) -> None:
        """Say that no more bytes come.

        Raises:
            StreamCut: the answer was not finished.
        """
        if not self.finished:
            raise StreamCut

    def _take(self, data: str) -> Iterator[StreamEvent]:
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise unexpected_reply(data[:200]) from None
        if not isinstance(chunk, dict):
            raise unexpected_reply(data[:200])
        if chunk.get("error"):
            raise from_reply(chunk, None)
        progress = chunk.get("prompt_progress")
        if isinstance(progress, dict):
            yield _progress(progress)
        yield from self._take_choice(chunk)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        raw = chunk.get("timings")
        if isinstance(raw, dict):
            timings = timings_of(raw)
            if timings.prompt_tokens or timings.generated_tokens or timings.cached_tokens:
                self._timings = timings
                yield TimingsArrived(timings, raw)

    def _take_choice(self, chunk: Mapping[str, Any]) -> Iterator[StreamEvent]:
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        delta = choices[0].get("delta")
        if isinstance(delta, dict):
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(reasoning, str) and reasoning:
                yield ReasoningArrived(reasoning)
            content = delta.get("content")
            if isinstance(content, str) and content:
                yield TextArrived(content)
        reason = choices[0].get("finish_reason")
        if isinstance(reason, str):
            self._reason = reason


def timings_of(raw: Mapping[str, Any]) -> Timings:
    """Turn llama-server's `timings` into ours. Rates are None until two tokens were made: one has no rate.

    b11434 leaves the first token out of its rates and says 0.0 for a single one; older builds divide by a
    microsecond there.
    """
    generated = _count(raw.get("predicted_n"))
    prompt = _count(raw.get("prompt_n"))
    prompt_ms = _number(raw.get("prompt_ms")) or 0.0
    return Timings(
        prompt_tokens=prompt,
        prompt_ms=prompt_ms,
        cached_tokens=_count(raw.get("cache_n")),
        generated_tokens=generated,
        generated_ms=_number(raw.get("predicted_ms")) or 0.0,
        generation_tps=_number(raw.get("predicted_per_second")) if generated > 1 else None,
        prefill_tps=_number(raw.get("prompt_per_second")) if prompt > 0 and prompt_ms > 0 else None,
        draft_tokens=_count(raw["draft_n"]) if "draft_n" in raw else None,
        draft_accepted=_count(raw["draft_n_accepted"]) if "draft_n_accepted" in raw else None,
    )


def _progress(raw: Mapping[str, Any]) -> PromptProgressed:
    return PromptProgressed(
        _count(raw.get("processed")), _count(raw.get("total")), _count(raw.get("cache")), _number(raw.get("time_ms"))
    )


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
