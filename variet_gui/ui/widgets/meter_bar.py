"""A thin bar that is filled to a part of its length."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from variet_gui.ui import theme


class MeterBar(QWidget):
    """Shows a fraction from 0 to 1 in a colour of the theme; an unknown one is an empty track."""

    def __init__(self, colour: str = "accent", thickness: int = 5, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour = colour
        self._thickness = thickness
        self._fraction: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def fraction(self) -> float | None:
        """What is shown: 0..1, or None."""
        return self._fraction

    def set_fraction(self, fraction: float | None, colour: str | None = None) -> None:
        """Show `fraction` (clipped to 0..1), in `colour` from now on if given."""
        clipped = None if fraction is None else min(1.0, max(0.0, fraction))
        if clipped != self._fraction or (colour is not None and colour != self._colour):
            self._fraction = clipped
            self._colour = colour or self._colour
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(110, self._thickness)

    def minimumSizeHint(self) -> QSize:
        return QSize(24, self._thickness)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        box = QRectF(0, (self.height() - self._thickness) / 2, self.width(), self._thickness)
        radius = self._thickness / 2
        painter.setBrush(theme.colour("track"))
        painter.drawRoundedRect(box, radius, radius)
        if self._fraction:
            painter.setBrush(theme.colour(self._colour))
            # Never shorter than round: a tiny use would otherwise look like a smudge.
            box.setWidth(max(self._thickness, box.width() * self._fraction))
            painter.drawRoundedRect(box, radius, radius)
        painter.end()
