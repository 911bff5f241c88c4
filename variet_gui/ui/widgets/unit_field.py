"""A typed field with its unit inside, at the right edge."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, Qt, Signal
from PySide6.QtGui import QFocusEvent, QFontMetrics, QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QLineEdit, QStyle, QStyleOptionFrame, QWidget

from variet_gui.ui import theme

_UNIT_PX = 11
_UNIT_GAP = 4
_INSET = 9
"""From the right edge to the unit, px."""
_LINE_MARGIN = 2
"""What QLineEdit keeps free at both ends of its text, px (horizontalMargin in qlineedit_p.cpp)."""
_UNDO_KEYS = (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)


class UnitField(QLineEdit):
    """Commits on Enter and on leaving, takes back on Escape; the mouse wheel does nothing."""

    committed = Signal(str)
    """The operator is done typing: the text."""

    def __init__(self, unit: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ""
        self._unit = ""
        self.returnPressed.connect(self._commit)
        self._set_unit(unit)

    def show_text(self, text: str, unit: str = "") -> None:
        """Show `text` with `unit`, unless the operator is typing something else right now."""
        self._shown = text
        if self._unit != unit:
            self._set_unit(unit)
        if not (self.hasFocus() and self.isModified()):
            self.setText(text)
            self.setModified(False)

    def finish(self) -> None:
        """Commit what is being typed, as leaving the field would: something else is about to use the value."""
        if self.isModified():
            self.setModified(False)
            self.committed.emit(self.text())

    def restore(self) -> None:
        """Forget what was typed and show the value again."""
        self.setText(self._shown)
        self.setModified(False)

    @property
    def unit(self) -> str:
        """The unit that is shown; empty for none."""
        return self._unit

    def fits(self, text: str, unit: str = "") -> bool:
        """Whether `text` can be read as a whole in the width that the field has now."""
        self.ensurePolished()
        option = QStyleOptionFrame()
        self.initStyleOption(option)
        inside = self.style().subElementRect(QStyle.SubElement.SE_LineEditContents, option, self)
        room = inside.width() - 2 * _LINE_MARGIN - self._unit_margin(unit)
        return self.fontMetrics().horizontalAdvance(text) <= room

    def _commit(self) -> None:
        self.finish()
        if not self.isModified():  # a text that was refused is mended, not replaced by the next key
            self.selectAll()

    def event(self, event: QEvent) -> bool:
        # While nothing is being typed there is nothing of its own to undo: the keys belong to the page.
        is_key = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride
        if is_key and not self.isModified() and any(event.matches(key) for key in _UNDO_KEYS):
            event.ignore()
            return False
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.isModified():
            self.restore()
            self.selectAll()
            return
        super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self.selectAll()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        # The window losing the focus, or a menu opening, is not the end of typing.
        if event.reason() not in (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.PopupFocusReason):
            self.finish()
            self.deselect()
        super().focusOutEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._set_unit(self._unit)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._unit:
            return
        # Painted, not a label: a page of a hundred fields would have a hundred widgets more to restyle.
        painter = QPainter(self)
        painter.setFont(theme.resized(self.font(), _UNIT_PX))
        painter.setPen(theme.colour("faint"))
        box = QRect(0, 0, self.width() - _INSET, self.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self._unit)
        painter.end()

    def _set_unit(self, unit: str) -> None:
        self._unit = unit
        self.setTextMargins(0, 0, self._unit_margin(unit), 0)
        self.update()

    def _unit_margin(self, unit: str) -> int:
        if not unit:
            return 0
        return QFontMetrics(theme.resized(self.font(), _UNIT_PX)).horizontalAdvance(unit) + _UNIT_GAP
