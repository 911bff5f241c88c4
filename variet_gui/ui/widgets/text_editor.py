"""A parameter that can only be typed: free text, or a number without a range."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.ui import theme
from variet_gui.ui.widgets.parameter_editor import ParameterEditor
from variet_gui.ui.widgets.unit_field import UnitField


class TextEditor(ParameterEditor):
    """For TEXT parameters and whatever has no better editor."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.field = UnitField()
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.field)
        self.field.committed.connect(self._typed)

    def controls(self) -> tuple[QWidget, ...]:
        return (self.field,)

    def refresh(self) -> None:
        self.field.setPlaceholderText(self.unset_note())
        self.field.show_text("" if self.value is None else self.written(self.value), self.unit())
        theme.mark(self.field, changed=self.changed, wrong=False)

    def _typed(self, text: str) -> None:
        if not self.offer_text(text):
            theme.mark(self.field, wrong=True)
