from __future__ import annotations

import asyncio
import json
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


def change_outside(bridge: FakeBridge, **parameters: Any) -> None:
    """Let another program write parameters of the first tier into the file, and let that be noticed."""
    path = bridge.panel.tune.catalog_path
    document = json.loads(path.read_text(encoding="utf-8"))
    document["tiers"][0]["parameters"].update(parameters)
    path.write_text(json.dumps(document, indent=3), encoding="utf-8")


def notice_change(bridge: FakeBridge) -> None:
    asyncio.run(bridge.panel.tune.outside.check())


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


# ----------------------------------------------------------------------------------------------- changed from outside


def test_that_a_change_from_outside_is_offered_as_a_merge(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    assert page.banner.isVisible()
    assert page.banner.text() == "The catalog was changed outside: 1 difference."
    page.banner.unfold(True)
    assert any("4\u2009096" in line for line in page.banner.details())
    page.banner.merge.click()
    settled(qtbot, page)
    assert not page.banner.isVisible()
    draft = bridge.panel.tune.draft("fast")
    assert (draft.get("ubatch_size"), draft.get("batch_size")) == (1024, 4096)


def test_that_a_conflict_is_shown_and_can_be_decided_for_the_other_side(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    change_outside(bridge, ubatch_size=256)
    notice_change(bridge)
    box = page.banner.choice("fast", "ubatch_size")
    assert box.isVisible()
    assert "1\u2009024" in box.text()
    box.click()
    page.banner.merge.click()
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 256


def test_that_theirs_can_be_taken_and_undo_has_the_edits(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    page.banner.theirs.click()
    assert bridge.panel.tune.changed("fast") == ()
    bridge.undo("fast")
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 1024


def test_that_a_save_onto_a_changed_file_loses_nothing_and_shows_the_banner(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    said: list[object] = []
    bridge.notice_raised.connect(said.append)
    bridge.edit("fast", "ubatch_size", 1024)
    settled(qtbot, page)
    change_outside(bridge, batch_size=4096)
    page.save.click()
    assert page.banner.isVisible()
    assert said == []
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 1024
    page.banner.ours.click()
    assert not page.banner.isVisible()
    written = json.loads(bridge.panel.tune.catalog_path.read_text(encoding="utf-8"))
    assert written["tiers"][0]["parameters"]["batch_size"] == 2048
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 1024


def test_that_a_broken_file_can_only_be_overwritten(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.panel.tune.catalog_path.write_text("{", encoding="utf-8")
    notice_change(bridge)
    notice_change(bridge)  # the first look at a bad file waits for the rest of it
    assert page.banner.isVisible()
    assert page.banner.merge.isHidden()
    assert not page.banner.ours.isHidden()


def test_that_a_change_that_goes_away_takes_the_banner_along(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    path = bridge.panel.tune.catalog_path
    before = path.read_bytes()
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    assert page.banner.isVisible()
    path.write_bytes(before)
    notice_change(bridge)
    qtbot.waitUntil(lambda: not page.banner.isVisible())


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
