"""What one device will hold, as one painted bar: parts beside each other against what the device has.

Everything is painted, the words above the bar too: a slider moves it many times a second, and nothing is laid out anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QHelpEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from variet_gui.forecast.values import Verdict
from variet_gui.ui.widgets.painted_line import PANEL_GROUND, use_small_font
from variet_gui.ui.widgets.shared_colours import shared_colour
from variet_gui.ui.widgets.verdict_line import TEXT_COLOURS

BAR_PX = 22
THIN_BAR_PX = 10
"""Where there are many devices."""
MOST_STRETCH = 1.6
"""A bar shows up to so many times what the device has; what lies beyond is cut off, and an arrow says so."""
_GAP = 4
_RADIUS = 4.0


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the bar."""

    colour: str
    """A token of the theme."""
    mib: float
    hatched: bool = False
    """Not ours: drawn with stripes, so that it differs in more than its colour."""


@dataclass(frozen=True, slots=True)
class BarValues:
    """What a bar shows. MiB; None: not known."""

    name: str
    """At the left, above the bar: "GPU 0"."""
    words: str
    """At the right: "10.9 of 12.0 GiB (measured 9.5)"."""
    parts: tuple[Part, ...]
    capacity_mib: float | None
    uncertainty_mib: float = 0.0
    measured_mib: float | None = None
    """What the device really holds now."""
    complete: bool = True
    """False: something is not known, and the bar ends where that begins."""
    verdict: Verdict = Verdict.FITS
    spoken: Callable[[], str] = field(default=str, compare=False)
    """Returns what a screen reader says."""
    details: Callable[[], str] = field(default=str, compare=False)
    """Returns the tooltip: every part to the megabyte. Asked for when it is to be seen."""

    @property
    def total_mib(self) -> float:
        """Return the sum of the parts."""
        return sum(part.mib for part in self.parts)


