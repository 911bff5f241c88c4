"""Paste a command line, a script or an exported file, and see what becomes of it before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QDialog, QPlainTextEdit, QVBoxLayout, QWidget

from variet_gui.catalog.differences import Change
from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.change_table import ChangeTable
from variet_gui.ui.widgets.drop_down import DropDown
from variet_gui.ui.widgets.layout import column, label, row
from variet_gui.ui.widgets.tick_box import TickBox

_SIZE = QSize(760, 620)
_PAUSE_MS = 200
"""Typing is not read before it pauses for this long."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a pasted text becomes."""

    changes: Sequence[Change] = ()
    """Against the draft."""
    notes: Sequence[str] = ()
    names: Sequence[str] = ()
    """Of the tiers in the text, where it holds several."""
    problem: str = ""
    """Why nothing can be made of it."""
    is_nothing: bool = False
    """No call of llama-server was found in it."""


class ImportDialog(QDialog):
    """Not modal. Asks for a preview whenever something changes, and hands over the text when it is used."""

    preview_asked = Signal()
    use_asked = Signal()

    def __init__(self, role: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.role = role
        self.setWindowTitle(tr("Paste a command line for {role}", role=role))
        self.setModal(False)
        self.resize(_SIZE)
        self.text = QPlainTextEdit()
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName(tr("Command line"))
        self.text.setPlaceholderText("llama-server -m model.gguf -c 32768 -ngl 99 -ts 0.43,0.57 …")
        self.text.setFont(theme.mono_font())
        self.keep = TickBox(tr("Keep the settings that it does not name"))
        self.which = DropDown()
        self.which.setAccessibleName(tr("Which tier of the file"))
        self.which.hide()
        self.summary = label("", "quiet", wrap=True)
        self.table = ChangeTable(tr("What would change"))
        self.table.set_heads(tr("Now"), tr("Then"))
        self.notes = QPlainTextEdit()
        self.notes.setReadOnly(True)
        self.notes.setTabChangesFocus(True)
        self.notes.setMaximumHeight(120)
        self.notes.setAccessibleName(tr("Notes on what was read"))
        self.use = Button(tr("Use it"), "primary")
        self.use.setToolTip(tr("They become unsaved edits: look at them, then save. Undo takes them off again."))
        cancel = Button(tr("Cancel"))
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 16, 16, 16)
        box.setSpacing(10)
        hint = label(
            tr("A llama-server command from a shell, a .bat file, a service or a file that was exported here."), "quiet"
        )
        hint.setWordWrap(True)
        box.addWidget(hint)
        box.addWidget(self.text, 2)
        box.addLayout(row(self.keep, None, self.which))
        box.addLayout(column(self.summary, self.table, self.notes, spacing=6), 3)
        box.addLayout(row(None, cancel, self.use))
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_PAUSE_MS)
        self._soon.timeout.connect(self.preview_asked)
        self.text.textChanged.connect(self._soon.start)
        self.keep.toggled.connect(lambda _: self.preview_asked.emit())
        self.which.activated.connect(lambda _: self.preview_asked.emit())
        self.use.clicked.connect(self._use)
        cancel.clicked.connect(self.close)
        self.text.setFocus(Qt.FocusReason.OtherFocusReason)
        self.show_preview(Preview(is_nothing=True))

    def pasted(self) -> str:
        """Return the text as it is."""
        return self.text.toPlainText()

    def show_preview(self, preview: Preview) -> None:
        """Show what the text becomes."""
        if list(preview.names) != [self.which.itemText(index) for index in range(self.which.count())]:
            self.which.clear()
            self.which.addItems(list(preview.names))
        self.which.setVisible(len(preview.names) > 1)
        self.table.show_changes(preview.changes)
        notes = "\n".join(f"• {note}" for note in preview.notes)
        if self.notes.toPlainText() != notes:
            self.notes.setPlainText(notes)
        self.notes.setVisible(bool(notes))
        self.use.setEnabled(bool(preview.changes))
        theme.mark(self.summary, look="failure" if preview.problem else "quiet")
        if preview.problem:
            self.summary.setText(preview.problem)
        elif preview.is_nothing:
            found = tr("No llama-server command was found in this text.")
            self.summary.setText(found if self.pasted().strip() else "")
        elif preview.changes:
            self.summary.setText(
                ntr("{count} setting would change.", "{count} settings would change.", len(preview.changes))
            )
        else:
            self.summary.setText(tr("That is what is set already."))

    def _use(self) -> None:
        # What is used is what is read of the text as it stands now, also when typing has not paused yet.
        self._soon.stop()
        self.preview_asked.emit()
        if self.use.isEnabled():
            self.use_asked.emit()
