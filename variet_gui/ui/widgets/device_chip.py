"""One device as a chip: a tick, llama.cpp's name for it, and where it sits in the computer."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from variet_gui.ui import icons, theme

CHIP_HEIGHT = 28
_TICK_PX = 12
_PADDING = 9
_RADIUS = 6
_SLACK = 4
"""What a text may be wider than its rounded measure says, px."""


class Chip(QAbstractButton):
    """Painted by itself; what a click means is its owner's. A tick and a filled shape say that it is used."""

    def __init__(self, name: str, address: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self._address = address
        self._set = self._changed = False
        self._here = True
        self._place = 0
        self.setCheckable(True)
        self.setToolTip(tooltip)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    @property
    def address(self) -> str:
        """What stands beside the name: the PCI address, or a remark."""
        return self._address

    def show_state(self, ticked: bool, *, is_set: bool, changed: bool, here: bool) -> None:
        """Show whether it is used; with `is_set` false that is only what applies by default."""
        self._set, self._changed, self._here = is_set, changed, here
        self.setChecked(ticked)
        self.update()

    def set_place(self, place: int) -> None:
        """Say where in the order it stands, from 0."""
        self._place = place
        self.update()

    def nextCheckState(self) -> None:
        # The owner shows the new state once the edit is taken.
        return

    def sizeHint(self) -> QSize:
        self.ensurePolished()  # the font is the style sheet's
        metrics = self.fontMetrics()
        words = metrics.horizontalAdvance(self.name)
        if self._address:
            words += metrics.horizontalAdvance(self._address) + _PADDING + _SLACK
        return QSize(words + _TICK_PX + 5 + 2 * _PADDING, CHIP_HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.75, 0.75, -0.75, -0.75)
        used = self.isChecked()
        filled = used and self._set and self.isEnabled()
        line = theme.colour("accent" if self.hasFocus() else "button_line" if used else "field_line")
        pen = QPen(line, 1.5 if self.hasFocus() else 1)
        if not used:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(theme.colour("chosen") if filled else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, _RADIUS, _RADIUS)
        tick = QRectF(_PADDING, (self.height() - _TICK_PX) / 2, _TICK_PX, _TICK_PX)
        if used:
            icons.paint(painter, "check", tick, theme.colour(self._word_colour()))
        x = _PADDING + _TICK_PX + 5
        words = QRectF(x, 0, self.width() - x - _PADDING, self.height())
        painter.setPen(theme.colour(self._word_colour()))
        painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), self.name)
        words.setLeft(x + self.fontMetrics().horizontalAdvance(self.name) + _PADDING)
        painter.setPen(theme.colour("faint" if self._here else "caution_text"))
        shown = self.fontMetrics().elidedText(self._address, Qt.TextElideMode.ElideLeft, round(words.width()))
        painter.drawText(words, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft), shown)
        painter.end()

    def _word_colour(self) -> str:
        if not self.isChecked() or not self.isEnabled():
            return "faint"
        if self._changed:
            return "caution_text"
        return "strong" if self._set else "quiet"
