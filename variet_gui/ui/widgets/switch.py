"""A switch: on, off, or not set."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from variet_gui.ui import theme


class Switch(QAbstractButton):
    """Space or a click turns it; Delete unsets it. Not set, it shows what applies instead as a hollow knob."""

    switched = Signal(bool)
    """The operator turned it to this."""
    unset_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._on = False
        self._set = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setCheckable(True)
        self.clicked.connect(lambda: self.switched.emit(not self._on))

    def show_state(self, on: bool, is_set: bool) -> None:
        """Show `on`; with `is_set` false it is only what applies by default."""
        self._on, self._set = on, is_set
        self.setChecked(on)
        self.update()

    def nextCheckState(self) -> None:
        # The owner shows the new state once the edit is taken.
        return

    def sizeHint(self) -> QSize:
        return QSize(36, 22)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.unset_asked.emit()
        elif event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.switched.emit(event.key() == Qt.Key.Key_Right)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pill = QRectF(2, 2, 32, 18)
        filled = self._on and self._set and self.isEnabled()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("accent" if filled else "track"))
        painter.drawRoundedRect(pill, 9, 9)
        if self.hasFocus():
            painter.setPen(QPen(theme.colour("strong" if filled else "accent"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(pill, 9, 9)
        centre = QPointF(25 if self._on else 11, 11)
        if self._set and self.isEnabled():
            painter.setPen(QPen(theme.colour("handle_line"), 1))
            painter.setBrush(theme.colour("handle"))
            painter.drawEllipse(centre, 6, 6)
        else:
            painter.setPen(QPen(theme.colour("idle"), 2))
            painter.setBrush(theme.colour("window"))
            painter.drawEllipse(centre, 5, 5)
        painter.end()
