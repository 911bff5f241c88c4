from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import shiboken6
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import broken_bridge, engine, make_bridge
from variet_gui.events import (
    Failure,
    Fix,
    GpuSample,
    GpusSampled,
    HostSample,
    HostSampled,
    NoticeRaised,
    ServerState,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import LANGUAGES, msg
from variet_gui.ui import actions, theme
from variet_gui.ui.main_window import MainWindow, Page
from variet_gui.ui.pages.tune import TunePage

MENUS = pytest.mark.qt_log_ignore("This plugin does not support grabbing the keyboard", extend=True)


class Shown(QWidget):
    """A page that remembers which tiers it was asked to show."""

    def __init__(self) -> None:
        super().__init__()
        self.roles: list[str] = []

    def show_role(self, role: str) -> None:
        self.roles.append(role)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    return make_bridge(tmp_path)


def make_window(qtbot: QtBot, bridge: FakeBridge, pages: list[Page] | None = None) -> MainWindow:
    named = pages or [Page("tune", "Tune", Shown()), Page("chat", "Chat & vision", Shown()), Page("log", "Log", Shown())]
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


# ------------------------------------------------------------------------------------------------------ selecting


def test_that_the_first_tier_is_shown_on_every_page_at_once(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    assert window.role == "fast"
    for key in ("tune", "chat", "log"):
        page = window.page(key)
        assert isinstance(page, Shown)
        assert page.roles[-1] == "fast"
    assert window._subject.text().startswith("fast · tiny fast")


def test_that_tiers_and_pages_are_reached_by_their_shortcuts(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    press(window, "tier_2")
    assert window.role == "ultra"
    press(window, "previous_tier")
    assert window.role == "fast"
    press(window, "next_tier")
    assert window.role == "ultra"
    press(window, "tier_9")
    assert window.role == "ultra"
    press(window, "page_2")
    assert window.stack.currentWidget() is window.page("chat")
    window.show_page("log")
    assert window.tabs.currentIndex() == 2
    window.show_page("nowhere")
    assert window.tabs.currentIndex() == 2


def test_that_keys_really_reach_the_shortcuts(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    qtbot.waitExposed(window)
    window.activateWindow()
    QTest.qWaitForWindowActive(window, 2000)
    QTest.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert window.role == "ultra"
    QTest.keyClick(window, Qt.Key.Key_F5)
    assert bridge.asked == [("start", "ultra")]


def test_that_no_shortcut_is_given_twice_and_every_action_has_one() -> None:
    shortcuts = [action.shortcut for action in actions.ACTIONS]
    assert len(set(shortcuts)) == len(shortcuts)
    assert all(str(action.text) for action in actions.ACTIONS)
    with pytest.raises(KeyError):
        actions.action("fly")


def test_that_an_ampersand_in_a_tab_is_an_ampersand(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    assert window.tabs.tabText(1) == "Chat && vision"
    assert "(Alt+2)" in window.tabs.tabToolTip(1)


# ----------------------------------------------------------------------------------------------- starting, stopping


def test_that_the_cards_ask_the_bridge(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    window.rail.cards["ultra"].button.click()
    bridge.show(running("fast"))
    window.rail.cards["fast"].button.click()
    bridge.show(ServerStatus("fast", ServerState.FAILED, failure=Failure("x", msg("It died"))))
    window.rail.cards["fast"].button.click()
    assert bridge.asked == [("start", "ultra"), ("stop", "fast"), ("restart", "fast")]


def test_that_f5_starts_a_stopped_tier_and_restarts_a_running_one(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    press(window, "start")
    bridge.show(running("fast"))
    press(window, "start")
    press(window, "stop")
    press(window, "stop_all")
    assert bridge.asked == [("start", "fast"), ("restart", "fast"), ("stop", "fast"), ("stop_all",)]


def test_that_stop_all_is_there_only_while_something_runs(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    assert not window.top.stop_all.isEnabled()
    bridge.show(running("ultra"))
    assert window.top.stop_all.isEnabled()
    window.top.stop_all.click()
    assert bridge.asked == [("stop_all",)]


def test_that_the_address_of_the_selected_tier_is_copied_by_shortcut(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    press(window, "copy_url")
    assert QGuiApplication.clipboard().text() == "http://127.0.0.1:8081/v1"


def test_that_the_fixes_of_a_failure_are_carried_out(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    handed_on: list[tuple[str, Fix]] = []
    window.fix_asked.connect(lambda role, fix: handed_on.append((role, fix)))
    smaller = Fix(msg("Halve the context"), {"ctx_size": 512})
    log, pick = Fix(msg("Show the log"), action="show_log"), Fix(msg("Choose"), action="pick_engine")
    cpu = Fix(msg("Start on the CPU anyway"), action="start_on_cpu")
    failure = Failure("out_of_gpu_memory", msg("No memory"), fixes=(smaller, log, pick, cpu))
    bridge.show(ServerStatus("fast", ServerState.FAILED, failure=failure))
    for button in window.rail.cards["fast"].failure.buttons():
        button.click()
    assert bridge.panel.tune.draft("fast").get("ctx_size") == 512
    assert bridge.asked == [("restart", "fast"), ("start_on_cpu", "fast")]
    assert window.stack.currentWidget() is window.page("log")
    assert handed_on == [("fast", pick)]


# ------------------------------------------------------------------------------------------------------- figures


def test_that_meters_cards_and_status_line_follow_the_samples(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.panel.run.engines["fast"] = engine()
    bridge.show(running("fast"))
    bridge.sample(gpus())
    assert [meter.text() for meter in window.top.meters.meters] == ["9.5 / 12.0 GiB", "11.2 / 12.0 GiB"]
    card = window.rail.cards["fast"]
    assert [bar.isHidden() for bar in card._bars] == [False, False]
    assert not window.rail.cards["ultra"]._bars
    assert window.status.texts()[:2] == ("1 tier running", "llama-server b11434-abc · driver 580.65")


def test_that_a_driver_that_is_missing_leaves_host_figures_with_the_reason(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.sample(GpusSampled(0.0, (), problem=msg("No NVIDIA driver answers.")))
    bridge.host_sampled.emit(HostSampled(0.0, HostSample(8192.0, 16384.0, 12.0)))
    assert window.top.meters.host.isVisible()
    assert "No NVIDIA driver answers." in window.top.meters.host.toolTip()


def test_that_the_last_speed_stays_between_two_answers(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.show(running("fast"))
    bridge.panel.watch.store.figures["fast.generation_tps"] = 70.4
    qtbot.waitUntil(lambda: "70.4 t/s" in window.rail.cards["fast"].accessibleName())
    bridge.panel.watch.store.figures.clear()
    window._show_speeds()
    assert "70.4 t/s" in window.rail.cards["fast"].accessibleName()


def test_that_nothing_ticks_while_nothing_runs(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    assert not window._speeds.isActive()
    bridge.show(running("fast"))
    assert window._speeds.isActive()
    bridge.show(ServerStatus("fast", ServerState.STOPPED))
    assert not window._speeds.isActive()


def test_that_the_status_line_names_the_catalog_and_when_it_was_saved(qtbot: QtBot, bridge: FakeBridge) -> None:
    text = make_window(qtbot, bridge).status.texts()[2]
    assert "tiers.json" in text
    assert "saved" in text


def test_that_a_missing_engine_is_named_in_the_status_line(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    failure = Failure("no_engine", msg("No llama-server found"))
    bridge.panel.run.engines["fast"] = SimpleNamespace(binary=None, failure=failure)
    bridge.draft_changed.emit("fast")
    assert window.status.texts()[1] == "No llama-server found"


def test_that_the_embedded_engine_is_called_what_it_is(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.panel.run.engines["fast"] = engine(embedded=True)
    bridge.draft_changed.emit("fast")
    assert window.status.texts()[1] == "embedded engine (CPU)"


def test_that_a_notice_appears_without_a_dialog(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.notice_raised.emit(NoticeRaised(Severity.WARNING, msg("The sampler was started again.")))
    assert window.notices.isVisible()
    assert window.notices.text() == "The sampler was started again."


# ------------------------------------------------------------------------------------------------ catalog, choices


def test_that_a_bad_catalog_leaves_the_window_alive(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = broken_bridge(tmp_path, "{nonsense")
    page = TunePage(bridge)  # type: ignore[arg-type]
    window = make_window(qtbot, bridge, [Page("log", "Log", Shown()), Page("tune", "Tune", page)])
    assert window.rail.cards == {}
    assert window.stack.currentWidget() is page
    bridge.catalog_changed.emit()
    qtbot.waitUntil(lambda: page.error.isVisible())
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
