"""A server's state as a shape and a word, never only as a colour."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from variet_gui.events import ServerState
from variet_gui.i18n import Message, msg
from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import label

WORDS: dict[ServerState, Message] = {
    ServerState.STOPPED: msg("stopped"),
    ServerState.PREFLIGHT: msg("checking"),
    ServerState.STARTING: msg("starting"),
    ServerState.LOADING: msg("loading"),
    ServerState.READY: msg("ready"),
    ServerState.BUSY: msg("answering"),
    ServerState.STOPPING: msg("stopping"),
    ServerState.FAILED: msg("failed"),
}

COLOURS: dict[ServerState, str] = {
    ServerState.STOPPED: "idle",
    ServerState.PREFLIGHT: "caution",
    ServerState.STARTING: "caution",
    ServerState.LOADING: "caution",
    ServerState.READY: "good",
    ServerState.BUSY: "good",
    ServerState.STOPPING: "caution",
    ServerState.FAILED: "failure",
}


class StateShape(QWidget):
    """The shape alone, 12 x 12: ring, diamond, half disc, disc, disc in a ring, square, cross."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = ServerState.STOPPED
        self.setFixedSize(QSize(12, 12))

    def set_state(self, state: ServerState) -> None:
        """Show the shape of `state`."""
        if state is not self._state:
            self._state = state
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = theme.colour(COLOURS[self._state])
        pen = QPen(colour, 1.75)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        disc = QRectF(2, 2, 8, 8)
        state = self._state
        if state is ServerState.STOPPED:
            painter.drawEllipse(disc)
        elif state in (ServerState.PREFLIGHT, ServerState.STARTING):
            painter.drawPolygon(QPolygonF([QPointF(6, 1.5), QPointF(10.5, 6), QPointF(6, 10.5), QPointF(1.5, 6)]))
        elif state is ServerState.LOADING:
            painter.drawEllipse(disc)
            painter.setBrush(colour)
            painter.drawPie(disc, 90 * 16, -180 * 16)
        elif state is ServerState.STOPPING:
            painter.setBrush(colour)
            painter.drawRoundedRect(QRectF(2.5, 2.5, 7, 7), 1, 1)
        elif state is ServerState.FAILED:
            painter.drawLine(QPointF(2.5, 2.5), QPointF(9.5, 9.5))
            painter.drawLine(QPointF(9.5, 2.5), QPointF(2.5, 9.5))
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawEllipse(disc if state is ServerState.READY else QRectF(3.5, 3.5, 5, 5))
            if state is ServerState.BUSY:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(colour, 1.25))
                painter.drawEllipse(QRectF(0.9, 0.9, 10.2, 10.2))
        painter.end()


class StateBadge(QWidget):
    """The shape, a name if there is one, and the word for the state."""

    def __init__(self, name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shape = StateShape()
        self._name = label(name, "heading")
        self._name.setVisible(bool(name))
        self._word = label("", "faint")
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(8)
        box.addWidget(self._shape)
        box.addWidget(self._name)
        box.addWidget(self._word)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.set_state(ServerState.STOPPED)

    def set_state(self, state: ServerState, word: str | None = None) -> None:
        """Show `state`, by another `word` than the usual one if there is one."""
        self._shape.set_state(state)
        self._word.setText(word or str(WORDS[state]))
        self.setAccessibleName(" ".join(part for part in (self._name.text(), self._word.text()) if part))

    def word(self) -> str:
        """Return the word that is shown."""
        return self._word.text()
