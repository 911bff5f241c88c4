"""What is special about a tier's server, as a shape and words: taken over, somebody else's, open to the network."""

from __future__ import annotations

from enum import Enum

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QWidget

from variet_gui.ui import theme
from variet_gui.ui.widgets.painted_line import PaintedLine

_SHAPE_PX = 12
_GAP = 6


class Mark(Enum):
    """What a line is about; each has a shape of its own."""

    TAKEN_OVER = "taken over"
    ELSEWHERE = "elsewhere"
    OPEN = "open"


class MarkLine(PaintedLine):
    """Hidden while it has nothing to say."""

    def __init__(self, mark: Mark, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.mark = mark
        self.hide()

    def say(self, text: str, details: str = "") -> None:
        """Show `text`, with `details` as its tooltip; an empty text hides the line."""
        self.setText(text)
        self.set_details(lambda: details or text)
        self.setAccessibleDescription(details)
        if bool(text) == self.isHidden():
            self.setVisible(bool(text))

    def inset(self) -> int:
        return _SHAPE_PX + _GAP

    def ink(self) -> str:
        return "caution_text" if self.mark is Mark.OPEN else "quiet"

    def paint_before(self, painter: QPainter, left: float) -> None:
        colour = theme.colour("caution" if self.mark is Mark.OPEN else "idle")
        paint_mark(painter, self.mark, left, (self.height() - _SHAPE_PX) / 2, colour)


def paint_mark(painter: QPainter, mark: Mark, x: float, y: float, colour: QColor) -> None:
    """Draw a shape, 12 x 12, with its corner at (x, y): an arrow into a tray, two linked rings, a dot that sends."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(x, y)
    pen = QPen(colour, 1.5)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if mark is Mark.TAKEN_OVER:
        painter.drawLine(QPointF(6, 1.5), QPointF(6, 7))
        painter.drawPolyline([QPointF(3.5, 4.8), QPointF(6, 7.3), QPointF(8.5, 4.8)])
        painter.drawPolyline([QPointF(1.5, 8), QPointF(1.5, 10.5), QPointF(10.5, 10.5), QPointF(10.5, 8)])
    elif mark is Mark.ELSEWHERE:
        painter.drawEllipse(QRectF(1, 3, 6, 6))
        painter.drawEllipse(QRectF(5, 3, 6, 6))
    else:
        for radius in (3.0, 5.2):
            ring = QRectF(6 - radius, 6 - radius, 2 * radius, 2 * radius)
            painter.drawArc(ring, -45 * 16, 90 * 16)
            painter.drawArc(ring, 135 * 16, 90 * 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(6, 6), 1.6, 1.6)
    painter.restore()
