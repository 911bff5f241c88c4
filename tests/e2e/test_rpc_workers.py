"""A tier on two of llama.cpp's own RPC workers: shown as its devices, and explained when one goes away."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.catalogs import tier, write_catalog
from tests.support.rpc_workers import RpcWorkers
from tests.support.tiny_models import write_text_model
from tests.support.waiting import run_async, wait_until
from variet_gui.chat.conversation import StreamState
from variet_gui.engine.launch import StartFailed
from variet_gui.events import ServerState
from variet_gui.panel.panel import Panel, PanelOptions

pytestmark = pytest.mark.engine


def panel_on(folder: Path, engine: Path, addresses: str) -> Panel:
    entry = tier("fast", write_text_model(folder / "tiny.gguf"), rpc=addresses, n_gpu_layers=99, ctx_size=32768)
    catalog = write_catalog(folder / "catalog.json", [entry], str(engine))
    return Panel(PanelOptions(catalog, folder / "data"), os.environ)


def test_that_two_workers_are_devices_and_the_loss_of_one_is_explained(tmp_path: Path, real_llama_server: Path) -> None:
    async def scenario() -> None:
        async with RpcWorkers.of(real_llama_server, 2, tmp_path) as workers:
            panel = panel_on(tmp_path, real_llama_server, workers.addresses)
            panel.lock.acquire()
            await panel.open()
            await panel.run.start("fast")
            server = panel.fleet.server("fast")
            held = {part.device: part.weights_mib for part in server.status.buffers if part.weights_mib}
            assert {"RPC0", "RPC1"} <= held.keys()
            endless = {"max_tokens": 30000, "ignore_eos": True}  # a worker that is not asked is not missed
            asking = asyncio.create_task(panel.converse.ask("fast", "Tell me a long story.", (), endless))
            conversation = panel.converse.conversation("fast")
            await wait_until(
                lambda: len(conversation.messages) > 1 and bool(conversation.messages[-1].text), what="text"
            )
            workers.processes[1].kill_group()
            await wait_until(lambda: server.status.state is ServerState.FAILED, 30, what="failed")
            failure = server.status.failure
            assert failure is not None
            assert failure.code == "rpc_worker_lost"
            await asyncio.gather(asking, return_exceptions=True)
            answer = conversation.messages[-1]
            assert answer.state is StreamState.FAILED
            assert answer.text, "what had come of the answer stays"
            await panel.close()

    run_async(scenario(), 90)


def test_that_a_worker_that_is_not_there_is_named(tmp_path: Path, real_llama_server: Path) -> None:
    async def scenario() -> None:
        async with RpcWorkers.of(real_llama_server, 1, tmp_path) as workers:
            gone = f"{workers.addresses},127.0.0.1:9"
            panel = panel_on(tmp_path, real_llama_server, gone)
            await panel.open(sampling=False)
            with pytest.raises(StartFailed) as caught:
                await panel.run.start("fast")
            assert caught.value.failure.code == "rpc_unreachable"
            assert "127.0.0.1:9" in str(caught.value.failure.title)
            await panel.close()

    run_async(scenario(), 60)
