from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from variet_gui.catalog.parameters import PARAMETERS, Kind, parameter
from variet_gui.ui import theme
from variet_gui.ui.widgets.choice_editor import ChoiceEditor
from variet_gui.ui.widgets.command_view import CommandView
from variet_gui.ui.widgets.parameter_editor import ParameterEditor
from variet_gui.ui.widgets.parameter_row import ParameterRow, make_editor, make_row
from variet_gui.ui.widgets.path_field import PathField
from variet_gui.ui.widgets.segments import Segments
from variet_gui.ui.widgets.switch_editor import SwitchEditor

MENUS = pytest.mark.qt_log_ignore("This plugin does not support grabbing the keyboard", extend=True)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


def shown(qtbot: QtBot, widget: QWidget) -> None:
    qtbot.addWidget(widget)
    widget.resize(560, 60)
    widget.show()
    QTest.qWaitForWindowActive(widget, 2000)


def edits(editor: ParameterEditor) -> list[object]:
    seen: list[object] = []
    editor.edited.connect(seen.append)
    return seen


# --------------------------------------------------------------------------------------------- choices and switches


def test_that_arrow_keys_move_between_segments_and_into_the_menu(qtbot: QtBot) -> None:
    segments = Segments([("a", "A"), ("b", "B")], [("c", "C")])
    shown(qtbot, segments)
    segments.set_current("a")
    chosen: list[str] = []
    segments.chosen.connect(chosen.append)
    QTest.keyClick(segments.button("a"), Qt.Key.Key_Right)
    segments.set_current("b")
    QTest.keyClick(segments.button("b"), Qt.Key.Key_Right)
    segments.set_current("c")
    QTest.keyClick(segments.button("c"), Qt.Key.Key_Left)
    assert chosen == ["b", "c", "b"]
    assert segments.button("c").text() == "C"


def test_that_segments_are_one_stop_for_tab(qtbot: QtBot) -> None:
    segments = Segments([("a", "A"), ("b", "B"), ("c", "C")])
    shown(qtbot, segments)
    segments.set_current("b")
    stops = [key for key in segments.options() if segments.button(key).focusPolicy() & Qt.FocusPolicy.TabFocus]
    assert stops == ["b"]


@MENUS
def test_that_cache_types_offer_the_usual_ones_first_and_all_of_them(qtbot: QtBot) -> None:
    row = make_row(parameter("cache_type_k"))
    qtbot.addWidget(row)
    editor = row.editors[0]
    assert isinstance(editor, ChoiceEditor)
    assert set(editor.segments.options()) == set(parameter("cache_type_k").choices)
    assert editor.segments.options()[:2] == ("f16", "q8_0")
    seen = edits(editor)
    menu = editor.segments.popup_more()
    next(action for action in menu.actions() if action.text() == "iq4_nl").trigger()
    menu.close()
    assert seen == ["iq4_nl"]


def test_that_delete_unsets_a_choice(qtbot: QtBot) -> None:
    editor = ChoiceEditor(parameter("flash_attn"))
    shown(qtbot, editor)
    editor.show_values("on", "on", "default")
    seen = edits(editor)
    QTest.keyClick(editor.segments.button("on"), Qt.Key.Key_Delete)
    assert seen == [None]


def test_that_a_switch_turns_by_space_and_shows_the_default_while_unset(qtbot: QtBot) -> None:
    described = next(p for p in PARAMETERS if p.kind is Kind.SWITCH and p.default is True)
    editor = SwitchEditor(described)
    shown(qtbot, editor)
    editor.show_values(None, None, "default")
    assert editor.written_state() == "on"
    seen = edits(editor)
    QTest.keyClick(editor.switch, Qt.Key.Key_Space)
    assert seen == [False]
    editor.show_values(False, None, "default")
    assert editor.written_state() == "off"
    QTest.keyClick(editor.switch, Qt.Key.Key_Delete)
    assert seen[-1] is None


# ----------------------------------------------------------------------------------------------------------- paths


def test_that_a_picked_file_inside_the_models_folder_is_kept_relative(qtbot: QtBot, tmp_path: Path) -> None:
    editor = PathField(parameter("mmproj"), tmp_path)
    shown(qtbot, editor)
    editor.show_values(None, None, "not recorded")
    seen = edits(editor)
    editor.take(str(tmp_path / "sub" / "mmproj.gguf"))
    editor.take("/elsewhere/mmproj.gguf")
    assert seen == ["sub/mmproj.gguf", "/elsewhere/mmproj.gguf"]


def test_that_a_dropped_file_is_taken(qtbot: QtBot, tmp_path: Path) -> None:
    editor = PathField(parameter("model"), tmp_path)
    shown(qtbot, editor)
    editor.show_values(None, None, "not recorded")
    seen = edits(editor)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "m.gguf"))])
    drop = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    editor.dropEvent(drop)
    assert seen == ["m.gguf"]


