"""A box to choose one of several from, with an arrow in the colours of the theme."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox

from variet_gui.ui import icons, theme

_ARROW_PX = 14


class DropDown(QComboBox):
    """A QComboBox in all but its arrow: a style sheet takes the platform's away."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        arrow = QRectF(self.width() - _ARROW_PX - 6, (self.height() - _ARROW_PX) / 2, _ARROW_PX, _ARROW_PX)
        icons.paint(painter, "unfold", arrow, theme.colour("quiet" if self.isEnabled() else "idle"))
        painter.end()
