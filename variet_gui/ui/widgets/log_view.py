"""The text of a log: bounded, appended in batches, coloured by level, searchable."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRect, Signal
from PySide6.QtGui import (
    QBrush,
    QResizeEvent,
    QSyntaxHighlighter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from variet_gui.ui import theme
from variet_gui.ui.widgets import plain_text
from variet_gui.ui.widgets.log_lines import Level, level_of

MAX_LINES = 10_000


class LevelHighlighter(QSyntaxHighlighter):
    """Colours whole lines: errors and warnings stand out, the rest is quiet."""

    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self._formats: dict[Level, QTextCharFormat] = {}
        self.take_theme()

    def take_theme(self) -> None:
        """Use the colours of the theme in use; the caller rehighlights."""
        self._formats = {level: QTextCharFormat() for level in Level}
        self._formats[Level.ERROR].setForeground(theme.colour("failure_text"))
        self._formats[Level.WARNING].setForeground(theme.colour("caution_text"))

    def highlightBlock(self, text: str) -> None:
        level = level_of(text)
        if level is not Level.INFO:
            self.setFormat(0, len(text), self._formats[level])


class LogView(QPlainTextEdit):
    """Shows the newest `MAX_LINES` lines."""

    follow_changed = Signal(bool)
    """The operator scrolled away from the end, or back to it."""
    matches_changed = Signal(int, int)
    """Number of the match that is marked (from 1; 0: none) and how many there are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="log")
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setMaximumBlockCount(MAX_LINES)
        self.document().setDocumentMargin(4)
        self._take_font()
        self._highlighter = LevelHighlighter(self.document())
        self._follows = True
        self._needle = ""
        self._matches: list[int] = []
        self._current = -1
        # What the operator does, and only that: the value also changes when the layout or the text does.
        self.verticalScrollBar().actionTriggered.connect(self._scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._range_changed)
        self.updateRequest.connect(self._seen)

    # ----------------------------------------------------------------------------------------------------------- lines

    def set_lines(self, lines: Sequence[str]) -> None:
        """Show exactly these lines (the newest of them)."""
        self.setPlainText(_plain(lines[-MAX_LINES:]))
        self._find_all()
        if self._follows:
            self.to_end()

    def append_lines(self, lines: Sequence[str]) -> None:
        """Add lines at the end, in one step: one by one they cost eighty times as much."""
        if not lines:
            return
        if self.document().isEmpty():
            self.setPlainText(_plain(lines))
        else:
            self.appendPlainText(_plain(lines))
        if self._needle:
            self._find_all()
        if self._follows:
            self.to_end()

    @property
    def follows(self) -> bool:
        """Whether the end stays in view."""
        return self._follows

    def set_follows(self, follows: bool) -> None:
        """Keep the end in view from now on, or stay where it is."""
        self._follows = follows
        if follows:
            self.to_end()

    def to_end(self) -> None:
        """Bring the last line into view."""
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    # ---------------------------------------------------------------------------------------------------------- search

    def find_text(self, needle: str) -> None:
        """Mark every place where `needle` stands (upper and lower case alike) and go to the first in view or below."""
        self._needle = needle
        self._find_all()
        if self._matches:
            top = self.cursorForPosition(self.viewport().rect().topLeft()).position()
            self._go(next((i for i, at in enumerate(self._matches) if at >= top), 0))
        else:
            self._current = -1
            self._show_matches()

    def find_next(self, step: int) -> None:
        """Go to the next match, or with -1 to the one before; round the end."""
        if self._matches:
            self._go((self._current + step) % len(self._matches))

    @property
    def match_count(self) -> int:
        """How many places match."""
        return len(self._matches)

    def _find_all(self) -> None:
        current = self._matches[self._current] if 0 <= self._current < len(self._matches) else None
        self._matches = []
        if self._needle:
            # `casefold` may change lengths ("ß"), `lower` of what stands in a log does not.
            text, needle = self.toPlainText().lower(), self._needle.lower()
            at = text.find(needle)
            while at >= 0:
                self._matches.append(at)
                at = text.find(needle, at + len(needle))
        self._current = self._matches.index(current) if current in self._matches else -1
        self._show_matches()

    def _go(self, index: int) -> None:
        self._current = index
        if self._follows:
            self._follows = False
            self.follow_changed.emit(False)
        cursor = QTextCursor(self.document())
        cursor.setPosition(self._matches[index])  # not selected: a selection would hide the mark
        self.setTextCursor(cursor)
        self.centerCursor()
        self._show_matches()

    def _show_matches(self) -> None:
        self._paint_matches()
        self.matches_changed.emit(self._current + 1, len(self._matches))

    def _paint_matches(self) -> None:
        """Mark only what can be seen: ten thousand selections would make every repaint crawl."""
        first = self.cursorForPosition(self.viewport().rect().topLeft()).position()
        last = self.cursorForPosition(self.viewport().rect().bottomRight()).position()
        marked = []
        for index, at in enumerate(self._matches):
            if first - len(self._needle) <= at <= last:
                found = QTextEdit.ExtraSelection()
                cursor = QTextCursor(self.document())
                cursor.setPosition(at)
                cursor.setPosition(at + len(self._needle), QTextCursor.MoveMode.KeepAnchor)
                found.cursor = cursor
                found.format.setBackground(QBrush(theme.colour("accent" if index == self._current else "chosen")))
                found.format.setForeground(QBrush(theme.colour("window" if index == self._current else "strong")))
                marked.append(found)
        self.setExtraSelections(marked)

    # ---------------------------------------------------------------------------------------------------------- events

    def _scrolled(self, _action: int) -> None:
        bar = self.verticalScrollBar()
        at_end = bar.sliderPosition() >= bar.maximum() - 1
        if at_end != self._follows:
            self._follows = at_end
            self.follow_changed.emit(at_end)

    def _range_changed(self) -> None:
        if self._follows:
            self.to_end()

    def _seen(self, _area: QRect, dy: int) -> None:
        if dy and self._matches:
            self._paint_matches()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._follows:
            self.to_end()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_highlighter"):
            self._take_font()
            self._highlighter.take_theme()
            self._highlighter.rehighlight()
            self._paint_matches()

    def _take_font(self) -> None:
        self.setFont(theme.mono_font())


def _plain(lines: Sequence[str]) -> str:
    """Return the lines as one text without control characters; what stands in one line stays in it."""
    return "\n".join(plain_text.without_controls(line.replace("\n", " ").replace("\r", "")) for line in lines)
