"""All rows of the Tune page at once: everything readable, everything spoken, nothing turned by a passing wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import make_window
from variet_gui import i18n
from variet_gui.catalog.parameters import PARAMETERS, Kind, Parameter
from variet_gui.events import ParameterValue
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.main_window import Page
from variet_gui.ui.pages.tune import TunePage
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.noted_editor import NotedEditor
from variet_gui.ui.widgets.parameter_editor import effect
from variet_gui.ui.widgets.parameter_list import ParameterList
from variet_gui.ui.widgets.parameter_row import ParameterRow
from variet_gui.ui.widgets.parameter_slider import ParameterSlider
from variet_gui.ui.widgets.segments import Segments
from variet_gui.ui.widgets.setting_row import SettingRow
from variet_gui.ui.widgets.switch import Switch
from variet_gui.ui.widgets.track_slider import TrackSlider
from variet_gui.ui.widgets.unit_field import UnitField


@pytest.fixture
def language() -> Iterator[Callable[[str], None]]:
    """Choose the language of the window; English again at the end."""
    yield i18n.set_language
    i18n.set_language("en")


def all_rows(qtbot: QtBot, qapp: QApplication, folder: Path) -> ParameterList:
    """Return the parameters in a window of 1280x800, everything unfolded."""
    theme.apply(qapp, "dark")
    bridge = make_bridge(folder)
    page = TunePage(bridge)  # type: ignore[arg-type]
    window = make_window(qtbot, bridge, [Page("tune", tr("Tune"), page)])
    assert window.size().width() == 1280
    page.list.open_advanced(True)
    for section in page.list.sections:
        section.open(True)
    page.list.extra.open(True)
    qapp.processEvents()
    assert {key for row in page.list.rows() for key in row.keys} == {row.key for row in PARAMETERS}
    return page.list


def show(qtbot: QtBot, shown: ParameterList, values: dict[str, ParameterValue], unset: str) -> None:
    """Show `values`, and `unset` where there is none."""
    shown.show_profile(values, {}, lambda _: unset)
    # Notes that come and go change the height of rows, and layouts follow some turns later: until nothing moves.
    seen: list[list[QRect]] = []

    def rests() -> bool:
        seen.append([each.geometry() for each in shown.findChildren(QWidget)])
        return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3]

    qtbot.waitUntil(rests)


def extremes() -> Iterator[tuple[str, dict[str, ParameterValue]]]:
    """Return sets of values that are as long as values get."""
    yield (
        "at the minimum",
        {p.key: _number(p, p.minimum) for p in PARAMETERS if p.slider_range and p.minimum is not None},
    )
    yield (
        "at the maximum",
        {p.key: _number(p, p.maximum) for p in PARAMETERS if p.slider_range and p.maximum is not None},
    )
    yield "with their last word", {p.key: p.words[-1] for p in PARAMETERS if p.words}
    yield "with the last choice", {p.key: p.choices[-1] for p in PARAMETERS if p.choices}
    for position in range(max(len(p.specials) for p in PARAMETERS)):
        special = {p.key: list(p.specials)[position] for p in PARAMETERS if len(p.specials) > position}
        yield f"with special number {position + 1}", special


def _number(parameter: Parameter, value: float | None) -> ParameterValue:
    assert value is not None
    return int(value) if parameter.kind is Kind.INTEGER else float(value)


# --------------------------------------------------------------------------------------------------------- readable


@pytest.mark.parametrize("code", ["en", "ko"])
def test_that_no_name_note_or_field_is_clipped_in_a_window_of_1280_by_800(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, language: Callable[[str], None], code: str
) -> None:
    language(code)
    shown = all_rows(qtbot, qapp, tmp_path)
    clipped: list[str] = []
    states = [("not recorded", {}, tr("not recorded")), ("default", {}, tr("default"))]
    states += [(name, values, tr("default")) for name, values in extremes()]
    for state, values, unset in states:
        show(qtbot, shown, dict(values), unset)
        for row in (*shown.rows(), shown.extra.arguments, shown.extra.environment):
            assert row.isVisible()
            clipped += [f"{state}: {row.name.name}: {what}" for what in _clipped(row)]
    assert clipped == []


def _clipped(row: SettingRow) -> Iterator[str]:
    """Say what of `row` cannot be read as a whole."""
    inside = QRect(QPoint(0, 0), row.name.size())
    for box, text in zip(row.name.boxes(), (row.name.name, row.name.flag), strict=True):
        if text and not inside.contains(box):
            yield f"{text} in {box}"
    for label in row.findChildren(QLabel):
        if not label.isVisible():
            continue
        if isinstance(label, ElidedLabel):
            if label.is_cut():
                yield f"{label.text()} in {label.width()} px"
        elif label.wordWrap():
            if label.height() < label.heightForWidth(label.width()):
                yield f"{label.text()} in {label.size()}"
        elif label.width() < label.sizeHint().width():
            yield f"{label.text()} in {label.width()} px"
    for button in row.findChildren(QAbstractButton):
        if button.isVisible() and button.text() and button.width() < button.sizeHint().width():
            yield f"{button.text()} in {button.width()} px"
    for field in row.findChildren(UnitField):
        if field.isVisible() and not field.text() and not field.fits(field.placeholderText()):
            yield f"{field.placeholderText()} in {field.width()} px"
    if isinstance(row, ParameterRow):
        for editor in row.editors:
            if isinstance(editor, ParameterSlider) and editor.value is not None:
                whole = editor.written(editor.value) in row.note()  # said below where the field is too narrow
                if not whole and not editor.field.fits(editor.field.text(), editor.field.unit):
                    yield f"{editor.field.text()} {editor.field.unit} in {editor.field.width()} px"
            if isinstance(editor, NotedEditor):
                yield from _overlapping(editor)


def _overlapping(editor: NotedEditor) -> Iterator[str]:
    parts = [child for child in editor.children() if isinstance(child, QWidget) and child.isVisible()]
    for part in parts:
        if not editor.rect().contains(part.geometry()):
            yield f"{part} reaches out of its editor"
        for other in parts:
            if other is not part and part.geometry().intersects(other.geometry()):
                yield f"{part} lies over {other}"


# ----------------------------------------------------------------------------------------------------------- spoken


@pytest.mark.parametrize("code", ["en", "ko"])
def test_that_whatever_takes_the_keyboard_speaks_value_and_effect(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, language: Callable[[str], None], code: str
) -> None:
    language(code)
    shown = all_rows(qtbot, qapp, tmp_path)
    values: dict[str, ParameterValue] = {p.key: p.default for p in PARAMETERS if p.default is not None}
    for state in ({}, values):
        show(qtbot, shown, dict(state), tr("default"))
        for row in shown.rows():
            for editor in row.editors:
                expected = editor.unset_note() if editor.value is None else editor.written(editor.value)
                for control in _controls(editor):
                    spoken = control.accessibleName()
                    assert spoken.startswith(f"{editor.parameter.label}: {expected}"), editor.parameter.key
                    assert effect(editor.parameter) in spoken, editor.parameter.key
                    assert control.accessibleDescription() or isinstance(control.parent(), Segments)


def _controls(editor: QWidget) -> Iterator[QWidget]:
    """Return what holds the value of an editor and can be reached by the keyboard."""
    for control in editor.findChildren(QWidget):
        holds_value = isinstance(control, TrackSlider | UnitField | Switch) or isinstance(control.parent(), Segments)
        if holds_value and control.isVisible() and control.focusPolicy() & Qt.FocusPolicy.TabFocus:
            yield control


def test_that_every_other_button_of_a_row_has_a_name(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> None:
    shown = all_rows(qtbot, qapp, tmp_path)
    shown.extra.environment.add_line()
    for row in (*shown.rows(), shown.extra.arguments, shown.extra.environment):
        for control in row.findChildren(QWidget):
            if control.focusPolicy() & Qt.FocusPolicy.TabFocus and control.isVisible():
                named = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
                assert named, f"{row.name.name}: {control}"


# ------------------------------------------------------------------------------------------------------------ wheel


def test_that_a_wheel_that_scrolls_past_turns_no_slider_and_no_field(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    shown = all_rows(qtbot, qapp, tmp_path)
    edited: list[str] = []
    shown.edited.connect(lambda key, _: edited.append(key))
    turned = 0
    for control in shown.findChildren(QWidget):
        if control.isVisible() and not control.hasFocus():
            middle = QPointF(control.rect().center())
            event = QWheelEvent(
                middle,
                control.mapToGlobal(middle),
                QPoint(0, 0),
                QPoint(0, 120),
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            )
            QApplication.sendEvent(control, event)
            turned += isinstance(control, TrackSlider)
    assert edited == []
    assert turned >= 60


# -------------------------------------------------------------------------------------------------------- tab order


def test_that_tab_walks_from_the_top_down_also_through_rows_that_came_later(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    shown = all_rows(qtbot, qapp, tmp_path)
    chain: list[QWidget] = []
    start = shown.stops()[0]
    widget = start
    while True:
        if shown.isAncestorOf(widget) and widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            chain.append(widget)
        widget = widget.nextInFocusChain()
        if widget is start:
            break
    places = [(each.mapTo(shown, QPoint(0, each.height() // 2)), each) for each in chain]
    assert len(places) > 200
    for (before, _), (after, widget) in pairwise(places):
        below = after.y() > before.y() + 12
        right = abs(after.y() - before.y()) <= 12 and after.x() > before.x()
        assert below or right, widget.accessibleName()
