"""Whether a start will fit, as a shape, words and a colour: never as a colour alone."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from variet_gui.forecast.values import Verdict
from variet_gui.i18n import Message, msg
from variet_gui.ui.widgets.painted_line import PaintedLine
from variet_gui.ui.widgets.shared_colours import shared_colour

WORDS: dict[Verdict, Message] = {
    Verdict.FITS: msg("fits"),
    Verdict.TIGHT: msg("tight"),
    Verdict.DOES_NOT_FIT: msg("does not fit"),
    Verdict.UNKNOWN: msg("not known"),
}

COLOURS: dict[Verdict, str] = {
    Verdict.FITS: "good",
    Verdict.TIGHT: "caution",
    Verdict.DOES_NOT_FIT: "failure",
    Verdict.UNKNOWN: "idle",
}
"""Of the shape and of bars."""

TEXT_COLOURS: dict[Verdict, str] = {
    Verdict.FITS: "good_text",
    Verdict.TIGHT: "caution_text",
    Verdict.DOES_NOT_FIT: "failure_text",
    Verdict.UNKNOWN: "quiet",
}

SHAPE_PX = 12
_GAP = 6


def paint_shape(painter: QPainter, verdict: Verdict, x: float, y: float, colour: QColor) -> None:
    """Draw the verdict's shape, 12 x 12, with its corner at (x, y): a tick, a triangle, a cross or a dashed ring."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(x, y)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    pen = QPen(colour, 1.75)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    if verdict is Verdict.FITS:
        painter.drawPolyline(QPolygonF([QPointF(2, 6.5), QPointF(4.8, 9.3), QPointF(10, 3)]))
    elif verdict is Verdict.TIGHT:
        painter.drawPolygon(QPolygonF([QPointF(6, 1.8), QPointF(11, 10.2), QPointF(1, 10.2)]))
    elif verdict is Verdict.DOES_NOT_FIT:
        painter.drawLine(QPointF(2.5, 2.5), QPointF(9.5, 9.5))
        painter.drawLine(QPointF(9.5, 2.5), QPointF(2.5, 9.5))
    else:
        pen.setStyle(Qt.PenStyle.DotLine)
        painter.setPen(pen)
        painter.drawEllipse(QRectF(2, 2, 8, 8))
    painter.restore()


class VerdictLine(PaintedLine):
    """The shape and the words."""

    def __init__(self, alignment: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft, parent: QWidget | None = None) -> None:
        super().__init__(alignment, parent)
        self._verdict = Verdict.UNKNOWN
        self._quiet = False

    @property
    def verdict(self) -> Verdict:
        """What is shown."""
        return self._verdict

    def show_verdict(self, verdict: Verdict, text: str, *, quiet: bool = False) -> None:
        """Show `text` with the shape of `verdict`; `quiet`: only what does not fit or is tight has a colour."""
        if (verdict, quiet) != (self._verdict, self._quiet):
            self._verdict, self._quiet = verdict, quiet
            self.update()
        self.setText(text)

    def inset(self) -> int:
        return SHAPE_PX + _GAP

    def ink(self) -> str:
        return TEXT_COLOURS[self._verdict] if self._loud else "quiet"

    def paint_before(self, painter: QPainter, left: float) -> None:
        colour = shared_colour(COLOURS[self._verdict] if self._loud else "idle")
        paint_shape(painter, self._verdict, left, (self.height() / self.lines - SHAPE_PX) / 2, colour)

    @property
    def _loud(self) -> bool:
        return not self._quiet or self._verdict in (Verdict.TIGHT, Verdict.DOES_NOT_FIT)
