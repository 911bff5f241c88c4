"""A faint area under the known parts of a curve, so that a burst of two seconds is seen in ten minutes."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPolygonF
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from variet_gui.ui.widgets.plot_scale import FloatArray, runs_of

_OPACITY = 0.16


class PlotFill(pg.GraphicsObject):
    """One polygon for each unbroken run. pyqtgraph's own fill closes its path across gaps and would paint them."""

    def __init__(self) -> None:
        super().__init__()
        self._polygons: list[QPolygonF] = []
        self._bounds = QRectF()
        self._brush = QColor(0, 0, 0, 0)

    def set_colour(self, colour: QColor) -> None:
        """Fill with a faint `colour`."""
        self._brush = QColor(colour)
        self._brush.setAlphaF(_OPACITY)
        self.update()

    def set_points(self, x: FloatArray, y: FloatArray) -> None:
        """Fill between 0 and every run of finite values."""
        self.prepareGeometryChange()
        self._polygons = []
        self._bounds = QRectF()
        for start, end in zip(*runs_of(y), strict=True):
            run_x, run_y = x[start : end + 1], y[start : end + 1]
            outline_x = np.concatenate((run_x[:1], run_x, run_x[-1:]))
            outline_y = np.concatenate(([0.0], run_y, [0.0]))
            self._polygons.append(pg.functions.arrayToQPolygonF(outline_x, outline_y))
            self._bounds |= QRectF(run_x[0], 0.0, run_x[-1] - run_x[0], float(run_y.max()) or 1e-9)
        self.update()

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._brush)
        for polygon in self._polygons:
            painter.drawPolygon(polygon)
