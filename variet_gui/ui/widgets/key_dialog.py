"""A new API key: shown this once, to be copied."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QLineEdit, QVBoxLayout, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.layout import label, row

_WIDTH = 520


class KeyDialog(QDialog):
    """Not modal. Knows the key as long as it is open and no longer."""

    def __init__(self, role: str, key: str, kept_in: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("API key of {role}", role=role))
        self.setModal(False)
        self.setMinimumWidth(_WIDTH)
        self.field = QLineEdit(key)
        self.field.setReadOnly(True)
        self.field.setFont(theme.mono_font())
        self.field.setAccessibleName(tr("API key"))
        self.copy = CopyButton(tr("Copy"), key, kind="primary")
        done = Button(tr("Done"))
        done.clicked.connect(self.close)
        about = tr("Whoever uses {role} from another computer needs this key. It is shown only once.", role=role)
        later = tr("It holds from the next start of {role} on. It is kept in {file}.", role=role, file=kept_in)
        line = row(self.field, self.copy)
        line.setStretch(0, 1)
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 16, 16, 16)
        box.setSpacing(12)
        box.addWidget(label(about, wrap=True))
        box.addLayout(line)
        box.addWidget(label(later, "faint", wrap=True))
        box.addLayout(row(None, done))
        self.field.selectAll()
