"""Extra arguments: one line of words that no field of the page is for."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from variet_gui.catalog.extra_arguments import ExtraReading
from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.setting_row import SettingRow
from variet_gui.ui.widgets.unit_field import UnitField


class ExtraArgumentsRow(SettingRow):
    """What is typed and cannot be taken stays in the field with its reason below, until it is mended or taken back."""

    committed = Signal(str)
    """The operator is done typing: the text."""
    move_asked = Signal(str)
    """The flags in this text that fields own are to move there."""

    def __init__(self, parent: QWidget | None = None) -> None:
        explained = tr(
            "Words that are appended to the command line as they are, for flags that no field is for.\n"
            "Quote them as in a shell. Takes effect at the next start."
        )
        super().__init__(tr("Extra arguments"), "", explained, parent)
        self._shown = ""
        self._refused: ExtraReading | None = None
        self.read: Callable[[str], ExtraReading] = lambda _: ExtraReading()
        """Says what a text means; used while a refused text is being mended."""
        self.field = UnitField()
        self.field.setFont(theme.mono_font())
        self.field.setPlaceholderText(tr("none"))
        self.move_button = Button("", "link")
        self.move_button.hide()
        self.set_content(self.field)
        self.set_below(self.move_button)
        self.field.committed.connect(self.committed)
        self.field.textChanged.connect(self._text_changed)
        self.move_button.clicked.connect(lambda: self.move_asked.emit(self.field.text()))

    def show_text(self, text: str, *, changed: bool) -> None:
        """Show the draft's arguments; a text that was refused stays as long as the draft does not change below it."""
        self.offer_revert(changed or self._refused is not None)
        if text == self._shown and self._refused is not None:
            return
        self._shown = text
        self._refused = None
        self.field.show_text(text)
        self.field.setToolTip(text)
        theme.mark(self.field, changed=changed, wrong=False)
        value, effect = text or tr("none"), tr("Takes effect at the next start.")
        self.field.setAccessibleName(tr("{name}: {value}. {effect}", name=self.name.name, value=value, effect=effect))
        self.field.setAccessibleDescription(self.name.toolTip())
        self._show(self.read(text))

    def refuse(self, reading: ExtraReading) -> None:
        """Keep what was typed, and say why it is not taken."""
        self._refused = reading
        self.field.setModified(True)  # Escape brings back what is set
        theme.mark(self.field, wrong=True)
        self.offer_revert(True)
        self._show(reading)

    def forget_refusal(self) -> None:
        """What is in the field is taken now."""
        self._refused = None
        self.field.setModified(False)

    def forget(self) -> None:
        """Show what is set, whatever was typed."""
        self._refused = None
        self.field.restore()
        theme.mark(self.field, wrong=False)
        self._show(self.read(self._shown))

    @property
    def is_refused(self) -> bool:
        """Whether the field holds a text that was not taken."""
        return self._refused is not None

    def _text_changed(self, text: str) -> None:
        if self._refused is None:
            return
        if text == self._shown:
            self.forget()
            return
        self._refused = self.read(text)
        theme.mark(self.field, wrong=not self._refused.usable)
        self._show(self._refused)

    def _show(self, reading: ExtraReading) -> None:
        told = [str(problem) for problem in reading.problems]
        told += [
            tr("{name} belongs to the field {field}; use that instead.", name=each.words[0], field=each.parameter.label)
            for each in reading.owned
        ]
        notes = [str(note) for note in reading.notes]
        self.show_note("\n".join(told or notes), wrong=bool(told))
        movable = bool(reading.owned) and bool(reading.values) and not reading.problems
        self.move_button.setVisible(movable)
        if movable:
            first = reading.owned[0]
            self.move_button.setText(
                (
                    tr("Move {words} to {field}", words=" ".join(first.words), field=first.parameter.label)
                    if len(reading.owned) == 1
                    else ntr("Move {count} flag to its field", "Move {count} flags to their fields", len(reading.owned))
                ).replace("&", "&&")
            )
