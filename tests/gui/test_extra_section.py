"""Extra arguments and environment on the Tune page, typed as an operator types them."""

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
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.ui import theme
from variet_gui.ui.pages.tune import TunePage
from variet_gui.ui.widgets.unit_field import UnitField
from variet_gui.ui.widgets.variable_line import VariableLine


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    theme.apply(qapp, "dark")
    return make_bridge(tmp_path)


@pytest.fixture
def page(qtbot: QtBot, bridge: FakeBridge) -> TunePage:
    page = page_for(qtbot, bridge)
    page.list.open_advanced(True)
    page.list.extra.open(True)
    page.activateWindow()
    QTest.qWaitForWindowActive(page, 2000)
    return page


def draft(page: TunePage) -> LaunchProfile:
    return page._bridge.panel.tune.draft("fast")


def type_into(field: UnitField, text: str, *, enter: bool = True) -> None:
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    if enter:
        QTest.keyClick(field, Qt.Key.Key_Return)


def set_arguments(qtbot: QtBot, page: TunePage, text: str) -> None:
    type_into(page.list.extra.arguments.field, text)
    settled(qtbot, page)


def set_variable(qtbot: QtBot, page: TunePage, name: str, value: str) -> VariableLine:
    line = page.list.extra.environment.add_line()
    type_into(line.name, name, enter=False)
    QTest.keyClick(line.name, Qt.Key.Key_Tab)
    type_into(line.value, value)
    settled(qtbot, page)
    return line


# ------------------------------------------------------------------------------------------------- extra arguments


