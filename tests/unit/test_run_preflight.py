"""From preflight to the operator: what stops a start, what is told beside it, and what `variet command` says."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.spawned import free_port
from tests.support.tiny_models import write_text_model
from variet_gui.engine.launch import StartFailed
from variet_gui.events import Event, GpuSample, GpusSampled, NoticeRaised, Severity
from variet_gui.panel import reports, terminal_text
from variet_gui.panel.panel import Panel, PanelOptions

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

HELP = Path(__file__).parent / "data" / "help_b9093.txt"
SCRIPT = """#!/bin/sh
case "$*" in
  *--help*) cat {help} ;;
  *--version*) echo "version: 9093 (abc1234)" >&2 ;;
  *) exit 1 ;;
esac
"""
CARD = GpuSample(0, "NVIDIA GeForce RTX 3060", 100.0, 12288.0)


def catalog_of(folder: Path, parameters: dict[str, Any], **tier: Any) -> Path:
    """Write a catalog of one tier on a stand-in that says of itself what b9093 says and cannot serve."""
    server = folder / "llama-server"
    server.write_text(SCRIPT.format(help=shlex.quote(str(HELP))), encoding="utf-8")
    server.chmod(0o755)
    (folder / "models").mkdir()
    write_text_model(folder / "models" / "text.gguf")
    row = {"role": "fast", "model_name": "tiny", "port": free_port(), "engine": str(server), **tier}
    row["parameters"] = {"model": "text.gguf", **parameters}
    path = folder / "catalog.json"
    path.write_text(json.dumps({"schema": 1, "models_dir": str(folder / "models"), "tiers": [row]}), encoding="utf-8")
    return path


def with_panel(folder: Path, catalog: Path, work: Callable[[Panel], Any]) -> Any:
    async def scenario() -> Any:
        panel = Panel(PanelOptions(catalog, folder / "data"), {"HOME": str(folder)})
        try:
            await panel.open(sampling=False)
            return await work(panel)
        finally:
            await panel.close()

    return asyncio.run(scenario())


def test_that_the_command_says_what_an_older_build_lacks(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, {"mmproj_device": "CUDA1", "n_cpu_ffn": 3, "load_mode": "mlock"})

    async def work(panel: Panel) -> str:
        await panel.run.find_engine("fast")
        shape = reports.command(panel, "fast", panel.tune.command("fast"))
        assert len(shape.notes) == 3
        return terminal_text.command(shape)

    printed = with_panel(tmp_path, catalog, work)
    assert "# This llama-server (b9093) does not know --mmproj-device; it was left off." in printed
    assert "# This llama-server (b9093) does not know --n-cpu-ffn; it was left off." in printed
    assert "# This llama-server says --mlock --no-mmap for --load-mode mlock." in printed
    command = next(line for line in printed.splitlines() if "--port" in line)
    assert "--mmproj-device" not in command
    assert "--mlock --no-mmap" in command


def start(folder: Path, catalog: Path, gpus: GpusSampled | None, **options: Any) -> tuple[str, list[NoticeRaised]]:
    """Start the tier and return the code of the failure with the notices; the stand-in never serves."""
    notices: list[NoticeRaised] = []

    def hear(event: Event) -> None:
        if isinstance(event, NoticeRaised):
            notices.append(event)

    async def work(panel: Panel) -> str:
        panel.events.subscribe(hear)
        panel.watch.gpus = gpus
        with pytest.raises(StartFailed) as caught:
            await panel.run.start("fast", **options)
        return caught.value.failure.code

    return with_panel(folder, catalog, work), notices


def test_that_warnings_reach_the_operator_once_and_do_not_stop_the_start(tmp_path: Path) -> None:
    code, notices = start(tmp_path, catalog_of(tmp_path, {"ctx_size": 8192}), None)
    assert code == "unknown"  # it was started, and ended
    (notice,) = notices
    assert notice.severity is Severity.WARNING
    assert notice.text.english == (
        "fast: The context of 8192 tokens is longer than what the model was trained for: 4096."
    )
    assert notice.role == "fast"
    assert [dict(fix.set_values) for fix in notice.fixes] == [{"ctx_size": 4096}]


def test_that_a_gpu_that_is_not_there_stops_the_start_until_the_operator_says_so(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, {}, expected_gpus=2)
    one = GpusSampled(time.time(), (CARD,))
    assert start(tmp_path, catalog, one) == ("gpus_absent", [])
    code, notices = start(tmp_path, catalog, one, fewer_gpus_will_do=True)
    assert code == "unknown"
    assert [notice.text.english for notice in notices] == ["fast: This tier is meant for 2 GPUs; the driver shows 1."]
    assert start(tmp_path, catalog, GpusSampled(time.time(), ()))[0] == "gpus_all_absent"
    assert start(tmp_path, catalog, None)[0] == "unknown"
