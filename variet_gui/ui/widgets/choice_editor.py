"""A parameter with a few words to choose from, as segments."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.ui.widgets.noted_editor import NotedEditor
from variet_gui.ui.widgets.segments import Segments

MAX_SEGMENTS = 5
_WIDEST_PX = 265
_CHARACTER_PX = 8
_PADDING_PX = 16
_MENU_PX = 36
"""What fits beside the notes of a 1280 px window; a rough measure is enough, the layout does the rest."""


class ChoiceEditor(NotedEditor):
    """For CHOICE parameters. `favourites` get a segment first; what does not fit goes into a menu."""

    def __init__(self, parameter: Parameter, favourites: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        shown = [choice for choice in (favourites or parameter.choices) if choice in parameter.choices]
        while len(shown) > 1 and (len(shown) > MAX_SEGMENTS or _width(shown, parameter.choices) > _WIDEST_PX):
            shown.pop()
        rest = [choice for choice in parameter.choices if choice not in shown]
        self.segments = Segments([(choice, choice) for choice in shown], [(choice, choice) for choice in rest])
        self.set_parts(self.segments)
        self.segments.chosen.connect(self.offer)
        self.segments.unset_asked.connect(lambda: self.offer(None))

    def controls(self) -> tuple[QWidget, ...]:
        return (self.segments,)

    def refresh(self) -> None:
        current = None if self.value is None else str(self.value)
        saved = None if self.saved is None else str(self.saved)
        self.segments.set_current(current, changed=self.changed, saved=saved)
        self.show_side_note(self.unset_note() if self.value is None else "")
        self.segments.set_accessible_names(self.spoken())


def _width(shown: Sequence[str], choices: Sequence[str]) -> int:
    menu = 0 if len(shown) == len(choices) else _MENU_PX
    return menu + sum(len(word) * _CHARACTER_PX + _PADDING_PX for word in shown)
