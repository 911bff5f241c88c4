"""The outlook of a tier: forecast, words and fixes, on cards and servers as they are at that moment."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.outlooks import USABLE_MIB, OutlookBench, card, holding, tier_row
from tests.support.tiny_models import write_projector, write_text_model
from tests.support.waiting import run_async, wait_until
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.devices import EngineDevice
from variet_gui.events import HostSample, HostSampled, NoticeRaised, OutlookChanged, ServerState
from variet_gui.forecast.values import Verdict
from variet_gui.forecast.vram import Device, forecast
from variet_gui.gguf.header import read_header
from variet_gui.panel.header_shelf import LOOK_AGAIN_S, HeaderShelf
from variet_gui.panel.outlook import Outlook
from variet_gui.panel.outlook_survey import IS_PROJECTOR, NO_MODEL, READING

FAST: dict[str, Any] = {
    "model": "gemma26-Q4_K_M.gguf",
    "mmproj": "mmproj-gemma4.gguf",
    "ctx_size": 262144,
    "tensor_split": [0.43, 0.57],
    "cache_type_k": "q8_0",
    "cache_type_v": "q8_0",
}
CARDS = (Device("CUDA0", USABLE_MIB), Device("CUDA1", USABLE_MIB))


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))


def fast_on(headers: Path, folder: Path, **more: Any) -> OutlookBench:
    return OutlookBench(folder, [tier_row("fast", 8081, FAST, **more)], models_dir=str(headers))


def profile_of(bench: OutlookBench) -> LaunchProfile:
    return bench.tune.draft("fast")


def test_that_the_outlook_is_the_cores_forecast_on_the_cards_that_are_there(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        outlook = outlooks.of("fast")
        expected = forecast(
            read_header(headers / "gemma26-Q4_K_M.gguf"),
            profile_of(bench),
            CARDS,
            projector=read_header(headers / "mmproj-gemma4.gguf"),
        )
        assert outlook.forecast == expected
        assert [str(device.label) for device in outlook.devices] == ["GPU 0", "GPU 1"]
        assert [device.measured_mib for device in outlook.devices] == [None, None]
        assert outlook.verdict is Verdict.DOES_NOT_FIT
        assert outlook.summary.english == "does not fit · 1.1 GiB too much on GPU 1"
        assert not outlook.simulated
        assert outlooks.of("fast") is outlook  # who shows it need not paint it again
        assert outlooks.of("fast", {"ctx_size": 65536}).verdict is Verdict.FITS
        assert profile_of(bench).get("ctx_size") == 262144
        await outlooks.close()

    run_async(scenario())


def test_that_fixes_are_of_the_newest_draft_whoever_waits(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        first = asyncio.create_task(outlooks.fixes("fast"))
        await asyncio.sleep(0)
        bench.tune.edit("fast", "ctx_size", 4096)
        second = asyncio.create_task(outlooks.fixes("fast"))
        assert await first == await second == ()  # so short a context fits
        bench.tune.revert("fast")
        fixes = await outlooks.fixes("fast")
        assert fixes[0].verdict is Verdict.FITS
        for key, value in fixes[0].set_values.items():
            bench.tune.edit("fast", key, value)
        assert outlooks.of("fast").verdict is Verdict.FITS
        await outlooks.close()

    run_async(scenario())


def test_that_our_own_server_does_not_count_against_itself(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        alone = outlooks.of("fast")
        bench.change("fast", ServerState.READY, pid=4711, values=FAST)
        bench.cards(card(0, 9000.0, processes=holding(4711, 8500.0)), card(1, 9100.0, processes=holding(4711, 9100.0)))
        running = outlooks.of("fast")
        assert [device.forecast.other_mib for device in running.devices] == [500.0, 0.0]
        assert [device.measured_mib for device in running.devices] == [8500.0, 9100.0]
        assert running.devices[1].forecast == alone.devices[1].forecast
        await outlooks.close()

    run_async(scenario())


def test_that_every_reason_for_no_forecast_says_what_to_do(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        write_projector(tmp_path / "mmproj.gguf")
        (tmp_path / "page.gguf").write_text("<html>Not found</html>")
        models = {"no-model": None, "gone": "gone.gguf", "projector": "mmproj.gguf", "page": "page.gguf"}
        rows = [
            tier_row(role, 8081 + number, {} if model is None else {"model": model})
            for number, (role, model) in enumerate(models.items())
        ]
        bench = OutlookBench(tmp_path, rows, models_dir=str(tmp_path))
        bench.cards(card(0))
        outlooks = await bench.open()
        found = {role: outlooks.of(role) for role in models}
        assert found["no-model"].problem == NO_MODEL
        assert found["no-model"].summary.english == "unknown: no model file"
        assert found["projector"].problem == IS_PROJECTOR
        assert "gone.gguf cannot be read: No such file or directory" in str(found["gone"].problem)
        assert "page.gguf" in str(found["page"].problem)
        assert all(outlook.verdict is Verdict.UNKNOWN and outlook.devices == () for outlook in found.values())
        await outlooks.close()

    run_async(scenario())


def test_that_a_computer_of_which_nothing_is_known_is_not_taken_for_one_without_gpus(tmp_path: Path) -> None:
    async def scenario() -> Outlook:
        write_text_model(tmp_path / "text.gguf")
        bench = OutlookBench(tmp_path, [tier_row("fast", 8081, {"model": "text.gguf"})], models_dir=str(tmp_path))
        outlooks = await bench.open()
        assert outlooks.of("fast", {"device": "none"}).problem is None
        outlook = outlooks.of("fast")
        await outlooks.close()
        return outlook

    outlook = run_async(scenario())
    assert outlook.summary.english == "unknown: no device known"
    assert "expected_gpus" in str(outlook.problem)


def test_that_assumed_cards_are_those_of_the_whole_catalog(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        ultra = {"model": "qwen122-Q4_K_M.gguf", "ctx_size": 4096, "device": "CUDA1", "n_cpu_moe": 48}
        limit = {"vram_limit_mib": 12288}
        rows = [
            tier_row("fast", 8081, FAST, expected_gpus=2, acceptance=limit),
            tier_row("ultra", 8085, ultra, expected_gpus=1, main_gpu_only=1, acceptance=limit),
        ]
        bench = OutlookBench(tmp_path, rows, models_dir=str(headers))
        outlooks = await bench.open()
        fast, big = outlooks.of("fast"), outlooks.of("ultra")
        assert "assumed" in str(fast.source)
        assert [device.forecast.capacity_mib for device in fast.devices] == [12288.0, 12288.0]
        assert fast.verdict is Verdict.DOES_NOT_FIT
        assert [str(device.label) for device in big.devices] == ["GPU 1"]
        await outlooks.close()

    run_async(scenario())


def test_that_a_projector_that_cannot_be_counted_makes_the_verdict_unknown(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        folder = tmp_path / "models"
        shutil.copytree(headers, folder)
        (folder / "mmproj-gemma4.gguf").unlink()
        bench = fast_on(folder, tmp_path)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        outlook = outlooks.of("fast", {"ctx_size": 4096})
        assert outlook.verdict is Verdict.UNKNOWN
        assert "mmproj-gemma4.gguf cannot be read" in str(outlook.summary)
        assert outlook.devices  # the rest is shown
        await outlooks.close()

    run_async(scenario())


def test_that_extra_arguments_count_as_the_parameters_that_they_are(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path, extra_arguments=["-c", "4096", "--no-such-thing"])
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        assert outlooks.of("fast").verdict is Verdict.FITS
        await outlooks.close()

    run_async(scenario())


def test_that_a_build_without_a_number_counts_as_the_newest_and_an_old_one_does_not(
    headers: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        newest = outlooks.of("fast").forecast
        bench.engine(build=None, flags=frozenset({"--log-jsonl", "--spec-draft-sampling"}))
        unnumbered = outlooks.of("fast").forecast
        bench.engine(build=9000)
        old = outlooks.of("fast").forecast
        assert newest is not None
        assert unnumbered is not None
        assert old is not None
        assert unnumbered.devices == newest.devices
        assert old.build == 9000
        assert old.devices[1].compute_mib != newest.devices[1].compute_mib
        await outlooks.close()

    run_async(scenario())


def test_that_the_demo_forecasts_for_its_simulated_cards(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = OutlookBench(
            tmp_path,
            [tier_row("fast", 8081, FAST)],
            demo=True,
            models_dir=str(headers),
            simulated_gpus=[12288, 12288],
        )
        outlooks = await bench.open()
        bench.engine(embedded=True)
        outlook = outlooks.of("fast")  # before the first round of the simulation
        assert outlook.simulated
        assert [device.forecast.capacity_mib for device in outlook.devices] == [12288.0, 12288.0]
        assert "simulated" in str(outlook.source)
        await outlooks.close()

    run_async(scenario())


def test_that_a_tier_on_the_processor_is_held_against_the_computers_own_memory(tmp_path: Path) -> None:
    async def scenario() -> None:
        write_text_model(tmp_path / "text.gguf")
        bench = OutlookBench(tmp_path, [tier_row("fast", 8081, {"model": "text.gguf", "ctx_size": 1024})])
        bench.cards()
        outlooks = await bench.open()
        bench.engine(embedded=True)
        bench.tune.edit("fast", "model", str(tmp_path / "text.gguf"))
        await bench.look()
        bench.events.publish(HostSampled(0.0, HostSample(4000.0, 16000.0, 5.0)))
        outlook = outlooks.of("fast")
        (processor,) = outlook.devices
        assert str(processor.label) == "CPU"
        assert processor.forecast.capacity_mib == 16000.0
        assert processor.forecast.other_mib == 4000.0
        assert outlook.verdict is Verdict.FITS
        assert outlook.summary.english.startswith("fits · 11.7 GiB to spare on CPU")
        await outlooks.close()

    run_async(scenario())


def test_that_reordered_devices_are_told_in_the_order_of_use(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0), card(1, 700.0))
        outlooks = await bench.open()
        outlook = outlooks.of("fast", {"device": "CUDA1,CUDA0"})
        assert [str(device.label) for device in outlook.devices] == ["GPU 1", "GPU 0"]
        assert outlook.devices[0].forecast.other_mib == 700.0
        one = outlooks.of("fast", {"split_mode": "none", "main_gpu": 1})
        assert [str(device.label) for device in one.devices] == ["GPU 1"]
        gone = outlooks.of("fast", {"device": "CUDA7"})
        assert gone.verdict is Verdict.UNKNOWN
        assert "CUDA7" in str(gone.summary)
        await outlooks.close()

    run_async(scenario())


def test_that_eight_cards_and_rpc_workers_are_followed(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(*map(card, range(8)))
        outlooks = await bench.open()
        spread = outlooks.of("fast", {"tensor_split": None})
        assert [str(device.label) for device in spread.devices] == [f"GPU {number}" for number in range(8)]
        workers = outlooks.of("fast", {"rpc": "10.0.0.2:50052,10.0.0.3:50052", "tensor_split": None})
        assert [device.forecast.name for device in workers.devices][:3] == ["RPC0", "RPC1", "CUDA0"]
        assert "memory of RPC0 is not known" in str(workers.summary)
        await outlooks.close()

    run_async(scenario())


def test_that_headers_are_read_in_the_background_and_the_change_is_told(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0), card(1))
        outlooks = await bench.open(background=True)
        assert outlooks.of("fast").problem == READING
        await wait_until(lambda: outlooks.of("fast").forecast is not None, what="a forecast")
        assert bench.said(OutlookChanged)
        bench.tune.edit("fast", "model", "gemma31-Q4_K_M.gguf")
        assert outlooks.of("fast").problem == READING
        await wait_until(lambda: outlooks.of("fast").forecast is not None, what="the other model's forecast")
        await outlooks.close()

    run_async(scenario())


def test_that_a_file_that_comes_later_is_found_without_being_asked_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        now = 100.0
        told: list[float] = []
        shelf = HeaderShelf(lambda: told.append(now), lambda: now)
        running = asyncio.create_task(shelf.run())
        path = tmp_path / "later.gguf"
        assert shelf.get(path) is None
        await wait_until(lambda: shelf.get(path) is not None, what="a look at the file")
        entry = shelf.get(path)
        assert entry is not None
        assert "later.gguf" in str(entry.problem)
        write_text_model(path)
        now += LOOK_AGAIN_S + 1
        shelf.get(path)
        await wait_until(lambda: (found := shelf.get(path)) is not None and found.header is not None, what="the header")
        assert len(told) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_async(scenario())


def test_that_devices_of_an_engine_count_once_it_has_listed_them(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0, memory_reserved_mib=None), card(1, memory_reserved_mib=None))
        outlooks = await bench.open()
        bench.engine(build=11434)
        survey = outlooks.survey
        listed = tuple(EngineDevice(f"CUDA{number}", "RTX 3060", round(USABLE_MIB), 11800) for number in range(2))
        question = survey._question("fast", profile_of(bench))
        assert question is not None
        survey._lists.note(question, listed)
        assert [device.forecast.capacity_mib for device in outlooks.of("fast").devices] == [USABLE_MIB, USABLE_MIB]
        await outlooks.close()

    run_async(scenario())


def test_that_a_damaged_calibration_is_named_and_does_not_keep_the_panel_from_forecasting(
    headers: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        (tmp_path / "data" / "calibration.json").write_text("{ nonsense")
        bench.cards(card(0), card(1))
        outlooks = await bench.open()
        (notice,) = bench.said(NoticeRaised)
        assert "calibration.json" in str(notice.text)
        assert outlooks.of("fast").forecast is not None
        await outlooks.close()

    run_async(scenario())


def test_that_a_projector_goes_to_the_first_card_although_workers_stand_before_it(
    headers: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = fast_on(headers, tmp_path)
        bench.cards(card(0))
        outlooks = await bench.open()
        outlook = outlooks.of("fast", {"rpc": "a:1", "tensor_split": None})
        held = {device.forecast.name: device.forecast.projector_mib for device in outlook.devices}
        assert held["RPC0"] == 0.0
        assert (held["CUDA0"] or 0.0) > 1000.0
        await outlooks.close()

    run_async(scenario())