def test_that_the_picker_opens_without_blocking_and_knows_gguf(qtbot: QtBot, tmp_path: Path) -> None:
    editor = PathField(parameter("model"), tmp_path)
    shown(qtbot, editor)
    editor.show_values("m.gguf", None, "default")
    dialog = editor.pick()
    assert dialog.isVisible()
    assert "*.gguf" in dialog.nameFilters()[0]
    assert Path(dialog.directory().absolutePath()) == tmp_path
    dialog.reject()


# ------------------------------------------------------------------------------------------------------------ rows


def test_that_every_parameter_of_the_table_has_an_editor_that_speaks(qtbot: QtBot) -> None:
    for described in PARAMETERS:
        row = make_row(described)
        qtbot.addWidget(row)
        row.show_values({}, {}, lambda _: "default")
        for editor in row.editors:
            assert editor.controls(), described.key
            for control in editor.controls():
                assert control.accessibleName().startswith(str(editor.parameter.label)), described.key
                assert control.accessibleDescription(), described.key
        if described.default is not None:
            row.show_values({described.key: described.default}, {}, lambda _: "default")
            assert row.changed, described.key
            assert not row.revert.isHidden(), described.key


def row_for(qtbot: QtBot, key: str, companion: str | None = None) -> ParameterRow:
    made = make_row(parameter(key), parameter(companion) if companion else None)
    shown(qtbot, made)
    return made


def test_that_a_row_offers_the_way_back_only_when_changed(qtbot: QtBot) -> None:
    row = row_for(qtbot, "ubatch_size")
    row.show_values({"ubatch_size": 512}, {"ubatch_size": 512}, lambda _: "default")
    assert row.revert.isHidden()
    row.show_values({"ubatch_size": 1024}, {"ubatch_size": 512}, lambda _: "default")
    with qtbot.waitSignal(row.revert_asked) as blocker:
        row.revert.click()
    assert blocker.args == ["ubatch_size"]


def test_that_a_projector_row_holds_its_place_too(qtbot: QtBot) -> None:
    row = row_for(qtbot, "mmproj", "mmproj_offload")
    row.show_values({"mmproj": "p.gguf", "mmproj_offload": True}, {}, lambda _: "default")
    assert row.keys == ("mmproj", "mmproj_offload")
    assert row.matches("offload")
    edited: list[tuple[str, object]] = []
    row.edited.connect(lambda key, value: edited.append((key, value)))
    segments = row.editors[1].controls()[0]
    assert isinstance(segments, Segments)
    segments.button("off").click()
    assert edited == [("mmproj_offload", False)]


@pytest.mark.parametrize("needle", ["micro", "-ub", "--ubatch-size", "ubatch_size", "FASTER Prompt"])
def test_that_a_row_is_found_by_name_flag_key_and_help(qtbot: QtBot, needle: str) -> None:
    assert row_for(qtbot, "ubatch_size").matches(needle)


def test_that_a_row_is_not_found_by_something_else(qtbot: QtBot) -> None:
    assert not row_for(qtbot, "ubatch_size").matches("projector")


def test_that_an_unsupported_parameter_is_grey_and_says_why(qtbot: QtBot) -> None:
    row = row_for(qtbot, "ubatch_size")
    row.show_values({"ubatch_size": 512}, {}, lambda _: "default")
    row.set_unsupported("This llama-server (b100) does not know --ubatch-size.")
    assert not row.editors[0].isEnabled()
    assert "b100" in row.note()
    row.set_unsupported("")
    assert row.editors[0].isEnabled()
    assert row.note() == ""


@MENUS
def test_that_the_menu_of_a_row_leads_to_words_default_and_saved_value(qtbot: QtBot) -> None:
    editor = make_editor(parameter("n_gpu_layers"))
    shown(qtbot, editor)
    editor.show_values(12, 20, "default")
    seen = edits(editor)
    for words in ("auto", "Leave it", "saved value"):
        menu = editor.popup_menu(QPoint(0, 0))
        next(action for action in menu.actions() if words in action.text()).trigger()
        menu.close()
    assert seen == ["auto", None, 20]


# --------------------------------------------------------------------------------------------------------- command


def test_that_the_command_sets_off_what_was_changed_and_copies_exactly(qtbot: QtBot) -> None:
    view = CommandView()
    qtbot.addWidget(view)
    view.resize(300, 100)
    spans = [("llama-server", None), ("-ub", "ubatch_size"), ("1024", "ubatch_size"), ("--no-ui", None)]
    view.show_command(spans, {"ubatch_size"}, ["CUDA_DEVICE_ORDER=PCI_BUS_ID"])
    assert view.text() == "CUDA_DEVICE_ORDER=PCI_BUS_ID llama-server -ub 1024 --no-ui"
    assert view.changed_tokens() == ("-ub", "1024")
    view.selectAll()
    assert view.createMimeDataFromSelection().text() == view.text()


def test_that_the_command_is_as_tall_as_its_text(qtbot: QtBot) -> None:
    view = CommandView()
    qtbot.addWidget(view)
    view.show_command([(f"--flag-{n}", None) for n in range(40)])
    assert view.heightForWidth(200) > 2 * view.heightForWidth(800) > 0
