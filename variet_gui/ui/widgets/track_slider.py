"""The slider itself: a thin groove, a round handle, a tick where the saved value is."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QSlider, QWidget

from variet_gui.ui import theme

HANDLE_PX = 16
GROOVE_PX = 4


class TrackSlider(QSlider):
    """A horizontal QSlider with a handle that jumps to the press and a wheel that needs the focus.

    Its own positions are whole steps; the handle is painted at `set_exact`'s fraction where a typed value lies between
    two of them. With `hollow` the value is not set: the handle is a ring at what applies instead.
    """

    confirmed = Signal(int)
    """The handle was pressed where it stands already: that sets a value that was not set."""
    unset_asked = Signal()
    """Delete or Backspace was pressed."""

    def __init__(self, left: str = "accent", right: str = "track", parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._left = left
        self._right = right
        self._exact: float | None = None
        self._tick: float | None = None
        self._hollow = False
        self._grabbed = False
        self.gesture: object | None = None
        """One object from the press of the handle to its release; None while nobody holds it."""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    def set_exact(self, fraction: float | None) -> None:
        """Paint the handle at `fraction` of the groove; None: where the slider's own position is."""
        self._exact = fraction
        self.update()

    def set_tick(self, fraction: float | None) -> None:
        """Mark the saved value at `fraction` of the groove; None: no mark."""
        self._tick = fraction
        self.update()

    def set_hollow(self, hollow: bool) -> None:
        """Show the value as not set."""
        self._hollow = hollow
        self.update()

    # ------------------------------------------------------------------------------------------------ shape

    def sizeHint(self) -> QSize:
        return QSize(160, 24)

    def minimumSizeHint(self) -> QSize:
        return QSize(80, 24)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        middle = self.height() / 2
        x = self._x(self._fraction())
        groove = QRectF(0, middle - GROOVE_PX / 2, self.width(), GROOVE_PX)
        painter.setBrush(theme.colour("track" if self._hollow or not self.isEnabled() else self._right))
        painter.drawRoundedRect(groove, 2, 2)
        if self.isEnabled() and not self._hollow and self._fraction() > 0:
            groove.setWidth(x)
            painter.setBrush(theme.colour(self._left))
            painter.drawRoundedRect(groove, 2, 2)
        if self._tick is not None:
            painter.setBrush(theme.colour("caution"))
            painter.drawRoundedRect(QRectF(self._x(self._tick) - 1, middle - 6, 2, 12), 1, 1)
        self._paint_handle(painter, QPointF(x, middle))
        painter.end()

    def _paint_handle(self, painter: QPainter, centre: QPointF) -> None:
        radius = HANDLE_PX / 2
        if self.hasFocus():
            halo = theme.colour("accent")
            halo.setAlphaF(0.45)
            painter.setPen(QPen(halo, 3))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(centre, radius + 0.5, radius + 0.5)
        if self._hollow or not self.isEnabled():
            painter.setBrush(theme.colour("window"))
            painter.setPen(QPen(theme.colour("idle"), 2))
            painter.drawEllipse(centre, radius - 2, radius - 2)
        else:
            painter.setBrush(theme.colour("handle"))
            painter.setPen(QPen(theme.colour("handle_line"), 1))
            painter.drawEllipse(centre, radius - 0.5, radius - 0.5)

    def _fraction(self) -> float:
        if self._exact is not None:
            return self._exact
        span = self.maximum() - self.minimum()
        return (self.sliderPosition() - self.minimum()) / span if span else 0.0

    def _x(self, fraction: float) -> float:
        # The handle's centre keeps a radius from both ends, so that it is never cut.
        margin = HANDLE_PX / 2 + 1
        return margin + fraction * (self.width() - 2 * margin)

    # ------------------------------------------------------------------------------------------------ hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self._grabbed = True
        self.gesture = object()
        self.setSliderDown(True)
        self._go_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grabbed:
            self._go_to(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._grabbed and event.button() == Qt.MouseButton.LeftButton:
            self._grabbed = False
            self.setSliderDown(False)
            self.gesture = None

    def wheelEvent(self, event: QWheelEvent) -> None:
        # A wheel that scrolls the page must not edit whatever happens to pass under the pointer.
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.unset_asked.emit()
        else:
            super().keyPressEvent(event)

    def _go_to(self, x: float) -> None:
        margin = HANDLE_PX / 2 + 1
        span = max(1.0, self.width() - 2 * margin)
        part = min(1.0, max(0.0, (x - margin) / span))
        position = self.minimum() + round(part * (self.maximum() - self.minimum()))
        if position == self.value():
            self.confirmed.emit(position)
        self.setValue(position)
