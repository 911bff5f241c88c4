"""A few words for a Save: a small field that opens beside the button and never stands in the way."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QFrame, QLineEdit, QVBoxLayout, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label, row

_WIDTH = 340
_LONGEST = 400


class NotePopover(QFrame):
    """Enter saves, Escape or a click elsewhere closes it and keeps what was typed."""

    save_asked = Signal(str)
    """The words; empty for none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        theme.mark(self, look="popover")
        self.setFixedWidth(_WIDTH)
        self.field = QLineEdit()
        self.field.setMaxLength(_LONGEST)
        self.field.setPlaceholderText(tr("why, for whom, what was measured"))
        self.field.setAccessibleName(tr("Note for this revision"))
        self.button = Button(tr("Save with this note"), "primary")
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 12, 12, 12)
        box.addWidget(label(tr("Note for this revision"), "quiet"))
        box.addWidget(self.field)
        box.addLayout(row(None, self.button))
        self.field.returnPressed.connect(self._save)
        self.button.clicked.connect(self._save)

    def open_above(self, anchor: QWidget) -> None:
        """Open above `anchor`, its right edges in line."""
        self.adjustSize()
        corner = anchor.mapToGlobal(QPoint(anchor.width() - self.width(), -self.height() - 6))
        self.move(corner)
        self.show()
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)
        self.field.selectAll()

    def _save(self) -> None:
        note = self.field.text().strip()
        self.field.clear()
        self.close()
        self.save_asked.emit(note)
