"""A typed field with its unit inside, at the right edge."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from variet_gui.ui.widgets.layout import label

_UNDO_KEYS = (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)


class UnitField(QLineEdit):
    """Commits on Enter and on leaving, takes back on Escape; the mouse wheel does nothing."""

    committed = Signal(str)
    """The operator is done typing: the text."""

    def __init__(self, unit: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ""
        self._unit = label(unit, "unit", parent=self)
        self._unit.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._unit.setVisible(bool(unit))
        self.returnPressed.connect(self._commit)
        self._place_unit()

    def show_text(self, text: str, unit: str = "") -> None:
        """Show `text` with `unit`, unless the operator is typing something else right now."""
        self._shown = text
        if self._unit.text() != unit:
            self._unit.setText(unit)
            self._unit.setVisible(bool(unit))
            self._place_unit()
        if not (self.hasFocus() and self.isModified()):
            self.setText(text)
            self.setModified(False)

    def restore(self) -> None:
        """Forget what was typed and show the value again."""
        self.setText(self._shown)
        self.setModified(False)

    def _commit(self) -> None:
        if self.isModified():
            self.setModified(False)
            self.committed.emit(self.text())
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
            if self.isModified():
                self.setModified(False)
                self.committed.emit(self.text())
            self.deselect()
        super().focusOutEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_unit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._place_unit()

    def _place_unit(self) -> None:
        width = self._unit.sizeHint().width() if self._unit.text() else 0
        self._unit.setGeometry(self.width() - width - 9, 0, width, self.height())
        self.setTextMargins(0, 0, width + 4 if width else 0, 0)
