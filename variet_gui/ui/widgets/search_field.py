"""A field that filters while one types."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from variet_gui.ui import icons, theme

_ICON_PX = 14


class SearchField(QLineEdit):
    """Escape empties it."""

    def __init__(self, placeholder: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(placeholder)
        self.setAccessibleName(placeholder)
        self.setTextMargins(_ICON_PX + 4, 0, 0, 0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        super().paintEvent(_event)
        painter = QPainter(self)
        box = QRectF(9, (self.height() - _ICON_PX) / 2, _ICON_PX, _ICON_PX)
        icons.paint(painter, "search", box, theme.colour("faint"))
        painter.end()
