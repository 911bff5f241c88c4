"""A tier that is set to keep running: it survives its panel, the next one takes it over, and `variet stop` ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.processes import is_gone, kill
from tests.support.catalogs import tier, write_catalog
from tests.support.spawned import free_port
from tests.support.tiny_models import write_text_model
from tests.support.waiting import run_async, wait_until
from variet_gui.events import ServerState
from variet_gui.panel.panel import Panel, PanelOptions

pytestmark = pytest.mark.engine


class Case:
    """A catalog with one tier, and panels on its data folder."""

    def __init__(self, folder: Path, engine: str, *, keep_running: bool) -> None:
        self.data = folder / "data"
        model = write_text_model(folder / "tiny.gguf")
        entry = tier("fast", model, port=free_port())
        entry["keep_running"] = keep_running
        self.catalog = write_catalog(folder / "catalog.json", [entry], engine)

    def command(self, *words: str) -> list[str]:
        where = ["--data-dir", str(self.data), "--config", str(self.catalog)]
        return [sys.executable, "-m", "variet_gui", *where, *words]

    def json(self, *words: str) -> Any:
        done = subprocess.run(
            self.command(*words, "--json"), capture_output=True, text=True, timeout=60, check=False, env=os.environ
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def killed_supervisor(self) -> int:
        """Start the tier, kill its supervisor with -9 once it is ready, and return the server's pid."""
        supervisor = subprocess.Popen(
            self.command("start", "fast", "--json"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert supervisor.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = supervisor.stdout.readline()
            assert line, "the supervisor ended"
            text += line
        supervisor.kill()
        supervisor.wait()
        supervisor.stdout.close()
        return int(json.loads(text)["pid"])

    @property
    def state(self) -> str:
        """What `variet tiers` says of the tier."""
        return str(self.json("tiers")["tiers"][0]["state"])


@pytest.fixture(params=["llama-server", "embedded"])
def engine(request: pytest.FixtureRequest, llama_server: Path) -> str:
    """Every engine there is."""
    return "embedded" if request.param == "embedded" else str(llama_server)


def test_that_a_kept_tier_is_seen_stopped_and_forgotten_from_a_terminal(tmp_path: Path, engine: str) -> None:
    case = Case(tmp_path, engine, keep_running=True)
    pid = case.killed_supervisor()
    try:
        assert psutil.pid_exists(pid)
        assert case.state == "ready"
        stopped = case.json("stop", "fast")["stopped"]
        assert [(one["role"], one["pid"]) for one in stopped] == [("fast", pid)]
        assert is_gone(pid)
        assert case.state == "stopped"
        assert case.json("stop", "--all")["stopped"] == []
    finally:
        kill(pid)


def test_that_the_next_panel_takes_a_kept_tier_over_with_its_log(tmp_path: Path, engine: str) -> None:
    case = Case(tmp_path, engine, keep_running=True)
    pid = case.killed_supervisor()

    async def scenario(*, last: bool) -> None:
        panel = Panel(PanelOptions(case.catalog, case.data), os.environ)
        panel.lock.acquire()
        await panel.open()
        await panel.resume()
        server = panel.fleet.server("fast")
        await wait_until(lambda: server.status.state is ServerState.READY, what="ready")
        assert server.status.pid == pid
        assert server.status.adopted
        assert server.status.context_size
        assert any("loading model" in line for line in server.lines), "its log is there from the first line on"
        if last:
            await panel.run.stop("fast")
        await panel.close()

    try:
        run_async(scenario(last=False))
        assert psutil.pid_exists(pid)
        run_async(scenario(last=True))
        assert is_gone(pid)
    finally:
        kill(pid)


def test_that_a_tier_that_is_not_to_be_kept_ends_with_its_killed_panel(tmp_path: Path, engine: str) -> None:
    case = Case(tmp_path, engine, keep_running=False)
    pid = case.killed_supervisor()
    try:
        run_async(wait_until(lambda: is_gone(pid), 5.0, what="the end of the server"))
        assert case.state == "stopped"
    finally:
        kill(pid)


def test_that_stop_wants_a_name_or_all(tmp_path: Path, engine: str) -> None:
    case = Case(tmp_path, engine, keep_running=False)
    done = subprocess.run(case.command("stop"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--all" in done.stderr
