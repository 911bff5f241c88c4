from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import page_for, settled
from variet_gui.catalog.parameters import parameter
from variet_gui.engine.devices import EngineDevice
from variet_gui.events import GpuSample, GpusSampled, ParameterValue
from variet_gui.panel.outlook_machine import Sight
from variet_gui.ui import theme
from variet_gui.ui.widgets.device_chips import Device
from variet_gui.ui.widgets.device_editor import DeviceEditor
from variet_gui.ui.widgets.split_slider import SplitSlider

FIRST, SECOND = "0000:01:00.0", "0000:03:00.0"
TWO = (Device("CUDA0", "RTX 3060", "0000:01:00.0"), Device("CUDA1", "RTX 3060", "0000:03:00.0"))


def cards() -> GpusSampled:
    """Return what the driver shows of two cards."""
    return GpusSampled(
        0.0,
        (
            GpuSample(0, "RTX 3060", 9728.0, 12288.0, pci_bus_id=FIRST),
            GpuSample(1, "RTX 3060", 11468.0, 12288.0, pci_bus_id=SECOND),
        ),
    )


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


def page_editor(qtbot: QtBot, bridge: FakeBridge) -> DeviceEditor:
    editor = page_for(qtbot, bridge).list.row("device").editors[0]
    assert isinstance(editor, DeviceEditor)
    return editor


def test_that_the_driver_stands_in_until_the_engine_has_been_asked(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    editor = page_editor(qtbot, bridge)
    assert editor.field.isVisibleTo(editor)
    bridge.sample(cards())
    assert [(chip.name, chip.address) for chip in editor.chips.chips] == [("CUDA0", FIRST), ("CUDA1", SECOND)]


def test_that_the_engines_own_list_decides_and_the_cards_tell_the_addresses(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    editor = page_editor(qtbot, bridge)
    listed = (EngineDevice("CUDA0", "NVIDIA RTX 3060", 12059, 11800), EngineDevice("RPC0", "10.0.0.2:50052", 24105, 1))
    bridge.panel.outlook.sight = Sight(listed=listed, rpc=("10.0.0.2:50052",))
    bridge.sample(cards())
    assert [(chip.name, chip.address) for chip in editor.chips.chips] == [("CUDA0", FIRST), ("RPC0", "")]
    assert "10.0.0.2:50052" in editor.chips.chips[1].toolTip()


def test_that_a_name_sits_where_the_server_said_and_not_where_its_number_would(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    editor = page_editor(qtbot, bridge)
    bridge.panel.outlook.sight = Sight(listed=(EngineDevice("CUDA0", "RTX", 1, 1),), addresses={"CUDA0": SECOND})
    bridge.sample(cards())
    assert [chip.address for chip in editor.chips.chips] == [SECOND]


def test_that_an_engine_that_sees_no_gpu_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    bridge.panel.outlook.sight = Sight(listed=())
    page = page_for(qtbot, bridge)
    row = page.list.row("device")
    bridge.sample(cards())
    assert row.note() == "This llama-server sees no GPU."
    assert row.editors[0].field.isVisibleTo(row)  # type: ignore[attr-defined]


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
