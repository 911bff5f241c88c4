"""The quiet line under an answer: what the server measured, in words and figures."""

from __future__ import annotations

from variet_gui.chat.messages import ChatMessage, StreamState
from variet_gui.events import Timings
from variet_gui.i18n import ntr, tr
from variet_gui.ui.widgets.figures import figure, rate, seconds

SEPARATOR = " · "


def finished_line(answer: ChatMessage) -> str:
    """Return the line under an answer that has ended. What is not known is left out, never written as 0."""
    parts = [tr("stopped")] if answer.state is StreamState.STOPPED else []
    timings = answer.timings
    if timings is not None:
        parts += _speed(timings)
        if timings.generated_tokens:
            parts.append(_tokens(timings.generated_tokens))
        if timings.time_to_first_token_ms is not None:
            parts.append(tr("first token {time}", time=seconds(timings.time_to_first_token_ms)))
        if timings.prefill_tps:
            parts.append(tr("prefill {speed} t/s", speed=rate(timings.prefill_tps)))
        parts += _pictures(timings)
        if timings.cached_tokens:
            parts.append(tr("{tokens} from the cache", tokens=_tokens(timings.cached_tokens)))
    if answer.finish_reason == "length":
        parts.append(tr("cut off at the token limit"))
    return _join(parts)


def live_line(answer: ChatMessage) -> str:
    """Return the line under an answer that is still coming."""
    timings = answer.timings
    if not answer.text and not answer.reasoning:
        if answer.prompt_progress is not None:
            return tr("reading… {percent} %", percent=round(answer.prompt_progress * 100))
        return tr("reading…")
    parts = [tr("generating…"), *(_speed(timings) if timings else [])]
    if timings is not None and timings.generated_tokens:
        parts.append(_tokens(timings.generated_tokens))
    return _join(parts)


def _speed(timings: Timings) -> list[str]:
    return [tr("{speed} t/s", speed=rate(timings.generation_tps))] if timings.generation_tps else []


def _tokens(count: int) -> str:
    return ntr("{number} token", "{number} tokens", count, number=figure(count))


def _pictures(timings: Timings) -> list[str]:
    if timings.image_tokens is None:
        return [] if timings.image_ms is None else [tr("picture in {time}", time=seconds(timings.image_ms))]
    tokens = _tokens(timings.image_tokens)
    if timings.image_ms is None:
        return [tr("picture {tokens}", tokens=tokens)]
    return [tr("picture {tokens} in {time}", tokens=tokens, time=seconds(timings.image_ms))]


def _join(parts: list[str]) -> str:
    # A figure and its unit stay together where the line has to wrap.
    return SEPARATOR.join(part.replace(" t/s", "\u00a0t/s") for part in parts)
