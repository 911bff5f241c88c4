"""`variet forecast` as an operator types it: real processes, header-only models, real RPC devices."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.catalogs import tier, write_catalog
from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.rpc_workers import RpcWorkers
from tests.support.spawned import free_port
from tests.support.tiny_models import write_projector, write_text_model
from tests.support.waiting import run_async, wait_until
from variet_gui.engine.launch import StartFailed
from variet_gui.events import NoticeRaised
from variet_gui.gguf.header import read_header
from variet_gui.i18n import msg
from variet_gui.panel.outlook import Together
from variet_gui.panel.panel import Panel, PanelOptions

GEMMA = [
    *("--set", "ctx_size=262144", "--set", "tensor_split=0.43,0.57"),
    *("--set", "cache_type_k=q8_0", "--set", "cache_type_v=q8_0"),
]
FIVE = ("gemma26-Q4_K_M", "gemma31-Q4_K_M", "qwen27-Q4_K_M", "qwen35b-Q4_K_M", "qwen122-Q4_K_M")
"""The models of the five tiers."""
DEVICE_KEYS = {
    "name",
    "capacity_mib",
    "weights_mib",
    "context_mib",
    "compute_mib",
    "projector_mib",
    "overhead_mib",
    "other_mib",
    "total_mib",
    "free_mib",
}


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))


@pytest.fixture(scope="module")
def whole_files(headers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same models as long as their weights would make them: holes, which take no room on the disk."""
    folder = tmp_path_factory.mktemp("whole")
    for name in FIVE:
        path = Path(shutil.copy(headers / f"{name}.gguf", folder))
        os.truncate(path, read_header(path).data_end)
    return folder


