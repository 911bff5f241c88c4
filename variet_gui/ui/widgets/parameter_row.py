"""One line of the Tune page: a parameter's name and flag, its editor, and the way back to what is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QWidget

from variet_gui.catalog.parameter_types import Kind, Parameter
from variet_gui.catalog.parameters import format_value
from variet_gui.events import ParameterValue
from variet_gui.i18n import tr
from variet_gui.ui.widgets.choice_editor import ChoiceEditor
from variet_gui.ui.widgets.device_editor import DEVICE_KEYS, DeviceEditor
from variet_gui.ui.widgets.layout import row
from variet_gui.ui.widgets.parameter_editor import ParameterEditor, effect
from variet_gui.ui.widgets.parameter_slider import ParameterSlider
from variet_gui.ui.widgets.path_field import PathField
from variet_gui.ui.widgets.setting_row import SettingRow
from variet_gui.ui.widgets.split_slider import SplitSlider
from variet_gui.ui.widgets.switch_editor import PlaceEditor, SwitchEditor
from variet_gui.ui.widgets.text_editor import TextEditor

_CACHE_TYPES = ("f16", "q8_0", "q5_1", "q4_0")
FAVOURITES = dict.fromkeys(("cache_type_k", "cache_type_v", "spec_draft_type_k", "spec_draft_type_v"), _CACHE_TYPES)
"""Cache types that operators really choose between; the others stand in the menu behind them."""

UnsetText = Callable[[str], str]
"""From a parameter's key to the words that stand where it has no value."""


class ParameterRow(SettingRow):
    """A row that edits launch parameters. A companion is a second, small editor at its end (the projector's place)."""

    edited = Signal(str, object)
    """(key, value or None)."""
    revert_asked = Signal(str)

    def __init__(
        self, editor: ParameterEditor, companion: ParameterEditor | None = None, parent: QWidget | None = None
    ) -> None:
        parameter = editor.parameter
        super().__init__(str(parameter.label), parameter.short, _explained(parameter), parent)
        self.editors = (editor,) if companion is None else (editor, companion)
        self._refusals: dict[str, str] = {}
        self._unsupported = ""
        if companion is None:
            self.set_content(editor)
        else:
            side_by_side = row(editor, companion, spacing=12)
            # What the editor has to say below itself leaves the companion where it is.
            side_by_side.setAlignment(companion, Qt.AlignmentFlag.AlignTop)
            self.set_content(side_by_side)
        self.revert_clicked.connect(self._revert_all)
        for each in self.editors:
            key = each.parameter.key
            each.edited.connect(lambda value, key=key: self.edited.emit(key, value))
            each.refused.connect(lambda text, key=key: self._refuse(key, text))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the parameters in this row."""
        return tuple(editor.parameter.key for editor in self.editors)

    @property
    def changed(self) -> bool:
        """Whether anything in this row differs from what is saved."""
        return any(editor.changed for editor in self.editors)

    def show_values(
        self, values: Mapping[str, ParameterValue], saved: Mapping[str, ParameterValue], unset: UnsetText
    ) -> None:
        """Show the values of a profile beside those that are saved."""
        for editor in self.editors:
            key = editor.parameter.key
            editor.show_values(values.get(key), saved.get(key), unset(key))
        self.offer_revert(self.changed)
        self._refusals.clear()
        self.show_remarks()

    def set_unsupported(self, reason: str) -> None:
        """Grey the row out and say why; an empty reason brings it back."""
        if reason != self._unsupported:
            self._unsupported = reason
            for editor in self.editors:
                editor.setEnabled(not reason)
                editor.refresh()
            self.name.setEnabled(not reason)
            self.show_remarks()

    def matches(self, needle: str) -> bool:
        """Whether the row is found by `needle`: in a name, a flag, a key or the help text, in any case."""
        return any(finds(needle, editor.parameter) for editor in self.editors)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.editors[0].popup_menu(event.globalPos())

    def _revert_all(self) -> None:
        for key in self.keys:
            self.revert_asked.emit(key)

    def _refuse(self, key: str, text: str) -> None:
        if text:
            self._refusals[key] = text
        else:
            self._refusals.pop(key, None)
        self.show_remarks()

    def show_remarks(self) -> None:
        """Write below the editor why something was refused or is greyed out, or what the editors have to say."""
        refused = " ".join(self._refusals.values())
        remarks = " ".join(remark for remark in (editor.remark() for editor in self.editors) if remark)
        self.show_note(refused or self._why_greyed() or remarks, wrong=bool(refused))

    def _why_greyed(self) -> str:
        if not self._unsupported or all(editor.value is None for editor in self.editors):
            return self._unsupported
        return tr("{reason} It is kept in the profile and left off the command line.", reason=self._unsupported)


def finds(needle: str, parameter: Parameter) -> bool:
    """Whether every word of `needle` stands in a name, a flag, the key or the help of `parameter`."""
    texts = [str(parameter.label), parameter.label.english, str(parameter.help), parameter.key]
    text = "\n".join([*texts, *parameter.spellings, *parameter.negatives]).casefold()
    return all(word in text for word in needle.casefold().split())


def make_editor(parameter: Parameter) -> ParameterEditor:
    """Return the editor that fits `parameter`."""
    if parameter.key in DEVICE_KEYS:
        return DeviceEditor(parameter)
    if parameter.kind is Kind.SWITCH:
        return SwitchEditor(parameter)
    if parameter.kind is Kind.CHOICE and not parameter.many:
        return ChoiceEditor(parameter, FAVOURITES.get(parameter.key, ()))
    if parameter.kind is Kind.PATH:
        return PathField(parameter)
    if parameter.kind is Kind.RATIO:
        return SplitSlider(parameter)
    if parameter.kind in (Kind.INTEGER, Kind.FRACTION) and parameter.slider_range is not None:
        return ParameterSlider(parameter)
    return TextEditor(parameter)


def make_row(parameter: Parameter, companion: Parameter | None = None) -> ParameterRow:
    """Return the row of `parameter`; `companion` is a switch between GPU and CPU at its end."""
    place = None if companion is None else PlaceEditor(companion, tr("GPU"), tr("CPU"))
    return ParameterRow(make_editor(parameter), place)


def _explained(parameter: Parameter) -> str:
    lines = [f"{parameter.label}  {parameter.flag}", str(parameter.help)]
    if parameter.default is not None:
        lines.append(tr("llama-server's own default: {value}", value=format_value(parameter, parameter.default)))
    lines.append(effect(parameter))
    return "\n".join(lines)
