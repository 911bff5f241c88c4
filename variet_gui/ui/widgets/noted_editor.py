"""An editor with a few words at its right: "default: on" where nothing is set."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.parameter_editor import NOTE_INSET, ParameterEditor

_GAP = 12


class NotedEditor(ParameterEditor):
    """The note ends in line with the typed fields of other rows; where it would not fit, it stands below."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.note = ElidedLabel("", "faint", parent=self)
        self.note.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._parts: tuple[QWidget, ...] = ()
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_parts(self, *parts: QWidget) -> None:
        """Say what stands at the left, in this order; the note follows."""
        for part in parts:
            part.setParent(self)
        self._parts = parts

    def show_side_note(self, text: str) -> None:
        """Write the note; an empty one takes it away."""
        if text != self.note.text():
            self.note.setText(text)
            self.updateGeometry()
        self._place()

    # ------------------------------------------------------------------------------------------------- shape

    def heightForWidth(self, width: int) -> int:
        height = self._line_height()
        if self.note.text() and not self._fits_beside(width):
            height += self.note.sizeHint().height()
        return height

    def sizeHint(self) -> QSize:
        wide = self._parts_width() + _GAP + self._note_width()
        return QSize(wide, self.heightForWidth(max(wide, self.width())))

    def minimumSizeHint(self) -> QSize:
        return QSize(self._parts_width(), self._line_height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:  # a part has another size than before
            self.updateGeometry()
            self._place()
        return super().event(event)

    def _place(self) -> None:
        line = self._line_height()
        # Where the row is taller than needed, the first line stays in its middle.
        top = max(0, (self.height() - self.heightForWidth(self.width())) // 2)
        x = 0
        for part in self._parts:
            size = part.sizeHint().boundedTo(QSize(max(0, self.width() - x), line))
            part.setGeometry(x, top + (line - size.height()) // 2, size.width(), size.height())
            x += size.width() + _GAP
        self.note.setVisible(bool(self.note.text()))
        wide, high = self._note_width(), self.note.sizeHint().height()
        if self._fits_beside(self.width()):
            self.note.setGeometry(self.width() - wide - NOTE_INSET, top + (line - high) // 2, wide, high)
        else:
            self.note.setGeometry(0, top + line, min(wide, self.width()), high)

    def _fits_beside(self, width: int) -> bool:
        return self._parts_width() + _GAP + self._note_width() + NOTE_INSET <= width

    def _parts_width(self) -> int:
        return sum(part.sizeHint().width() for part in self._parts) + _GAP * (len(self._parts) - 1)

    def _note_width(self) -> int:
        self.note.ensurePolished()
        return self.note.fontMetrics().horizontalAdvance(self.note.text()) + 1

    def _line_height(self) -> int:
        return max((part.sizeHint().height() for part in self._parts), default=0)
