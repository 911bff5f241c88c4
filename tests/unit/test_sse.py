"""The stream decoder: any cut of the same bytes gives the same events."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variet_gui.client.errors import ApiError, ErrorKind
from variet_gui.client.stream import (
    AnswerDecoder,
    AnswerFinished,
    PromptProgressed,
    ReasoningArrived,
    SseDecoder,
    StreamCut,
    StreamEvent,
    TextArrived,
    TimingsArrived,
    timings_of,
)

TIMINGS = {
    "cache_n": 4,
    "prompt_n": 12,
    "prompt_ms": 6.0,
    "prompt_per_second": 2000.0,
    "predicted_n": 3,
    "predicted_ms": 30.0,
    "predicted_per_second": 66.7,
}


def chunk(delta: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": more.pop("finish_reason", None), "delta": delta or {}}
    return {"object": "chat.completion.chunk", "choices": [choice], **more}


def wire(*objects: Any, end: str = "\n") -> bytes:
    """Write objects (or ready-made text) as events."""
    texts = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in objects]
    return "".join(f"data: {text}{end}{end}" for text in texts).encode()


ANSWER = (
    chunk({"role": "assistant", "content": None}, prompt_progress={"total": 16, "cache": 4, "processed": 4}),
    chunk({"role": "assistant", "content": None}, prompt_progress={"total": 16, "cache": 4, "processed": 16}),
    chunk({"reasoning_content": "생각 중"}),
    chunk({"content": "안녕 "}, timings={**TIMINGS, "predicted_n": 1, "predicted_per_second": 0.0}),
    chunk({"content": "🌲\r\n"}),
    chunk(finish_reason="stop"),
    {"choices": [], "usage": {"prompt_tokens": 16, "completion_tokens": 3}, "timings": TIMINGS},
    "[DONE]",
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def decode(chunks: list[bytes]) -> list[StreamEvent]:
    decoder = AnswerDecoder()
    events = [event for piece in chunks for event in decoder.feed(piece)]
    decoder.end()
    return events


def test_that_an_answer_becomes_events_in_order() -> None:
    events = decode([wire(*ANSWER)])
    assert [type(event) for event in events] == [
        PromptProgressed,
        PromptProgressed,
        ReasoningArrived,
        TextArrived,
        TimingsArrived,
        TextArrived,
        TimingsArrived,
        AnswerFinished,
    ]
    assert "".join(event.text for event in events if isinstance(event, TextArrived)) == "안녕 🌲\r\n"
    finished = events[-1]
    assert isinstance(finished, AnswerFinished)
    assert finished.reason == "stop"
    assert finished.usage["prompt_tokens"] == 16
    assert finished.timings == timings_of(TIMINGS)


@given(places=st.lists(st.integers(0, 10_000), max_size=60), end=st.sampled_from(["\n", "\r\n", "\r"]))
@settings(max_examples=300)
def test_that_any_chunking_gives_the_same_events(places: list[int], end: str) -> None:
    assert decode(cut(wire(*ANSWER, end=end), places)) == decode([wire(*ANSWER)])


def test_that_single_bytes_give_the_same_events() -> None:
    data = b"\xef\xbb\xbf:\n\n" + wire(*ANSWER, end="\r\n")
    assert decode([data[place : place + 1] for place in range(len(data))]) == decode([wire(*ANSWER)])


LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@given(
    blocks=st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=8),
    noise=st.lists(
        st.sampled_from([":", ": ping", "event: x", "id: 3", "retry: 10", "nonsense", "database: 1"]), max_size=8
    ),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    places=st.lists(st.integers(0, 5000), max_size=40),
)
@settings(max_examples=300)
def test_that_comments_fields_and_line_ends_do_not_change_the_data(
    blocks: list[list[str]], noise: list[str], end: str, places: list[int]
) -> None:
    lines: list[str] = []
    for index, block in enumerate(blocks):
        lines += noise[index : index + 1] + [f"data: {line}" for line in block] + [""]
    text = "".join(line + end for line in lines)
    decoder = SseDecoder()
    found = [data for piece in cut(text.encode(), places) for data in decoder.feed(piece)]
    assert found == ["\n".join(block) for block in blocks]


def test_that_a_line_of_a_megabyte_in_small_pieces_is_one_event() -> None:
    data = wire(chunk({"content": "한" * 350_000}), "[DONE]")
    pieces = [data[place : place + 1000] for place in range(0, len(data), 1000)]
    text, finished = decode(pieces)
    assert isinstance(text, TextArrived)
    assert len(text.text) == 350_000
    assert isinstance(finished, AnswerFinished)


def test_that_invalid_utf8_becomes_a_replacement_character() -> None:
    good = wire(chunk({"content": "한"}), "[DONE]")
    broken = good.replace("한".encode(), b"\xed\x95")
    first = decode([broken])[0]
    assert first == TextArrived("\ufffd")


def test_that_a_stream_without_its_end_is_cut() -> None:
    decoder = AnswerDecoder()
    events = list(decoder.feed(wire(*ANSWER[:-1])))
    assert TextArrived("안녕 ") in events
    with pytest.raises(StreamCut) as caught:
        decoder.end()
    assert caught.value.kind is ErrorKind.CUT
    assert "cut off" in str(caught.value)


def test_that_an_error_inside_the_stream_comes_after_what_stood_before_it() -> None:
    decoder = AnswerDecoder()
    error = {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}
    events = decoder.feed(wire(chunk({"content": "half"}), error))
    assert next(events) == TextArrived("half")
    with pytest.raises(ApiError) as caught:
        next(events)
    assert caught.value.kind is ErrorKind.SERVER_ERROR
    assert caught.value.status == 500
    assert "Compute error." in str(caught.value)


@pytest.mark.parametrize("data", ["not json", "[1, 2]", "3", '{"broken": ', "[" * 100_000])
def test_that_what_is_no_chunk_is_refused(data: str) -> None:
    with pytest.raises(ApiError) as caught:
        list(AnswerDecoder().feed(wire(data)))
    assert caught.value.kind is ErrorKind.UNEXPECTED_REPLY


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": 5, "reasoning_content": {}}}]},
        {"choices": [{}], "error": None, "timings": None, "usage": None, "prompt_progress": []},
        {},
    ],
)
def test_that_empty_and_odd_chunks_are_passed_over(odd: dict[str, Any]) -> None:
    assert decode([wire(odd, "[DONE]")]) == [AnswerFinished(None, None, {})]


def test_that_nothing_after_the_end_counts() -> None:
    events = decode([wire(*ANSWER, chunk({"content": "more"}), "rubbish")])
    assert isinstance(events[-1], AnswerFinished)


def test_that_one_token_has_no_rate() -> None:
    assert timings_of({**TIMINGS, "predicted_n": 1, "predicted_per_second": 1e6}).generation_tps is None
    assert timings_of(TIMINGS).generation_tps == 66.7
    assert timings_of({}).prefill_tps is None


def test_that_draft_counts_are_none_without_a_draft_model() -> None:
    assert timings_of(TIMINGS).draft_tokens is None
    drafted = timings_of({**TIMINGS, "draft_n": 10, "draft_n_accepted": 7})
    assert (drafted.draft_tokens, drafted.draft_accepted) == (10, 7)


@pytest.mark.parametrize(
    ("processed", "total", "cached", "fraction"),
    [(4, 16, 4, 0.0), (10, 16, 4, 0.5), (16, 16, 16, 1.0), (20, 16, 4, 1.0)],
)
def test_that_progress_counts_only_what_is_to_be_done(processed: int, total: int, cached: int, fraction: float) -> None:
    assert PromptProgressed(processed, total, cached).fraction == fraction
