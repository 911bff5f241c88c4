"""The demo sees: its own two models, a drawn picture and a question, on the real llama-server and the embedded one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.spawned import EMBEDDED, Spawned, free_port, said
from tests.support.waiting import run_async
from variet_gui import assets
from variet_gui.panel.panel import Panel, PanelOptions

pytestmark = [pytest.mark.engine, pytest.mark.model]

SMALL_MODELS_OWN = [check for check in json.loads(
    assets.resource("vision_checks", "checks.json").read_text(encoding="utf-8")
)["checks"] if not check["beyond_demo"]]  # fmt: skip


def is_accepted(answer: str, check: dict[str, Any]) -> bool:
    return any(re.search(rf"\b{re.escape(text)}\b", answer.casefold()) for text in check["accepted"])


def ask_all(command: list[str], demo_model: Path, log: Path) -> None:
    models = ["-m", str(demo_model), "--mmproj", str(assets.demo_projector())]
    common = ["--host", "127.0.0.1", "-c", "2048", "-np", "1", "-t", "1"]
    with Spawned([*command, *models, *common], log, free_port()) as server:
        server.wait_for_health()
        wrong = {}
        for check in SMALL_MODELS_OWN:
            picture = assets.resource("vision_checks", check["picture"]).read_bytes()
            answer = said(server.chat(check["question"], picture, temperature=0))
            if not is_accepted(answer, check):
                wrong[check["id"]] = answer
        assert not wrong


def test_that_every_check_of_the_small_model_is_answered_by_llama_server(
    real_llama_server: Path, demo_model: Path, tmp_path: Path
) -> None:
    ask_all([str(real_llama_server)], demo_model, tmp_path / "log")


def test_that_every_check_of_the_small_model_is_answered_by_the_embedded_engine(
    demo_model: Path, tmp_path: Path
) -> None:
    ask_all(EMBEDDED, demo_model, tmp_path / "log")


@pytest.mark.parametrize("role", ["fast", "balanced"])
def test_that_a_picture_dropped_in_the_demo_is_answered(role: str, demo_model: Path, tmp_path: Path) -> None:
    catalog = json.loads(assets.config_template("demo_models.json").read_text(encoding="utf-8"))
    for tier in catalog["tiers"]:
        tier["port"] = free_port()
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(catalog), encoding="utf-8")

    async def scenario() -> str:
        panel = Panel(PanelOptions(path, tmp_path / "data", demo=True), os.environ)
        panel.lock.acquire()
        try:
            await panel.open(sampling=False)
            await panel.run.start(role)
            picture = assets.resource("vision_checks", "four-squares.png").read_bytes()
            answer = await panel.converse.ask(role, "How many squares do you see?", [picture], {"temperature": 0})
            assert answer.failure is None
            return answer.text
        finally:
            await panel.close()

    assert run_async(scenario(), 60).strip() == "4"
