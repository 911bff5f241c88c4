"""Fixes that fit by the forecast itself, their prices, and what the terminal prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.forecast_rows import DATA, profile_of, unpack_headers
from variet_gui.catalog.parameters import check, parameter
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.fixes import Fix, fixes_for
from variet_gui.forecast.vram import Device, Verdict, forecast
from variet_gui.gguf.header import GgufHeader, read_header
from variet_gui.panel.forecasting import ForecastShape, forecast_for

BUILD = 11434
CARDS = (Device("CUDA0", 11906.0), Device("CUDA1", 11906.0))
TIERS = {
    "fast": ("gemma26-Q4_K_M", "-c 262144 -ub 512 -ts 0.43,0.57 -ctk q8_0 -ctv q8_0"),
    "balanced": ("qwen35b-Q4_K_M", "-c 262144 -ub 256 -ts 0.48,0.52"),
    "deep-coder": ("gemma31-Q4_K_M", "-c 196608 -ub 256 -ctk q4_0 -ctv q4_0"),
    "deep-logic": ("qwen27-Q4_K_M", "-c 262144 -ub 256 -ctk q4_0 -ctv q4_0"),
}


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))


def tier(role: str, headers: Path) -> tuple[GgufHeader, LaunchProfile, GgufHeader | None]:
    model, flags = TIERS[role]
    projector = read_header(headers / "mmproj-gemma4.gguf") if role == "fast" else None
    return read_header(headers / f"{model}.gguf"), profile_of(flags.split()), projector


def applied(profile: LaunchProfile, fix: Fix) -> LaunchProfile:
    for key, value in fix.set_values.items():
        profile = profile.with_value(key, value)
    return profile


@pytest.mark.parametrize("role", TIERS)
def test_that_the_first_fix_makes_a_tier_fit_and_says_what_it_saves(headers: Path, role: str) -> None:
    header, profile, projector = tier(role, headers)
    fixes = fixes_for(header, profile, CARDS, projector=projector, build=BUILD)
    assert fixes
    assert fixes[0].verdict is Verdict.FITS
    before = forecast(header, profile, CARDS, projector=projector, build=BUILD)
    assert before.tightest is not None
    for fix in fixes:
        after = forecast(header, applied(profile, fix), CARDS, projector=projector, build=BUILD)
        assert after.verdict is fix.verdict
        held = next(device.known_mib for device in after.devices if device.name == before.tightest.name)
        assert fix.saves_mib == pytest.approx(before.tightest.known_mib - held)
        for key, value in fix.set_values.items():
            assert value is None or check(parameter(key), value) == value


@pytest.mark.parametrize("role", TIERS)
def test_that_fixes_that_fit_come_first_and_the_cheapest_of_them_leads(headers: Path, role: str) -> None:
    header, profile, projector = tier(role, headers)
    fixes = fixes_for(header, profile, CARDS, projector=projector, build=BUILD)
    fit = [fix.verdict is Verdict.FITS for fix in fixes]
    assert fit == sorted(fit, reverse=True)
    prices = [fix.price for fix in fixes if fix.verdict is Verdict.FITS]
    assert prices == sorted(prices)
    assert len({fix.text.english for fix in fixes}) == len(fixes)


def test_that_nothing_is_offered_where_it_fits_or_nothing_is_known(headers: Path) -> None:
    header = read_header(headers / "small-llama.gguf")
    assert fixes_for(header, profile_of(["-c", "8192"]), CARDS, build=BUILD) == ()
    assert fixes_for(header, profile_of(["-c", "8192"]), (Device("CUDA0"),), build=BUILD) == ()


def test_that_a_profile_with_an_override_keeps_it(headers: Path) -> None:
    header, profile, _ = tier("balanced", headers)
    own = profile.with_value("override_tensor", "token_embd=CPU")
    for fix in fixes_for(header, own, CARDS, build=BUILD):
        assert "override_tensor" not in fix.set_values


def test_that_the_terminal_prints_the_shape_of_the_design(headers: Path) -> None:
    header, profile, projector = tier("fast", headers)
    shape = forecast_for(header, projector, profile, [11906, 11906], [100.0], BUILD)
    document = json.loads(shape.model_dump_json(by_alias=True))
    assert document["schema"] == 1
    assert document["verdict"] == "does_not_fit"
    device = document["devices"][0]
    parts = ("weights_mib", "context_mib", "compute_mib", "projector_mib", "overhead_mib", "other_mib")
    assert device["total_mib"] == pytest.approx(sum(device[part] for part in parts), abs=0.1)
    assert device["free_mib"] == pytest.approx(device["capacity_mib"] - device["total_mib"], abs=0.1)
    assert [entry["name"] for entry in document["devices"]] == ["CUDA0", "CUDA1"]
    assert set(document["host"]) >= {"weights_mib", "context_mib", "compute_mib"}
    assert document["fixes"][0]["set"]
    assert document["fixes"][0]["verdict"] == "fits"
    assert document["build"] == BUILD
    assert ForecastShape.model_validate(document).devices[1].free_mib == document["devices"][1]["free_mib"]


def test_that_unknown_capacities_and_fixes_not_wanted_are_fine(headers: Path) -> None:
    header, profile, _ = tier("balanced", headers)
    shape = forecast_for(header, None, profile, [None, 11906], build=BUILD, with_fixes=False)
    assert shape.verdict in ("unknown", "does_not_fit")
    assert shape.devices[0].free_mib is None
    assert shape.fixes == []
    assert shape.reasons
