"""A button of several wrapped lines: as high as they need at its width."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QMargins, QSize, Qt
from PySide6.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from variet_gui.ui import theme


class LinesButton(QPushButton):
    """Says in full what it would do, and what that costs. Tab reaches it; Enter elsewhere does not press it."""

    def __init__(
        self, lines: Sequence[QLabel], margins: QMargins, narrowest: int, parent: QWidget | None = None
    ) -> None:
        """Show `lines` from top to bottom, in at least `narrowest` pixels."""
        super().__init__(parent)
        self._lines = tuple(lines)
        self._narrowest = narrowest
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(margins)
        self._box.setSpacing(1)
        for line in self._lines:
            line.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            self._box.addWidget(line)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAutoDefault(False)
        theme.mark(self, kind="fix")
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def words(self) -> tuple[str, ...]:
        """Return the lines that are shown."""
        return tuple(line.text() for line in self._lines)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._box.totalHeightForWidth(width)

    def sizeHint(self) -> QSize:
        width = max(self._narrowest, self.width())
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(self._narrowest, self.sizeHint().height())
