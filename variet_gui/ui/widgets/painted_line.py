"""One painted line of words. Its size does not depend on them, so that a change of text lays out nothing anew."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from variet_gui.ui.stylesheet import SMALL_PX
from variet_gui.ui.widgets.shared_colours import shared_colour

PANEL_GROUND = "bar"
"""The colour of a panel."""


def use_small_font(widget: QWidget) -> None:
    """Let `widget` paint its words in the size of quiet lines, in the family of the application."""
    font = QFont()
    font.setPixelSize(SMALL_PX)
    widget.setFont(font)


class PaintedLine(QWidget):
    """For words that change many times a second, as a slider moves. What does not fit is cut at its end."""

    def __init__(self, alignment: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._alignment = alignment
        self._text = ""
        self._wide: int | None = None
        """How wide it is, px; None: not measured yet."""
        self._ground: str | None = None
        self._lines = 1
        self._details: Callable[[], str] | None = None
        use_small_font(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """Return the words that are shown."""
        return self._text

    def setText(self, text: str) -> None:
        """Show `text`."""
        if text != self._text:
            self._text, self._wide = text, None
            self.setAccessibleName(text)
            self.update()

    def set_details(self, details: Callable[[], str]) -> None:
        """Let the tooltip say what `details` returns when it is to be seen; without it, the whole text."""
        self._details = details

    def set_ground(self, colour: str) -> None:
        """Say what colour it stands on, by its token: then Qt need not paint what lies below at every change."""
        self._ground = colour
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def set_alignment(self, alignment: Qt.AlignmentFlag) -> None:
        """Begin at the left or end at the right."""
        if alignment != self._alignment:
            self._alignment = alignment
            self.update()

    @property
    def lines(self) -> int:
        """Over how many lines the words may go."""
        return self._lines

    def set_lines(self, lines: int) -> None:
        """Let the words go over so many lines; the size is that of all of them, also while the words are short."""
        if lines != self._lines:
            self._lines = lines
            self.updateGeometry()
            self.update()

    def room_needed(self) -> int:
        """Return how wide it would have to be to show everything, px."""
        return self.inset() + self._advance() if self._text else 0

    def _advance(self) -> int:
        """Return how wide the words are, px; measured once for each text."""
        if self._wide is None:
            self._wide = self.fontMetrics().horizontalAdvance(self._text)
        return self._wide

    def inset(self) -> int:
        """Return how far the words stand from what is painted before them, px."""
        return 0

    def ink(self) -> str:
        """Return the colour of the words, by its token."""
        return "faint"

    def paint_before(self, painter: QPainter, left: float) -> None:
        """Paint what stands before the words, from `left` on."""

    def sizeHint(self) -> QSize:
        return QSize(160, self._lines * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(60, self.sizeHint().height())

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._wide = None
        super().changeEvent(event)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._details() if self._details else self._text, self)
            return True
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._ground is not None:
            painter.fillRect(self.rect(), shared_colour(self._ground))
        if self._text:
            self._paint_text(painter)
        painter.end()

    def _paint_text(self, painter: QPainter) -> None:
        room, shown, advance = self.width() - self.inset(), self._text, self._advance()
        wrapped = self._lines > 1
        if not wrapped and advance >= room:
            metrics = painter.fontMetrics()
            shown = metrics.elidedText(shown, Qt.TextElideMode.ElideRight, room)
            advance = metrics.horizontalAdvance(shown)
        width = min(room, advance)
        left = 0.0 if self._alignment == Qt.AlignmentFlag.AlignLeft else float(room - width)
        self.paint_before(painter, left)
        painter.setPen(shared_colour(self.ink()))
        area = QRectF(left + self.inset(), 0, width + 1, self.height())
        flags = Qt.AlignmentFlag.AlignLeft | (Qt.AlignmentFlag.AlignTop if wrapped else Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(area, int(flags) | (int(Qt.TextFlag.TextWordWrap) if wrapped else 0), shown)
