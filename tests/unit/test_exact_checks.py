"""The exact check: when it is refused, what it is compared with, and that the newest wish wins."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.outlooks import OutlookBench, card, holding, tier_row
from tests.support.waiting import run_async, wait_until
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.breakdown import MeasuredDevice
from variet_gui.engine.devices import EngineDevice
from variet_gui.engine.dry_run import DryRun
from variet_gui.events import OutlookChanged, ServerState
from variet_gui.forecast.values import Forecast
from variet_gui.i18n import msg
from variet_gui.panel.exact_checks import GIVEN_UP
from variet_gui.panel.exact_comparison import compared
from variet_gui.panel.outlook import CheckError
from variet_gui.panel.outlook_basis import Basis
from variet_gui.panel.outlook_machine import Machine, given

VALUES: dict[str, Any] = {"model": "gemma26-Q4_K_M.gguf", "ctx_size": 32768, "tensor_split": [1, 1]}
CARDS_MIB = (79000, 79000)


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))


def bench_of(headers: Path, folder: Path) -> OutlookBench:
    rows = [tier_row("fast", 8081, VALUES), tier_row("ultra", 8085, VALUES)]
    return OutlookBench(folder, rows, models_dir=str(headers))


def silent_engine(bench: OutlookBench, folder: Path) -> None:
    """Let every tier have a llama-server that says nothing and never ends."""
    program = folder / "llama-server"
    program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c 'import time; time.sleep(600)'\n")
    program.chmod(0o755)
    bench.engine(build=11434)
    bench.binary = EngineBinary((str(program),), program, embedded=False, source=msg("a test"))


# ------------------------------------------------------------------------------------------------------- comparing


def forecast_of(headers: Path, folder: Path) -> tuple[Forecast, Machine]:
    async def scenario() -> tuple[Forecast, Machine]:
        bench = bench_of(headers, folder)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        basis = outlooks.survey.basis("fast", bench.tune.draft("fast"))
        assert isinstance(basis, Basis)
        machine = given(CARDS_MIB)
        await outlooks.close()
        return basis.forecast(machine, dry_run=True), machine

    return run_async(scenario())


def said(forecast: Forecast, **more_mib: int) -> DryRun:
    """Return what llama-server would say where it counts as we do, `more_mib` to the compute buffer of a device."""
    devices = tuple(
        MeasuredDevice(
            device.name,
            "card",
            79000,
            78000,
            int(device.weights_mib),
            int(device.context_mib or 0),
            int(device.compute_mib or 0) + more_mib.get(device.name, 0),
        )
        for device in forecast.devices
    )
    host = forecast.host
    whole = (int(host.weights_mib), int(host.context_mib or 0), int(host.compute_mib or 0))
    return DryRun(devices, MeasuredDevice("Host", "", None, None, *whole), (), None, False, None, 11434, 0.4, ())


def test_that_figures_that_were_cut_to_whole_mebibytes_agree(headers: Path, tmp_path: Path) -> None:
    forecast, machine = forecast_of(headers, tmp_path)
    figures = compared(said(forecast), forecast, machine, expected=machine, at=1.0)
    assert figures.agrees
    assert figures.summary.english == "llama-server itself says the same."
    assert [str(device.label) for device in figures.devices] == ["GPU 0", "GPU 1"]
    assert all(-3.0 < (device.difference_mib or 0.0) <= 0.0 for device in figures.devices)
    assert figures.host is not None
    assert figures.host.forecast_mib is not None


def test_that_a_difference_is_told_with_its_device(headers: Path, tmp_path: Path) -> None:
    forecast, machine = forecast_of(headers, tmp_path)
    more = compared(said(forecast, CUDA1=600), forecast, machine, expected=machine, at=1.0)
    assert not more.agrees
    assert more.summary.english == "llama-server itself counts 0.6 GiB more on GPU 1 than the forecast."
    less = compared(said(forecast, CUDA0=-50), forecast, machine, expected=machine, at=1.0)
    assert "less on GPU 0" in less.summary.english


def test_that_what_we_do_not_know_is_told_by_llama_server(headers: Path, tmp_path: Path) -> None:
    forecast, machine = forecast_of(headers, tmp_path)
    nothing = Forecast((), forecast.host, 11434)
    figures = compared(said(forecast), nothing, machine, expected=machine, at=1.0)
    assert not figures.agrees
    assert "the forecast does not know" in figures.summary.english
    assert all(device.forecast_mib is None and device.difference_mib is None for device in figures.devices)


def test_that_an_engine_without_gpus_does_not_speak_of_cards(headers: Path, tmp_path: Path) -> None:
    forecast, machine = forecast_of(headers, tmp_path)
    run = replace(said(forecast), devices=())
    figures = compared(run, replace(forecast, devices=()), Machine((), machine.source), expected=machine, at=1.0)
    assert figures.devices == ()
    assert not figures.agrees
    assert "sees no GPU" in figures.summary.english


# ------------------------------------------------------------------------------------------------------- refusing


def refused(headers: Path, folder: Path, arrange: Any) -> str:
    async def scenario() -> str:
        bench = bench_of(headers, folder)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        silent_engine(bench, folder)
        arrange(bench)
        with pytest.raises(CheckError) as caught:
            await outlooks.check("fast")
        await outlooks.close()
        return caught.value.message.english

    return run_async(scenario())


def test_that_a_full_card_is_not_asked_for_the_memory_of_a_check(headers: Path, tmp_path: Path) -> None:
    def full(bench: OutlookBench) -> None:
        bench.change("ultra", ServerState.READY, pid=7, values=VALUES)
        bench.cards(card(0, 2000.0), card(1, 11700.0, processes=holding(7, 11700.0)))

    assert "GPU 1 has 206 MiB free; the exact check needs 580 MiB" in refused(headers, tmp_path, full)


def test_that_nothing_is_asked_while_a_tier_is_being_loaded(headers: Path, tmp_path: Path) -> None:
    def loading(bench: OutlookBench) -> None:
        bench.change("ultra", ServerState.LOADING, pid=7, values=VALUES)

    assert "ultra is being loaded" in refused(headers, tmp_path, loading)


def test_that_workers_that_serve_another_tier_are_left_alone(headers: Path, tmp_path: Path) -> None:
    def sharing(bench: OutlookBench) -> None:
        bench.tune.edit("fast", "rpc", "a:1,b:2")
        bench.change("ultra", ServerState.READY, pid=7, values={"rpc": "b:2"})

    assert "ultra uses the same RPC workers" in refused(headers, tmp_path, sharing)


def test_that_cards_nobody_can_look_at_are_not_asked_beside_a_running_tier(headers: Path, tmp_path: Path) -> None:
    def blind(bench: OutlookBench) -> None:
        bench.cards()
        question = bench.outlooks.survey._question("fast", bench.tune.draft("fast"))
        assert question is not None
        bench.outlooks._lists.note(question, (EngineDevice("Vulkan0", "Radeon", 16000, 15000),))
        bench.change("ultra", ServerState.READY, pid=7, values=VALUES)

    assert "How much memory is free beside ultra is not known" in refused(headers, tmp_path, blind)


def test_that_without_an_engine_or_a_model_the_reason_is_said(headers: Path, tmp_path: Path) -> None:
    def without(bench: OutlookBench) -> None:
        bench.binary = None

    assert "No llama-server was found" in refused(headers, tmp_path, without)
    assert "No model file" in refused(headers, tmp_path, lambda bench: bench.tune.edit("fast", "model", None))


# ------------------------------------------------------------------------------------------------------- giving up


def test_that_a_check_can_be_given_up_and_the_newest_wish_wins(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = bench_of(headers, tmp_path)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        silent_engine(bench, tmp_path)
        running = outlooks._checks._running
        first = asyncio.create_task(outlooks.check("fast"))
        await wait_until(lambda: "fast" in running, what="the first check")
        earlier = running["fast"]
        second = asyncio.create_task(outlooks.check("fast"))
        with pytest.raises(CheckError) as superseded:
            await first
        assert superseded.value.message == GIVEN_UP
        await wait_until(lambda: running.get("fast") not in (None, earlier), what="the second check")
        outlooks.cancel_check("fast")
        with pytest.raises(CheckError) as cancelled:
            await second
        assert cancelled.value.message == GIVEN_UP
        outlooks.cancel_check("fast")  # harmless
        assert not bench.said(OutlookChanged)
        third = asyncio.create_task(outlooks.check("fast"))
        await wait_until(lambda: "fast" in running, what="the third check")
        await outlooks.close()  # no process may be left
        with pytest.raises(CheckError):
            await third

    run_async(scenario())
