"""A button that copies a text and says for a moment that it did."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from variet_gui.i18n import tr
from variet_gui.ui.widgets.buttons import Button

_SHOWN_MS = 1200


class CopyButton(Button):
    """Copies `payload` to the clipboard. Its width does not change while it says "Copied"."""

    def __init__(self, text: str, payload: str, kind: str = "plain", parent: QWidget | None = None) -> None:
        super().__init__(text, kind, "copy", parent)
        self._label = text
        self._payload = payload
        self._back = QTimer(self)
        self._back.setSingleShot(True)
        self._back.setInterval(_SHOWN_MS)
        self._back.timeout.connect(lambda: self.setText(self._label))
        self.clicked.connect(self.copy)

    def set_text(self, text: str, payload: str, tooltip: str = "") -> None:
        """Change what the button says, what it copies, and what it explains."""
        self._label = text
        self._payload = payload
        self.setToolTip(tooltip)
        self.setAccessibleName(tooltip or text)
        if not self._back.isActive():
            self.setText(text)

    def copy(self) -> None:
        """Put the payload on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        clipboard.setText(self._payload)
        self.setText(tr("Copied"))
        self._back.start()
