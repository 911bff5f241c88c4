"""What starts teach: overhead per GPU, an honest uncertainty, and the file that keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from variet_gui.events import DeviceBuffers
from variet_gui.forecast.calibration import (
    MOST_OBSERVATIONS,
    OVERHEAD_MIB,
    UNCALIBRATED,
    Calibration,
    Observation,
    load,
    observations,
    save,
)
from variet_gui.forecast.values import NO_HOST, DeviceForecast, Forecast


def device(name: str = "CUDA0", compute: float | None = 500.0) -> DeviceForecast:
    return DeviceForecast(name, 7000.0, 1000.0, compute, 0.0, 330.0, 0.0, 11906.0, 230.0)


def seen(name: str, used: float | None, *, off: float = 0.0, at: float = 0.0) -> Observation:
    forecast = {"weights": 7000.0, "context": 1000.0, "compute": 500.0}
    server = {"weights": 7000.0, "context": 1000.0, "compute": 500.0 + off}
    return Observation(name, at, forecast, server, used)


def test_that_nothing_known_means_a_wide_guess() -> None:
    learned = UNCALIBRATED.device("CUDA0")
    assert not UNCALIBRATED.known
    assert learned.overhead_mib == OVERHEAD_MIB
    assert learned.uncertainty_mib(500.0) > 200


def test_that_the_overhead_is_what_the_process_holds_beside_its_buffers() -> None:
    calibration = Calibration((seen("CUDA0", 8750.0), seen("CUDA0", 8754.0), seen("CUDA1", 8900.0)))
    assert calibration.known
    assert calibration.device("CUDA0").overhead_mib == pytest.approx(252)
    assert calibration.device("CUDA1").overhead_mib == pytest.approx(400)
    assert calibration.device("CUDA0").uncertainty_mib(500.0) < 20


def test_that_a_card_never_seen_takes_what_the_others_have_in_common() -> None:
    calibration = Calibration((seen("CUDA0", 8750.0), seen("CUDA1", 8770.0)))
    assert calibration.device("CUDA7").overhead_mib == pytest.approx(260)


def test_that_a_forecast_that_was_off_widens_the_uncertainty() -> None:
    exact = Calibration((seen("CUDA0", 8750.0), seen("CUDA0", 8750.0))).device("CUDA0")
    wrong = Calibration((seen("CUDA0", 8750.0), seen("CUDA0", 8810.0, off=60.0))).device("CUDA0")
    assert wrong.uncertainty_mib(500.0) > exact.uncertainty_mib(500.0) + 40


def test_that_running_out_of_memory_on_a_forecast_that_fits_widens_the_margin() -> None:
    failed = Observation("CUDA0", 1.0, {"weights": 7000.0}, {}, None, out_of_memory=True)
    calibration = Calibration((seen("CUDA0", 8750.0), failed))
    before = Calibration((seen("CUDA0", 8750.0),)).device("CUDA0").uncertainty_mib(500.0)
    assert calibration.device("CUDA0").uncertainty_mib(500.0) >= before + 100
    assert calibration.device("CUDA1").margin_mib == 0


def test_that_a_start_leaves_one_observation_for_each_device_the_server_spoke_of() -> None:
    forecast = Forecast((device(), device("CUDA1", None)), NO_HOST, 11434)
    buffers = (DeviceBuffers("CUDA0", 7001.0, 1000.0, 502.0), DeviceBuffers("CPU", 500.0, None, 10.0))
    learned = observations(forecast, buffers, {"CUDA0": 8760.0}, at=5.0, fingerprint={"build": 11434})
    assert [entry.device for entry in learned] == ["CUDA0"]
    assert learned[0].residual_mib("compute") == pytest.approx(2)
    assert learned[0].residual_mib("projector") is None
    assert learned[0].overhead_mib == pytest.approx(8760 - 8503)
    assert Calibration(learned).residuals("weights") == (1.0,)
    failed = observations(forecast, (), {}, at=6.0, out_of_memory=True)
    assert [entry.device for entry in failed] == ["CUDA0", "CUDA1"]


def test_that_a_file_brings_everything_back(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "calibration.json"
    calibration = Calibration((seen("CUDA0", 8750.0, off=1.5), seen("CUDA1", None, at=3.0)))
    assert load(path) == UNCALIBRATED
    save(path, calibration)
    assert load(path) == calibration
    assert not list(path.parent.glob("*.new"))


@pytest.mark.parametrize(
    "text", ["[]", "{}", "{", '{"schema": 99}', '{"schema": 1, "observations": [{"device": "a"}]}']
)
def test_that_another_document_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"."):
        load(path)


def test_that_the_oldest_observations_go_first() -> None:
    many = Calibration().with_observations(seen("CUDA0", None, at=float(at)) for at in range(MOST_OBSERVATIONS + 5))
    assert len(many.observations) == MOST_OBSERVATIONS
    assert many.observations[0].at == 5
