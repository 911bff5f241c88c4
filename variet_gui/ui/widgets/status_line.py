"""The line at the bottom: how many tiers run, on which engine and driver, and where the catalog is kept."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from variet_gui.events import ServerState
from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.state_badge import StateShape

HEIGHT = 26


class StatusLine(QFrame):
    """Shows the texts that it is handed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="status")
        self.setFixedHeight(HEIGHT)
        self._shape = StateShape()
        self._running = label("", "faint")
        self._engine = ElidedLabel("", "faint")
        self.elsewhere = Button(tr("Other servers…"), "quiet")
        self.elsewhere.setToolTip(tr("Model servers on this computer that this panel did not start"))
        theme.mark(self.elsewhere, edge="flat")
        self._catalog = ElidedLabel("", "faint", Qt.TextElideMode.ElideMiddle)
        self._catalog.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        box = QHBoxLayout(self)
        box.setContentsMargins(14, 0, 14, 0)
        box.setSpacing(6)
        box.addWidget(self._shape)
        box.addWidget(self._running)
        box.addSpacing(14)
        box.addWidget(self._engine)
        box.addSpacing(8)
        box.addWidget(self.elsewhere)
        box.addStretch(1)
        box.addWidget(self._catalog)
        self.set_running(0)

    def set_running(self, count: int) -> None:
        """Show how many tiers hold memory right now."""
        self._shape.set_state(ServerState.READY if count else ServerState.STOPPED)
        self._running.setText(
            ntr("{count} tier running", "{count} tiers running", count) if count else tr("nothing is running")
        )
        theme.mark(self._running, look="good" if count else "faint")

    def set_engine(self, text: str, tooltip: str = "") -> None:
        """Show the engine, its build and the driver."""
        self._engine.setText(text)
        self._engine.setToolTip(tooltip or text)

    def set_catalog(self, path: str, saved: str = "") -> None:
        """Show where the catalog is kept and when it was saved last."""
        text = tr("{path} — saved {time}", path=path, time=saved) if saved else path
        self._catalog.setText(text)
        self._catalog.setToolTip(path)

    def texts(self) -> tuple[str, str, str]:
        """Return what is shown: running, engine, catalog."""
        return self._running.text(), self._engine.text(), self._catalog.text()
