"""A catalog that cannot be used: which file, where in it, what was found, what is allowed, and a way to go on."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from variet_gui.catalog.store import CatalogError
from variet_gui.i18n import tr
from variet_gui.ui import icons, theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.layout import label, row

_WIDTH = 640


class CatalogErrorView(QWidget):
    """Nothing was changed in the file; repair it and press Reload."""

    reload_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._facts: dict[str, QLabel] = {}
        card = QFrame()
        card.setMaximumWidth(_WIDTH)
        theme.mark(card, look="panel")
        self._icon = QLabel()
        self._title = label("", "title", wrap=True)
        head = row(self._icon, self._title, spacing=10)
        head.setStretch(1, 1)
        form = QGridLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        form.setColumnStretch(1, 1)
        rows = (("file", tr("File")), ("where", tr("Place")), ("found", tr("Found")), ("allowed", tr("Allowed")))
        for number, (key, name) in enumerate(rows):
            self._facts[key] = label("", wrap=True)
            self._facts[key].setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            form.addWidget(label(name, "quiet"), number, 0, Qt.AlignmentFlag.AlignTop)
            form.addWidget(self._facts[key], number, 1)
        self.reload = Button(tr("Reload"), "primary", "revert")
        self.copy_path = CopyButton(tr("Copy the path"), "")
        calm = label(tr("The file was left as it is. Repair it in an editor, then reload."), "quiet", wrap=True)
        inside = QVBoxLayout(card)
        inside.setContentsMargins(24, 20, 24, 20)
        inside.setSpacing(16)
        inside.addLayout(head)
        inside.addLayout(form)
        inside.addWidget(calm)
        inside.addLayout(row(self.reload, self.copy_path, None))
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 40, 0, 0)
        line = row(None, card, None)
        line.setStretch(1, 8)
        box.addLayout(line)
        box.addStretch(1)
        self.reload.clicked.connect(self.reload_asked)

    def set_error(self, error: CatalogError) -> None:
        """Show `error`."""
        self._icon.setPixmap(icons.pixmap("warning", "failure", 20))
        self._title.setText(tr("The tier catalog cannot be used"))
        texts = {
            "file": str(error.file),
            "where": error.where,
            "found": error.found,
            "allowed": str(error.allowed),
        }
        if not any((error.where, error.found, texts["allowed"])):
            texts["found"] = str(error.message)
        for key, text in texts.items():
            self._facts[key].setText(text or "–")
        self.copy_path.set_text(tr("Copy the path"), str(error.file))
        self.setAccessibleName(str(error.message))

    def text(self) -> str:
        """Return everything that is shown, for tests and screen readers."""
        return "\n".join([self._title.text(), *(fact.text() for fact in self._facts.values())])
