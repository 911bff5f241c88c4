from __future__ import annotations

from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import broken_bridge, make_bridge
from tests.gui.window_kit import Shown, gpus, make_window, press, running
from variet_gui.events import (
    HostSample,
    HostSampled,
    NoticeRaised,
    ServerState,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import LANGUAGES, msg
from variet_gui.ui import theme
from variet_gui.ui.main_window import MainWindow, Page
from variet_gui.ui.pages.tune import TunePage

MENUS = pytest.mark.qt_log_ignore("This plugin does not support grabbing the keyboard", extend=True)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    return make_bridge(tmp_path)


# ------------------------------------------------------------------------------------------------ catalog, choices


def test_that_a_bad_catalog_leaves_the_window_alive(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = broken_bridge(tmp_path, "{nonsense")
    page = TunePage(bridge)  # type: ignore[arg-type]
    window = make_window(qtbot, bridge, [Page("log", "Log", Shown()), Page("tune", "Tune", page)])
    assert window.rail.cards == {}
    assert window.stack.currentWidget() is page
    bridge.catalog_changed.emit()
    qtbot.waitUntil(page.error.isVisible)
    for key in window.actions_by_key:
        if key != "quit":
            press(window, key)
    assert [asked for asked in bridge.asked if asked != ("stop_all",)] == []


@MENUS
def test_that_language_and_theme_can_be_chosen(qtbot: QtBot, qapp: QApplication, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    languages, themes = [], []
    window.language_chosen.connect(languages.append)
    window.theme_chosen.connect(themes.append)
    menu = window.top.popup_languages()
    assert [action.text() for action in menu.actions()] == ["As the system", *LANGUAGES.values()]
    menu.actions()[-1].trigger()
    menu.close()
    menu = window.top.popup_themes()
    menu.actions()[1].trigger()
    menu.close()
    assert languages == ["ko"]
    assert themes == ["light"]
    assert not theme.is_dark()
    theme.apply(qapp, "dark")


def test_that_a_window_that_was_replaced_no_longer_listens(qtbot: QtBot, bridge: FakeBridge) -> None:
    old = MainWindow(bridge, [Page("tune", "Tune", TunePage(bridge))])  # type: ignore[arg-type]
    old.show()
    old.finish_close()
    old.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    assert not shiboken6.isValid(old)
    bridge.show(running("fast"))
    bridge.sample(gpus())
    bridge.host_sampled.emit(HostSampled(0.0, HostSample(1.0, 2.0, 3.0)))
    bridge.catalog_changed.emit()
    bridge.draft_changed.emit("fast")
    bridge.notice_raised.emit(NoticeRaised(Severity.INFO, msg("x")))
    theme.manager().changed.emit()


# --------------------------------------------------------------------------------------------------------- closing


def test_that_closing_waits_for_the_servers(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.show(running("fast"))
    asked: list[None] = []
    window.closing.connect(lambda: asked.append(None))
    window.close()
    window.close()
    assert window.isVisible()
    assert asked == [None]
    assert window.veil.isVisible()
    assert "1 server is still running" in window.veil._left.text()
    bridge.show(ServerStatus("fast", ServerState.STOPPED))
    assert window.veil._left.text() == "Closing the panel"
    window.finish_close()
    assert not window.isVisible()


def test_that_quit_goes_the_same_way(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    with qtbot.waitSignal(window.closing):
        press(window, "quit")
    assert window.isVisible()


# ----------------------------------------------------------------------------------------------------------- shape


@pytest.mark.parametrize("size", [(1280, 800), (960, 600), (1920, 1080)])
def test_that_the_window_can_have_every_size_it_is_given(
    qtbot: QtBot, bridge: FakeBridge, size: tuple[int, int]
) -> None:
    page = TunePage(bridge)  # type: ignore[arg-type]
    window = make_window(qtbot, bridge, [Page("tune", "Tune", page)])
    bridge.sample(gpus())
    bridge.show(running("fast"))
    window.resize(*size)
    QApplication.processEvents()
    assert (window.width(), window.height()) == size
    assert window.centralWidget().minimumSizeHint().width() <= size[0]
    for part in (window.top.stop_all, window.top.theme, page.save_and_restart, page.advanced):
        corner = part.mapTo(window, part.rect().bottomRight())
        assert corner.x() < size[0]
        assert corner.y() < size[1]
        assert part.width() >= part.minimumSizeHint().width()


def test_that_every_control_of_the_window_has_a_name(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge, [Page("tune", "Tune", TunePage(bridge))])  # type: ignore[arg-type]
    nameless = [
        type(widget).__name__
        for widget in window.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and widget.isVisible()
        and not widget.accessibleName()
        and not getattr(widget, "text", lambda: "")()
    ]
    assert nameless == []


def test_that_actions_carry_their_shortcuts(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    action = window.actions_by_key["start"]
    assert isinstance(action, QAction)
    assert action.shortcut().toString() == "F5"
