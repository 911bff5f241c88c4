from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import engine, make_bridge, repair
from tests.gui.window_kit import Shown, gpus, make_window, press, running
from variet_gui.events import (
    Failure,
    Fix,
    GpusSampled,
    HostSample,
    HostSampled,
    NoticeRaised,
    ServerState,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import msg
from variet_gui.ui import actions, theme

MENUS = pytest.mark.qt_log_ignore("This plugin does not support grabbing the keyboard", extend=True)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    return make_bridge(tmp_path)


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


def test_that_what_runs_can_still_be_stopped_when_the_catalog_turns_bad(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.show(running("fast"))
    repair(bridge, "{nonsense")
    assert window.rail.cards == {}
    assert window.top.stop_all.isEnabled()
    bridge.show(ServerStatus("fast", ServerState.STOPPED))
    assert not window.top.stop_all.isEnabled()


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
    fewer = Fix(msg("Start with the GPUs that are there"), action="start_with_present_gpus")
    failure = Failure("out_of_gpu_memory", msg("No memory"), fixes=(smaller, log, pick, cpu, fewer))
    bridge.show(ServerStatus("fast", ServerState.FAILED, failure=failure))
    for button in window.rail.cards["fast"].failure.buttons():
        button.click()
    assert bridge.panel.tune.draft("fast").get("ctx_size") == 512
    assert bridge.asked == [("restart", "fast"), ("start_on_cpu", "fast"), ("start_with_present_gpus", "fast")]
    assert window.stack.currentWidget() is window.page("log")
    assert handed_on == [("fast", pick)]


def test_that_the_fix_of_a_notice_is_carried_out(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    fix = Fix(msg("Halve the context"), {"ctx_size": 512})
    bridge.notice_raised.emit(NoticeRaised(Severity.WARNING, msg("fast: long"), "", "fast", (fix,)))
    window.notices.fix_buttons[0].click()
    assert bridge.panel.tune.draft("fast").get("ctx_size") == 512
    assert bridge.asked == [("restart", "fast")]


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
    window.speeds.show_speeds()
    assert "70.4 t/s" in window.rail.cards["fast"].accessibleName()


def test_that_nothing_ticks_while_nothing_runs(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    assert not window.speeds.timer.isActive()
    bridge.show(running("fast"))
    assert window.speeds.timer.isActive()
    bridge.show(ServerStatus("fast", ServerState.STOPPED))
    assert not window.speeds.timer.isActive()


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