class Terminal:
    """Runs `variet` on a catalog and a data folder of its own."""

    def __init__(self, folder: Path, tiers: list[dict[str, Any]], engine: str | None = None, **more: Any) -> None:
        self.folder = folder
        self.catalog = write_catalog(folder / "catalog.json", tiers, engine, **more)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        where = ["--data-dir", str(self.folder / "data"), "--config", str(self.catalog)]
        environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "COLUMNS": "100"}
        return subprocess.run(
            [sys.executable, "-m", "variet_gui", *where, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def one_tier(folder: Path, engine: str | None = None, **parameters: Any) -> Terminal:
    model = write_text_model(folder / "text.gguf")
    return Terminal(folder, [tier("fast", model, port=free_port(), **parameters)], engine)


def test_that_a_model_file_is_forecast_on_cards_that_are_not_there(headers: Path, tmp_path: Path) -> None:
    terminal = one_tier(tmp_path)
    words = ["forecast", "--model", str(headers / "gemma26-Q4_K_M.gguf"), *GEMMA, "--gpu", "11906,11906"]
    shape = terminal.json(*words, "--build", "11434")
    assert shape["schema"] == 1
    assert shape["verdict"] == "does_not_fit"
    assert shape["build"] == 11434
    assert shape["role"] is None
    assert [device["name"] for device in shape["devices"]] == ["CUDA0", "CUDA1"]
    for device in shape["devices"]:
        assert device.keys() >= DEVICE_KEYS
        assert device["capacity_mib"] == 11906
        assert device["other_mib"] == 0
        parts = ("weights_mib", "context_mib", "compute_mib", "projector_mib", "overhead_mib")
        assert sum(device[part] for part in parts) == pytest.approx(device["total_mib"], abs=0.05)
        assert device["free_mib"] == pytest.approx(11906 - device["total_mib"], abs=0.05)
    # What b11434 itself counts for these settings (a dry run on CUDA).
    assert [round(device["weights_mib"]) for device in shape["devices"]] == [7146, 8857]
    assert [round(device["context_mib"]) for device in shape["devices"]] == [1164, 1715]
    assert shape["host"].keys() >= {"weights_mib", "context_mib", "compute_mib"}
    assert shape["exact"] is None
    first = shape["fixes"][0]
    assert first["verdict"] == "fits"
    assert first["saves_mib"] > 0
    settings = [
        f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in first["set"].items()
    ]
    fixed = terminal.json(*words, *(word for setting in settings for word in ("--set", setting)))
    assert fixed["verdict"] == "fits"
    assert fixed["fixes"] == []


def test_that_an_older_build_is_forecast_by_its_own_rules(headers: Path, tmp_path: Path) -> None:
    terminal = one_tier(tmp_path)
    words = ["forecast", "--model", str(headers / "gemma26-Q4_K_M.gguf"), *GEMMA, "--gpu", "11906,11906"]
    old, new = (terminal.json(*words, "--build", build) for build in ("9000", "11434"))
    assert old["build"] == 9000
    assert old["devices"][1]["compute_mib"] != new["devices"][1]["compute_mib"]
    assert old["devices"][1]["weights_mib"] == new["devices"][1]["weights_mib"]


def test_that_a_tier_is_forecast_as_it_is_saved_with_its_projector(tmp_path: Path) -> None:
    model = write_text_model(tmp_path / "text.gguf")
    projector = write_projector(tmp_path / "projector.gguf")
    terminal = Terminal(tmp_path, [tier("fast", model, mmproj=str(projector))])
    shape = terminal.json("forecast", "fast", "--gpu", "1000,1000")
    assert shape["role"] == "fast"
    assert shape["devices"][0]["projector_mib"] is None or shape["devices"][0]["projector_mib"] > 0
    without = terminal.json("forecast", "fast", "--gpu", "1000,1000", "--set", "mmproj=")
    assert without["verdict"] == "fits"
    assert without["devices"][0]["projector_mib"] == 0
    named = terminal.json("forecast", "--model", str(model), "--mmproj", str(projector), "--gpu", "1000")
    assert named["devices"][0]["projector_mib"] is None or named["devices"][0]["projector_mib"] > 0


def test_that_people_are_given_bars_figures_and_what_would_help(headers: Path, tmp_path: Path) -> None:
    terminal = one_tier(tmp_path)
    done = terminal.run("forecast", "--model", str(headers / "gemma26-Q4_K_M.gguf"), *GEMMA, "--gpu", "11906,11906")
    assert done.returncode == 0
    assert "gemma26-Q4_K_M.gguf: does not fit · 1.1 GiB too much on GPU 1" in done.stdout
    bars = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    assert len(bars) == 2
    assert "12.7 of 11.6 GiB" in bars[1]
    assert bars[0].index("|") == bars[1].index("|")  # both end at the same capacity
    assert bars[1].rstrip().index("▒", bars[1].index("|")) > 0  # what is too much stands behind it
    assert "1. " in done.stdout
    assert "--set " in done.stdout
    assert "Capacities as given" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a tier, or a model file"),
        (["fast", "--model", "x.gguf"], "Name a tier, or a model file"),
        (["nobody"], "No tier is called nobody"),
        (["fast", "--gpu", "12288,"], "--gpu wants the MiB"),
        (["fast", "--gpu", "-1"], "--gpu"),
        (["fast", "--build", "0"], "--build wants"),
        (["fast", "--set", "ctx_size=much"], "ctx_size"),
    ],
)
def test_that_wrong_usage_is_named_and_exits_with_2(tmp_path: Path, words: list[str], said: str) -> None:
    done = one_tier(tmp_path).run("forecast", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_that_every_verdict_exits_with_0_and_a_file_that_is_none_with_1(tmp_path: Path) -> None:
    terminal = one_tier(tmp_path)
    for capacity, verdict in (("100000", "fits"), ("520", "tight"), ("100", "does_not_fit")):
        assert terminal.json("forecast", "fast", "--gpu", capacity)["verdict"] == verdict
    unset = terminal.json("forecast", "fast", "--set", "model=")
    assert unset["verdict"] == "unknown"
    assert unset["devices"] == []
    assert "No model file is set" in unset["reasons"][0]
    gone = terminal.run("forecast", "--model", str(tmp_path / "gone.gguf"), "--json")
    assert gone.returncode == 1
    assert json.loads(gone.stdout)["code"] == "no_forecast"
    assert "gone.gguf" in gone.stderr


def test_that_a_draft_is_not_used_and_a_reading_command_writes_nothing(tmp_path: Path) -> None:
    terminal = one_tier(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (data / "calibration.json").write_text("{ damaged")
    before = terminal.json("forecast", "fast", "--gpu", "1000")
    drafts = {"fast": {"base": {"parameters": {}}, "draft": {"parameters": {"ctx_size": 1}}}}
    (data / "drafts.json").write_text(json.dumps({"schema": 1, "catalogs": {str(terminal.catalog): drafts}}))
    done = terminal.run("forecast", "fast", "--gpu", "1000", "--json")
    assert json.loads(done.stdout) == before
    assert "calibration.json is damaged" in done.stderr
    assert (data / "calibration.json").read_text() == "{ damaged"


def test_that_the_demo_says_that_its_cards_are_simulated(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "variet_gui", "--demo", "--data-dir", str(tmp_path), "forecast", "fast", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shape = json.loads(done.stdout)
    assert shape["simulated"] is True
    assert "simulated" in shape["source"]
    assert [device["capacity_mib"] for device in shape["devices"]] == [12288, 12288]


def test_that_the_list_of_tiers_says_what_fits(tmp_path: Path) -> None:
    model = write_text_model(tmp_path / "text.gguf")
    limit = {"vram_limit_mib": 12288}
    rows = [
        {**tier("fast", model), "expected_gpus": 1, "acceptance": limit},
        {**tier("ultra", tmp_path / "gone.gguf"), "expected_gpus": 1, "acceptance": limit},
    ]
    terminal = Terminal(tmp_path, rows)
    fast, ultra = (row["fit"] for row in terminal.json("tiers")["tiers"])
    assert fast["verdict"] == "fits"
    assert fast["device"] == "CUDA0"
    assert fast["free_mib"] > 10000
    assert ultra == {"verdict": "unknown", "free_mib": None, "device": None, "summary": ultra["summary"]}
    assert "gone.gguf" in ultra["summary"]
    table = terminal.run("tiers").stdout
    assert "to spare on GPU 0" in table


@pytest.mark.engine
def test_that_rpc_workers_are_devices_with_the_placement_of_the_real_server(
    real_llama_server: Path, demo_model: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with RpcWorkers.of(real_llama_server, 2, tmp_path) as workers:
            row = tier("fast", demo_model, ctx_size=2048, rpc=workers.addresses, tensor_split=[1, 2])
            terminal = Terminal(tmp_path, [row], str(real_llama_server))
            before = await asyncio.to_thread(terminal.json, "forecast", "fast")
            assert [device["name"] for device in before["devices"]] == ["RPC0", "RPC1"]
            assert all(device["capacity_mib"] > 0 and device["overhead_mib"] == 0 for device in before["devices"])
            assert before["verdict"] in ("fits", "tight")
            # A real start, its own lines compared with the forecast, and what it teaches kept for the next.
            answer = await asyncio.to_thread(terminal.json, "chat", "fast", "Hello", "--max-tokens", "1")
            assert answer["role"] == "fast"
            stored = json.loads((tmp_path / "data" / "calibration.json").read_text())
            seen = {one["device"]: one for one in stored["observations"]}
            assert sorted(seen) == ["RPC0", "RPC1"]
            for device in before["devices"]:
                server, ours = seen[device["name"]]["server_mib"], seen[device["name"]]["forecast_mib"]
                # The rows of matrices are padded where the worker has a CUDA card; these have none.
                assert server["weights"] == pytest.approx(ours["weights"], abs=0.05)
                assert server["context"] == pytest.approx(ours["context"], abs=0.01)
                assert ours["compute"] == pytest.approx(device["compute_mib"], abs=0.01)
            assert seen["RPC0"]["fingerprint"]["parameters"]["rpc"] == workers.addresses
            assert seen["RPC0"]["fingerprint"]["binary_sha256"]
            after = await asyncio.to_thread(terminal.json, "forecast", "fast")
            for new, old in zip(after["devices"], before["devices"], strict=True):
                assert new["uncertainty_mib"] != old["uncertainty_mib"]

    run_async(scenario(), timeout_s=90.0)


@pytest.mark.engine
@pytest.mark.parametrize("model", FIVE)
def test_that_the_server_itself_counts_the_same_on_two_devices(
    real_llama_server: Path, whole_files: Path, tmp_path: Path, model: str
) -> None:
    async def scenario() -> Any:
        async with RpcWorkers.of(real_llama_server, 2, tmp_path) as workers:
            terminal = one_tier(tmp_path, str(real_llama_server))
            words = ["forecast", "--model", str(whole_files / f"{model}.gguf"), "--exact", "--set", "ctx_size=16384"]
            return await asyncio.to_thread(
                terminal.json, *words, "--set", "tensor_split=0.45,0.55", "--set", f"rpc={workers.addresses}"
            )

    shape = run_async(scenario(), timeout_s=80.0)
    exact = shape["exact"]
    ours = {device["name"]: device for device in shape["devices"]}
    assert [device["name"] for device in exact["devices"]] == ["RPC0", "RPC1"] == list(ours)
    for device in exact["devices"]:
        # Figures of llama-server are cut to whole mebibytes.
        assert 0 <= ours[device["name"]]["weights_mib"] - device["weights_mib"] < 1.1
        assert 0 <= ours[device["name"]]["context_mib"] - device["context_mib"] < 1.1
        assert device["total_mib"] == device["weights_mib"] + device["context_mib"] + device["compute_mib"]
        assert device["forecast_mib"] is not None
    assert exact["agrees"] is True
    assert exact["seconds"] > 0


@pytest.mark.engine
def test_that_an_exact_check_without_an_answer_exits_with_1(real_llama_server: Path, tmp_path: Path) -> None:
    terminal = one_tier(tmp_path, str(real_llama_server))
    done = terminal.run("forecast", "fast", "--exact", "--set", "rpc=127.0.0.1:1", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "no_forecast"
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.engine
def test_that_a_start_that_does_not_fit_is_tried_with_a_warning_and_the_first_fix(
    llama_server: Path, tmp_path: Path
) -> None:
    model = write_text_model(tmp_path / "text.gguf")
    # Stand-in cards that are too small for what CUDA alone takes: nothing fits, and nothing is forbidden.
    row = tier("fast", model, ctx_size=65536)
    catalog = write_catalog(tmp_path / "catalog.json", [row], str(llama_server), simulated_gpus=[60])
    words = ["--demo", "--config", str(catalog), "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-m", "variet_gui", *words, "chat", "fast", "Hello", "--max-tokens", "1", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["role"] == "fast"
    assert "fast: By the forecast this does not fit" in done.stderr


@pytest.mark.engine
def test_that_a_question_before_a_start_waits_for_its_answer(llama_server: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        model = write_text_model(tmp_path / "text.gguf")
        rows = [tier("fast", model), tier("ultra", model)]
        catalog = write_catalog(tmp_path / "catalog.json", rows, str(llama_server), simulated_gpus=[100])
        panel = Panel(PanelOptions(catalog, tmp_path / "data", demo=True), os.environ)
        try:
            await panel.open()
            await wait_until(lambda: panel.watch.gpus is not None, what="the simulated card")
            await panel.run.start("fast", ask=True)  # nothing else runs: there is nothing to ask
            in_the_way = Together("ultra", False, (), ("fast",), msg("ultra does not fit beside fast."))
            panel.outlook.together_of = lambda profile: in_the_way  # type: ignore[method-assign]
            with pytest.raises(StartFailed) as asked:
                await panel.run.start("ultra", ask=True)
            assert asked.value.failure.code == "tiers_do_not_fit"
            assert [fix.action for fix in asked.value.failure.fixes] == ["stop_first", "start_anyway"]
            notices: list[NoticeRaised] = []
            panel.events.subscribe(lambda event: notices.append(event) if isinstance(event, NoticeRaised) else None)
            await panel.run.start("ultra")  # "Start anyway", and the terminal
            assert any("ultra does not fit beside fast" in str(notice.text) for notice in notices)
            assert {status.role for status in panel.fleet.statuses() if status.state.is_up} == {"fast", "ultra"}
            await panel.run.stop("ultra")
            await panel.run.switch("ultra", in_the_way.stop_first)
            assert {status.role for status in panel.fleet.statuses() if status.state.is_up} == {"ultra"}
        finally:
            await panel.close()

    run_async(scenario(), timeout_s=80.0)
