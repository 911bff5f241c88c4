"""A tier that is a URL: a server that somebody else runs is watched and used, never started or stopped."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.catalogs import tier, write_catalog
from tests.support.spawned import free_port
from tests.support.tiny_models import write_text_model
from tests.support.waiting import run_async, wait_until
from variet_gui.client.api import Health, Http, LlamaApi
from variet_gui.engine import attached
from variet_gui.engine.launch import StartFailed
from variet_gui.events import ServerState
from variet_gui.panel.borrow import borrow
from variet_gui.panel.panel import Panel, PanelOptions

pytestmark = pytest.mark.engine


def attached_catalog(folder: Path, url: str) -> Path:
    entry = tier("fast", folder / "unused.gguf")
    entry.update(parameters={}, url=url)
    return write_catalog(folder / "catalog.json", [entry])


async def until_ready(url: str) -> None:
    async with Http() as http:
        async with asyncio.timeout(20):
            while await LlamaApi(http, url).health() is not Health.READY:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)


def test_that_somebody_elses_server_is_used_and_outlives_the_panel(tmp_path: Path, llama_server: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    model = write_text_model(tmp_path / "tiny.gguf")
    theirs = subprocess.Popen(
        [str(llama_server), "-m", str(model), "-c", "512", "-np", "1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    async def scenario() -> None:
        await until_ready(url)
        panel = Panel(PanelOptions(attached_catalog(tmp_path, url), tmp_path / "data"), os.environ)
        panel.lock.acquire()
        await panel.open()
        server = panel.fleet.server("fast")
        await panel.run.start("fast")
        status = server.status
        assert (status.state, status.attached_to, status.pid) == (ServerState.READY, url, None)
        assert status.url == f"{url}/v1"
        assert status.context_size == 512
        async with borrow(panel, "fast") as api:
            assert await api.tokenize("hello")
        await panel.run.stop("fast")
        assert server.status.state is ServerState.STOPPED
        assert theirs.poll() is None
        await panel.run.start("fast")
        theirs.kill()
        theirs.wait()
        await wait_until(lambda: server.status.state is ServerState.FAILED, 20, what="failed")
        assert server.status.failure is not None
        assert server.status.failure.code == "attached_lost"
        await panel.close()

    try:
        run_async(scenario(), 60)
    finally:
        theirs.kill()
        theirs.wait()


def test_that_an_address_without_anybody_is_a_failure_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setitem(attached.until_answering.__kwdefaults__, "limit_s", 0.5)

    async def scenario() -> None:
        panel = Panel(PanelOptions(attached_catalog(tmp_path, url), tmp_path / "data"), os.environ)
        await panel.open(sampling=False)
        with pytest.raises(StartFailed) as caught:
            await panel.run.start("fast")
        assert caught.value.failure.code == "attached_unreachable"
        assert url in str(caught.value.failure.title)
        await panel.close()

    run_async(scenario())


def test_that_something_else_at_the_address_is_told(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    )
    assert other.stdout is not None
    port = other.stdout.readline().rsplit(" port ", 1)[1].split()[0]

    async def scenario() -> None:
        url = f"http://127.0.0.1:{port}"
        panel = Panel(PanelOptions(attached_catalog(tmp_path, url), tmp_path / "data"), os.environ)
        await panel.open(sampling=False)
        with pytest.raises(StartFailed) as caught:
            await panel.run.start("fast")
        assert caught.value.failure.code in ("attached_no_llama_server", "attached_unreachable")
        await panel.close()

    try:
        run_async(scenario())
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
