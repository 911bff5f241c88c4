"""The main job in the window, on real parts: start, chat, a picture, the curves, stop, close; and its failures."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.support.catalogs import tier, write_catalog
from tests.support.spawned import free_port
from tests.support.tiny_models import png, write_projector, write_text_model
from variet_gui import i18n
from variet_gui.app import Application, make_application
from variet_gui.chat.conversation import StreamState
from variet_gui.events import ServerState, SpeedSampled
from variet_gui.panel.logging_setup import PanelLog
from variet_gui.panel.panel import Panel, PanelOptions
from variet_gui.ui.main_window import MainWindow
from variet_gui.ui.pages.chat import ChatPage

pytestmark = pytest.mark.engine

WAIT_MS = 30_000


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    return QApplication


@dataclass
class Desk:
    """A window on a panel of its own."""

    application: Application
    qtbot: QtBot
    speeds: list[SpeedSampled] = field(default_factory=list)

    @property
    def window(self) -> MainWindow:
        assert self.application.window is not None
        return self.application.window

    @property
    def panel(self) -> Panel:
        return self.application.panel

    def until(self, condition: Callable[[], Any]) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=WAIT_MS)

    def state(self, role: str) -> ServerState:
        return self.application.bridge.status(role).state

    def press(self, button: Any) -> None:
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def start(self, role: str) -> None:
        self.window.rail.select(role)
        self.press(self.window.rail.cards[role].button)
        self.until(lambda: self.state(role) in (ServerState.READY, ServerState.FAILED))

    def say(self, role: str, text: str, pictures: tuple[bytes, ...] = (), **sampling: Any) -> Any:
        self.application.bridge.ask(role, text, pictures, sampling)
        conversation = self.panel.converse.conversation(role)
        self.until(lambda: conversation.messages and conversation.messages[-1].reply_to and not conversation.busy)
        return conversation.messages[-1]


@pytest.fixture
def open_desk(qapp: QApplication, qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    desks: list[tuple[Desk, PanelLog]] = []

    def open_it(catalog: Path, *, demo: bool = False) -> Desk:
        panel = Panel(PanelOptions(catalog, tmp_path / "data", demo), {**os.environ, "LANG": "C"})
        panel_log = PanelLog(panel.paths.logs_dir, panel.events.publish)
        panel_log.install()
        desk = Desk(Application(make_application(), panel, panel_log), qtbot)
        desks.append((desk, panel_log))
        panel.events.subscribe(lambda event: desk.speeds.append(event) if isinstance(event, SpeedSampled) else None)
        desk.application.open()
        desk.until(lambda: desk.application.window is not None and desk.application.window.isVisible())
        return desk

    yield open_it
    for desk, panel_log in desks:
        if not desk.application.bridge.is_closing:
            with qtbot.waitSignal(desk.application.bridge.closed, timeout=WAIT_MS):
                desk.application.quit()
        desk.until(lambda desk=desk: desk.application.window is None)
        panel_log.remove()
        desk.application.deleteLater()
    i18n.set_language("en")


@pytest.fixture(params=["llama-server", "embedded"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path, llama_server: Path) -> Path:
    model = write_text_model(tmp_path / "tiny.gguf", ends=False)
    projector = write_projector(tmp_path / "tiny-mmproj.gguf")
    tiers = [
        tier("fast", model, tensor_split=[0.4, 0.6]),
        tier("seeing", model, mmproj=str(projector)),
        tier("broken", tmp_path / "absent.gguf"),
    ]
    engine = "embedded" if request.param == "embedded" else str(llama_server)
    return write_catalog(tmp_path / "catalog.json", tiers, engine, simulated_gpus=[12288, 12288])


def test_that_a_tier_is_started_asked_watched_and_stopped(open_desk: Callable[..., Desk], catalog: Path) -> None:
    desk = open_desk(catalog, demo=True)
    desk.start("fast")
    assert desk.state("fast") is ServerState.READY
    pid = desk.application.bridge.status("fast").pid
    assert pid is not None
    answer = desk.say("fast", "Hello", max_tokens=400)
    assert answer.state is StreamState.DONE
    assert answer.timings.generated_tokens == 400
    moved = [s for s in desk.speeds if s.role == "fast" and s.generation_tps]
    assert moved, "the curve did not move while the answer came"
    desk.until(lambda: np.isfinite(desk.panel.watch.store.window("gpu0.vram_mib", 0, 2**33)[1]).any())
    sampled = desk.application.bridge.gpus()
    assert sampled is not None
    assert all(sample.simulated for sample in sampled.samples)
    desk.until(lambda: desk.application.bridge.gpus().samples[1].memory_used_mib > 0)
    desk.until(lambda: desk.state("fast") is ServerState.READY)
    desk.press(desk.window.rail.cards["fast"].button)
    desk.until(lambda: desk.state("fast") is ServerState.STOPPED)
    assert not psutil.pid_exists(pid)


def test_that_a_picture_reaches_the_model_and_is_counted(open_desk: Callable[..., Desk], catalog: Path) -> None:
    desk = open_desk(catalog, demo=True)
    desk.start("seeing")
    answer = desk.say("seeing", "What is this?", (png(80, 60, seed=2),), max_tokens=8)
    assert answer.state is StreamState.DONE
    desk.until(lambda: desk.panel.converse.conversation("seeing").messages[-1].timings.image_tokens == 16)


def test_that_closing_the_window_leaves_no_server(open_desk: Callable[..., Desk], catalog: Path) -> None:
    desk = open_desk(catalog)
    desk.start("fast")
    pid = desk.application.bridge.status("fast").pid
    with desk.qtbot.waitSignal(desk.application.bridge.closed, timeout=WAIT_MS):
        desk.window.close()
    desk.until(lambda: not psutil.pid_exists(pid or 0))


def test_that_a_missing_model_is_told_on_its_card_and_the_window_lives(
    open_desk: Callable[..., Desk], catalog: Path
) -> None:
    desk = open_desk(catalog)
    desk.start("broken")
    status = desk.application.bridge.status("broken")
    assert status.state is ServerState.FAILED
    assert status.failure is not None
    assert "absent.gguf" in status.failure.title.english + str(status.failure.detail or "")
    desk.start("fast")
    assert desk.state("fast") is ServerState.READY


def test_that_a_missing_engine_is_told_and_the_cpu_is_used_only_when_asked_for(
    open_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    model = write_text_model(tmp_path / "tiny.gguf")
    desk = open_desk(write_catalog(tmp_path / "catalog.json", [tier("fast", model)], "/nowhere/llama-server"))
    desk.start("fast")
    failure = desk.application.bridge.status("fast").failure
    assert failure is not None
    assert "/nowhere/llama-server" in failure.title.english + str(failure.detail or "")
    assert [fix.action for fix in failure.fixes][:2] == ["pick_engine", "start_on_cpu"]
    desk.application.bridge.start_on_cpu("fast")
    desk.until(lambda: desk.state("fast") is ServerState.READY)
    assert desk.application.bridge.status("fast").embedded


def test_that_a_port_in_use_is_told_and_another_one_helps(open_desk: Callable[..., Desk], catalog: Path) -> None:
    desk = open_desk(catalog)
    port = desk.panel.tune.tier("fast").port
    with socket.create_server(("127.0.0.1", port)):
        desk.start("fast")
        failure = desk.application.bridge.status("fast").failure
        assert failure is not None
        assert str(port) in str(failure.title)
        assert "change_port" in [fix.action for fix in failure.fixes]
        free = free_port()
        desk.application.bridge.set_port("fast", free)
        desk.until(lambda: desk.panel.tune.tier("fast").port == free)
        desk.press(desk.window.rail.cards["fast"].button)
        desk.until(lambda: desk.state("fast") is ServerState.READY)


def test_that_a_bad_catalog_is_shown_with_its_place_and_can_be_repaired(
    open_desk: Callable[..., Desk], catalog: Path
) -> None:
    good = catalog.read_text()
    catalog.write_text(good.replace('"ctx_size": 1024', '"ctx_size": "lots"', 1))
    bad = catalog.read_bytes()
    desk = open_desk(catalog)
    error = desk.panel.tune.catalog_error
    assert error is not None
    assert "tiers[0].parameters.ctx_size" in error.message.english
    assert catalog.read_bytes() == bad
    catalog.write_text(good)
    desk.application.bridge.reload_catalog()
    desk.until(lambda: desk.panel.tune.catalog is not None and "fast" in desk.window.rail.cards)


def test_that_the_demo_has_its_cards_though_its_catalog_was_bad_at_first(
    open_desk: Callable[..., Desk], catalog: Path
) -> None:
    catalog.write_text("{")
    desk = open_desk(catalog, demo=True)
    desk.until(lambda: desk.application.bridge.gpus() is not None)
    assert [sample.simulated for sample in desk.application.bridge.gpus().samples] == [True, True]


def test_that_language_and_theme_change_while_a_tier_runs(open_desk: Callable[..., Desk], catalog: Path) -> None:
    desk = open_desk(catalog)
    desk.start("fast")
    before, english = desk.window, desk.window.tabs.tabText(0)
    chat = before.page("chat")
    assert isinstance(chat, ChatPage)
    chat.composer.edit.setPlainText("half a question")
    chat.generation.set_values({"max_tokens": 77})
    desk.window.language_chosen.emit("ko")
    desk.until(lambda: desk.window is not before and desk.window.isVisible())
    assert desk.window.tabs.tabText(0) != english
    chat = desk.window.page("chat")
    assert isinstance(chat, ChatPage)
    assert chat.composer.edit.toPlainText() == "half a question"
    assert chat.generation.values()["max_tokens"] == 77
    desk.window.theme_chosen.emit("light")
    assert desk.panel.settings.theme == "light"
    assert desk.state("fast") is ServerState.READY
    desk.window.theme_chosen.emit("dark")
