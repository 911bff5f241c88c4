"""What all editors of one launch parameter have in common, and the words they share."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QMenu, QWidget

from variet_gui.catalog.parameter_types import Cost, Parameter, ParameterError
from variet_gui.catalog.parameters import check, format_value, parse_text
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg, tr

VALUE_WIDTH = 120
"""Width of the typed field at the right of every editor, px."""
NOTE_INSET = 9
"""What keeps a note in that column in line with the text inside the fields above and below it, px."""


_UNITS: dict[str, Message] = {
    "tokens": msg("tokens"),
    "layers": msg("layers"),
    "threads": msg("threads"),
    "slots": msg("slots"),
    "MiB": msg("MiB"),
    "s": msg("s"),
    "ms": msg("ms"),
}


class ParameterEditor(QWidget):
    """Shows one parameter's value and the saved one beside it; knows values, not where they are kept.

    A value of None means "not set": llama-server's own default applies.
    """

    edited = Signal(object)
    """The operator chose a value (a `ParameterValue`, or None to unset it)."""
    refused = Signal(str)
    """What was typed is not a value, and why; an empty text when it is right again."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parameter = parameter
        self.value: ParameterValue | None = None
        self.saved: ParameterValue | None = None
        self.unset_text = tr("default")

    def show_values(self, value: ParameterValue | None, saved: ParameterValue | None, unset_text: str) -> None:
        """Show `value` (edited or not) and mark `saved`; `unset_text` stands where there is no value."""
        self.value = value
        self.saved = saved
        self.unset_text = unset_text
        self.refresh()
        spoken = self.spoken()
        for child in self.controls():
            child.setAccessibleName(spoken)
            child.setAccessibleDescription(str(self.parameter.help))

    @property
    def changed(self) -> bool:
        """Whether the value differs from the saved one."""
        return self.value != self.saved

    def refresh(self) -> None:
        """Draw `value`, `saved` and `unset_text`; every editor does it its own way."""
        raise NotImplementedError

    def controls(self) -> tuple[QWidget, ...]:
        """Return the widgets that take the keyboard."""
        raise NotImplementedError

    @property
    def gesture(self) -> object | None:
        """An object that stays the same for as long as a slider is held, so that a drag is one step; else None."""
        return None

    def remark(self) -> str:
        """Return what has to be said below the editor of the value that it shows; empty for nothing."""
        return ""

    # ------------------------------------------------------------------------------------------------- words

    def written(self, value: ParameterValue | None) -> str:
        """Return `value` as people read it, without its unit; the unset text for None."""
        return self.unset_text if value is None else format_value(self.parameter, value)

    def unset_note(self) -> str:
        """Return what stands in place of a value: "not recorded", or the default that applies where it is known."""
        default = self.parameter.default
        if default is None or self.unset_text != tr("default"):
            return self.unset_text
        return tr("default: {value}", value=format_value(self.parameter, default))

    def unit(self) -> str:
        """Return the unit of the value as people read it; empty where the value is a word or not set."""
        value, unit = self.value, self.parameter.unit
        if not unit or isinstance(value, bool) or not isinstance(value, int | float):
            return ""
        return "" if value in self.parameter.specials else str(_UNITS.get(unit, unit))

    def spoken(self) -> str:
        """Return what a screen reader says: the name, the value with its unit, and what a change costs."""
        value = self.unset_note() if self.value is None else self.written(self.value)
        unit = self.unit()
        if unit:
            value = tr("{value} {unit}", value=value, unit=unit)
        return tr("{name}: {value}. {effect}", name=self.parameter.label, value=value, effect=effect(self.parameter))

    # ------------------------------------------------------------------------------------------------- edits

    def offer(self, value: ParameterValue | None) -> bool:
        """Take a value from the operator: announce it, or say why it is refused."""
        try:
            allowed = None if value is None else check(self.parameter, value)
        except ParameterError as error:
            self.refused.emit(str(error.message))
            return False
        self.refused.emit("")
        if allowed != self.value or type(allowed) is not type(self.value):
            self.edited.emit(allowed)
        else:
            self.refresh()
        return True

    def offer_text(self, text: str) -> bool:
        """Take what was typed. Nothing typed unsets the parameter."""
        stripped = text.strip()
        if not stripped:
            return self.offer(None)
        try:
            return self.offer(parse_text(self.parameter, stripped))
        except ParameterError as error:
            self.refused.emit(str(error.message))
            return False

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.popup_menu(event.globalPos())

    def popup_menu(self, where: QPoint) -> QMenu:
        """Open the menu with special words, the default and the saved value."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for word in self.parameter.words:
            menu.addAction(tr("Set to “{word}”", word=word), lambda word=word: self.offer(word))
        default = self.parameter.default
        if default is None:
            unset = menu.addAction(tr("Leave it to llama-server"))
        else:
            written = format_value(self.parameter, default)
            unset = menu.addAction(tr("Leave it to llama-server ({value})", value=written))
        unset.setEnabled(self.value is not None)
        unset.triggered.connect(lambda: self.offer(None))
        back = menu.addAction(tr("Back to the saved value ({value})", value=self.written(self.saved)))
        back.setEnabled(self.changed)
        back.triggered.connect(lambda: self.edited.emit(self.saved))
        menu.popup(where)
        return menu


def effect(parameter: Parameter) -> str:
    """Return what a change of `parameter` does, in one short sentence."""
    costs = parameter.costs
    if Cost.VRAM in costs and Cost.HOST_RAM in costs:
        return tr("Changes GPU memory and main memory from the next start on.")
    if Cost.VRAM in costs:
        return tr("Changes GPU memory from the next start on.")
    if Cost.HOST_RAM in costs:
        return tr("Changes main memory from the next start on.")
    return tr("Takes effect at the next start.")
