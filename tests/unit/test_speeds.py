"""The likely speed of a tier on the cards that are there, and what its answers teach about it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.outlooks import OutlookBench, card, tier_row
from tests.support.waiting import run_async, wait_until
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import AnswerTimed, GpuSample, HostSample, HostSampled, NoticeRaised, ServerState, Timings
from variet_gui.forecast.speed import SpeedEstimate
from variet_gui.panel.forecast_text import forecast as forecast_words
from variet_gui.panel.forecasting import shape_of, speed_shape
from variet_gui.panel.learning import Launched
from variet_gui.panel.outlook_basis import Basis
from variet_gui.panel.speed_book import SpeedBook
from variet_gui.panel.speeds import FEWEST_TOKENS, NO_CARDS

BALANCED: dict[str, Any] = {
    "model": "qwen35b-Q4_K_M.gguf",
    "ctx_size": 131072,
    "tensor_split": [0.48, 0.52],
    "parallel": 1,
}
ULTRA: dict[str, Any] = {"model": "qwen122-Q4_K_M.gguf", "ctx_size": 65536, "cpu_moe": True}


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))


def known_card(index: int) -> GpuSample:
    return card(index, memory_clock_max_mhz=7501, memory_bus_bits=192)


def bench_on(headers: Path, folder: Path) -> OutlookBench:
    rows = [tier_row("balanced", 8082, BALANCED), tier_row("ultra", 8085, ULTRA)]
    bench = OutlookBench(folder, rows, models_dir=str(headers))
    bench.cards(known_card(0), known_card(1))
    return bench


def measured_at(bench: OutlookBench, gib_s: float | None) -> list[int]:
    """Let the computer's own memory be as fast as a test wants; the list grows with every measurement."""
    calls: list[int] = []

    def measure() -> float | None:
        calls.append(1)
        return gib_s

    bench.outlooks.speeds._measure = measure
    return calls


def started(bench: OutlookBench, role: str, **changes: Any) -> None:
    """Let a tier run with its draft, as the panel itself starts it."""
    profile = dataclasses.replace(bench.tune.draft(role), values={**bench.tune.draft(role).values, **changes})
    basis = bench.outlooks.survey.basis(role, profile)
    assert isinstance(basis, Basis)
    bench.outlooks.learning.expect(
        Launched(role, profile, basis.forecast(), basis.machine, basis.model, None, None, {}, bench.gpus)
    )


def answered(bench: OutlookBench, role: str, tps: float, tokens: int = 400, **more: Any) -> None:
    bench.events.publish(AnswerTimed(role, Timings(200, 300.0, 0, tokens, 1.0, tps, **more)))


def estimate_of(bench: OutlookBench, role: str) -> SpeedEstimate:
    found = bench.outlooks.of(role)
    assert found.speed is not None, found.speed_reasons
    return found.speed


