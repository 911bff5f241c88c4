"""One answer while it comes in: stream events -> a frozen `ChatMessage` whenever somebody wants to look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from variet_gui.chat.messages import ChatMessage, StreamState
from variet_gui.client.stream import (
    AnswerFinished,
    PromptProgressed,
    ReasoningArrived,
    StreamEvent,
    TextArrived,
    TimingsArrived,
)
from variet_gui.events import Timings
from variet_gui.i18n import Message


class AnswerBuilder:
    """Collects the pieces of one answer. Pieces are joined only when `snapshot` is asked for."""

    def __init__(self, message: ChatMessage, clock: Callable[[], float]) -> None:
        """Start the clock: the request is about to be sent. `clock` gives seconds, monotonic."""
        self._message = message
        self._clock = clock
        self._sent_at = clock()
        self._first_at: float | None = None
        self._last_at = 0.0
        self._pieces = 0
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._timings: Timings | None = None
        self._progress: PromptProgressed | None = None
        self._finished: AnswerFinished | None = None
        self.image_ms: float | None = None
        """What the server's log said about pictures, if anybody told."""

    def apply(self, event: StreamEvent) -> None:
        """Take the next event of the stream."""
        if isinstance(event, TextArrived):
            self._note_piece()
            self._text.append(event.text)
        elif isinstance(event, ReasoningArrived):
            self._note_piece()
            self._reasoning.append(event.text)
        elif isinstance(event, TimingsArrived):
            self._timings = event.timings
        elif isinstance(event, PromptProgressed):
            self._progress = event
        else:
            self._finished = event
            self._timings = event.timings or self._timings

    @property
    def prompt_total(self) -> int | None:
        """Tokens of the whole prompt, cached and image tokens included, as the server says; None: it did not."""
        usage = self._finished.usage.get("prompt_tokens") if self._finished else None
        if isinstance(usage, int):
            return usage
        if self._progress is not None and self._progress.total:
            return self._progress.total
        return None

    def snapshot(self) -> ChatMessage:
        """Return the answer as it stands while it streams."""
        reading = self._first_at is None and self._progress is not None
        return replace(
            self._joined(),
            timings=self._measured(live=True),
            prompt_progress=self._progress.fraction if reading and self._progress else None,
        )

    def ended(self, state: StreamState, failure: Message | None = None) -> ChatMessage:
        """Return the answer as it stays."""
        return replace(
            self._joined(),
            timings=self._measured(live=False),
            state=state,
            failure=failure,
            prompt_progress=None,
            finish_reason=self._finished.reason if self._finished else None,
        )

    def _joined(self) -> ChatMessage:
        # Joining once into one piece keeps the cost of all snapshots linear in their number, not in the tokens.
        self._text[:] = ["".join(self._text)]
        self._reasoning[:] = ["".join(self._reasoning)]
        return replace(self._message, text=self._text[0], reasoning=self._reasoning[0])

    def _note_piece(self) -> None:
        self._last_at = self._clock()
        self._pieces += 1
        if self._first_at is None:
            self._first_at = self._last_at

    def _measured(self, *, live: bool) -> Timings | None:
        if self._timings is None and self._first_at is None and self.image_ms is None:
            return None
        timings = replace(self._timings or self._from_usage(), image_ms=self.image_ms)
        if live and timings.generation_tps is None:
            timings = replace(timings, generation_tps=self._own_rate())
        if self._first_at is not None:
            timings = replace(timings, time_to_first_token_ms=(self._first_at - self._sent_at) * 1000.0)
        return timings

    def _from_usage(self) -> Timings:
        """Return what OpenAI's `usage` tells, for servers without `timings`; rates stay unknown."""
        usage = self._finished.usage if self._finished else {}
        prompt, generated = usage.get("prompt_tokens"), usage.get("completion_tokens")
        return Timings(
            prompt_tokens=prompt if isinstance(prompt, int) else 0,
            generated_tokens=generated if isinstance(generated, int) else 0,
        )

    def _own_rate(self) -> float | None:
        """Return pieces per second by our clock, the first left out: llama-server sends one piece a token."""
        if self._first_at is None or self._pieces < 2 or self._last_at <= self._first_at:
            return None
        return (self._pieces - 1) / (self._last_at - self._first_at)


class Throttle:
    """Calls `action` at most once in `interval_s`, and once more after the last request: nothing stays unseen."""

    def __init__(self, interval_s: float, action: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._action = action
        self._last = float("-inf")
        self._pending: asyncio.TimerHandle | None = None

    def request(self) -> None:
        """Ask for `action`: now if the last one was long enough ago, else when it will be. Needs a running loop."""
        if self._pending is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._last + self._interval_s - loop.time()
        if wait <= 0:
            self._run()
        else:
            self._pending = loop.call_later(wait, self._run)

    def cancel(self) -> None:
        """Forget what is pending."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _run(self) -> None:
        self._pending = None
        self._last = asyncio.get_running_loop().time()
        self._action()
