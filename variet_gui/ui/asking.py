"""Questions that are asked before something cannot be taken back. Opened, never executed: the window stays alive."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from variet_gui.i18n import tr


def confirm(
    parent: QWidget, question: str, yes: str, then: Callable[[], object], *, details: str = "", title: str = ""
) -> QMessageBox:
    """Ask `question`; `then` is called when `yes` is pressed. Enter and Escape do nothing of the kind."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(question)
    if details:
        box.setInformativeText(details)
    accept = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    cancel = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(cancel)
    box.setEscapeButton(cancel)
    accept.clicked.connect(lambda _: then())
    box.finished.connect(box.deleteLater)
    box.open()
    return box