def test_that_a_tier_on_known_cards_has_a_likely_speed(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open()
        found = estimate_of(bench, "balanced")
        assert 60 < found.low_tps < found.likely_tps < found.high_tps < 140
        assert bench.outlooks.of("balanced") is bench.outlooks.of("balanced")
        await bench.outlooks.close()

    run_async(scenario())


def test_that_a_card_without_figures_is_known_by_its_name_or_not_at_all(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open()
        by_driver = estimate_of(bench, "balanced")
        bench.cards(card(0), card(1))
        assert estimate_of(bench, "balanced").likely_tps == pytest.approx(by_driver.likely_tps, rel=0.001)
        bench.cards(*(dataclasses.replace(card(index), name="Some card") for index in range(2)))
        outlook = bench.outlooks.of("balanced")
        assert outlook.speed is None
        assert [str(reason) for reason in outlook.speed_reasons] == [
            "The memory bandwidth of CUDA0 is not known.",
            "The memory bandwidth of CUDA1 is not known.",
        ]
        await bench.outlooks.close()

    run_async(scenario())


def test_that_simulated_cards_have_no_speed(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        rows = [tier_row("balanced", 8082, BALANCED)]
        bench = OutlookBench(tmp_path, rows, models_dir=str(headers), simulated_gpus=[12288, 12288], demo=True)
        await bench.open()
        outlook = bench.outlooks.of("balanced")
        assert outlook.simulated
        assert (outlook.speed, outlook.speed_reasons) == (None, (NO_CARDS,))
        await bench.outlooks.close()

    run_async(scenario())


def test_that_the_computers_memory_is_measured_once_it_matters_and_nothing_works(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        calls = measured_at(bench, 40.0)
        await bench.open(background=True)
        await bench.look()
        assert bench.outlooks.of("balanced").speed is not None
        bench.change("balanced", ServerState.LOADING, pid=4711)
        assert bench.outlooks.of("ultra").speed is None
        for _ in range(20):
            await asyncio.sleep(0)
        assert calls == []
        bench.change("balanced", ServerState.READY, pid=4711)
        bench.cards(known_card(0), dataclasses.replace(known_card(1), memory_used_mib=900.0))
        assert bench.outlooks.of("ultra").speed is None
        await wait_until(lambda: bench.outlooks.of("ultra").speed is not None, what="the measured memory")
        assert calls == [1]
        assert "The part of the processor" in str(estimate_of(bench, "ultra").basis)
        await bench.outlooks.close()

    run_async(scenario())


def test_that_the_terminal_measures_before_it_answers(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open()
        calls = measured_at(bench, 40.0)
        speeds = bench.outlooks.speeds
        await speeds.prepare("balanced", bench.tune.draft("balanced"))
        assert calls == []
        await speeds.prepare("ultra", bench.tune.draft("ultra"))
        await speeds.prepare("ultra", bench.tune.draft("ultra"))
        assert calls == [1]
        assert estimate_of(bench, "ultra").devices[-1].name == "CPU"
        await bench.outlooks.close()

    run_async(scenario())


def test_that_weights_larger_than_the_memory_have_no_speed(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open()
        measured_at(bench, 40.0)
        await bench.outlooks.speeds.measure_host()
        bench.events.publish(HostSampled(1.0, HostSample(4000.0, 32768.0, 5.0)))
        outlook = bench.outlooks.of("ultra")
        assert outlook.speed is None
        assert "From a disk they are much slower." in str(outlook.speed_reasons[0])
        bench.events.publish(HostSampled(2.0, HostSample(4000.0, 131072.0, 5.0)))
        bench.cards(known_card(0), known_card(1), at=3.0)
        assert bench.outlooks.of_profile(bench.tune.draft("ultra").with_value("ctx_size", 32768)).speed is not None
        await bench.outlooks.close()

    run_async(scenario())


def test_that_answers_teach_and_what_they_taught_is_kept(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open(background=True)
        await bench.look()
        before = estimate_of(bench, "balanced")
        started(bench, "balanced")
        for _ in range(3):
            answered(bench, "balanced", 64.0)
        speeds = bench.outlooks.speeds
        await wait_until(lambda: len(speeds.book.calibration.observations) == 3, what="three lessons")
        after = estimate_of(bench, "balanced")
        assert after.measurements == 3
        assert abs(after.likely_tps - 64.0) < 3
        assert after.high_tps - after.low_tps < 0.5 * (before.high_tps - before.low_tps)
        await bench.outlooks.close()
        kept = SpeedBook(speeds.book.path)
        assert await kept.load() is None
        assert kept.calibration == speeds.book.calibration

    run_async(scenario())


@pytest.mark.parametrize(
    ("tps", "tokens", "more", "changes"),
    [
        (64.0, FEWEST_TOKENS - 1, {}, {}),
        (64.0, 400, {"draft_tokens": 12}, {}),
        (64.0, 400, {}, {"parallel": 4}),
        (64.0, 400, {}, {"spec_type": "draft-mtp"}),
        (6.4, 400, {}, {}),
    ],
)
def test_that_answers_which_something_else_made_fast_or_slow_teach_nothing(
    headers: Path, tmp_path: Path, tps: float, tokens: int, more: dict[str, Any], changes: dict[str, Any]
) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open(background=True)
        await bench.look()
        answered(bench, "balanced", 64.0)  # nobody knows what it was started with
        started(bench, "balanced", **changes)
        answered(bench, "balanced", tps, tokens, **more)
        bench.change("ultra", ServerState.BUSY, pid=1)
        answered(bench, "balanced", 64.0)
        await bench.outlooks.close()
        assert bench.outlooks.speeds.book.calibration.observations == ()
        assert not bench.outlooks.speeds.book.path.exists()

    run_async(scenario())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": 1, "observations": [{}]}'])
def test_that_a_damaged_book_is_set_aside_and_said(headers: Path, tmp_path: Path, content: bytes) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        path = bench.outlooks.speeds.book.path
        path.write_bytes(content)
        await bench.open()
        notice = bench.said(NoticeRaised)[0]
        assert "is damaged and is kept as speeds.json.unreadable" in str(notice.text)
        assert path.with_name("speeds.json.unreadable").read_bytes() == content
        assert bench.outlooks.of("balanced").speed is not None
        await bench.outlooks.close()

    run_async(scenario())


def test_that_a_newer_book_is_left_as_it_is(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        path = bench.outlooks.speeds.book.path
        newer = json.dumps({"schema": 99})
        path.write_text(newer)
        await bench.open(background=True)
        await bench.look()
        assert "written by a newer Variet" in str(bench.said(NoticeRaised)[0].text)
        started(bench, "balanced")
        answered(bench, "balanced", 64.0)
        await bench.outlooks.close()
        assert len(bench.outlooks.speeds.book.calibration.observations) == 1
        assert path.read_text() == newer

    run_async(scenario())


def test_that_the_terminal_says_that_it_is_an_estimate(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open()
        outlook = bench.outlooks.of("balanced")
        assert outlook.speed is not None
        assert outlook.forecast is not None
        speed = speed_shape(outlook.speed)
        said = shape_of(outlook.forecast).model_copy(update={"speed": speed})
        document = json.loads(said.model_dump_json(by_alias=True))
        assert {"low_tps", "likely_tps", "high_tps"} <= document["speed"].keys()
        assert [device["name"] for device in document["speed"]["devices"]] == ["CUDA0", "CUDA1"]
        line = f"Speed: likely {speed.low_tps:.0f} to {speed.high_tps:.0f} t/s with 4096 tokens of the context in use."
        assert f"{line} An estimate from" in forecast_words(said, "balanced")
        without = said.model_copy(update={"speed": None, "speed_reasons": [str(NO_CARDS)]})
        assert "Speed: not estimated. Simulated cards have no speed." in forecast_words(without, "balanced")
        await bench.outlooks.close()

    run_async(scenario())


def test_that_a_profile_of_no_tier_is_answered_too(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_on(headers, tmp_path)
        await bench.open()
        profile = LaunchProfile("", {"model": str(headers / "qwen27-Q4_K_M.gguf"), "ctx_size": 32768})
        await bench.outlooks.look(profile)
        assert bench.outlooks.of_profile(profile).speed is not None
        await bench.outlooks.close()

    run_async(scenario())
