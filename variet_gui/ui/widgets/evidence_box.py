"""A few lines of a log, quoted: as high as they are when wrapped, within reason; plain text that can be copied."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import theme

_LEAST_LINES, _MOST_LINES = 2, 12
_AROUND = 18
"""Padding and border of the style sheet, above and below, and a little air."""


class EvidenceBox(QPlainTextEdit):
    """Read only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setFont(theme.mono_font())
        self.setAccessibleName(tr("Lines of the log"))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # A bar that comes and goes would change how the lines wrap.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        theme.mark(self, look="log")

    def show_lines(self, lines: Sequence[str]) -> None:
        """Show `lines` instead of what was shown."""
        self.setPlainText("\n".join(lines))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _fit(self) -> None:
        block, text = self.document().firstBlock(), 0.0
        while block.isValid():
            text += self.blockBoundingRect(block).height()
            block = block.next()
        line = self.fontMetrics().lineSpacing()
        most = _MOST_LINES * line
        scrolls = Qt.ScrollBarPolicy.ScrollBarAlwaysOn if text > most else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setVerticalScrollBarPolicy(scrolls)
        inside = min(max(math.ceil(text), _LEAST_LINES * line), most)
        self.setFixedHeight(inside + 2 * round(self.document().documentMargin()) + _AROUND)
