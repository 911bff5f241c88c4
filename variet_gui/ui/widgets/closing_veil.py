"""What lies over the window while it closes: servers are being stopped, and the window waits for them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import label


class ClosingVeil(QWidget):
    """Covers its parent and takes all input from it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._title = label(tr("Stopping servers…"), "title")
        self._left = label("", "quiet")
        self._staying = label("", "quiet")
        self._staying.hide()
        card = QFrame()
        theme.mark(card, look="panel")
        inside = QVBoxLayout(card)
        inside.setContentsMargins(32, 24, 32, 24)
        inside.setSpacing(8)
        for part in (self._title, self._left, self._staying):
            inside.addWidget(part, 0, Qt.AlignmentFlag.AlignHCenter)
        box = QVBoxLayout(self)
        box.addWidget(card, 0, Qt.AlignmentFlag.AlignCenter)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self._title.text())
        parent.installEventFilter(self)
        self.hide()

    def cover(self, still_running: int, staying: Sequence[str] = ()) -> None:
        """Show the veil, how many servers are still to end, and which tiers run on without the panel."""
        self._title.setText(tr("Stopping servers…") if still_running else tr("Closing"))
        self.setAccessibleName(self._title.text())
        self._staying.setText(
            ntr("{tiers} keeps running", "{tiers} keep running", len(staying), tiers=", ".join(staying))
            if staying
            else ""
        )
        self._staying.setVisible(bool(staying))
        self._left.setText(
            ntr("{count} server is still running", "{count} servers are still running", still_running)
            if still_running
            else tr("Closing the panel")
        )
        self.setGeometry(self.parentWidget().rect())
        self.show()
        self.raise_()
        self.setFocus()

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.setGeometry(self.parentWidget().rect())
        return False

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        colour = theme.colour("window")
        colour.setAlphaF(0.8)
        painter.fillRect(self.rect(), colour)
        painter.end()