class MemoryBar(QWidget):
    """Shows `BarValues`. What is more than the device has stands striped beyond a marked limit."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values = BarValues("", "", (), None)
        self._stretch = 1.0
        self._thickness = BAR_PX
        self._room = QRectF()
        self._shape = QPainterPath()
        self._named = ("", 0)
        """The name and how wide it is, px."""
        use_small_font(self)
        self._line = self.fontMetrics()
        # It paints all of itself, the ground too: then Qt need not paint every widget that lies below, at every step.
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def values(self) -> BarValues:
        """What is shown."""
        return self._values

    def set_values(self, values: BarValues, stretch: float = 1.0, *, tell: bool = True) -> None:
        """Show `values`. The bar's length stands for `stretch` (1 to 1.6) times what the device has.

        Bars below each other take one `stretch`, so that their limits are in line. Without `tell` a screen reader is
        told by `tell` later, once a slider rests.
        """
        stretch = min(MOST_STRETCH, max(1.0, stretch))
        if values == self._values and stretch == self._stretch:
            return
        self._values, self._stretch = values, stretch
        self.update()
        if tell:
            self.tell()

    def tell(self) -> None:
        """Let a screen reader know what is shown."""
        spoken = self._values.spoken()
        if spoken != self.accessibleName():
            self.setAccessibleName(spoken)

    def set_thin(self, thin: bool) -> None:
        """Take less room, as with many devices."""
        thickness = THIN_BAR_PX if thin else BAR_PX
        if thickness != self._thickness:
            self._thickness = thickness
            self.updateGeometry()

    def limit_x(self) -> float | None:
        """Return where the device ends, px from the left; None where that is not known or nothing goes beyond it."""
        if self._values.capacity_mib is None or self._stretch <= 1.0:
            return None
        return self.width() / self._stretch

    def x_of(self, mib: float) -> float:
        """Return where an amount ends on the bar, px from the left; never beyond the bar."""
        values = self._values
        whole = values.capacity_mib * self._stretch if values.capacity_mib else values.total_mib
        return self.width() * min(1.0, mib / whole) if whole > 0 else 0.0

    # ------------------------------------------------------------------------------------------------ shape

    def sizeHint(self) -> QSize:
        return QSize(200, self.fontMetrics().height() + _GAP + self._thickness + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self.sizeHint().height())

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._line, self._named = self.fontMetrics(), ("", 0)
        super().changeEvent(event)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._values.details(), self)
            return True
        return super().event(event)

    # ------------------------------------------------------------------------------------------------ paint

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), shared_colour(PANEL_GROUND))
        self._paint_words(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = float(self._line.height() + _GAP)
        limit = self.limit_x()
        track = QRectF(0, top, self.width() if limit is None else limit, self._thickness)
        painter.setClipPath(self._rounded(QRectF(0, top, self.width(), self._thickness)))
        painter.fillRect(track, shared_colour("track"))
        end = self._paint_parts(painter, track)
        if not self._values.complete:
            self._paint_unknown(painter, QRectF(end, top, max(0.0, self.width() - end), self._thickness))
        if limit is not None and end > limit:
            self._paint_overflow(painter, QRectF(limit, top, end - limit, self._thickness))
        painter.setClipping(False)
        if limit is not None:
            painter.fillRect(QRectF(round(limit) - 1, top - 3, 2, self._thickness + 5), shared_colour("failure"))
        self._paint_uncertainty(painter, top)
        if self._values.measured_mib is not None:
            self._paint_tick(painter, self.x_of(self._values.measured_mib), top)
        painter.end()

    def _rounded(self, room: QRectF) -> QPainterPath:
        """Return the shape of the bar; it stays while a slider moves."""
        if room != self._room:
            self._room, self._shape = room, QPainterPath()
            self._shape.addRoundedRect(room, _RADIUS, _RADIUS)
        return self._shape

    def _paint_words(self, painter: QPainter) -> None:
        values, metrics = self._values, self._line
        base, verdict = float(metrics.ascent()), values.verdict
        left = self.width() - metrics.horizontalAdvance(values.words)
        loud = verdict is Verdict.TIGHT or verdict is Verdict.DOES_NOT_FIT
        painter.setPen(shared_colour(TEXT_COLOURS[verdict] if loud else "quiet"))
        painter.drawText(QPointF(left, base), values.words)
        if loud:
            painter.setPen(shared_colour("quiet"))
        if values.name != self._named[0]:
            self._named = (values.name, metrics.horizontalAdvance(values.name))
        name, room = values.name, max(0, left - 12)
        if self._named[1] > room:
            name = metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QPointF(0.0, base), name)

    def _paint_parts(self, painter: QPainter, track: QRectF) -> float:
        """Draw the parts and return where they end."""
        before, left = 0.0, 0.0
        for part in self._values.parts:
            before += part.mib
            right = self.x_of(before)
            # A hairline of the track between two parts tells them apart without their colours.
            room = QRectF(
                left, track.top(), max(0.0, right - left - (1.0 if right - left > 3.0 else 0.0)), track.height()
            )
            painter.fillRect(room, shared_colour(part.colour))
            if part.hatched:
                _stripe(painter, room, shared_colour("idle"))
            left = right
        return left

    def _paint_unknown(self, painter: QPainter, room: QRectF) -> None:
        painter.fillRect(room, QBrush(shared_colour("idle"), Qt.BrushStyle.Dense7Pattern))
        if room.width() > 20:
            painter.setPen(shared_colour("text"))
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), "?")

    def _paint_overflow(self, painter: QPainter, room: QRectF) -> None:
        """Draw what does not fit, and an arrow where even that is cut off."""
        painter.fillRect(room, shared_colour("window", 0.55))
        _stripe(painter, room, shared_colour("failure"))
        capacity = self._values.capacity_mib or 0.0
        if self._values.total_mib > capacity * self._stretch + 1.0:
            tip, middle, arm = room.right() - 4, room.center().y(), min(5.0, self._thickness / 3)
            painter.setPen(QPen(shared_colour("strong"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(
                QPolygonF([QPointF(tip - arm, middle - arm), QPointF(tip, middle), QPointF(tip - arm, middle + arm)])
            )

    def _paint_uncertainty(self, painter: QPainter, top: float) -> None:
        """Draw how far the end may be off, either way, as a bracket on the middle of the bar."""
        values = self._values
        if values.capacity_mib is None or not values.complete or values.uncertainty_mib <= 0 or not values.parts:
            return
        low = self.x_of(max(0.0, values.total_mib - values.uncertainty_mib))
        high = self.x_of(values.total_mib + values.uncertainty_mib)
        if high - low < 4 or low >= self.width() - 1:
            return
        middle, arm = top + self._thickness / 2, min(4.0, self._thickness / 4)
        painter.setPen(QPen(shared_colour("strong", 0.75), 1.25))
        painter.drawLines(
            [
                QLineF(low, middle, high, middle),
                *(QLineF(x, middle - arm, x, middle + arm) for x in (low + 0.6, high - 0.6)),
            ]
        )

    def _paint_tick(self, painter: QPainter, x: float, top: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shared_colour("bar"))
        painter.drawRect(QRectF(x - 2, top - 1, 4, self._thickness + 2))
        painter.setBrush(shared_colour("strong"))
        painter.drawRect(QRectF(x - 1, top - 1, 2, self._thickness + 2))
        painter.drawPolygon(QPolygonF([QPointF(x - 4, top - 3), QPointF(x + 4, top - 3), QPointF(x, top + 2)]))


def _stripe(painter: QPainter, room: QRectF, colour: QColor) -> None:
    painter.fillRect(room, QBrush(colour, Qt.BrushStyle.BDiagPattern))
