"""What is found wrong before a start, and which GPUs a started server really uses."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny_models import truncate, write_mismatched_projector, write_projector, write_text_model
from tests.support.waiting import run_async
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.engine import log_parser as facts
from variet_gui.engine.binary import EngineBinary, EngineNotFound
from variet_gui.engine.diagnosis_texts import CAUSES
from variet_gui.engine.log_parser import BufferKind, LoadReport
from variet_gui.engine.preflight import (
    NO_ENGINE,
    Finding,
    blocking_failure,
    check,
    compare_devices,
    no_engine,
    resolve_path,
)
from variet_gui.events import ParameterValue, Severity
from variet_gui.i18n import msg

ENGINE = EngineBinary((sys.executable,), Path(sys.executable), embedded=False, source=msg("a test"))


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def found(
    folder: Path,
    port: int,
    values: dict[str, ParameterValue],
    *,
    binary: EngineBinary = ENGINE,
    capabilities: Capabilities | None = None,
    panel_pids: dict[int, str] | None = None,
) -> tuple[Finding, ...]:
    tier = Tier(role="fast", model_name="tiny", port=port)
    profile = LaunchProfile("fast", {"parallel": 1, **values})
    return run_async(check(profile, tier, binary, capabilities, folder, panel_pids, environ={}))


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [one.code for one in findings]


def test_that_a_sound_tier_has_no_findings(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    write_projector(tmp_path / "mmproj.gguf")
    findings = found(tmp_path, free_port, {"model": "text.gguf", "mmproj": "mmproj.gguf"})
    assert findings == ()
    assert blocking_failure(findings) is None


def test_that_a_missing_model_is_named_before_anything_is_spawned(tmp_path: Path, free_port: int) -> None:
    findings = found(tmp_path, free_port, {"model": "gone.gguf"})
    assert codes(findings) == ["model_missing"]
    failure = blocking_failure(findings)
    assert failure is not None
    assert str(tmp_path / "gone.gguf") in failure.title.english
    assert [fix.action for fix in failure.fixes] == ["pick_model"]


def test_that_a_tier_without_a_model_says_so(tmp_path: Path, free_port: int) -> None:
    assert codes(found(tmp_path, free_port, {})) == ["no_model"]
    assert codes(found(tmp_path, free_port, {"model": "  "})) == ["no_model"]


def test_that_a_file_that_is_no_model_is_named(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "page.gguf").write_text("<html>404</html>", encoding="utf-8")
    assert codes(found(tmp_path, free_port, {"model": "page.gguf"})) == ["model_not_gguf"]
    assert codes(found(tmp_path, free_port, {"model": str(tmp_path)})) == ["model_missing"]


def test_that_a_download_that_stopped_is_named_with_what_is_missing(tmp_path: Path, free_port: int) -> None:
    truncate(write_text_model(tmp_path / "text.gguf"), 0.7)
    findings = found(tmp_path, free_port, {"model": "text.gguf"})
    assert codes(findings) == ["model_damaged"]
    assert findings[0].detail is not None
    assert "text.gguf is cut short: 0.1" in findings[0].detail.english


def test_that_a_projector_is_not_taken_for_the_model(tmp_path: Path, free_port: int) -> None:
    write_projector(tmp_path / "mmproj.gguf")
    assert codes(found(tmp_path, free_port, {"model": "mmproj.gguf"})) == ["model_is_projector"]


def test_that_a_missing_part_of_a_model_is_named(tmp_path: Path, free_port: int) -> None:
    from tests.unit.test_gguf_header import shards

    first = shards(tmp_path)
    (tmp_path / "m-00003-of-00003.gguf").unlink()
    findings = found(tmp_path, free_port, {"model": first.name})
    assert codes(findings) == ["model_shards"]
    assert findings[0].detail is not None
    assert "m-00003-of-00003.gguf" in findings[0].detail.english


def test_that_everything_wrong_with_a_projector_is_named(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    write_mismatched_projector(tmp_path / "other.gguf")
    truncate(write_projector(tmp_path / "cut.gguf"), 0.9)
    (tmp_path / "page.gguf").write_text("<html>404</html>", encoding="utf-8")
    expected = {
        "gone.gguf": "projector_missing",
        "other.gguf": "projector_mismatch",
        "cut.gguf": "projector_unusable",
        "page.gguf": "projector_unusable",
        "text.gguf": "projector_is_model",
    }
    for name, code in expected.items():
        findings = found(tmp_path, free_port, {"model": "text.gguf", "mmproj": name})
        assert codes(findings) == [code]
        assert "pick_projector" in [fix.action for fix in findings[0].fixes]


def test_that_a_mismatch_names_both_widths(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf", embedding=64)
    write_mismatched_projector(tmp_path / "other.gguf", embedding=64)
    detail = found(tmp_path, free_port, {"model": "text.gguf", "mmproj": "other.gguf"})[0].detail
    assert detail is not None
    assert "96" in detail.english
    assert "64" in detail.english


def test_that_a_projector_of_an_unknown_type_is_left_to_the_server(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    write_projector(tmp_path / "mmproj.gguf", kind="from_the_future")
    assert found(tmp_path, free_port, {"model": "text.gguf", "mmproj": "mmproj.gguf"}) == ()


def test_that_the_holder_of_the_port_is_named(tmp_path: Path, taken_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    findings = found(tmp_path, taken_port, {"model": "text.gguf"})
    assert codes(findings) == ["port_in_use_by"]
    assert str(taken_port) in findings[0].text.english
    assert str(os.getpid()) in findings[0].text.english
    assert [fix.action for fix in findings[0].fixes] == ["change_port"]


def test_that_another_tier_on_the_port_is_called_by_its_role(tmp_path: Path, taken_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    findings = found(tmp_path, taken_port, {"model": "text.gguf"}, panel_pids={os.getpid(): "ultra"})
    assert codes(findings) == ["port_in_use_by_tier"]
    assert "ultra" in findings[0].text.english


def test_that_a_listener_on_all_addresses_is_noticed(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("0.0.0.0", free_port))
        holder.listen()
        assert codes(found(tmp_path, free_port, {"model": "text.gguf"})) == ["port_in_use_by"]


def test_that_a_port_is_free_again_right_after_a_server_that_had_clients(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", free_port))
        server.listen()
        with socket.create_connection(("127.0.0.1", free_port)):
            # The side that closes first keeps the address for a minute (TIME_WAIT).
            connection, _ = server.accept()
            connection.close()
    assert found(tmp_path, free_port, {"model": "text.gguf"}) == ()


def test_that_several_problems_are_all_found(tmp_path: Path, taken_port: int) -> None:
    write_mismatched_projector(tmp_path / "mmproj.gguf")
    findings = found(tmp_path, taken_port, {"model": "gone.gguf", "mmproj": "gone-too.gguf"})
    assert set(codes(findings)) == {"model_missing", "projector_missing", "port_in_use_by"}


def test_that_an_engine_that_went_away_is_noticed(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    gone = EngineBinary((str(tmp_path / "x"),), tmp_path / "x", embedded=False, source=msg("the catalog's setting"))
    findings = found(tmp_path, free_port, {"model": "text.gguf"}, binary=gone)
    assert codes(findings) == ["engine_not_found"]
    assert findings[0].detail is not None
    assert "the catalog's setting" in findings[0].detail.english


def test_that_a_program_that_takes_no_port_is_not_a_server(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    bench = Capabilities(flags=frozenset({"-m", "--model"}))
    assert codes(found(tmp_path, free_port, {"model": "text.gguf"}, capabilities=bench)) == ["engine_not_found"]
    assert found(tmp_path, free_port, {"model": "text.gguf"}, capabilities=Capabilities()) == ()


def test_that_no_engine_offers_to_pick_one_or_to_take_the_cpu() -> None:
    failure = no_engine(EngineNotFound(msg("None is on PATH."), ()))
    assert failure.title == NO_ENGINE
    assert [fix.action for fix in failure.fixes] == ["pick_engine", "start_on_cpu"]
    assert failure.detail is not None
    assert "None is on PATH." in failure.detail.english


def test_that_only_errors_forbid_a_start() -> None:
    warning = Finding(Severity.WARNING, "gpus_too_many", msg("so so"))
    error = Finding(Severity.ERROR, "no_model", msg("no"), CAUSES["no_model"].fixes, msg("really"))
    assert blocking_failure((warning,)) is None
    failure = blocking_failure((warning, error))
    assert failure is not None
    assert (failure.code, failure.title, failure.detail) == ("no_model", error.text, error.detail)


def test_that_a_path_starts_at_the_models_folder_unless_it_is_absolute(tmp_path: Path) -> None:
    assert resolve_path("a/b.gguf", tmp_path) == tmp_path / "a" / "b.gguf"
    assert resolve_path(str(tmp_path / "x.gguf"), Path("elsewhere")) == tmp_path / "x.gguf"
    assert resolve_path(None, tmp_path) is None


@pytest.mark.slow
def test_that_a_check_of_files_that_were_seen_before_takes_milliseconds(tmp_path: Path, free_port: int) -> None:
    write_text_model(tmp_path / "text.gguf")
    values: dict[str, ParameterValue] = {"model": "text.gguf"}
    found(tmp_path, free_port, values)
    began = time.perf_counter()
    found(tmp_path, free_port, values)
    assert time.perf_counter() - began < 1.0


# ------------------------------------------------------------------------------------------------------- devices


def report_with(*weights: tuple[str, float]) -> LoadReport:
    report = LoadReport()
    for device, mib in weights:
        report.add(facts.BufferAllocated(device, BufferKind.WEIGHTS, mib))
    return report


def tier_for(gpus: int | None, main: int | None = None) -> Tier:
    return Tier(role="fast", model_name="tiny", port=8081, expected_gpus=gpus, main_gpu_only=main)


@pytest.mark.parametrize(
    ("tier", "weights", "code"),
    [
        (tier_for(2), (("CUDA0", 7146.0), ("CUDA1", 8856.0), ("CPU_Mapped", 577.0)), None),
        (tier_for(2), (("CUDA0", 7146.0), ("CPU_Mapped", 577.0)), "gpus_missing"),
        (tier_for(2), (("CPU_Mapped", 577.0),), "gpus_none"),
        (tier_for(2), (("CPU", 577.0), ("CUDA_Host", 100.0)), "gpus_none"),
        (tier_for(1), (("CUDA0", 7146.0), ("CUDA1", 8856.0)), "gpus_too_many"),
        (tier_for(1, 1), (("CUDA1", 7146.0),), None),
        (tier_for(1, 1), (("CUDA0", 7146.0),), "gpu_other"),
        (tier_for(0), (("CPU", 577.0),), None),
        (tier_for(None), (("CPU", 577.0),), None),
    ],
)
def test_that_the_gpus_in_use_are_compared_with_those_expected(
    tier: Tier, weights: tuple[tuple[str, float], ...], code: str | None
) -> None:
    finding = compare_devices(tier, report_with(*weights))
    assert (finding.code if finding else None) == code
    if finding is not None:
        assert "?" not in finding.text.english


def test_that_before_weights_are_loaded_the_devices_that_may_be_used_count() -> None:
    report = LoadReport()
    report.add(facts.DeviceUsed("CUDA0", "RTX 3060", "0000:01:00.0", 11800))
    finding = compare_devices(tier_for(2), report)
    assert finding is not None
    assert finding.code == "gpus_missing"
    assert finding.severity is Severity.ERROR
