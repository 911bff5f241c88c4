from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from variet_gui.catalog.parameters import parameter
from variet_gui.events import ParameterValue
from variet_gui.ui import theme
from variet_gui.ui.widgets.parameter_editor import ParameterEditor
from variet_gui.ui.widgets.parameter_slider import ParameterSlider
from variet_gui.ui.widgets.slider_scale import SliderScale
from variet_gui.ui.widgets.split_slider import SplitSlider
from variet_gui.ui.widgets.track_slider import TrackSlider


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


def shown(qtbot: QtBot, widget: QWidget) -> None:
    qtbot.addWidget(widget)
    widget.resize(560, 60)
    widget.show()
    QTest.qWaitForWindowActive(widget, 2000)


def wheel(widget: QWidget) -> None:
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        widget.mapToGlobal(middle),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def edits(editor: ParameterEditor) -> list[object]:
    seen: list[object] = []
    editor.edited.connect(seen.append)
    return seen


def slider(
    qtbot: QtBot, key: str, value: ParameterValue | None, saved: ParameterValue | None = None
) -> ParameterSlider:
    made = ParameterSlider(parameter(key))
    made.show_values(value, saved, "not recorded")
    shown(qtbot, made)
    return made


# ---------------------------------------------------------------------------------------------------------- scales


def test_that_a_context_scale_offers_the_quarters_between_powers() -> None:
    scale = SliderScale(1024, 262144, 256, powers_of_two=True)
    stops = [scale.value(position) for position in range(scale.positions + 1)]
    assert stops[0] == 1024
    assert stops[-5:] == [131072, 163840, 196608, 229376, 262144]


def test_that_even_steps_are_counted_from_zero() -> None:
    scale = SliderScale(1, 10_000, 256)
    assert [scale.value(position) for position in (0, 1, 2)] == [1, 256, 512]


def test_that_a_huge_range_moves_in_round_steps() -> None:
    scale = SliderScale(10_000, 10_000_000, 0.01)
    assert scale.positions <= 4096
    assert scale.value(1) % 1000 == 0


@given(
    low=st.integers(0, 1000),
    width=st.integers(0, 2_000_000),
    step=st.sampled_from([1, 8, 32, 256]),
    powers=st.booleans(),
    part=st.floats(0, 1),
)
def test_that_every_position_leads_to_a_value_that_leads_back(
    low: int, width: int, step: int, powers: bool, part: float
) -> None:
    scale = SliderScale(low, low + width, step, powers)
    position = round(part * scale.positions)
    value = scale.value(position)
    assert low <= value <= low + width
    assert scale.value(scale.position(value)) == value
    assert 0.0 <= scale.fraction(value) <= 1.0


# --------------------------------------------------------------------------------------------------------- sliders


def test_that_the_wheel_changes_no_slider_without_focus(qtbot: QtBot) -> None:
    editor = slider(qtbot, "ctx_size", 8192)
    seen = edits(editor)
    editor.field.setFocus()
    wheel(editor.slider)
    assert seen == []
    editor.slider.setFocus()
    wheel(editor.slider)
    assert len(seen) == 1


def test_that_arrow_keys_move_to_the_next_stop(qtbot: QtBot) -> None:
    editor = slider(qtbot, "ctx_size", 131072)
    seen = edits(editor)
    QTest.keyClick(editor.slider, Qt.Key.Key_Right)
    assert seen == [163840]


