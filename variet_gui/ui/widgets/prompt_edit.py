"""Where the operator types: grows with the text, sends on Enter, takes pictures that are pasted or dropped."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QWidget

from variet_gui.ui import theme

_MAX_LINES = 8


def pictures_in(mime: QMimeData) -> list[Path | QImage]:
    """Return the pictures that a paste or a drop brings: local files, else the picture itself. Nothing is fetched."""
    files: list[Path | QImage] = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    if files:
        return files
    if mime.hasImage():
        image = mime.imageData()
        return [image if isinstance(image, QImage) else QImage(image)]
    return []


class PromptEdit(QPlainTextEdit):
    """Enter sends, Shift+Enter begins a new line, Escape is left to the page."""

    submitted = Signal()
    pictures_given = Signal(list)
    """Paths and QImages that were pasted or dropped."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="body")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(2)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return bool(pictures_in(source)) or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        pictures = pictures_in(source)
        if pictures:
            self.pictures_given.emit(pictures)
        elif source.hasText():
            # Never the rich text of a browser or an editor: the model gets what is seen.
            self.insertPlainText(source.text())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier):
            self.submitted.emit()
        elif event.key() == Qt.Key.Key_Escape:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self._line_height() + 6)

    def _line_height(self) -> int:
        return self.fontMetrics().lineSpacing()

    def _fit(self, *_: object) -> None:
        # The size of a QPlainTextDocumentLayout is in lines, not in pixels.
        lines = max(1, round(self.document().size().height()))
        height = min(lines, _MAX_LINES) * self._line_height() + 6
        if height != self.height():
            self.setFixedHeight(height)
        many = lines > _MAX_LINES
        self.setVerticalScrollBarPolicy(
            Qt.ScrollBarPolicy.ScrollBarAsNeeded if many else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )
