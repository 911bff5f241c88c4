"""What a start teaches: kept with what it depended on, used by the next forecast, and never in the way of one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.outlooks import OutlookBench, card, holding, tier_row
from tests.support.waiting import run_async, wait_until
from variet_gui.engine.diagnosis import failure
from variet_gui.engine.log_facts import BufferAllocated, BufferKind, DeviceUsed
from variet_gui.events import DeviceBuffers, Failure, NoticeRaised, OutlookChanged, ServerState
from variet_gui.forecast.calibration import OVERHEAD_MIB, SCHEMA, Observation
from variet_gui.forecast.values import Forecast
from variet_gui.panel.calibrations import Calibrations, Circumstances
from variet_gui.panel.foresight import Foresight
from variet_gui.panel.learning import SETTLED_S

VALUES: dict[str, Any] = {"model": "small-llama.gguf", "ctx_size": 4096, "tensor_split": [1, 1]}
PID = 4711


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))


def on_cards(headers: Path, folder: Path) -> OutlookBench:
    bench = OutlookBench(folder, [tier_row("fast", 8081, VALUES)], models_dir=str(headers))
    bench.cards(card(0, 100.0), card(1, 200.0))
    return bench


def buffers_of(forecast: Forecast, more_mib: float = 0.0) -> tuple[DeviceBuffers, ...]:
    """Return the lines of a server that took what was forecast, and `more_mib` to compute on each device."""
    return tuple(
        DeviceBuffers(
            device.name,
            device.weights_mib,
            device.context_mib,
            (device.compute_mib or 0.0) + more_mib,
            device.projector_mib or None,
        )
        for device in forecast.devices
    )


async def launched(bench: OutlookBench) -> Forecast:
    """Do what a start does before its process is spawned; return the forecast that was made for it."""
    outlooks = bench.outlooks
    await Foresight(outlooks, bench.tune)(bench.tune.draft("fast"), ask=False)
    expected = outlooks.learning.launched("fast")
    assert expected is not None
    bench.change("fast", ServerState.LOADING, pid=PID, values=VALUES)
    return expected.forecast


def ready(bench: OutlookBench, forecast: Forecast, more_mib: float = 0.0) -> None:
    bench.change("fast", ServerState.READY, pid=PID, values=VALUES, since=100.0, buffers=buffers_of(forecast, more_mib))


def test_that_a_start_teaches_what_cuda_takes_and_the_next_forecast_uses_it(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = on_cards(headers, tmp_path)
        outlooks = await bench.open()
        bench.engine(build=11434, sha256="abc")
        forecast = await launched(bench)
        assert forecast.devices[0].overhead_mib == OVERHEAD_MIB
        ready(bench, forecast, more_mib=3.0)
        held = [sum(filter(None, (d.weights_mib, d.context_mib, d.compute_mib))) + 3.0 for d in forecast.devices]
        early = (card(0, 5000.0, processes=holding(PID, 1.0)), card(1, 5000.0, processes=holding(PID, 1.0)))
        bench.cards(*early, at=100.2)  # of this round nobody knows whether it saw the whole server
        late = (
            card(0, 5000.0, processes=holding(PID, held[0] + 512.0)),
            card(1, 5000.0, processes=holding(PID, held[1] + 420.0)),
        )
        bench.cards(*late, at=100.0 + SETTLED_S)
        await wait_until(lambda: bool(bench.said(OutlookChanged)), what="something learned")
        after = outlooks.of("fast").forecast
        assert after is not None
        assert [device.overhead_mib for device in after.devices] == pytest.approx([512.0, 420.0])
        assert after.devices[0].uncertainty_mib < forecast.devices[0].uncertainty_mib
        stored = json.loads((tmp_path / "data" / "calibration.json").read_text())
        assert [entry["device"] for entry in stored["observations"]] == ["CUDA0", "CUDA1"]
        fingerprint = stored["observations"][0]["fingerprint"]
        assert fingerprint["build"] == 11434
        assert fingerprint["binary_sha256"] == "abc"
        assert fingerprint["driver"] == "580.95"
        assert [gpu["uuid"] for gpu in fingerprint["gpus"]] == ["GPU-0", "GPU-1"]
        assert fingerprint["model"]["name"] == "small-llama.gguf"
        assert fingerprint["parameters"]["ctx_size"] == 4096
        await outlooks.close()

        again = on_cards(headers, tmp_path)
        reopened = await again.open()
        again.engine(build=11434, sha256="abc")
        remembered = reopened.of("fast").forecast
        assert remembered is not None
        assert [device.overhead_mib for device in remembered.devices] == pytest.approx([512.0, 420.0])
        await reopened.close()

    run_async(scenario())


def test_that_a_driver_that_names_no_process_is_read_by_what_the_card_holds_more(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = on_cards(headers, tmp_path)
        bench.cards(card(0, 100.0, processes=None), card(1, 200.0, processes=None))
        outlooks = await bench.open()
        forecast = await launched(bench)
        ready(bench, forecast)
        held = [sum(filter(None, (d.weights_mib, d.context_mib, d.compute_mib))) for d in forecast.devices]
        bench.cards(
            card(0, 100.0 + held[0] + 300.0, processes=None), card(1, 200.0 + held[1] + 9000.0, processes=None), at=200
        )
        await wait_until(lambda: bool(bench.said(OutlookChanged)), what="something learned")
        seen = {one.device: one.overhead_mib for one in outlooks.calibrations.all.observations}
        assert seen["CUDA0"] == pytest.approx(300.0)
        assert seen["CUDA1"] is None  # somebody else took 9 GB meanwhile
        await outlooks.close()

    run_async(scenario())


def test_that_closing_writes_down_a_start_that_no_sampler_has_seen_yet(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = on_cards(headers, tmp_path)
        outlooks = await bench.open()
        forecast = await launched(bench)
        ready(bench, forecast, more_mib=7.0)
        await outlooks.close()
        stored = json.loads((tmp_path / "data" / "calibration.json").read_text())
        assert [entry["used_mib"] for entry in stored["observations"]] == [None, None]

    run_async(scenario())


def _out_of(part: str, device: str) -> Failure:
    return replace(failure("out_of_gpu_memory", {"device": device}), device=device, part=part)


def test_that_running_out_on_a_predicted_fit_widens_the_margin_of_that_device(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = on_cards(headers, tmp_path)
        outlooks = await bench.open()
        before = await launched(bench)
        bench.reports["fast"] = outlooks._report("fast")
        bench.reports["fast"].add(DeviceUsed("CUDA1", "card", "0000:02:00.0", 11000))
        bench.reports["fast"].add(BufferAllocated("CUDA1", BufferKind.WEIGHTS, before.devices[1].weights_mib))
        bench.change("fast", ServerState.FAILED, failure=_out_of("compute", "CUDA1"))
        await wait_until(lambda: bool(bench.said(OutlookChanged)), what="something learned")
        after = outlooks.of("fast").forecast
        assert after is not None
        wider = [
            new.uncertainty_mib - old.uncertainty_mib for new, old in zip(after.devices, before.devices, strict=True)
        ]
        assert wider[0] == pytest.approx(0.0)
        assert wider[1] > 100.0
        (observation,) = outlooks.calibrations.all.observations
        assert observation.ran_out_in == "compute"
        (notice,) = bench.said(NoticeRaised)
        assert "ran out of memory on GPU 1" in str(notice.text)
        await outlooks.close()

    run_async(scenario())


def test_that_running_out_where_that_was_foreseen_teaches_nothing(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = on_cards(headers, tmp_path)
        bench.cards(card(0, 11800.0), card(1, 11800.0))
        outlooks = await bench.open()
        await launched(bench)
        bench.change("fast", ServerState.FAILED, failure=_out_of("weights", "CUDA0"))
        await outlooks.close()
        assert outlooks.calibrations.all.observations == ()

    run_async(scenario())


def test_that_a_server_that_was_taken_over_teaches_nothing(headers: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = on_cards(headers, tmp_path)
        outlooks = await bench.open()
        forecast = await launched(bench)
        bench.change("fast", ServerState.READY, pid=PID, adopted=True, since=100.0, buffers=buffers_of(forecast))
        await outlooks.close()
        assert outlooks.calibrations.all.observations == ()

    run_async(scenario())


# ------------------------------------------------------------------------------------------------------- the file

NOW = Circumstances((("CUDA0", "GPU-0"), ("CUDA1", "GPU-1")), "580.95", "abc")


def observation(used_mib: float = 512.0, *, device: str = "CUDA0", **fingerprint: Any) -> Observation:
    known = {"driver": "580.95", "binary_sha256": "abc", "gpus": [{"uuid": "GPU-0"}, {"uuid": "GPU-1"}]}
    return Observation(device, 1.0, {"weights": 0.0}, {"weights": 0.0}, used_mib, fingerprint={**known, **fingerprint})


def kept(path: Path, work: Callable[[Calibrations], Awaitable[Any]]) -> Any:
    async def scenario() -> Any:
        calibrations = Calibrations(path)
        await calibrations.load()
        return await work(calibrations)

    return run_async(scenario())


def test_that_only_starts_on_the_same_card_count_and_those_of_the_same_engine_before_others(tmp_path: Path) -> None:
    async def work(calibrations: Calibrations) -> None:
        await calibrations.learn([observation(100.0, driver="570"), observation(200.0, binary_sha256="older")])
        assert calibrations.fitting(NOW).device("CUDA0").overhead_mib == 200.0
        await calibrations.learn([observation(300.0)])
        assert calibrations.fitting(NOW).device("CUDA0").overhead_mib == 300.0
        exchanged = replace(NOW, cards=(("CUDA0", "GPU-new"), ("CUDA1", "GPU-1")))
        assert calibrations.fitting(exchanged).device("CUDA0").overhead_mib == OVERHEAD_MIB
        unseen = replace(NOW, cards=(("CUDA0", None),), driver=None, engine=None)
        assert calibrations.fitting(unseen).device("CUDA0").overhead_mib == 200.0  # the median of all three

    kept(tmp_path / "calibration.json", work)


def test_that_workers_count_by_their_addresses(tmp_path: Path) -> None:
    async def work(calibrations: Calibrations) -> None:
        await calibrations.learn([observation(device="RPC0", parameters={"rpc": "a:1"})])
        assert calibrations.fitting(replace(NOW, rpc="a:1")).observations
        assert not calibrations.fitting(replace(NOW, rpc="b:1")).observations

    kept(tmp_path / "calibration.json", work)


@pytest.mark.parametrize(
    "content", [b"{ nonsense", b"[]", b'{"schema": 1, "observations": 5}', b"\xff\xfe", b"[" * 9999]
)
def test_that_a_damaged_file_is_set_aside_by_name_before_anything_is_written(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(content)

    async def work(calibrations: Calibrations) -> None:
        assert "calibration.json" in str(calibrations.problem)
        assert "calibration.json.unreadable" in str(calibrations.problem)
        assert path.read_bytes() == content  # who only reads changes nothing
        await calibrations.learn([observation()])
        assert (tmp_path / "calibration.json.unreadable").read_bytes() == content
        assert json.loads(path.read_text())["observations"]

    kept(path, work)


def test_that_a_newer_file_is_refused_by_name_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    newer = json.dumps({"schema": SCHEMA + 1, "observations": []})
    path.write_text(newer)

    async def work(calibrations: Calibrations) -> None:
        assert "newer Variet" in str(calibrations.problem)
        await calibrations.learn([observation()])
        assert path.read_text() == newer
        assert calibrations.fitting(NOW).device("CUDA0").overhead_mib == 512.0  # in memory it is used

    kept(path, work)


def test_that_a_disk_that_refuses_costs_the_file_and_nothing_else(tmp_path: Path) -> None:
    async def work(calibrations: Calibrations) -> None:
        (tmp_path / "calibration.json").mkdir()  # nothing can take its place
        await calibrations.learn([observation()])
        assert calibrations.fitting(NOW).device("CUDA0").overhead_mib == 512.0

    kept(tmp_path / "calibration.json", work)
