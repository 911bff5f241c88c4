"""The Tune page by keyboard alone: nothing here touches the mouse."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import Shown, gpus, make_window, page_for, settled, slider
from variet_gui.ui import theme
from variet_gui.ui.main_window import MainWindow, Page
from variet_gui.ui.pages.tune import TunePage
from variet_gui.ui.widgets.device_editor import DeviceEditor

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> TunePage:
    theme.apply(qapp, "dark")
    page = page_for(qtbot, make_bridge(tmp_path))
    page.resize(980, 680)
    page.activateWindow()
    return page


@pytest.fixture
def bridge(qapp: QApplication, tmp_path: Path) -> FakeBridge:
    theme.apply(qapp, "dark")
    return make_bridge(tmp_path)


def whole_window(qtbot: QtBot, bridge: FakeBridge) -> tuple[MainWindow, TunePage]:
    """Return a window that shows the Tune page, and that page."""
    page = TunePage(bridge)  # type: ignore[arg-type]
    window = make_window(qtbot, bridge, [Page("tune", "Tune", page), Page("log", "Log", Shown())])
    window.activateWindow()
    QTest.qWaitForWindowActive(window, 2000)
    return window, page


def tab_to(page: TunePage, wanted: QWidget) -> None:
    """Press Tab until `wanted` (or a part of it) has the focus."""
    page.search.setFocus()
    for _ in range(120):
        focused = QApplication.focusWidget()
        if focused is wanted or (focused is not None and wanted.isAncestorOf(focused)):
            return
        QTest.keyClick(focused or page, Qt.Key.Key_Tab)
    raise AssertionError(f"{wanted.accessibleName() or wanted} cannot be reached with Tab")


def press(key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    focused = QApplication.focusWidget()
    assert focused is not None
    QTest.keyClick(focused, key, modifier)


def test_that_a_value_is_moved_taken_back_done_again_and_saved(qtbot: QtBot, page: TunePage) -> None:
    tune, editor = page._bridge.panel.tune, slider(page, "ctx_size")
    before = tune.draft("fast").get("ctx_size")
    tab_to(page, editor)
    press(Qt.Key.Key_Right)
    moved = tune.draft("fast").get("ctx_size")
    assert moved != before
    press(Qt.Key.Key_Z, CONTROL)
    assert tune.draft("fast").get("ctx_size") == before
    press(Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert tune.draft("fast").get("ctx_size") == moved
    qtbot.waitUntil(page.save.isEnabled)
    press(Qt.Key.Key_S, CONTROL)
    assert page._bridge.asked == [("save", "fast")]


def test_that_home_end_and_the_page_keys_move_far(page: TunePage) -> None:
    tune, editor = page._bridge.panel.tune, slider(page, "batch_size")
    tab_to(page, editor)
    seen = []
    for key in (Qt.Key.Key_Home, Qt.Key.Key_PageUp, Qt.Key.Key_End, Qt.Key.Key_PageDown):
        press(key)
        seen.append(tune.draft("fast").get("batch_size"))
    low, up, high, down = (int(value) for value in seen)
    assert low < up <= down < high
    assert (low, high) == (editor._scale.minimum, editor._scale.maximum)


def test_that_every_row_and_button_can_be_reached(page: TunePage) -> None:
    for row in page.list.rows():
        if row.isVisible() and row.isEnabled():
            tab_to(page, row)
    tab_to(page, page.advanced)
    press(Qt.Key.Key_Space)
    assert page.list.advanced_open


def test_that_a_row_is_taken_back_by_its_button_and_keeps_the_keyboard(qtbot: QtBot, page: TunePage) -> None:
    tab_to(page, page.list.row("flash_attn"))
    press(Qt.Key.Key_Right)
    settled(qtbot, page)
    row = page.list.row("flash_attn")
    press(Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is row.revert
    press(Qt.Key.Key_Space)
    settled(qtbot, page)
    assert page._bridge.panel.tune.changed("fast") == ()
    focused = QApplication.focusWidget()
    assert focused is not None
    assert row.isAncestorOf(focused)


def test_that_a_group_unfolds_and_its_rows_follow_its_heading(qtbot: QtBot, page: TunePage) -> None:
    page._bridge.sample(gpus())
    page.list.open_advanced(True)
    section = next(section for section in page.list.sections if "device" in section.keys)
    tab_to(page, section.heading)
    press(Qt.Key.Key_Space)
    settled(qtbot, page)
    qtbot.waitUntil(lambda: not page._order_soon.isActive())
    first = section.rows[0]
    press(Qt.Key.Key_Tab)
    focused = QApplication.focusWidget()
    assert focused is not None
    assert first.isAncestorOf(focused)
    tab_to(page, page.list.row("device"))
    press(Qt.Key.Key_Right, CONTROL)
    editor = page.list.row("device").editors[0]
    assert isinstance(editor, DeviceEditor)
    assert page._bridge.panel.tune.draft("fast").get("device") == "CUDA1,CUDA0"
    settled(qtbot, page)
    assert QApplication.focusWidget() is editor.chips.chip("CUDA0")
    qtbot.waitUntil(lambda: not page._order_soon.isActive())
    press(Qt.Key.Key_Tab)
    after = QApplication.focusWidget()
    assert after is page.list.row("device").revert


def test_that_tab_goes_from_the_bar_over_the_tiers_to_the_page(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, page = whole_window(qtbot, bridge)
    parts = [window.top, window.rail, window.tabs, page.toolbar, page.list, page.advanced]
    reached: list[int] = []
    next(iter(window.top.findChildren(QWidget))).setFocus()
    for _ in range(60):
        press(Qt.Key.Key_Tab)
        focused = QApplication.focusWidget()
        assert focused is not None
        index = next((i for i, part in enumerate(parts) if part is focused or part.isAncestorOf(focused)), None)
        if index is not None and (not reached or reached[-1] != index):
            reached.append(index)
        if index == len(parts) - 1:
            break
    assert reached[-6:] == sorted(reached[-6:])
    assert set(range(6)) <= set(reached)


def test_that_the_pages_keys_work_while_a_tier_has_the_keyboard(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, page = whole_window(qtbot, bridge)
    window.rail.cards["fast"].setFocus()
    press(Qt.Key.Key_F, CONTROL)
    assert QApplication.focusWidget() is page.search
    bridge.edit("fast", "ubatch_size", 1024)
    window.rail.cards["fast"].setFocus()
    press(Qt.Key.Key_Z, CONTROL)
    assert bridge.panel.tune.changed("fast") == ()
    window.show_page("log")
    bridge.edit("fast", "ubatch_size", 1024)
    press(Qt.Key.Key_Z, CONTROL)
    assert bridge.panel.tune.changed("fast") == ("ubatch_size",)  # they are that page's, not the window's


def test_that_what_is_being_typed_is_started(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, page = whole_window(qtbot, bridge)
    field = slider(page, "ubatch_size").field
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "640")
    press(Qt.Key.Key_F5)
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 640
    assert bridge.asked == [("start", "fast")]
    field.selectAll()
    QTest.keyClicks(field, "768")
    window.rail.cards["fast"].button.click()
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 768


def test_that_what_is_being_typed_stays_with_its_tier(qtbot: QtBot, bridge: FakeBridge) -> None:
    _window, page = whole_window(qtbot, bridge)
    field = slider(page, "ubatch_size").field
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "640")
    press(Qt.Key.Key_2, CONTROL)
    assert page.role == "ultra"
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 640
    slider(page, "batch_size").field.setFocus()
    assert bridge.panel.tune.draft("ultra").get("ubatch_size") is None
