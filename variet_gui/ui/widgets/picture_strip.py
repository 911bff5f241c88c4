"""The pictures of an unsent message, side by side; it scrolls when they are many and hides when there are none."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import row
from variet_gui.ui.widgets.picture_loader import LoadedPicture
from variet_gui.ui.widgets.thumbnail import Thumbnail

_HEIGHT = 66


class PictureStrip(QScrollArea):
    """Shows one `Thumbnail` for each ticket of the picture loader."""

    remove_asked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._thumbnails: dict[int, Thumbnail] = {}
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFixedHeight(_HEIGHT)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        held = QWidget()
        theme.mark(held, look="plain")
        self._row = row(None, spacing=12)
        held.setLayout(self._row)
        self.setWidget(held)
        self.hide()

    def show_pictures(self, names: Mapping[int, str], pictures: Mapping[int, LoadedPicture | None]) -> None:
        """Show exactly these pictures; None: it is still being loaded."""
        for ticket in [ticket for ticket in self._thumbnails if ticket not in pictures]:
            gone = self._thumbnails.pop(ticket)
            self._row.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        for ticket, picture in pictures.items():
            if ticket not in self._thumbnails:
                made = Thumbnail(names.get(ticket, ""))
                made.remove_asked.connect(lambda ticket=ticket: self.remove_asked.emit(ticket))
                self._thumbnails[ticket] = made
                self._row.insertWidget(self._row.count() - 1, made)
            if picture is not None:
                self._thumbnails[ticket].set_picture(picture.preview, picture.width, picture.height)
        self.setVisible(bool(self._thumbnails))

    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """Return what is shown, oldest first."""
        return tuple(self._thumbnails.values())
