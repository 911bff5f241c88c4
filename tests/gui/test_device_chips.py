from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import gpus, page_for, settled
from variet_gui.catalog.parameters import parameter
from variet_gui.engine.log_facts import DeviceUsed
from variet_gui.events import ParameterValue
from variet_gui.ui import theme
from variet_gui.ui.widgets.device_chips import Device
from variet_gui.ui.widgets.device_editor import DeviceEditor
from variet_gui.ui.widgets.split_slider import SplitSlider

TWO = (Device("CUDA0", "RTX 3060", "0000:01:00.0"), Device("CUDA1", "RTX 3060", "0000:03:00.0"))


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def editor(qtbot: QtBot) -> DeviceEditor:
    """An editor whose edits come back as they would from a page."""
    made = DeviceEditor(parameter("device"))
    qtbot.addWidget(made)
    made.resize(420, 34)
    made.edited.connect(lambda value: made.show_values(value, None, "default"))
    made.show_values(None, None, "default")
    made.set_devices(TWO)
    made.show()
    return made


def names(editor: DeviceEditor) -> list[str]:
    return [chip.name for chip in editor.chips.chips]


def test_that_devices_are_chips_with_their_address_once_they_are_known(editor: DeviceEditor) -> None:
    assert editor.chips.isVisible()
    assert [(chip.name, chip.address) for chip in editor.chips.chips] == [
        ("CUDA0", "0000:01:00.0"),
        ("CUDA1", "0000:03:00.0"),
    ]
    assert editor.chips.chips[0].accessibleName() == "CUDA0 RTX 3060 0000:01:00.0, used"
    editor.set_devices(())
    assert editor.field.isVisible()


def test_that_a_click_ticks_off_and_on(editor: DeviceEditor) -> None:
    editor.chips.chips[0].click()
    assert editor.value == "CUDA1"
    assert names(editor) == ["CUDA1", "CUDA0"]
    assert editor.chips.chips[1].accessibleName().endswith(", not used")
    editor.chips.chips[0].click()
    assert editor.value == "none"
    assert "CPU" in editor.remark()


def test_that_the_keyboard_walks_ticks_moves_and_unsets(qtbot: QtBot, editor: DeviceEditor) -> None:
    QTest.qWaitForWindowActive(editor, 2000)
    editor.chips.setFocus()
    first = QApplication.focusWidget()
    assert first is editor.chips.chips[0]
    QTest.keyClick(first, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    assert editor.value == "CUDA1,CUDA0"
    assert QApplication.focusWidget() is editor.chips.chip("CUDA0")
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Left)
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Space)
    assert editor.value == "CUDA0"
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Delete)
    assert editor.value is None


def test_that_a_drag_changes_the_order(editor: DeviceEditor) -> None:
    first, second = editor.chips.chips
    QTest.mousePress(first, Qt.MouseButton.LeftButton, pos=first.rect().center())
    QTest.mouseMove(first, first.mapFromParent(second.geometry().center()))
    QTest.mouseRelease(first, Qt.MouseButton.LeftButton, pos=first.rect().center())
    assert editor.value == "CUDA1,CUDA0"


def test_that_a_name_that_no_device_has_keeps_a_chip(editor: DeviceEditor) -> None:
    editor.show_values("CUDA7,CUDA0", None, "default")
    assert names(editor) == ["CUDA7", "CUDA0", "CUDA1"]
    assert editor.chips.chips[0].address == "not here"


@pytest.mark.parametrize("reported", [False, True])
def test_that_the_page_knows_devices_from_the_server_or_the_sampler(
    qtbot: QtBot, tmp_path: Path, qapp: QApplication, reported: bool
) -> None:
    bridge = make_bridge(tmp_path)
    if reported:
        bridge.panel.run.devices = (DeviceUsed("Vulkan0", "Radeon", "0000:09:00.0", 8000),)
    page = page_for(qtbot, bridge)
    editor = page.list.row("device").editors[0]
    assert isinstance(editor, DeviceEditor)
    bridge.sample(gpus())
    assert names(editor) == (["Vulkan0"] if reported else ["CUDA0", "CUDA1"])


def test_that_the_split_speaks_of_the_gpus_in_the_order_of_the_devices(
    qtbot: QtBot, tmp_path: Path, qapp: QApplication
) -> None:
    bridge = make_bridge(tmp_path)
    page = page_for(qtbot, bridge)
    value: ParameterValue = "CUDA1,CUDA0"
    bridge.edit("fast", "device", value)
    settled(qtbot, page)
    split = page.list.row("tensor_split").editors[0]
    assert isinstance(split, SplitSlider)
    assert split.left.text().endswith("GPU 1")
