"""The Tune page by keyboard alone: nothing here touches the mouse."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import page_for, slider
from variet_gui.ui import theme
from variet_gui.ui.pages.tune import TunePage


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> TunePage:
    theme.apply(qapp, "dark")
    page = page_for(qtbot, make_bridge(tmp_path))
    page.resize(980, 680)
    page.activateWindow()
    return page


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
    press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert tune.draft("fast").get("ctx_size") == before
    press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert tune.draft("fast").get("ctx_size") == moved
    qtbot.waitUntil(page.save.isEnabled)
    press(Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    assert page._bridge.asked == [("save", "fast")]


def test_that_every_row_and_button_can_be_reached(page: TunePage) -> None:
    for row in page.list.rows():
        if row.isVisible() and row.isEnabled():
            tab_to(page, row)
    tab_to(page, page.advanced)
    press(Qt.Key.Key_Space)
    assert page.list.advanced_open
