"""The text of one message: Markdown that can grow, selectable, with links that ask first and nothing from outside."""

from __future__ import annotations

import math
import time
from typing import Any

from PySide6.QtCore import QEvent, QRectF, QSizeF, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QImage,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextCursor,
    QTextDocument,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

from variet_gui.ui import theme
from variet_gui.ui.widgets.markdown_cut import settled_length
from variet_gui.ui.widgets.markdown_style import (
    CODE_PADDING,
    FEATURES,
    Run,
    caret_format,
    dress,
    dress_tables,
    insert_markdown,
)

FLUSH_MS = 40
_COST_SHARE = 6
"""A flush may take one part in this many of the GUI thread's time; a dear one makes the next come later."""
_CARET = "\u258d"
_PLAIN_ABOVE = 200_000
"""Characters. Qt needs more than a second to lay out more Markdown than this; it is shown as plain text."""


class MarkdownBody(QTextBrowser):
    """Renders what is settled once and only the live tail again and again. As high as its text."""

    link_asked = Signal(QUrl)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="body")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setOpenLinks(False)
        self.anchorClicked.connect(self.link_asked)
        self.document().setDocumentMargin(0)
        self.document().setUndoRedoEnabled(False)
        self.document().setIndentWidth(22)
        self.document().documentLayout().documentSizeChanged.connect(self._fit_height)
        self._text = ""
        self._is_plain = False
        self._streaming = False
        self._settled = 0
        self._anchor = 0
        self._pause_ms = 0
        self._settled_runs: list[Run] = []
        self._tail_runs: list[Run] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._flush)

    @property
    def source(self) -> str:
        """The text as it was given, Markdown unrendered."""
        return self._text

    def set_plain(self, text: str) -> None:
        """Show `text` as it is: what the operator wrote is not interpreted."""
        self._text, self._is_plain, self._streaming = text, True, False
        self.setPlainText(text)

    def set_markdown(self, text: str) -> None:
        """Show the whole of `text`; it will not grow any more."""
        if text == self._text and not self._streaming and not self._is_plain and not self.document().isEmpty():
            return
        self._timer.stop()
        self._text, self._is_plain, self._streaming = text, False, False
        self._render_whole()

    def stream_markdown(self, text: str) -> None:
        """Show `text`, which begins with what was given before and will grow: soon, and only the new part."""
        if not self._streaming or not text.startswith(self._text):
            self._restart()
        elif text == self._text:
            return
        self._text = text
        if not self._timer.isActive():
            self._timer.start(self._pause_ms)

    # ------------------------------------------------------------------------------------------------------- rendering

    def _restart(self) -> None:
        self._is_plain, self._streaming = False, True
        self._settled, self._pause_ms = 0, 0
        self._settled_runs, self._tail_runs = [], []
        self.clear()
        self._anchor = 0

    def _flush(self) -> None:
        began = time.perf_counter()
        # In edit blocks: the document is laid out twice, not after each of a dozen edits. Two of them, because its
        # tables exist only behind the first.
        edit = QTextCursor(self.document())
        edit.beginEditBlock()
        self._drop_tail()
        before = self.document().findBlock(self._anchor) if self._settled else None
        if len(self._text) > _PLAIN_ABOVE:
            self._append_plain()
        else:
            self._append_markdown()
        edit.endEditBlock()
        edit.beginEditBlock()
        self._dress_from(before.next() if before is not None else self.document().begin())
        edit.movePosition(QTextCursor.MoveOperation.End)
        edit.insertText(_CARET, caret_format())
        edit.endEditBlock()
        cost_ms = (time.perf_counter() - began) * 1000.0
        self._pause_ms = max(FLUSH_MS, math.ceil(cost_ms * _COST_SHARE))

    def _append_markdown(self) -> None:
        settled = settled_length(self._text, self._settled)
        if settled > self._settled:
            insert_markdown(self.document(), self._text[self._settled : settled])
            self._settled = settled
            self._anchor = self.document().characterCount() - 1
        tail = self._text[self._settled :]
        if tail.strip():
            insert_markdown(self.document(), tail)

    def _dress_from(self, first: QTextBlock) -> None:
        document = self.document()
        if not first.isValid() or len(self._text) > _PLAIN_ABOVE:
            return
        if self._settled and first.position() <= self._anchor:
            length = document.characterCount()
            dress_tables(document, first, self._anchor)
            self._anchor += document.characterCount() - length
            self._settled_runs += dress(document, first, self._anchor)
            first = document.findBlock(self._anchor).next()
        if first.isValid():
            dress_tables(document, first)
            self._tail_runs = dress(document, first, growing=True)

    def _drop_tail(self) -> None:
        cursor = QTextCursor(self.document())
        cursor.setPosition(self._anchor)
        shape, letters = cursor.blockFormat(), cursor.blockCharFormat()
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        if self._settled:
            # An empty block (behind a table, a rule) takes over the format of what was removed behind it.
            cursor.setBlockFormat(shape)
            cursor.setBlockCharFormat(letters)
        self._tail_runs = []

    def _append_plain(self) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(self._text[self._settled :])
        self._settled = len(self._text)
        self._anchor = self.document().characterCount() - 1

    def _render_whole(self) -> None:
        self._settled_runs, self._tail_runs = [], []
        if self._is_plain or len(self._text) > _PLAIN_ABOVE:
            self.setPlainText(self._text)
            return
        self.document().setMarkdown(self._text, FEATURES)
        edit = QTextCursor(self.document())
        edit.beginEditBlock()
        dress_tables(self.document(), self.document().begin())
        self._settled_runs = dress(self.document(), self.document().begin())
        edit.endEditBlock()

    # ---------------------------------------------------------------------------------------------------------- events

    def loadResource(self, kind: int, _name: QUrl | str) -> Any:
        """Load nothing at all. Qt would fetch a picture from the disk by itself if it got no answer here."""
        if kind == QTextDocument.ResourceType.ImageResource:
            return QImage(1, 1, QImage.Format.Format_ARGB32)
        return None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the boxes behind code, then the text."""
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        layout = self.document().documentLayout()
        for run in (*self._settled_runs, *self._tail_runs):
            top = layout.blockBoundingRect(self.document().findBlockByNumber(run.first))
            bottom = layout.blockBoundingRect(self.document().findBlockByNumber(run.last))
            box = top.united(bottom)
            if run.is_quote:
                painter.setBrush(theme.colour("button_line"))
                painter.drawRoundedRect(QRectF(1, box.top() + 2, 3, box.height() - 4), 1.5, 1.5)
            elif box.top() < event.rect().bottom() + CODE_PADDING and box.bottom() > event.rect().top() - CODE_PADDING:
                painter.setBrush(theme.colour("window"))
                box.setLeft(0)
                box.setRight(self.viewport().width())
                painter.drawRoundedRect(box.adjusted(0, -CODE_PADDING + 2, 0, CODE_PADDING - 2), 6, 6)
        painter.end()
        super().paintEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Let the transcript scroll."""
        event.ignore()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and getattr(self, "_text", "") and not self._is_plain:
            self._redress()

    def _redress(self) -> None:
        text = self._text
        if self._streaming:
            self._restart()
            self._text = text
            self._flush()
        else:
            self._render_whole()

    def _fit_height(self, size: QSizeF) -> None:
        height = max(math.ceil(size.height()), self.fontMetrics().lineSpacing())
        if height != self.height():
            self.setFixedHeight(height)
