"""A parameter with a few words to choose from, as segments."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.parameter_editor import NOTE_INSET, VALUE_WIDTH, ParameterEditor
from variet_gui.ui.widgets.segments import Segments

MAX_SEGMENTS = 5
_WIDEST_PX = 265
_CHARACTER_PX = 8
_PADDING_PX = 16
_MENU_PX = 36
"""What fits beside the notes of a 1280 px window; a rough measure is enough, the layout does the rest."""


class ChoiceEditor(ParameterEditor):
    """For CHOICE parameters. `favourites` get a segment first; what does not fit goes into a menu."""

    def __init__(self, parameter: Parameter, favourites: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        shown = [choice for choice in (favourites or parameter.choices) if choice in parameter.choices]
        while len(shown) > 1 and (len(shown) > MAX_SEGMENTS or _width(shown, parameter.choices) > _WIDEST_PX):
            shown.pop()
        rest = [choice for choice in parameter.choices if choice not in shown]
        self.segments = Segments([(choice, choice) for choice in shown], [(choice, choice) for choice in rest])
        self._note = ElidedLabel("", "faint")
        self._note.setMaximumWidth(VALUE_WIDTH)
        self._note.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._note.setContentsMargins(0, 0, NOTE_INSET, 0)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(12)
        box.addWidget(self.segments)
        box.addStretch(1)
        box.addWidget(self._note, 100)
        self.segments.chosen.connect(self.offer)
        self.segments.unset_asked.connect(lambda: self.offer(None))

    def controls(self) -> tuple[QWidget, ...]:
        return (self.segments,)

    def refresh(self) -> None:
        current = None if self.value is None else str(self.value)
        saved = None if self.saved is None else str(self.saved)
        self.segments.set_current(current, changed=self.changed, saved=saved)
        self._note.setText(self.unset_note() if self.value is None else "")
        self.segments.set_accessible_names(self.spoken())


def _width(shown: Sequence[str], choices: Sequence[str]) -> int:
    menu = 0 if len(shown) == len(choices) else _MENU_PX
    return menu + sum(len(word) * _CHARACTER_PX + _PADDING_PX for word in shown)
