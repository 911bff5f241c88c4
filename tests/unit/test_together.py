"""Tiers side by side: what fits, what would have to stop first, and how a start asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.outlooks import OutlookBench, card, holding, tier_row
from tests.support.waiting import run_async
from variet_gui.events import ServerState, Severity
from variet_gui.forecast.values import DeviceForecast
from variet_gui.i18n import msg
from variet_gui.panel.foresight import Foresight
from variet_gui.panel.outlook import DeviceOutlook, Together
from variet_gui.panel.together import Running, beside_running

GEMMA: dict[str, Any] = {"model": "gemma26-Q4_K_M.gguf", "ctx_size": 32768, "tensor_split": [15.5, 15.5]}
SMALL: dict[str, Any] = {"model": "small-llama.gguf", "ctx_size": 4096}


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))


def devices(*own_mib: float, capacity_mib: float | None = 10000.0) -> list[DeviceOutlook]:
    return [
        DeviceOutlook(
            DeviceForecast(f"CUDA{number}", mib, 0.0, 0.0, 0.0, 0.0, 0.0, capacity_mib, 50.0),
            msg("GPU {index}", index=number),
            None,
        )
        for number, mib in enumerate(own_mib)
    ]


def running(**held_mib: Sequence[float]) -> list[Running]:
    return [Running(role, {f"CUDA{number}": mib for number, mib in enumerate(held)}) for role, held in held_mib.items()]


def test_that_nothing_is_asked_where_nothing_runs_or_everything_fits() -> None:
    assert beside_running("ultra", devices(9000.0), []) == Together("ultra", True)
    together = beside_running("ultra", devices(4000.0, 4000.0), running(fast=(3000.0, 3000.0)))
    assert together == Together("ultra", True, ("fast",))


def test_that_the_fewest_tiers_are_stopped_and_of_those_the_smallest() -> None:
    others = running(fast=(6000.0, 0.0), balanced=(5000.0, 0.0), small=(500.0, 0.0))
    together = beside_running("ultra", devices(3500.0, 100.0), others)
    assert together.fits is False
    assert together.stop_first == ("balanced",)
    assert together.beside == ("fast", "small")
    assert "ultra does not fit beside fast, balanced, small: 4.9 GiB too much on GPU 0." in str(together.text)


def test_that_tiers_on_another_card_are_left_alone() -> None:
    others = running(fast=(0.0, 9000.0), balanced=(9000.0, 0.0))
    together = beside_running("ultra", devices(9000.0, 0.0), others)
    assert together.stop_first == ("balanced",)


def test_that_a_tier_that_fits_nowhere_is_not_the_fault_of_others() -> None:
    together = beside_running("ultra", devices(12000.0, 100.0), running(fast=(0.0, 3000.0)))
    assert together == Together("ultra", True, ("fast",))


def test_that_an_unknown_capacity_asks_nothing() -> None:
    together = beside_running("ultra", devices(9000.0, capacity_mib=None), running(fast=(9000.0,)))
    assert together.fits is None
    assert together.stop_first == ()


def two_tiers(headers: Path, folder: Path, second: dict[str, Any]) -> OutlookBench:
    rows = [tier_row("fast", 8081, GEMMA), tier_row("balanced", 8082, second)]
    return OutlookBench(folder, rows, models_dir=str(headers))


def test_that_a_start_asks_only_where_it_does_not_fit_beside_what_runs(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = two_tiers(headers, tmp_path, GEMMA)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        foresee = Foresight(outlooks, bench.tune)
        second = bench.tune.draft("balanced")
        assert await foresee(second, ask=True) == []
        bench.change("fast", ServerState.READY, pid=7, values=GEMMA)
        bench.cards(card(0, 9500.0, processes=holding(7, 9500.0)), card(1, 9800.0, processes=holding(7, 9800.0)))
        assert outlooks.together("balanced").stop_first == ("fast",)
        (question,) = await foresee(second, ask=True)
        assert question.severity is Severity.ERROR
        assert [(str(fix.text), fix.action) for fix in question.fixes] == [
            ("Stop fast first", "stop_first"),
            ("Start anyway", "start_anyway"),
        ]
        (warning,) = await foresee(second, ask=False)
        assert warning.severity is Severity.WARNING
        small = bench.tune.draft("balanced")
        for key, value in SMALL.items():
            small = small.with_value(key, value)
        assert await foresee(small, ask=True) == []
        await outlooks.close()

    run_async(scenario())


def test_that_a_tier_that_is_still_loading_counts_with_what_it_will_hold(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = two_tiers(headers, tmp_path, GEMMA)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        values = dict(bench.tune.draft("fast").values)
        bench.change("fast", ServerState.LOADING, pid=7, values=values)
        bench.cards(card(0, 300.0, processes=holding(7, 300.0)), card(1, 300.0, processes=holding(7, 300.0)))
        assert outlooks.together("balanced").fits is False
        await outlooks.close()

    run_async(scenario())


def test_that_what_does_not_fit_at_all_is_a_warning_with_the_first_fix(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = two_tiers(headers, tmp_path, {**GEMMA, "ctx_size": 262144})
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        fixes = await outlooks.fixes("balanced")
        (warning,) = await Foresight(outlooks, bench.tune)(bench.tune.draft("balanced"), ask=True)
        assert warning.severity is Severity.WARNING
        assert "does not fit" in str(warning.text)
        (fix,) = warning.fixes
        assert fix.set_values == fixes[0].set_values
        await outlooks.close()

    run_async(scenario())
