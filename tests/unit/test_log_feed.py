"""The way of log lines from the file to the panel: in a ring, as facts, in batches, and cut when there are too many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.waiting import run_async, wait_until
from variet_gui.engine import log_feed
from variet_gui.engine.log_feed import LogFeed
from variet_gui.engine.log_parser import ErrorSaid, Fact, ModelLoading
from variet_gui.engine.log_tail import older
from variet_gui.events import Event, EventStream, LogAppended


@dataclass
class Fed:
    feed: LogFeed
    ring: deque[str]
    facts: list[Fact] = field(default_factory=list)
    batches: list[tuple[str, ...]] = field(default_factory=list)


@asynccontextmanager
async def fed(path: Path, ring_lines: int = 100) -> AsyncIterator[Fed]:
    """A feed that runs; drained at the end."""
    events = EventStream()
    ring: deque[str] = deque(maxlen=ring_lines)

    def take(found: Sequence[Fact]) -> None:
        result.facts.extend(found)

    def receive(event: Event) -> None:
        assert isinstance(event, LogAppended)
        assert event.role == "fast"
        result.batches.append(event.lines)

    events.subscribe(receive)
    result = Fed(LogFeed("fast", path, events, ring, take), ring)
    running = asyncio.create_task(result.feed.run())
    try:
        yield result
    finally:
        running.cancel()
        await asyncio.wait({running})
        await result.feed.drain()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fast.log"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_that_lines_arrive_as_facts_in_the_ring_and_as_events(path: Path) -> None:
    append(path, "0.00.001.000 I srv    load_model: loading model 'tiny.gguf'\nhello\nE half a li")

    async def scenario() -> None:
        async with fed(path) as f:
            await wait_until(lambda: len(f.ring) == 2, what="two lines")
            assert f.facts == [ModelLoading("tiny.gguf")]
        assert f.ring[-1] == "E half a li"
        assert f.facts[-1] == ErrorSaid("half a li")
        assert [line for batch in f.batches for line in batch] == list(f.ring)

    run_async(scenario())


def test_that_a_flood_is_parsed_in_part_only_when_the_server_is_up(path: Path) -> None:
    append(path, "E line of an error\n" * 5000)

    async def scenario() -> None:
        for everything in (True, False):
            async with fed(path) as f:
                f.feed.parse_everything = everything
            assert (len(f.facts) == 5000) is everything
            assert len(f.facts) >= log_feed.PARSED_IN_A_FLOOD

    run_async(scenario())


def test_that_a_log_that_grows_too_large_is_cut_and_followed_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_feed, "LARGEST_LOG_BYTES", 1000)
    append(path, "a line of the old log\n" * 100)

    async def scenario() -> None:
        async with fed(path) as f:
            await wait_until(lambda: path.stat().st_size == 0, what="the cut")
            append(path, "new\n")
            await wait_until(lambda: f.ring[-1] == "new", what="the new line")
            assert len(older(path, 1).read_text().splitlines()) == 100

    run_async(scenario())


def test_that_a_full_disk_keeps_the_log_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_feed, "LARGEST_LOG_BYTES", 1000)
    monkeypatch.setattr(log_feed, "cut", no_space)
    append(path, "a line of the old log\n" * 100)

    async def scenario() -> None:
        async with fed(path) as f:
            await wait_until(lambda: "No space left" in caplog.text, what="the warning")
            append(path, "new\n")
            await wait_until(lambda: f.ring[-1] == "new", what="the new line")
        assert caplog.text.count("No space left") == 1

    run_async(scenario())


def test_that_a_log_that_cannot_be_read_is_reported_once_and_tried_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()

    def make_way() -> None:
        path.rmdir()
        append(path, "now\n")

    async def scenario() -> None:
        async with fed(path) as f:
            await wait_until(lambda: "cannot be read" in caplog.text, what="the report")
            make_way()
            await wait_until(lambda: list(f.ring) == ["now"], what="the line")
        assert caplog.text.count("cannot be read") == 1

    run_async(scenario())
