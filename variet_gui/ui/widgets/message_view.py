"""One message of a conversation: a bubble with pictures, text, what the server measured, and what can be done."""

from __future__ import annotations

import math

from PySide6.QtCore import QSize, QUrl, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from variet_gui.chat.messages import ChatMessage, Speaker, StreamState
from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.answer_text import finished_line, live_line
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.layout import label, row, rule
from variet_gui.ui.widgets.markdown_body import MarkdownBody
from variet_gui.ui.widgets.picture_loader import PREVIEW_PX, PictureLoader
from variet_gui.ui.widgets.thumbnail import PictureView

MAX_WIDTH = 760
_PADDING = 14
_PICTURE = QSize(PREVIEW_PX, 200)


class MessageView(QFrame):
    """Made once for a message and updated as it grows; user and assistant look different and hold different parts."""

    regenerate_asked = Signal()
    link_asked = Signal(QUrl)

    def __init__(self, message: ChatMessage, loader: PictureLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message_id = message.id
        self.is_answer = message.role is Speaker.ASSISTANT
        self._loader = loader
        self._waiting: dict[int, PictureView] = {}
        self._available = MAX_WIDTH
        theme.mark(self, look="card" if self.is_answer else "bubble")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setAccessibleName(tr("Answer") if self.is_answer else tr("Your message"))
        self._body = MarkdownBody()
        self._body.link_asked.connect(self.link_asked)
        box = QVBoxLayout(self)
        box.setContentsMargins(_PADDING, 10, _PADDING, 10)
        box.setSpacing(8)
        if self.is_answer:
            self._build_answer(box)
        else:
            self._build_question(box, message)
        self.show_message(message)

    # -------------------------------------------------------------------------------------------------------- building

    def _build_question(self, box: QVBoxLayout, message: ChatMessage) -> None:
        if message.pictures:
            self._loader.previewed.connect(self._show_preview)
            pictures = QHBoxLayout()
            pictures.setSpacing(8)
            for picture in message.pictures:
                view = PictureView(_PICTURE)
                view.setAccessibleName(tr("Picture"))
                self._waiting[self._loader.preview(picture.data)] = view
                pictures.addWidget(view)
            pictures.addStretch(1)
            box.addLayout(pictures)
        box.addWidget(self._body)

    def _build_answer(self, box: QVBoxLayout) -> None:
        self._fold = Button("", "quiet", "unfold")
        self._fold.setCheckable(True)
        self._fold.toggled.connect(self._show_reasoning)
        self._reasoning = MarkdownBody()
        theme.mark(self._reasoning, look="reasoning")
        self._reasoning.hide()
        self._failure = label("", "failure", wrap=True)
        self._failure.hide()
        self._measured = label("", "faint", wrap=True)
        self._regenerate = Button(tr("Regenerate"), "quiet", "revert")
        self._regenerate.clicked.connect(self.regenerate_asked)
        self._copy = CopyButton(tr("Copy"), "", "quiet")
        box.addLayout(row(self._fold, None))
        box.addWidget(self._reasoning)
        box.addWidget(self._body)
        box.addWidget(self._failure)
        box.addWidget(rule())
        foot = row(self._regenerate, self._copy, spacing=4)
        line = QHBoxLayout()
        line.setSpacing(12)
        line.addWidget(self._measured, 1)
        line.addLayout(foot)
        box.addLayout(line)

    # --------------------------------------------------------------------------------------------------------- showing

    def show_message(self, message: ChatMessage, *, can_regenerate: bool = False) -> None:
        """Show the message as it is now."""
        if not self.is_answer:
            self._body.set_plain(message.text)
            self._body.setVisible(bool(message.text))
            self.set_available(self._available)
            return
        streaming = message.state in (StreamState.DRAFT, StreamState.STREAMING)
        if streaming:
            self._body.stream_markdown(message.text)
            self._measured.setText(live_line(message))
        else:
            self._body.set_markdown(message.text)
            self._measured.setText(finished_line(message))
        self._body.setVisible(bool(message.text) or streaming)
        self._show_reasoning_state(message, streaming=streaming)
        self._failure.setText(str(message.failure) if message.failure is not None else "")
        self._failure.setVisible(message.failure is not None)
        self._copy.set_text(tr("Copy"), message.text)
        self._copy.setVisible(not streaming and bool(message.text))
        self._regenerate.setVisible(can_regenerate and not streaming)

    def set_available(self, width: int) -> None:
        """Fit into `width` px: an answer takes it all (760 at most), a question only what its text needs."""
        self._available = width
        limit = min(MAX_WIDTH, width)
        if self.is_answer:
            self.setFixedWidth(limit)
            return
        inner = limit - 2 * _PADDING - 2
        metrics = self._body.fontMetrics()
        lines = self._body.source.splitlines()[:400]
        natural = max((metrics.horizontalAdvance(line) for line in lines), default=0) + 4
        self._body.setFixedWidth(max(1, min(inner, math.ceil(natural))))

    @property
    def body(self) -> MarkdownBody:
        """The text."""
        return self._body

    @property
    def measured_text(self) -> str:
        """The line with the figures, as it is shown."""
        return self._measured.text()

    @property
    def copy_button(self) -> CopyButton:
        """Copies the answer as it came, Markdown and all."""
        return self._copy

    @property
    def regenerate_button(self) -> Button:
        """Asks for the answer again; only under the last one."""
        return self._regenerate

    @property
    def fold_button(self) -> Button:
        """Unfolds what the model thought."""
        return self._fold

    def _show_reasoning_state(self, message: ChatMessage, *, streaming: bool) -> None:
        self._fold.setVisible(bool(message.reasoning))
        if not message.reasoning:
            return
        if streaming and not message.text:
            self._fold.setText(tr("Reasoning…"))
        else:
            words = len(message.reasoning.split())
            self._fold.setText(ntr("Reasoning · {count} word", "Reasoning · {count} words", words))
        self._reasoning_text = message.reasoning
        if self._fold.isChecked():
            self._reasoning.set_plain(message.reasoning)

    def _show_reasoning(self, shown: bool) -> None:
        self._fold.set_icon("fold" if shown else "unfold")
        if shown:
            self._reasoning.set_plain(self._reasoning_text)
        self._reasoning.setVisible(shown)

    def _show_preview(self, ticket: int, image: QImage) -> None:
        view = self._waiting.pop(ticket, None)
        if view is not None:
            view.set_image(image)