def test_that_typed_words_are_an_edit_like_any_other(qtbot: QtBot, page: TunePage) -> None:
    set_arguments(qtbot, page, "--perf --tags 'two words'")
    assert draft(page).extra_arguments == ("--perf", "--tags", "two words")
    assert page.changes.text() == "1 change"
    assert page.command.changed_tokens()[-1] == "'two words'"
    row = page.list.extra.arguments
    assert row.revert.isVisible()
    assert row.field.property("changed") is True
    assert "1 changed" in page.list.extra._remark.text()
    QTest.keyClick(row.field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settled(qtbot, page)
    assert draft(page).extra_arguments == ()
    assert row.field.text() == ""


def test_that_an_edit_is_taken_back_by_the_rows_own_button(qtbot: QtBot, page: TunePage) -> None:
    set_arguments(qtbot, page, "--perf")
    page.list.extra.arguments.revert.click()
    settled(qtbot, page)
    assert draft(page).extra_arguments == ()
    assert page.list.extra.arguments.revert.isHidden()


def test_that_a_flag_with_a_field_is_refused_in_place_and_offered_to_move(qtbot: QtBot, page: TunePage) -> None:
    row = page.list.extra.arguments
    set_arguments(qtbot, page, "--perf -c 8192")
    assert row.note() == "-c belongs to the field Context; use that instead."
    assert row.field.property("wrong") is True
    assert row.field.text() == "--perf -c 8192"
    assert draft(page).extra_arguments == ()
    assert row.move_button.text() == "Move -c 8192 to Context"
    row.move_button.click()
    settled(qtbot, page)
    assert (draft(page).get("ctx_size"), draft(page).extra_arguments) == (8192, ("--perf",))
    assert row.field.text() == "--perf"
    assert row.move_button.isHidden()


def test_that_a_mistake_is_told_until_it_is_mended_and_is_not_lost_meanwhile(qtbot: QtBot, page: TunePage) -> None:
    row = page.list.extra.arguments
    set_arguments(qtbot, page, "--tags 'half")
    assert row.note() == "A quotation mark ' is not closed."
    page._bridge.edit("fast", "ubatch_size", 1024)  # another edit shows the page anew
    settled(qtbot, page)
    assert row.field.text() == "--tags 'half"
    QTest.keyClicks(row.field, "'")
    assert row.field.property("wrong") is False
    QTest.keyClick(row.field, Qt.Key.Key_Return)
    assert draft(page).extra_arguments == ("--tags", "half")


def test_that_escape_brings_back_what_is_set(qtbot: QtBot, page: TunePage) -> None:
    row = page.list.extra.arguments
    set_arguments(qtbot, page, "--perf")
    set_arguments(qtbot, page, "--perf |")
    QTest.keyClick(row.field, Qt.Key.Key_Escape)
    assert row.field.text() == "--perf"
    assert not row.is_refused
    assert row.field.property("wrong") is False


def test_that_what_is_allowed_but_strange_is_explained(qtbot: QtBot, page: TunePage) -> None:
    set_arguments(qtbot, page, "--log-file $HOME/x.log")
    assert draft(page).extra_arguments == ("--log-file", "$HOME/x.log")
    assert "no shell fills in" in page.list.extra.arguments.note()
    assert "The panel sets this itself" in page.list.extra.arguments.note()


# ------------------------------------------------------------------------------------------------------- variables


def test_that_a_variable_is_one_step_and_marked_in_the_command(qtbot: QtBot, page: TunePage) -> None:
    line = set_variable(qtbot, page, "GGML_CUDA_ENABLE_UNIFIED_MEMORY", "1")
    assert dict(draft(page).environment) == {"GGML_CUDA_ENABLE_UNIFIED_MEMORY": "1"}
    assert line.before == "GGML_CUDA_ENABLE_UNIFIED_MEMORY"
    assert "GGML_CUDA_ENABLE_UNIFIED_MEMORY=1" in page.command.text()
    assert page.changes.text() == "1 change"
    page.toolbar.undo.click()
    settled(qtbot, page)
    assert dict(draft(page).environment) == {}
    assert page.list.extra.environment.lines == []
    assert not page.toolbar.undo.isEnabled()


def test_that_a_variable_is_changed_renamed_and_taken_away(qtbot: QtBot, page: TunePage) -> None:
    line = set_variable(qtbot, page, "GGML_A", "1")
    type_into(line.value, "2")
    type_into(line.name, "GGML_B")
    settled(qtbot, page)
    assert dict(draft(page).environment) == {"GGML_B": "2"}
    line.remove.click()
    settled(qtbot, page)
    assert dict(draft(page).environment) == {}
    assert page.list.extra.environment.lines == []


def test_that_a_variable_of_a_field_is_refused_and_offered_to_move(qtbot: QtBot, page: TunePage) -> None:
    row = page.list.extra.environment
    set_variable(qtbot, page, "LLAMA_ARG_CTX_SIZE", "8192")
    assert row.note() == "LLAMA_ARG_CTX_SIZE belongs to the field Context; use that instead."
    assert dict(draft(page).environment) == {}
    row.move_button.click()
    settled(qtbot, page)
    assert draft(page).get("ctx_size") == 8192
    assert row.lines == []
    assert row.note() == ""


def test_that_a_refused_change_of_a_variable_keeps_what_was_set(qtbot: QtBot, page: TunePage) -> None:
    line = set_variable(qtbot, page, "GGML_A", "1")
    type_into(line.name, "HF_TOKEN")
    assert "looks like a secret" in page.list.extra.environment.note()
    assert line.name.property("wrong") is True
    assert dict(draft(page).environment) == {"GGML_A": "1"}
    QTest.keyClick(line.name, Qt.Key.Key_Escape)
    assert line.name.text() == "GGML_A"
    assert page.list.extra.environment.note() == ""


def test_that_a_line_that_was_never_filled_goes_without_a_trace(qtbot: QtBot, page: TunePage) -> None:
    line = page.list.extra.environment.add_line()
    assert page.list.extra.environment.add_line() is line
    line.remove.click()
    assert page.list.extra.environment.lines == []
    assert page.changes.text() == ""


# -------------------------------------------------------------------------------------------------------- the page


def test_that_both_are_found_by_the_filter_and_counted_under_the_fold(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.panel.tune.free.set_extra("fast", "--perf")
    bridge.announce_draft("fast")
    settled(qtbot, page)
    assert "1 of them under Advanced" in page.changes.toolTip()
    page.search.setText("environment")
    assert page.list.extra.isVisible()
    assert page.list.extra.environment.isVisible()
    page.search.setText("ubatch")
    assert not page.list.extra.isVisible()


def test_that_another_tier_shows_its_own_and_takes_no_text_along(qtbot: QtBot, page: TunePage) -> None:
    set_arguments(qtbot, page, "--perf |")
    page.show_role("ultra")
    assert page.list.extra.arguments.field.text() == ""
    assert page.list.extra.arguments.note() == ""
    page.show_role("fast")
    assert page.list.extra.arguments.field.text() == ""


def test_that_what_is_being_typed_is_saved_and_stays_with_its_tier(qtbot: QtBot, page: TunePage) -> None:
    type_into(page.list.extra.arguments.field, "--perf", enter=False)
    QTest.keyClick(page.list.extra.arguments.field, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    assert draft(page).extra_arguments == ("--perf",)
    assert page._bridge.asked == [("save", "fast")]
    type_into(page.list.extra.arguments.field, "--tags a", enter=False)
    page.show_role("ultra")
    assert page._bridge.panel.tune.draft("fast").extra_arguments == ("--tags", "a")
    assert page._bridge.panel.tune.draft("ultra").extra_arguments == ()
