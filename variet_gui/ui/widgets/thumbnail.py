"""A small picture: in the composer with a button that takes it away, in a bubble without."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import IconButton
from variet_gui.ui.widgets.layout import column, label

_RADIUS = 8.0


class PictureView(QWidget):
    """Paints an image with round corners, not larger than it was made for; a quiet box while there is none yet."""

    def __init__(self, limit: QSize, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._limit = limit
        self._pixmap = QPixmap()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFixedSize(limit)

    def set_image(self, image: QImage) -> None:
        """Show `image`, scaled down to the limit."""
        self._pixmap = QPixmap.fromImage(image)
        if not image.isNull():
            shown = image.size()
            if shown.width() > self._limit.width() or shown.height() > self._limit.height():
                shown = shown.scaled(self._limit, Qt.AspectRatioMode.KeepAspectRatio)
            self.setFixedSize(max(shown.width(), 24), max(shown.height(), 24))
        self.update()

    def has_image(self) -> bool:
        """Whether there is something to see."""
        return not self._pixmap.isNull()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        box = QRectF(self.rect())
        shape = QPainterPath()
        shape.addRoundedRect(box, _RADIUS, _RADIUS)
        painter.setClipPath(shape)
        painter.fillRect(box, theme.colour("track"))
        if not self._pixmap.isNull():
            painter.drawPixmap(box, self._pixmap, QRectF(self._pixmap.rect()))
        painter.end()


class Thumbnail(QWidget):
    """A picture that will be sent: what it looks like, its size, and a button to take it away."""

    remove_asked = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="plain")
        self._view = PictureView(QSize(56, 56))
        self._name = label(_short(name) or tr("picture"), "small")
        self._size = label(tr("loading…"), "faint")
        self._remove = IconButton("close", tr("Take the picture {name} away", name=name))
        self._remove.clicked.connect(self.remove_asked)
        words = column(None, self._name, self._size, None, spacing=0)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 8, 0)
        box.setSpacing(8)
        box.addWidget(self._view)
        box.addLayout(words)
        box.addWidget(self._remove)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def set_picture(self, preview: QImage, width: int, height: int) -> None:
        """Show the picture and the size (px) in which it is sent."""
        self._view.set_image(preview)
        self._view.setFixedSize(
            preview.size().scaled(QSize(80, 56), Qt.AspectRatioMode.KeepAspectRatio).expandedTo(QSize(16, 16))
        )
        self._size.setText(f"{width} × {height}")


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:9]}…{name[-10:]}"
