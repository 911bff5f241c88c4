"""The autopsy of a panel: a stand-in fails as real servers did, and the tier's status says why and what would help."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.autopsy_records import RECORDS
from tests.support.spawned import free_port
from tests.support.tiny_models import write_text_model
from tests.support.waiting import wait_until
from variet_gui.engine.launch import StartFailed
from variet_gui.events import Certainty, Failure, GpuSample, GpusSampled, ServerState
from variet_gui.panel.autopsy_fixes import applied
from variet_gui.panel.panel import Panel, PanelOptions

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

HELP = Path(__file__).parent / "data" / "help_b11434.txt"
SCRIPT = """#!/bin/sh
case "$*" in
  *--help*) cat {help} ;;
  *--version*) echo "version: 0.6.0 (build 11434, commit abc1234)" >&2 ;;
  *--list-devices*) echo "Available devices:" ;;
  *) cat {log} >&2; {end} ;;
esac
"""


def failing(folder: Path, record: str, end: str = "exit 1", **tier: Any) -> Path:
    """Write a catalog of one tier on a stand-in that says what `record` says, and ends so."""
    server = folder / "llama-server"
    log = RECORDS / record
    text = SCRIPT.format(help=shlex.quote(str(HELP)), log=shlex.quote(str(log)), end=end)
    server.write_text(text, encoding="utf-8")
    server.chmod(0o755)
    (folder / "models").mkdir()
    write_text_model(folder / "models" / "text.gguf")
    row = {"role": "fast", "model_name": "tiny", "port": free_port(), "engine": str(server), **tier}
    row["parameters"] = {"model": "text.gguf", **tier.get("parameters", {})}
    path = folder / "catalog.json"
    path.write_text(json.dumps({"schema": 1, "models_dir": str(folder / "models"), "tiers": [row]}), encoding="utf-8")
    return path


def looked_at(folder: Path, catalog: Path, prepare: Callable[[Panel], None] | None = None) -> tuple[Failure, Failure]:
    """Start the tier and return the failure as the log alone tells it, and as the panel tells it in the end."""

    async def work(panel: Panel) -> tuple[Failure, Failure]:
        if prepare is not None:
            prepare(panel)
        with pytest.raises(StartFailed) as caught:
            await panel.run.start("fast")
        server = panel.fleet.server("fast")
        await wait_until(lambda: server.status.failure is not caught.value.failure, what="a closer look")
        assert server.status.state is ServerState.FAILED
        assert server.status.failure is not None
        return caught.value.failure, server.status.failure

    both: tuple[Failure, Failure] = with_panel(folder, catalog, work)
    return both


def with_panel(folder: Path, catalog: Path, work: Callable[[Panel], Awaitable[Any]]) -> Any:
    async def scenario() -> Any:
        panel = Panel(PanelOptions(catalog, folder / "data"), {"HOME": str(folder), "PATH": "/usr/bin:/bin"})
        try:
            await panel.open(sampling=False)
            return await work(panel)
        finally:
            await panel.close()

    return asyncio.run(scenario())


def test_that_a_full_gpu_gets_the_next_steps_of_this_tier(tmp_path: Path) -> None:
    parameters = {"ctx_size": 4096 * 4, "n_gpu_layers": 99, "tensor_split": [0.5, 0.5]}
    catalog = failing(tmp_path, "card-gemma26-kv.txt", parameters=parameters)
    first, closer = looked_at(tmp_path, catalog)
    assert (closer.code, closer.device, closer.part) == ("out_of_gpu_memory", "CUDA1", "context")
    assert closer.evidence == first.evidence
    assert {"ctx_size": 8192} in [dict(fix.set_values) for fix in closer.fixes]
    assert closer.fixes[-1].action == "show_log"


def test_that_a_flag_that_is_gone_is_taken_out_of_the_extra_arguments_by_one_press(tmp_path: Path) -> None:
    catalog = failing(tmp_path, "flag-no-mmap.txt", extra_arguments=["--no-mmap", "--no-such-thing"])

    async def work(panel: Panel) -> None:
        with pytest.raises(StartFailed):
            await panel.run.start("fast")
        server = panel.fleet.server("fast")
        await wait_until(lambda: bool(server.status.failure and server.status.failure.fixes[0].changes_settings))
        assert server.status.failure is not None
        fix = server.status.failure.fixes[0]
        assert fix.text.english == "Use --load-mode none instead"
        panel.tune.replace(applied(panel.tune.draft("fast"), fix))
        assert panel.tune.draft("fast").extra_arguments == ("--no-such-thing",)
        assert panel.tune.draft("fast").get("load_mode") == "none"
        assert panel.tune.undo("fast")
        assert panel.tune.draft("fast").extra_arguments == ("--no-mmap", "--no-such-thing")

    with_panel(tmp_path, catalog, work)


def test_that_a_reason_that_was_lost_is_found_in_the_memory_of_the_cards(tmp_path: Path) -> None:
    catalog = failing(tmp_path, "cuda-ladder-base-60.txt", "kill -ABRT $$")

    def two_cards(panel: Panel) -> None:
        now = time.time()
        cards = (GpuSample(0, "RTX 3060", 12280.0, 12288.0), GpuSample(1, "RTX 3060", 900.0, 12288.0))
        panel.watch.gpus = GpusSampled(now, cards)
        for second in reversed(range(5)):
            panel.watch.store.record(now - second, "gpu0.vram_mib", 12280.0 if second == 2 else 9000.0)
            panel.watch.store.record(now - second, "gpu1.vram_mib", 900.0)

    first, closer = looked_at(tmp_path, catalog, two_cards)
    assert (closer.code, closer.device, closer.certainty) == ("out_of_gpu_memory", "CUDA0", Certainty.LIKELY)
    assert [seen.english for seen in closer.observed] == ["Shortly before, GPU 0 had only 8 MiB free."]
    assert first.observed == ()


def test_that_what_the_checks_before_a_start_found_is_left_as_it_is(tmp_path: Path) -> None:
    catalog = failing(tmp_path, "flag-no-mmap.txt", parameters={"model": "gone.gguf"})

    async def work(panel: Panel) -> Failure:
        with pytest.raises(StartFailed) as caught:
            await panel.run.start("fast")
        return await panel.autopsy.examine("fast", caught.value.failure)

    found = with_panel(tmp_path, catalog, work)
    assert found.code == "model_missing"
    assert found.exit_code is None
    assert [fix.action for fix in found.fixes] == ["pick_model"]


def test_that_a_request_that_went_wrong_is_told_of_a_server_that_lives(tmp_path: Path) -> None:
    catalog = failing(tmp_path, "context-full.txt", "exit 0")

    async def work(panel: Panel) -> Failure | None:
        with pytest.raises(StartFailed):
            await panel.run.start("fast")
        return panel.autopsy.trouble("fast")

    found = with_panel(tmp_path, catalog, work)
    assert found is not None
    assert found.code == "context_full"
    assert "exceeds the available context size" in found.evidence[0]


def test_that_a_load_that_was_given_up_says_what_it_had_come_to(tmp_path: Path) -> None:
    catalog = failing(tmp_path, "signal-9-loading.txt", "exec sleep 60")

    async def work(panel: Panel) -> Failure:
        server = panel.fleet.server("fast")
        server._load_limit_s = 1.0
        with pytest.raises(StartFailed) as caught:
            await panel.run.start("fast")
        assert caught.value.failure.code == "load_timeout"
        return await panel.autopsy.examine("fast", caught.value.failure)

    found = with_panel(tmp_path, catalog, work)
    assert found.title.english == "fast did not become ready within 1 s and was ended."
    assert found.detail is not None
    assert "it was loading the weights" in found.detail.english
    assert found.evidence


def test_that_the_real_server_starts_after_one_press(tmp_path: Path, real_llama_server: Path, demo_model: Path) -> None:
    catalog = failing(tmp_path, "flag-no-mmap.txt", engine=str(real_llama_server), extra_arguments=["--no-mmap"])
    settings = json.loads(catalog.read_text(encoding="utf-8"))
    settings["tiers"][0]["parameters"] = {"model": str(demo_model), "ctx_size": 512}
    catalog.write_text(json.dumps(settings), encoding="utf-8")

    async def work(panel: Panel) -> None:
        with pytest.raises(StartFailed) as caught:
            await panel.run.start("fast")
        assert caught.value.failure.code in ("flag_removed", "flag_unknown")
        server = panel.fleet.server("fast")
        await wait_until(lambda: bool(server.status.failure and server.status.failure.fixes[0].changes_settings))
        assert server.status.failure is not None
        panel.tune.replace(applied(panel.tune.draft("fast"), server.status.failure.fixes[0]))
        await panel.run.start("fast")
        assert server.status.state is ServerState.READY
        assert server.status.failure is None

    with_panel(tmp_path, catalog, work)
