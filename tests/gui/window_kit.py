"""What the tests of the window and of the Tune page build and wait for."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from variet_gui.events import GpuSample, GpusSampled, ServerState, ServerStatus
from variet_gui.ui.main_window import MainWindow, Page
from variet_gui.ui.pages.tune import TunePage
from variet_gui.ui.widgets.parameter_slider import ParameterSlider


class Shown(QWidget):
    """A page that remembers which tiers it was asked to show."""

    def __init__(self) -> None:
        super().__init__()
        self.roles: list[str] = []

    def show_role(self, role: str) -> None:
        self.roles.append(role)


def make_window(qtbot: QtBot, bridge: FakeBridge, pages: list[Page] | None = None) -> MainWindow:
    named = pages or [
        Page("tune", "Tune", Shown()),
        Page("chat", "Chat & vision", Shown()),
        Page("log", "Log", Shown()),
    ]
    made = MainWindow(bridge, named)  # type: ignore[arg-type]
    qtbot.addWidget(made, before_close_func=lambda window: window.finish_close())
    made.resize(1280, 800)
    made.show()
    return made


def press(window: MainWindow, key: str) -> None:
    window.actions_by_key[key].trigger()


def running(role: str = "fast", state: ServerState = ServerState.READY) -> ServerStatus:
    return ServerStatus(role, state, port=8081, build="b11434-abc")


def gpus() -> GpusSampled:
    return GpusSampled(0.0, (GpuSample(0, "RTX", 9728.0, 12288.0), GpuSample(1, "RTX", 11468.0, 12288.0)), "580.65")


def page_for(qtbot: QtBot, bridge: FakeBridge, role: str = "fast") -> TunePage:
    made = TunePage(bridge)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(1100, 800)
    made.show()
    made.show_role(role)
    return made


def settled(qtbot: QtBot, page: TunePage) -> None:
    """Wait until the refresh that an edit asked for has happened."""
    qtbot.waitUntil(lambda: not page._refresh_soon.isActive())


def slider(page: TunePage, key: str) -> ParameterSlider:
    editor = page.list.row(key).editors[0]
    assert isinstance(editor, ParameterSlider)
    return editor
