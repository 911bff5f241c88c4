from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QInputDialog, QMessageBox
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import page_for, settled, slider
from tests.support.tiny_models import write_mismatched_projector, write_projector, write_text_model
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameters import PARAMETERS
from variet_gui.ui import theme
from variet_gui.ui.pages.tune import TunePage
from variet_gui.ui.widgets.path_field import PathField


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    data = tmp_path / "data"
    data.mkdir()
    made = make_bridge(tmp_path, data)
    made.really_saves = True
    return made


def dialog_of(page: TunePage, kind: type[Any]) -> Any:
    found = [each for each in page.findChildren(kind) if each.isVisible()]
    assert len(found) == 1
    return found[0]


# ------------------------------------------------------------------------------------------------------------- undo


def test_that_undo_and_redo_work_by_button_and_by_key(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    assert not page.toolbar.undo.isEnabled()
    bridge.edit("fast", "ubatch_size", 1024)
    settled(qtbot, page)
    assert "Ctrl+Z" in page.toolbar.undo.toolTip()
    page.toolbar.undo.click()
    settled(qtbot, page)
    assert slider(page, "ubatch_size").value == 512
    assert page.toolbar.redo.isEnabled()
    page.activateWindow()
    slider(page, "ubatch_size").slider.setFocus()
    QTest.keyClick(page, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    settled(qtbot, page)
    assert slider(page, "ubatch_size").value == 1024


def test_that_a_typed_field_leaves_undo_to_the_page_while_nothing_is_typed(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    QTest.qWaitForWindowActive(page, 2000)
    bridge.edit("fast", "ubatch_size", 1024)
    settled(qtbot, page)
    field = slider(page, "batch_size").field
    field.setFocus()
    QTest.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settled(qtbot, page)
    assert bridge.panel.tune.changed("fast") == ()
    QTest.keyClicks(field, "7")
    QTest.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not bridge.panel.tune.can_undo("fast")
    assert "7" not in field.text()


def test_that_a_drag_is_one_step(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    handle = slider(page, "ubatch_size").slider
    middle = handle.height() // 2
    QTest.mousePress(handle, Qt.MouseButton.LeftButton, pos=QPoint(10, middle))
    steps = set()
    for x in range(10, handle.width(), 12):
        QTest.mouseMove(handle, QPoint(x, middle))
        settled(qtbot, page)
        steps.add(bridge.panel.tune.draft("fast").get("ubatch_size"))
    QTest.mouseRelease(handle, Qt.MouseButton.LeftButton, pos=QPoint(handle.width() - 1, middle))
    assert len(steps) > 3
    bridge.undo("fast")
    assert bridge.panel.tune.changed("fast") == ()
    assert not bridge.panel.tune.can_undo("fast")


# --------------------------------------------------------------------------------------------------------- variants


def test_that_a_variant_is_kept_loaded_renamed_and_deleted(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    menu = page.toolbar.variants
    assert menu.text() == "Variant: as saved"
    bridge.edit("fast", "ubatch_size", 1024)
    settled(qtbot, page)
    assert menu.state() == "edited"
    menu.keep_asked.emit()
    dialog_of(page, QInputDialog).textValueSelected.emit("demo day")
    settled(qtbot, page)
    assert list(bridge.panel.tune.variants.list("fast")) == ["demo day"]
    assert menu.state() == "demo day"
    menu.saved_asked.emit()
    settled(qtbot, page)
    assert menu.state() == "as saved"
    menu.load_asked.emit("demo day")
    settled(qtbot, page)
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 1024
    for each in page.findChildren(QInputDialog):
        each.close()
    menu.rename_asked.emit("demo day")
    dialog_of(page, QInputDialog).textValueSelected.emit("visitors")
    settled(qtbot, page)
    assert menu.state() == "visitors"
    for each in page.findChildren(QInputDialog):
        each.close()
    menu.delete_asked.emit("visitors")
    box = dialog_of(page, QMessageBox)
    next(button for button in box.buttons() if button.text() == "Delete").click()
    assert not bridge.panel.tune.variants.list("fast")


def test_that_the_variant_menu_lists_what_can_be_done(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.toolbar.variants.show_variants(["long & wide"], "long & wide", saved=False)
    assert page.toolbar.variants.accessibleName() == "Variant: long & wide"
    menu = page.toolbar.variants.popup()
    texts = [action.text() for action in menu.actions() if action.text()]
    assert texts == ["As saved", "long && wide", "Keep these settings as a variant…", "Rename", "Delete"]
    assert [action.text() for action in menu.actions() if action.isChecked()] == ["long && wide"]
    menu.close()


def test_that_a_name_that_is_taken_is_asked_about_before_it_is_replaced(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.tools._save_variant("fast", "demo day")
    bridge.edit("fast", "ubatch_size", 1024)
    page.tools._save_variant("fast", "demo day")
    assert bridge.panel.tune.variants.profile("fast", "demo day").get("ubatch_size") == 512
    box = dialog_of(page, QMessageBox)
    next(button for button in box.buttons() if button.text() == "Replace").click()
    assert bridge.panel.tune.variants.profile("fast", "demo day").get("ubatch_size") == 1024


# ------------------------------------------------------------------------------------------------------------- rows


def test_that_the_padded_context_is_shown(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ctx_size", 100000)
    settled(qtbot, page)
    assert page.list.row("ctx_size").note() == "llama-server rounds this up to 100\u2009096 tokens."
    bridge.edit("fast", "ctx_size", 100096)
    settled(qtbot, page)
    assert page.list.row("ctx_size").note() == ""


def test_that_a_set_value_that_the_build_lacks_is_kept_and_said_so(qtbot: QtBot, bridge: FakeBridge) -> None:
    known = frozenset(flag for p in PARAMETERS if p.key != "ubatch_size" for flag in p.spellings)
    bridge.panel.tune.note_engine("fast", ("llama-server",), Capabilities(flags=known, build=4000))
    page = page_for(qtbot, bridge)
    note = page.list.row("ubatch_size").note()
    assert "kept in the profile and left off the command line" in note
    assert "-ub" not in page.command.text()
    assert "--ubatch-size" in page.command_notes.text()
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 512


def test_that_an_older_spelling_is_no_reason_to_grey_a_row_out(qtbot: QtBot, bridge: FakeBridge) -> None:
    parameter = next(p for p in PARAMETERS if any(gone.takes_value for gone in p.replaced))
    older = next(gone.flag for gone in parameter.replaced if gone.takes_value)
    bridge.panel.tune.note_engine("fast", ("llama-server",), Capabilities(flags=frozenset({older}), build=4000))
    page = page_for(qtbot, bridge)
    assert page.list.row(parameter.key).editors[0].isEnabled()


def test_that_a_filtered_group_does_not_say_that_it_is_folded(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.search.setText("--rope-scale")
    section = next(section for section in page.list.sections if "rope_scale" in section.keys)
    assert section._fold is not None
    assert section._fold.accessibleName().endswith(", open")
    assert not section.is_open
    page.search.clear()
    assert section._fold.accessibleName().endswith(", folded")


def test_that_a_projector_that_fits_the_model_is_proposed(qtbot: QtBot, bridge: FakeBridge, tmp_path: Path) -> None:
    write_text_model(tmp_path / "fresh.gguf")
    write_projector(tmp_path / "fresh-mmproj.gguf")
    write_mismatched_projector(tmp_path / "aaa-mmproj.gguf")
    page = page_for(qtbot, bridge, "fresh")
    editor = page.list.row("mmproj").editors[0]
    assert isinstance(editor, PathField)
    assert editor.proposal.isVisible()
    assert editor.proposal.text() == "Use fresh-mmproj.gguf: it fits this model"
    editor.proposal.click()
    settled(qtbot, page)
    assert bridge.panel.tune.draft("fresh").get("mmproj") == "fresh-mmproj.gguf"
    assert not editor.proposal.isVisible()
