"""The bubbles of a conversation, newest at the bottom, following the answer unless the operator scrolled away."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from variet_gui.chat.messages import ChatMessage
from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.message_view import MessageView
from variet_gui.ui.widgets.picture_loader import PictureLoader

_SPACING = 12
_NEAR_BOTTOM_PX = 12
RIGHT_PX = 16
"""Between the bubbles and the right edge; the scroll bar appears in it, so that nothing moves when it does."""


class Transcript(QScrollArea):
    """Holds one `MessageView` for each message."""

    regenerate_asked = Signal()
    link_asked = Signal(QUrl)

    def __init__(self, loader: PictureLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._loader = loader
        self._views: list[MessageView] = []
        self._rows: list[QHBoxLayout] = []
        self._follows = True
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        theme.mark(inner, look="plain")
        self._box = QVBoxLayout(inner)
        self._box.setContentsMargins(0, 14, RIGHT_PX, 14)
        self._box.setSpacing(_SPACING)
        self._hint = label("", "quiet", wrap=True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._box.addWidget(self._hint, 1)
        self._box.addStretch(1)
        self.setWidget(inner)
        # What the operator does, and only that: the value also changes when the bubbles do.
        self.verticalScrollBar().actionTriggered.connect(self._scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._grown)

    def set_hint(self, text: str) -> None:
        """Say `text` while there are no messages."""
        self._hint.setText(text)

    def show_messages(self, messages: Sequence[ChatMessage], *, can_regenerate: bool) -> None:
        """Show all of `messages`; views of messages that are shown already are kept."""
        kept = 0
        for view, message in zip(self._views, messages, strict=False):
            if view.message_id != message.id:
                break
            kept += 1
        self._drop_from(kept)
        for message in messages[len(self._views) :]:
            self._append(message)
        last = len(messages) - 1
        for index, (view, message) in enumerate(zip(self._views, messages, strict=True)):
            view.show_message(message, can_regenerate=can_regenerate and index == last)
        self._hint.setVisible(not messages)

    def show_message(self, message: ChatMessage, *, can_regenerate: bool) -> bool:
        """Update the one message that changed; returns False when it is not among those shown."""
        for view in reversed(self._views):
            if view.message_id == message.id:
                view.show_message(message, can_regenerate=can_regenerate and view is self._views[-1])
                return True
        return False

    def views(self) -> tuple[MessageView, ...]:
        """Return the bubbles, oldest first."""
        return tuple(self._views)

    def follow(self) -> None:
        """Go to the newest message and stay there as it grows."""
        self._follows = True
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for view in self._views:
            view.set_available(self._available())

    def _append(self, message: ChatMessage) -> None:
        view = MessageView(message, self._loader)
        view.set_available(self._available())
        view.regenerate_asked.connect(self.regenerate_asked)
        view.link_asked.connect(self.link_asked)
        # In a row of its own and not by alignment: a box layout asks aligned items for their height at its own width,
        # not at theirs, and a line that wraps would lose its second half.
        line = row(view, None) if view.is_answer else row(None, view)
        self._box.insertLayout(self._box.count() - 1, line)
        self._views.append(view)
        self._rows.append(line)

    def _drop_from(self, index: int) -> None:
        for view, line in zip(self._views[index:], self._rows[index:], strict=True):
            line.removeWidget(view)
            self._box.removeItem(line)
            line.deleteLater()
            view.hide()
            view.deleteLater()
        del self._views[index:]
        del self._rows[index:]
        if not self._views:
            self._follows = True

    def _available(self) -> int:
        return max(self.width() - RIGHT_PX - 32, 200)

    def _scrolled(self, _action: int) -> None:
        bar = self.verticalScrollBar()
        self._follows = bar.sliderPosition() >= bar.maximum() - _NEAR_BOTTOM_PX

    def _grown(self, _minimum: int, maximum: int) -> None:
        bar = self.verticalScrollBar()
        margins = self._box.contentsMargins()
        margins.setRight(RIGHT_PX - (bar.sizeHint().width() if maximum > 0 else 0))
        self._box.setContentsMargins(margins)
        if self._follows:
            bar.setValue(maximum)
