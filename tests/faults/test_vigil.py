"""Servers that are well by their own word and are not."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.watching import watched
from tests.support.waiting import run_async, wait_until
from variet_gui.events import (
    DeviceBuffers,
    EventStream,
    GpuSample,
    GpusSampled,
    NoticeRaised,
    ServerState,
    ServerStatus,
    SpeedSampled,
)
from variet_gui.panel import evidence
from variet_gui.panel.vigil import Vigil

FULL = GpusSampled(1.0, (GpuSample(0, "Card", 12_250.0, 12_288.0, utilisation_percent=99.0),))
ROOMY = GpusSampled(1.0, (GpuSample(0, "Card", 9_000.0, 12_288.0, utilisation_percent=99.0),))
SPINNING = GpusSampled(1.0, (GpuSample(0, "Card", 9_000.0, 12_288.0, utilisation_percent=0.0),))
WORKING = ServerStatus(
    "fast", ServerState.BUSY, pid=1, values={}, buffers=(DeviceBuffers("CUDA0", weights_mib=7000.0),)
)


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def notices_of(events: EventStream) -> list[str]:
    """Return the list that every notice's text will be put into."""
    texts: list[str] = []
    events.subscribe(lambda event: texts.append(event.text.english) if isinstance(event, NoticeRaised) else None)
    return texts


def test_that_a_request_without_progress_is_called_stuck_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            texts = notices_of(w.events)
            vigil = Vigil(w.events, lambda: [w.status], lambda: None, lambda _: None, tick_s=0.05, stuck_s=0.2)
            vigil.begin()
            await w.start_stub()
            w.server.mark_busy(True)
            await wait_until(lambda: bool(texts), what="a notice")
            assert "without any progress" in texts[0]
            for _ in range(5):
                vigil.look()
            assert len(texts) == 1
            await vigil.close()

    run_async(scenario())


def test_that_an_idle_server_is_never_stuck(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path) as w:
            texts, clock = notices_of(w.events), Clock()
            vigil = Vigil(w.events, lambda: [w.status], lambda: None, lambda _: None, clock=clock)
            await w.start_stub()
            vigil.look()
            clock.now += 10_000
            vigil.look()
            assert texts == []

    run_async(scenario())


def test_that_a_busy_card_is_given_ten_minutes() -> None:
    events, clock = EventStream(), Clock()
    texts = notices_of(events)
    vigil = Vigil(events, lambda: [WORKING], lambda: ROOMY, lambda _: None, clock=clock)
    vigil.look()
    clock.now += 300
    vigil.look()
    assert texts == []
    clock.now += 301
    vigil.look()
    assert len(texts) == 1


def test_that_idle_cards_tell_a_hanging_driver_from_a_long_prompt() -> None:
    events, clock = EventStream(), Clock()
    texts = notices_of(events)
    vigil = Vigil(events, lambda: [WORKING], lambda: SPINNING, lambda _: None, clock=clock)
    vigil.look()
    clock.now += 61
    vigil.look()
    assert len(texts) == 1


def crawl(gpus: GpusSampled, tps: float, usual: float | None = 70.0) -> list[str]:
    """Return what is told of a server that makes `tps` for a minute."""
    events, clock = EventStream(), Clock()
    texts = notices_of(events)

    async def scenario() -> None:
        vigil = Vigil(events, lambda: [WORKING], lambda: gpus, lambda _: usual, tick_s=3600.0, clock=clock)
        vigil.begin()
        vigil.look()
        for _ in range(60):
            clock.now += 1
            events.publish(SpeedSampled(time.time(), "fast", tps, None))
            vigil.look()
        await vigil.close()

    run_async(scenario())
    return texts


def test_that_crawling_on_a_full_card_is_called_a_spill_once() -> None:
    texts = crawl(FULL, 9.0)
    assert len(texts) == 1
    assert "spills" in texts[0]
    assert "GPU 0" in texts[0]


def test_that_neither_a_full_card_nor_a_slow_answer_alone_is_a_spill() -> None:
    assert crawl(FULL, 68.0) == []
    assert crawl(ROOMY, 9.0) == []
    assert crawl(FULL, 9.0, usual=None) == []


def test_that_evidence_holds_status_slots_and_the_end_of_the_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with watched(tmp_path / "logs") as w:
            await w.start_stub("--stub-say", "colour \\x1b[31mred\\x1b[0m")
            path = await evidence.save(w.server, None, FULL, tmp_path / "reports")
            text = path.read_text(encoding="utf-8")
            assert '"role": "fast"' in text
            assert "12288" in text
            assert "loading model" in text
            assert "\x1b" not in text

    run_async(scenario())
