"""The few pieces that every page is put together from: labels with a look, cards with a title, quiet lines."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLayout, QSizePolicy, QVBoxLayout, QWidget

from variet_gui.ui import theme

GRID = 8


def label(text: str = "", look: str | None = None, *, wrap: bool = False, parent: QWidget | None = None) -> QLabel:
    """Return a label that shows plain text; `look` is one of the style sheet's ("quiet", "faint", "heading", ...)."""
    made = QLabel(text, parent)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    if look is not None:
        theme.mark(made, look=look)
    if wrap:
        # A wrapping label that may not shrink below its longest word would push its column wider.
        made.setMinimumWidth(1)
        policy = made.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        policy.setHeightForWidth(True)
        made.setSizePolicy(policy)
    return made


def rule() -> QFrame:
    """Return a horizontal hairline."""
    line = QFrame()
    theme.mark(line, look="rule")
    return line


def row(*items: QWidget | QLayout | None, spacing: int = GRID) -> QHBoxLayout:
    """Return the items side by side; None is a stretch."""
    made = QHBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(spacing)
    _fill(made, items)
    return made


def column(*items: QWidget | QLayout | None, spacing: int = GRID) -> QVBoxLayout:
    """Return the items below each other; None is a stretch."""
    made = QVBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(spacing)
    _fill(made, items)
    return made


def _fill(box: QHBoxLayout | QVBoxLayout, items: tuple[QWidget | QLayout | None, ...]) -> None:
    for item in items:
        if item is None:
            box.addStretch(1)
        elif isinstance(item, QLayout):
            box.addLayout(item)
        else:
            box.addWidget(item)


class Panel(QFrame):
    """A quiet box with a heading, a remark at its right, and a body below."""

    def __init__(self, heading: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="panel")
        self.setAccessibleName(heading)
        self.remark = label("", "faint")
        self.head = row(label(heading, "heading"), None, self.remark)
        self.body = QVBoxLayout()
        self.body.setSpacing(GRID)
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 12, 12, 12)
        box.setSpacing(GRID)
        box.addLayout(self.head)
        box.addLayout(self.body)

    def add(self, item: QWidget | QLayout) -> None:
        """Put `item` below what the panel holds."""
        if isinstance(item, QLayout):
            self.body.addLayout(item)
        else:
            self.body.addWidget(item)
