"""A check box whose tick is drawn in the colours of the theme."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QCheckBox

from variet_gui.ui import icons, theme

_BOX_PX = 15
_GAP = 8


class TickBox(QCheckBox):
    """A QCheckBox in all but its looks; its text is one line."""

    def sizeHint(self) -> QSize:
        self.ensurePolished()
        words = self.fontMetrics().horizontalAdvance(self.text().replace("&&", "&"))
        return QSize(_BOX_PX + _GAP + words + 4, max(22, self.fontMetrics().height() + 4))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def hitButton(self, _position: object) -> bool:
        return True

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(0.75, (self.height() - _BOX_PX) / 2, _BOX_PX, _BOX_PX)
        line = "accent" if self.hasFocus() else "quiet" if self.isEnabled() else "line"
        filled = self.isChecked() and self.isEnabled()
        painter.setPen(QPen(theme.colour(line), 1.5 if self.hasFocus() else 1))
        painter.setBrush(theme.colour("primary" if filled else "field"))
        painter.drawRoundedRect(box, 4, 4)
        if self.isChecked():
            colour = theme.colour("on_primary" if filled else "faint")
            icons.paint(painter, "check", box.adjusted(1.5, 1.5, -1.5, -1.5), colour)
        painter.setPen(theme.colour("text" if self.isEnabled() else "faint"))
        words = QRectF(_BOX_PX + _GAP, 0, self.width() - _BOX_PX - _GAP, self.height())
        align = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.drawText(words, align, self.text().replace("&&", "&"))
        painter.end()
