"""What the colours of the memory bars mean."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from variet_gui.ui import theme
from variet_gui.ui.widgets.forecast_text import PartKind
from variet_gui.ui.widgets.painted_line import use_small_font

_SWATCH = 9
_INSIDE = 6
_BETWEEN = 16
_LINE_GAP = 5


class BarLegend(QWidget):
    """Swatches with words beside each other, in as many lines as they need."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kinds: tuple[PartKind, ...] = ()
        self._lines: dict[int, int] = {}
        """By width: layouts ask again and again."""
        use_small_font(self)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    @property
    def kinds(self) -> tuple[PartKind, ...]:
        """What is explained."""
        return self._kinds

    def set_kinds(self, kinds: Sequence[PartKind]) -> None:
        """Explain these, in this order."""
        if tuple(kinds) != self._kinds:
            self._kinds = tuple(kinds)
            self._lines.clear()
            self.setAccessibleName(", ".join(str(kind.name) for kind in kinds))
            self.updateGeometry()
            self.update()

    def heightForWidth(self, width: int) -> int:
        if width not in self._lines:
            self._lines[width] = 1 + max((line for line, _, _ in self._places(width)), default=0)
        lines = self._lines[width]
        return lines * self.fontMetrics().height() + (lines - 1) * _LINE_GAP

    def sizeHint(self) -> QSize:
        return QSize(200, self.heightForWidth(max(80, self.width())))

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self.heightForWidth(max(80, self.width())))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._lines.clear()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        height = self.fontMetrics().height()
        for line, x, kind in self._places(self.width()):
            top = line * (height + _LINE_GAP)
            swatch = QRectF(x, top + (height - _SWATCH) / 2, _SWATCH, _SWATCH)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour(kind.colour))
            painter.drawRoundedRect(swatch, 2, 2)
            if kind.hatched:
                painter.fillRect(swatch, QBrush(theme.colour("idle"), Qt.BrushStyle.BDiagPattern))
            painter.setPen(theme.colour("quiet"))
            room = QRectF(x + _SWATCH + _INSIDE, top, self.width(), height)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), str(kind.name))
        painter.end()

    def _places(self, width: int) -> list[tuple[int, int, PartKind]]:
        """Return (line, x, kind) of each."""
        metrics, places, line, x = self.fontMetrics(), [], 0, 0
        for kind in self._kinds:
            wide = _SWATCH + _INSIDE + metrics.horizontalAdvance(str(kind.name))
            if x and x + wide > width:
                line, x = line + 1, 0
            places.append((line, x, kind))
            x += wide + _BETWEEN
        return places
