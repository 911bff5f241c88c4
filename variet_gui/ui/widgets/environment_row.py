"""The variables that a tier's server gets, a line each."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.catalog.extra_variables import VariableReading
from variet_gui.i18n import tr
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.setting_row import SettingRow
from variet_gui.ui.widgets.variable_line import VariableLine


class EnvironmentRow(SettingRow):
    """A new line is only the row's until its variable is taken."""

    committed = Signal(object)
    """The operator is done with this `VariableLine`."""
    removed = Signal(object)
    """The `VariableLine` of a variable that is set is to go."""
    move_asked = Signal(object)
    """What this `VariableLine` says is to move into the field that owns it."""
    lines_changed = Signal()
    """There are other lines than before."""

    def __init__(self, parent: QWidget | None = None) -> None:
        explained = tr("Variables that the server gets beside the panel's own. Takes effect at the next start.")
        super().__init__(tr("Environment"), "", explained, parent)
        self.lines: list[VariableLine] = []
        self._told: VariableLine | None = None
        """The line that the note below speaks of."""
        self.add = Button(tr("Add a variable"), "link")
        self.move_button = Button("", "link")
        self.move_button.hide()
        self._box = QVBoxLayout()
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(4)
        self._box.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)
        self.set_content(self._box)
        self.set_below(self.move_button)
        self.add.clicked.connect(self.add_line)
        self.move_button.clicked.connect(lambda: self.move_asked.emit(self._told))

    def show_variables(self, variables: Mapping[str, str], saved: Mapping[str, str]) -> None:
        """Show the draft's variables beside those that are saved."""
        for line in [each for each in self.lines if each.before is not None and each.before not in variables]:
            self.drop(line)
        for name, value in variables.items():
            line = self.line(name) or self._new_line(sum(each.before is not None for each in self.lines))
            line.show_variable(name, value, changed=saved.get(name) != value)
        self.offer_revert(dict(variables) != dict(saved))
        if self._told is not None and not self._told.refused:
            self.tell(self._told, VariableReading())

    def line(self, name: str) -> VariableLine | None:
        """Return the line of the variable that is set as `name`."""
        return next((each for each in self.lines if each.before == name), None)

    def add_line(self) -> VariableLine:
        """Offer an empty line for a new variable; there is one at most."""
        line = self.new_line or self._new_line(len(self.lines))
        line.name.setFocus(Qt.FocusReason.OtherFocusReason)
        return line

    @property
    def new_line(self) -> VariableLine | None:
        """The line of a variable that is not set yet."""
        return next((each for each in self.lines if each.before is None), None)

    def drop(self, line: VariableLine) -> None:
        """Take a line off the page."""
        had_focus = line.isAncestorOf(self.focusWidget()) if self.focusWidget() is not None else False
        self.lines.remove(line)
        self._box.removeWidget(line)
        line.hide()
        line.deleteLater()
        if self._told is line:
            self.tell(None, VariableReading())
        if had_focus:
            self.add.setFocus(Qt.FocusReason.OtherFocusReason)
        self.lines_changed.emit()

    def forget(self) -> None:
        """Drop what was typed and not taken."""
        for line in list(self.lines):
            if line.before is None:
                self.drop(line)
            elif line.refused:
                line.name.restore()
                line.value.restore()

    def tell(self, line: VariableLine | None, reading: VariableReading) -> None:
        """Say below what is wrong with `line` or to be known of it, and offer to move it where a field owns it."""
        self._told = line
        told = reading.problem or reading.note
        self.show_note("" if told is None else str(told), wrong=reading.problem is not None)
        movable = reading.owner is not None and bool(reading.values)
        self.move_button.setVisible(movable)
        if reading.owner is not None:
            self.move_button.setText(tr("Move it to {field}", field=reading.owner.label).replace("&", "&&"))

    def _new_line(self, position: int) -> VariableLine:
        line = VariableLine()
        self.lines.insert(position, line)
        self._box.insertWidget(position, line)
        line.committed.connect(lambda: self.committed.emit(line))
        line.removed.connect(lambda: self._remove(line))
        line.restored.connect(lambda: self.tell(None, VariableReading()))
        self.lines_changed.emit()
        return line

    def _remove(self, line: VariableLine) -> None:
        if line.before is None:
            self.drop(line)
        else:
            self.removed.emit(line)
