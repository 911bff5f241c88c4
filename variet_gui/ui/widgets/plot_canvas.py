"""The drawing surface of a time plot: curves, grid, limit lines and event marks on a fixed range.

X is the age of a sample in seconds (0 is now, the past is negative) and its range does not move while the plot
follows; pyqtgraph re-lays its axes out whenever a range moves, which costs more than the curves. Its own axes and
grid are not used at all for the same reason; grid lines are a few `InfiniteLine`s and all words are painted at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen
from PySide6.QtWidgets import QWidget

from variet_gui.ui import theme
from variet_gui.ui.widgets.plot_fill import PlotFill
from variet_gui.ui.widgets.plot_model import Line, Mark
from variet_gui.ui.widgets.plot_scale import FloatArray, place_labels

LABEL_PX = 11
_ROW_PX = 15
_TOP_PX = 16
_DASHES = {"limit": [6, 4], "mark": [3, 4]}


class _Curve(pg.PlotCurveItem):
    """A curve whose bounds are those of the plot: finding out its own costs a sixth of all drawing."""

    def __init__(self, colour: QColor) -> None:
        self._frame = QRectF()
        super().__init__(pen=pg.mkPen(colour, width=1), connect="finite", antialias=True)

    def set_frame(self, frame: QRectF) -> None:
        self.prepareGeometryChange()
        self._frame = frame

    def boundingRect(self) -> QRectF:
        return self._frame


class PlotCanvas(pg.PlotWidget):
    """Draws what it is given; knows nothing of series, stores or timers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._plot = self.getPlotItem()
        for axis in ("left", "bottom"):
            self._plot.hideAxis(axis)
        self._plot.hideButtons()
        self._plot.setMenuEnabled(False)
        self._plot.layout.setContentsMargins(0, 0, 0, 0)
        self._box = self._plot.getViewBox()
        self._box.setMouseEnabled(x=False, y=False)
        self._box.setDefaultPadding(0.0)
        self._box.disableAutoRange()
        self.setMouseTracking(False)
        self.setFrameShape(pg.QtWidgets.QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self._span_s = 600.0
        self._top = 1.0
        self._inks: dict[str, QColor] = {}
        self._label_font = theme.text_font(LABEL_PX)
        self._metrics = QFontMetricsF(self._label_font)
        self._range: tuple[float, ...] = ()
        self._curves: list[_Curve] = []
        self._fills: dict[int, PlotFill] = {}
        self._lines: list[pg.InfiniteLine] = []
        self._mark_lines: list[pg.InfiniteLine] = []
        self._line_values: tuple[Line, ...] = ()
        self._marks: tuple[Mark, ...] = ()
        self._labels: list[tuple[float, int] | None] = []
        self._rows = 0
        self._shows_mark_labels = True
        self.empty_text = ""
        self.apply_theme()

    def apply_theme(self) -> None:
        """Take the colours of the theme in use."""
        self._inks.clear()
        self.setBackground(theme.colour("bar"))
        self._label_font = theme.text_font(LABEL_PX)
        self._metrics = QFontMetricsF(self._label_font)
        self._dress_lines()
        self._dress_marks()
        self._place()

    def set_curves(self, colours: Sequence[QColor], filled: Sequence[bool]) -> None:
        """Have as many curves as `colours`, in these colours. Width 1: any more costs tens of times as much."""
        for item in (*self._curves, *self._fills.values()):
            self._plot.removeItem(item)
        self._curves, self._fills = [], {}
        for index, (colour, is_filled) in enumerate(zip(colours, filled, strict=True)):
            # Not PlotDataItem: this is a quarter cheaper and has none of its modes.
            curve = _Curve(colour)
            curve.setZValue(20 + index)
            self._plot.addItem(curve, ignoreBounds=True)
            self._curves.append(curve)
            if is_filled:
                fill = PlotFill()
                fill.set_colour(colour)
                fill.setZValue(10 + index)
                self._plot.addItem(fill, ignoreBounds=True)
                self._fills[index] = fill
        self._frame_curves()

    def set_curve(self, index: int, ages_s: FloatArray, values: FloatArray) -> None:
        """Draw curve `index` through these points; NaN is a gap. `values` are on the left scale."""
        self._curves[index].setData(ages_s, values)
        if index in self._fills:
            self._fills[index].set_points(ages_s, values)

    def curve_data(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Return what curve `index` was drawn through last: ages in s and values."""
        ages, values = self._curves[index].getData()
        return ages, values

    def set_frame(self, span_s: float, top: float, lines: tuple[Line, ...], marks: tuple[Mark, ...]) -> None:
        """Set the range (`span_s` seconds up to now, 0 to `top`) and everything that is not a curve."""
        changed = (span_s, top) != (self._span_s, self._top) or lines != self._line_values or marks != self._marks
        if not changed:
            return
        self._span_s, self._top = span_s, top
        if lines != self._line_values:
            self._line_values = lines
            self._dress_lines()
        same_marks = [(m.label, m.colour) for m in marks] == [(m.label, m.colour) for m in self._marks]
        self._marks = marks
        if not same_marks:
            self._dress_marks()
        for item, mark in zip(self._mark_lines, marks, strict=True):
            item.setPos(mark.age_s)
        self._place()

    def show_mark_labels(self, shown: bool) -> None:
        """Write the names of marks beside them, or draw only their lines (a low plot has no room for words)."""
        self._shows_mark_labels = shown
        self._place()

    def mark_texts_near(self, x_px: float, reach_px: float = 6.0) -> list[str]:
        """Return the names of the marks whose line passes within `reach_px` of `x_px`."""
        return [mark.label for mark in self._marks if abs(self._x_px(mark.age_s) - x_px) <= reach_px]

    def visible_labels(self) -> list[tuple[str, QRectF]]:
        """Return the mark labels that found room, each with its rectangle in pixels."""
        return [
            (mark.label, self._label_rect(place, self._text_width(mark.label)))
            for mark, place in zip(self._marks, self._labels, strict=True)
            if place is not None
        ]

    def sizeHint(self) -> QSize:
        # pyqtgraph asks for 640 x 480, whatever the page has.
        return QSize(240, 120)

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        if event is not None:  # pyqtgraph calls this without one while it builds
            self._place()

    def mousePressEvent(self, event: object) -> None:
        """Ignore the mouse: nothing here can be dragged, and pyqtgraph's own handling only costs."""

    def mouseMoveEvent(self, event: object) -> None:
        """As `mousePressEvent`."""

    def mouseReleaseEvent(self, event: object) -> None:
        """As `mousePressEvent`."""

    def wheelEvent(self, event: object) -> None:
        """Let the page scroll."""
        event.ignore()

    def drawForeground(self, painter: QPainter, _rect: QRectF | QRect) -> None:
        """Paint all words in one go: text items of their own cost more, and these are placed to the pixel."""
        painter.save()
        painter.resetTransform()
        painter.setFont(self._label_font)
        for line in self._line_values:
            self._paint_line_label(painter, line)
        background = self._ink("bar")
        for mark, place in zip(self._marks, self._labels, strict=True):
            if place is not None:
                area = self._label_rect(place, self._text_width(mark.label))
                painter.fillRect(area, background)  # the line of a neighbour may pass behind it
                painter.setPen(self._ink(mark.colour))
                painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, mark.label)
        if self.empty_text:
            painter.setPen(self._ink("faint"))
            area = QRectF(self.rect()).adjusted(16, 0, -16, 0)
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), self.empty_text)
        painter.restore()

    def _paint_line_label(self, painter: QPainter, line: Line) -> None:
        y = self._y_px(line.value)
        area = QRectF(6.0, y - _ROW_PX, self.width() - 12.0, _ROW_PX)
        if line.colour:
            behind = QColor(self._ink("bar"))
            behind.setAlphaF(0.8)  # a grid line may pass there, and a curve shall still be seen
            painter.fillRect(QRectF(4.0, y - _ROW_PX + 1, self._text_width(line.label) + 4, _ROW_PX - 2), behind)
        if line.label:
            painter.setPen(self._ink(line.colour or "faint"))
            painter.drawText(area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, line.label)
        if line.label_right:
            painter.setPen(self._ink(line.colour_right))
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, line.label_right)

    def _dress_lines(self) -> None:
        self._fit_pool(self._lines, 1 + len(self._line_values), angle=0)
        grid = QPen(self._ink("line"))
        grid.setCosmetic(True)
        self._lines[0].setPos(0.0)
        self._lines[0].setPen(grid)
        for item, line in zip(self._lines[1:], self._line_values, strict=True):
            item.setPos(line.value)
            item.setPen(_dashed(self._ink(line.colour), "limit") if line.colour else grid)

    def _dress_marks(self) -> None:
        self._fit_pool(self._mark_lines, len(self._marks), angle=90)
        for item, mark in zip(self._mark_lines, self._marks, strict=True):
            item.setPos(mark.age_s)
            item.setPen(_dashed(self._ink("idle" if mark.colour == "quiet" else mark.colour), "mark"))

    def _fit_pool(self, pool: list[pg.InfiniteLine], count: int, angle: int) -> None:
        while len(pool) < count:
            line = pg.InfiniteLine(angle=angle, movable=False)
            line.setAcceptHoverEvents(False)
            pool.append(line)
            self._plot.addItem(line, ignoreBounds=True)
        while len(pool) > count:
            self._plot.removeItem(pool.pop())

    def _place(self) -> None:
        width = float(self.width())
        if self._shows_mark_labels:
            wanted = [self._x_px(mark.age_s) + 5.0 for mark in self._marks]
            order = sorted(range(len(wanted)), key=wanted.__getitem__)
            texts = [self._text_width(self._marks[index].label) for index in order]
            places = place_labels([wanted[index] for index in order], texts, width, rows=2)
            self._labels = [None] * len(wanted)
            for index, place in zip(order, places, strict=True):
                self._labels[index] = place
        else:
            self._labels = [None] * len(self._marks)
        self._rows = 1 + max((place[1] for place in self._labels if place is not None), default=-1)
        # Below 0 there is a band for the names of marks, so that they never lie on a curve; above the top there is
        # room for the words on the highest line.
        height = max(float(self.height()), 40.0)
        per_px = self._top / max(height - _TOP_PX - self._band_px(), 10.0)
        edges = (-self._span_s, 0.0, -self._band_px() * per_px, self._top + _TOP_PX * per_px)
        if edges != self._range:
            self._range = edges
            self._frame_curves()
            self._box.setRange(xRange=edges[:2], yRange=edges[2:], padding=0, disableAutoRange=True)
        self.viewport().update()

    def _frame_curves(self) -> None:
        if self._range:
            left, right, bottom, top = self._range
            for curve in self._curves:
                curve.set_frame(QRectF(left, bottom, right - left, top - bottom))

    def _band_px(self) -> float:
        return 3.0 + _ROW_PX * self._rows

    def _label_rect(self, place: tuple[float, int], width: float) -> QRectF:
        left, row = place
        return QRectF(left, self.height() - _ROW_PX * (row + 1), math.ceil(width) + 1.0, _ROW_PX)

    def _ink(self, name: str) -> QColor:
        if name not in self._inks:
            self._inks[name] = theme.colour(name)
        return self._inks[name]

    def _text_width(self, text: str) -> float:
        return self._metrics.horizontalAdvance(text)

    def _x_px(self, age_s: float) -> float:
        return (age_s + self._span_s) / self._span_s * self.width()

    def _y_px(self, value: float) -> float:
        return float(self.mapFromScene(self._box.mapViewToScene(QPointF(0.0, value))).y())


def _dashed(colour: QColor, kind: str) -> QPen:
    pen = QPen(colour)
    pen.setCosmetic(True)
    pen.setDashPattern(_DASHES[kind])
    return pen