def test_that_a_click_on_the_groove_jumps_there(qtbot: QtBot) -> None:
    editor = slider(qtbot, "batch_size", 2048)
    seen = edits(editor)
    QTest.mouseClick(editor.slider, Qt.MouseButton.LeftButton, pos=QPoint(1, editor.slider.height() // 2))
    assert seen == [32]


def test_that_a_typed_value_between_two_stops_is_taken_as_it_is(qtbot: QtBot) -> None:
    editor = slider(qtbot, "ctx_size", 8192)
    seen = edits(editor)
    editor.field.setFocus()
    editor.field.selectAll()
    QTest.keyClicks(editor.field, "100 000")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert seen == [100_000]
    editor.show_values(100_000, 8192, "not recorded")
    assert "100 096" in editor.remark().replace("\u2009", " ")


def test_that_nonsense_is_refused_with_a_reason_and_the_value_stays(qtbot: QtBot) -> None:
    editor = slider(qtbot, "ctx_size", 8192)
    seen, refused = edits(editor), []
    editor.refused.connect(refused.append)
    editor.field.setFocus()
    editor.field.selectAll()
    QTest.keyClicks(editor.field, "lots")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert seen == []
    assert "ctx_size" in refused[-1]
    assert editor.field.property("wrong") is True


def test_that_escape_takes_back_what_was_typed(qtbot: QtBot) -> None:
    editor = slider(qtbot, "batch_size", 2048)
    seen = edits(editor)
    editor.field.setFocus()
    editor.field.selectAll()
    QTest.keyClicks(editor.field, "77")
    QTest.keyClick(editor.field, Qt.Key.Key_Escape)
    editor.slider.setFocus()
    assert seen == []
    assert editor.field.text().replace("\u2009", "") == "2048"


def test_that_an_unset_value_is_shown_as_not_recorded_and_can_be_set_and_unset(qtbot: QtBot) -> None:
    editor = slider(qtbot, "threads", None)
    assert editor.field.text() == ""
    assert editor.field.placeholderText() == "not recorded"
    seen = edits(editor)
    QTest.keyClick(editor.slider, Qt.Key.Key_Right)
    assert len(seen) == 1
    assert isinstance(seen[0], int)
    editor.show_values(6, None, "not recorded")
    QTest.keyClick(editor.slider, Qt.Key.Key_Delete)
    assert seen[-1] is None


def test_that_emptying_the_field_unsets_the_value(qtbot: QtBot) -> None:
    editor = slider(qtbot, "batch_size", 2048)
    seen = edits(editor)
    editor.field.setFocus()
    editor.field.clear()
    editor.field.setModified(True)
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert seen == [None]


def test_that_a_known_default_is_named_where_nothing_is_set(qtbot: QtBot) -> None:
    editor = ParameterSlider(parameter("batch_size"))
    qtbot.addWidget(editor)
    editor.show_values(None, None, "default")
    assert editor.field.placeholderText().replace("\u2009", " ") == "default: 2 048"


def test_that_the_right_end_of_the_layers_means_all_of_them(qtbot: QtBot) -> None:
    editor = slider(qtbot, "n_gpu_layers", "all")
    editor.set_maximum(31)
    assert editor.field.text() == "all (30)"
    assert editor.slider.value() == editor.slider.maximum()
    seen = edits(editor)
    QTest.keyClick(editor.slider, Qt.Key.Key_Left)
    assert seen == [30]
    editor.show_values(30, "all", "default")
    QTest.keyClick(editor.slider, Qt.Key.Key_Right)
    assert seen[-1] == "all"


def test_that_the_shown_word_for_all_layers_can_be_typed_back(qtbot: QtBot) -> None:
    editor = slider(qtbot, "n_gpu_layers", 12)
    editor.set_maximum(31)
    seen = edits(editor)
    editor.field.setFocus()
    editor.field.selectAll()
    QTest.keyClicks(editor.field, "all (30)")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert seen == ["all"]


def test_that_a_changed_value_keeps_a_tick_at_the_saved_one(qtbot: QtBot) -> None:
    editor = slider(qtbot, "ubatch_size", 1024, 512)
    assert editor.changed
    assert editor.field.property("changed") is True
    assert editor.slider._tick == pytest.approx(0.5)
    editor.show_values(512, 512, "default")
    assert editor.slider._tick is None


def test_that_a_slider_speaks_value_unit_and_effect(qtbot: QtBot) -> None:
    editor = slider(qtbot, "ctx_size", 262144)
    name = editor.slider.accessibleName().replace("\u2009", " ")
    assert name.startswith("Context: 262 144 tokens.")
    assert "GPU memory" in name


def test_that_pressing_the_handle_of_an_unset_value_sets_it(qtbot: QtBot) -> None:
    bare = TrackSlider()
    shown(qtbot, bare)
    bare.setRange(0, 10)
    moved: list[int] = []
    bare.confirmed.connect(moved.append)
    QTest.mouseClick(bare, Qt.MouseButton.LeftButton, pos=QPoint(1, 12))
    assert moved == [0]


# ----------------------------------------------------------------------------------------------------------- split


def split(qtbot: QtBot, value: tuple[float, ...] | None, saved: tuple[float, ...] | None = None) -> SplitSlider:
    made = SplitSlider(parameter("tensor_split"))
    made.show_values(value, saved if saved is not None else value, "not recorded")
    made.set_model(30, "all")
    shown(qtbot, made)
    return made


def test_that_the_split_tells_whole_layers_by_llama_cpps_own_rule(qtbot: QtBot) -> None:
    editor = split(qtbot, (0.43, 0.57))
    assert editor.left.text() == "14 layers on GPU 0"
    assert editor.right.text() == "16 layers + output on GPU 1"
    assert editor.field.text() == "0.43 : 0.57"
    assert "14 layers on GPU 0, 16 layers + output on GPU 1" in editor.slider.accessibleName() + editor.spoken()


def test_that_the_split_handle_snaps_to_whole_layers(qtbot: QtBot) -> None:
    editor = split(qtbot, (0.43, 0.57))
    seen = edits(editor)
    QTest.keyClick(editor.slider, Qt.Key.Key_Left)
    assert isinstance(seen[-1], tuple)
    editor.show_values(seen[-1], (0.43, 0.57), "default")
    assert editor.left.text() == "13 layers on GPU 0"
    assert editor.right.text() == "17 layers + output on GPU 1"


def test_that_sliding_back_to_the_saved_layers_brings_the_saved_figures_back(qtbot: QtBot) -> None:
    editor = split(qtbot, (12.5, 18.5), saved=(0.43, 0.57))
    seen = edits(editor)
    QTest.keyClick(editor.slider, Qt.Key.Key_Right)
    assert seen == [(0.43, 0.57)]


def test_that_a_split_without_a_known_model_speaks_of_per_cent(qtbot: QtBot) -> None:
    editor = split(qtbot, (0.43, 0.57))
    editor.set_model(None, None)
    assert editor.left.text() == "43 % on GPU 0"
    seen = edits(editor)
    QTest.keyClick(editor.slider, Qt.Key.Key_Right)
    assert seen == [(0.44, 0.56)]


def test_that_layers_that_stay_on_the_cpu_are_named(qtbot: QtBot) -> None:
    editor = split(qtbot, (1.0, 1.0))
    editor.set_model(30, 20)
    assert "the CPU" in editor.right.text()


def test_that_three_parts_leave_the_slider_alone_but_can_be_typed(qtbot: QtBot) -> None:
    editor = split(qtbot, (1.0, 1.0, 1.0))
    assert not editor.slider.isEnabled()
    assert "GPU 2" in editor.right.text()
    seen = edits(editor)
    editor.field.setFocus()
    editor.field.selectAll()
    QTest.keyClicks(editor.field, "2 : 1 : 1")
    QTest.keyClick(editor.field, Qt.Key.Key_Return)
    assert seen == [(2, 1, 1)]


def test_that_an_unset_split_says_what_llama_server_does(qtbot: QtBot) -> None:
    assert "free memory" in split(qtbot, None).left.text()
