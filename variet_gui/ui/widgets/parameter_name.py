"""The left end of a row on the Tune page: what a setting is called, and its flag."""

from __future__ import annotations

import re

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from variet_gui.ui import stylesheet, theme

LINE_HEIGHT = 30
"""The least height; a name in one line stands in its middle, px."""
_GAP = 6


class ParameterName(QWidget):
    """The flag stands behind the name where both fit into the width, else below it. Nothing is ever cut.

    Painted, not two labels: with all rows open there are more than a hundred, and every widget is restyled when the
    theme changes.
    """

    def __init__(self, name: str, flag: str, width: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self.flag = flag
        self._boxes: tuple[QRect, QRect] | None = None
        self._measured_in = ""
        self.setFixedWidth(width)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"{name} {flag}".strip())

    def sizeHint(self) -> QSize:
        return QSize(self.width(), max(LINE_HEIGHT, self._text_height() + 4))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def boxes(self) -> tuple[QRect, QRect]:
        """Return where the name and the flag stand; the flag's is empty where there is none."""
        font = self.font().key()
        if self._boxes is None or font != self._measured_in:
            self._boxes, self._measured_in = self._place(), font
        return self._boxes

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.updateGeometry()
        elif event.type() == QEvent.Type.EnabledChange:
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        name, flag = self.boxes()
        top = (self.height() - self._text_height()) // 2
        painter.setPen(theme.colour("text" if self.isEnabled() else "faint"))
        painter.drawText(*self._drawn(self.fontMetrics(), name.translated(0, top), self.name))
        if self.flag:
            small = self._small()
            painter.setFont(small)
            painter.setPen(theme.colour("faint"))
            painter.drawText(*self._drawn(QFontMetrics(small), flag.translated(0, top), self.flag))
        painter.end()

    def _drawn(self, metrics: QFontMetrics, box: QRect, text: str) -> tuple[QRect, int, str]:
        # To the right edge, so that a box that was measured a fraction too narrow breaks no line of its own.
        return box.adjusted(0, 0, self.width() - box.right() - 1, 0), _wrapping(metrics, text, self.width()), text

    def _place(self) -> tuple[QRect, QRect]:
        """Return where name and flag stand, counted from the upper edge of the name."""
        metrics, small = self.fontMetrics(), QFontMetrics(self._small())
        name = _box(metrics, self.name, self.width())
        if not self.flag:
            return name, QRect()
        flag = _box(small, self.flag, self.width())
        whole = metrics.horizontalAdvance(self.name) < self.width()  # height is no measure: other scripts stand taller
        if whole and name.width() + _GAP + flag.width() <= self.width():
            down = name.height() - metrics.descent() - (flag.height() - small.descent())
            flag.moveTopLeft(QPoint(name.width() + _GAP, down))
        else:
            flag.moveTop(name.height())
        return name, flag

    def _text_height(self) -> int:
        name, flag = self.boxes()
        return max(name.bottom(), flag.bottom()) + 1

    def _small(self) -> QFont:
        return theme.resized(self.font(), stylesheet.SMALL_PX)


def _box(metrics: QFontMetrics, text: str, width: int) -> QRect:
    box = metrics.boundingRect(QRect(0, 0, width, 0), _wrapping(metrics, text, width), text)
    return QRect(0, 0, min(width, box.width() + 1), box.height())


def _wrapping(metrics: QFontMetrics, text: str, width: int) -> int:
    """Return how `text` breaks into lines: between words and behind dashes, anywhere only where that is not enough."""
    longest = max((metrics.horizontalAdvance(piece) for piece in re.findall(r"[^\s-]+-?", text)), default=0)
    kind = Qt.TextFlag.TextWrapAnywhere if longest > width else Qt.TextFlag.TextWordWrap
    return int(kind | Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
