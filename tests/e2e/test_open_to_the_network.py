"""A tier that other computers may use: it asks for a key, which stands in no command line, log, report or export."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psutil
import pytest

from tests.support.catalogs import tier, write_catalog
from tests.support.spawned import free_port
from tests.support.tiny_models import write_text_model
from tests.support.waiting import run_async
from variet_gui.client.api import ApiError, Http, LlamaApi
from variet_gui.panel.panel import Panel, PanelOptions

pytestmark = pytest.mark.engine


def test_that_a_tier_open_to_the_network_asks_for_a_key_that_is_written_nowhere_else(
    tmp_path: Path, llama_server: Path
) -> None:
    port = free_port()
    entry = tier("fast", write_text_model(tmp_path / "tiny.gguf"), port=port)
    entry["listen"] = "0.0.0.0"
    catalog = write_catalog(tmp_path / "catalog.json", [entry], str(llama_server))

    async def scenario() -> None:
        panel = Panel(PanelOptions(catalog, tmp_path / "data"), os.environ)
        panel.lock.acquire()
        await panel.open()
        try:
            await panel.run.start("fast")
            server = panel.fleet.server("fast")
            key = panel.tune.keys.read("fast")
            assert key
            assert len(key) >= 32
            path = panel.tune.keys.path("fast")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert (await panel.api(port).props()).context_size, "the panel itself has the key"
            async with Http() as http:
                with pytest.raises(ApiError) as refused:
                    await LlamaApi(http, f"http://127.0.0.1:{port}").props()
            assert refused.value.status == 401
            assert server.status.pid is not None
            process = psutil.Process(server.status.pid)
            assert key not in " ".join(process.cmdline())
            assert key not in " ".join(process.environ().values())
            assert "0.0.0.0" in process.cmdline()
        finally:
            await panel.close()
        kept = [file for file in (tmp_path / "data").rglob("*") if file.is_file() and file != path]
        assert kept
        for file in kept:
            assert key.encode() not in file.read_bytes(), file

    run_async(scenario())


def test_that_a_tier_is_closed_to_the_network_unless_asked_for(tmp_path: Path, llama_server: Path) -> None:
    entry = tier("fast", write_text_model(tmp_path / "tiny.gguf"))
    catalog = write_catalog(tmp_path / "catalog.json", [entry], str(llama_server))

    async def scenario() -> None:
        panel = Panel(PanelOptions(catalog, tmp_path / "data"), os.environ)
        await panel.open(sampling=False)
        command = panel.tune.command("fast")
        assert command.argv[command.argv.index("--host") + 1] == "127.0.0.1"
        assert "--api-key-file" not in command.argv
        assert panel.tune.keys.read("fast") is None
        await panel.close()

    run_async(scenario())
