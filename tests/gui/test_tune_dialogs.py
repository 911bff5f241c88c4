from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import page_for, settled
from variet_gui.catalog.exporting import ExportFormat
from variet_gui.panel.exchange import read_pasted
from variet_gui.ui import theme


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


def save(bridge: FakeBridge, note: str | None = None, **values: int) -> None:
    for key, value in values.items():
        bridge.edit("fast", key, value)
    asyncio.run(bridge.panel.tune.save("fast", note))


# ---------------------------------------------------------------------------------------------------------- history


def test_that_the_history_lists_what_was_saved_and_compares_it_with_now(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    save(bridge, "faster prefill", ubatch_size=1024)
    bridge.edit("fast", "batch_size", 4096)
    dialog = page.dialogs.open_history("fast")
    top = dialog.list.topLevelItem(0)
    assert (top.text(1), top.text(3), top.text(4)) == ("fast", "-ub 512 → 1\u2009024", "faster prefill")
    assert dialog.list.topLevelItemCount() == 2
    assert dialog.table.rows() == (("Batch  -b", "2\u2009048", "4\u2009096"),)
    dialog.close()


def test_that_any_two_revisions_can_be_compared(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    save(bridge, ubatch_size=1024)
    save(bridge, ubatch_size=2048)
    dialog = page.dialogs.open_history("fast")
    dialog.list.setCurrentItem(dialog.list.topLevelItem(2))
    dialog.other.setCurrentIndex(2)
    dialog.other.activated.emit(2)
    assert dialog.table.rows() == (("Micro-batch  -ub", "512", "1\u2009024"),)
    dialog.close()


def test_that_a_revision_is_marked_and_brought_back_as_an_edit(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    save(bridge, ubatch_size=1024)
    dialog = page.dialogs.open_history("fast")
    dialog.list.setCurrentItem(dialog.list.topLevelItem(1))
    dialog.good.click()
    assert dialog.list.topLevelItem(1).text(2) == "known to work"
    assert dialog.current == dialog.list.topLevelItem(1).data(0, 0x100)
    dialog.bring_back.click()
    settled(qtbot, page)
    assert bridge.panel.tune.changed("fast") == ("ubatch_size",)
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 512
    bridge.undo("fast")
    assert bridge.panel.tune.changed("fast") == ()
    dialog.close()


def test_that_a_history_without_a_save_says_so(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.toolbar.history.click()
    dialog = page.dialogs.history
    assert dialog is not None
    assert dialog._empty.isVisible()
    assert not dialog.bring_back.isEnabled()
    dialog.close()


def test_that_a_note_goes_with_the_save_and_saving_needs_none(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    assert not page.note.isEnabled()
    bridge.edit("fast", "ubatch_size", 1024)
    settled(qtbot, page)
    page.note.click()
    assert page.note_popover.isVisible()
    page.note_popover.field.setText("for the visitors")
    page.note_popover.field.returnPressed.emit()
    assert not page.note_popover.isVisible()
    assert bridge.asked == [("save", "fast", "for the visitors")]
    assert asyncio.run(bridge.panel.tune.history.list("fast"))[0].note == "for the visitors"


# ----------------------------------------------------------------------------------------------------------- pasting


def test_that_a_pasted_command_is_shown_before_it_is_used(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    dialog = page.dialogs.open_import("fast")
    assert not dialog.use.isEnabled()
    dialog.text.setPlainText("llama-server -m fast.gguf -c 32768 -ub 1024 --port 9000 --foo 3")
    qtbot.waitUntil(dialog.use.isEnabled)
    rows = {row[0]: row[1:] for row in dialog.table.rows()}
    assert rows["Micro-batch  -ub"] == ("512", "1\u2009024")
    assert rows["Extra arguments"] == ("not set", "--foo 3")
    assert rows["Batch  -b"] == ("2\u2009048", "not set")
    assert "9000" in dialog.notes.toPlainText()
    dialog.keep.click()
    assert "Batch  -b" not in {row[0] for row in dialog.table.rows()}
    dialog.use.click()
    settled(qtbot, page)
    draft = bridge.panel.tune.draft("fast")
    assert (draft.get("ctx_size"), draft.get("ubatch_size"), draft.get("batch_size")) == (32768, 1024, 2048)
    assert draft.extra_arguments == ("--foo", "3")
    assert page.save.isEnabled()
    bridge.undo("fast")
    assert not bridge.panel.tune.is_changed("fast")


def test_that_what_cannot_be_read_is_explained(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    dialog = page.dialogs.open_import("fast")
    dialog.text.setPlainText('llama-server -m "open')
    qtbot.waitUntil(lambda: bool(dialog.summary.text()))
    assert not dialog.use.isEnabled()
    dialog.text.setPlainText("nothing of that kind")
    qtbot.waitUntil(lambda: "No llama-server command" in dialog.summary.text())
    dialog.close()


def test_that_a_line_without_a_model_keeps_the_one_that_is_set(bridge: FakeBridge) -> None:
    read = read_pasted("-c 32768 -ngl 99", bridge.panel.tune, "fast")
    assert read.found
    assert read.profile.get("model") == "fast.gguf"
    assert any("model" in str(note) for note in read.notes)


# --------------------------------------------------------------------------------------------------------- exporting


@pytest.mark.parametrize("form", list(ExportFormat))
def test_that_every_format_is_shown_copied_and_read_back(
    qtbot: QtBot, bridge: FakeBridge, form: ExportFormat, qapp: QApplication
) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    dialog = page.dialogs.open_export("fast", form)
    dialog.copy.click()
    assert qapp.clipboard().text().replace("\r\n", "\n") == dialog.text().replace("\r\n", "\n")
    dialog.close()
    assert read_pasted(dialog_text := qapp.clipboard().text(), bridge.panel.tune, "fast").changes == (), dialog_text


def test_that_an_export_is_saved_as_a_file_that_can_be_run(qtbot: QtBot, bridge: FakeBridge, tmp_path: Path) -> None:
    page = page_for(qtbot, bridge)
    said: list[object] = []
    bridge.notice_raised.connect(said.append)
    dialog = page.dialogs.open_export("fast", ExportFormat.SH)
    assert not dialog.everything.isEnabled()
    target = tmp_path / "fast.sh"
    dialog.file_chosen.emit(str(target))
    assert target.read_text(encoding="utf-8") == dialog.text()
    assert target.stat().st_mode & stat.S_IXUSR
    assert len(said) == 1
    dialog.close()


def test_that_all_tiers_can_stand_in_one_file(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    dialog = page.dialogs.open_export("fast", ExportFormat.LLAMA_SWAP)
    dialog.everything.click()
    read = read_pasted(dialog.text(), bridge.panel.tune, "ultra", which=1)
    assert read.names == ("fast", "ultra", "fresh")
    assert read.changes == ()
    dialog.close()
