"""A tier as a file that starts it without the panel: seen first, then copied or saved."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QDialog, QFileDialog, QPlainTextEdit, QVBoxLayout, QWidget

from variet_gui.catalog.exporting import ExportFormat
from variet_gui.i18n import Message, msg, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.segments import Segments
from variet_gui.ui.widgets.tick_box import TickBox

FORMATS: dict[ExportFormat, Message] = {
    ExportFormat.SH: msg("Shell script (.sh)"),
    ExportFormat.BAT: msg("Windows script (.bat)"),
    ExportFormat.LLAMA_SWAP: msg("llama-swap (.yaml)"),
    ExportFormat.PRESET: msg("Router preset (.ini)"),
}
_SIZE = QSize(780, 560)


class ExportDialog(QDialog):
    """Not modal. Asks for the text of a format and shows it; where it is saved is asked of the operator."""

    text_asked = Signal()
    """For `form` and `everything`."""
    file_chosen = Signal(str)
    """Save what is shown there."""

    def __init__(self, role: str, form: ExportFormat = ExportFormat.SH, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.role = role
        self.form = form
        self._text = ""
        self.setWindowTitle(tr("Export {role}", role=role))
        self.setModal(False)
        self.resize(_SIZE)
        self.formats = Segments([(each.value, str(text)) for each, text in FORMATS.items()])
        self.formats.set_accessible_names(tr("Format"))
        self.everything = TickBox(tr("All tiers in one file"))
        self.view = QPlainTextEdit()
        self.view.setReadOnly(True)
        self.view.setTabChangesFocus(True)
        self.view.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.view.setFont(theme.mono_font())
        self.view.setAccessibleName(tr("The exported file"))
        self.notes = label("", "caution", wrap=True)
        self.copy = CopyButton(tr("Copy"), "")
        self.save = Button(tr("Save as a file…"), "primary")
        close = Button(tr("Close"))
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 16, 16, 16)
        box.setSpacing(10)
        box.addLayout(row(self.formats, None, self.everything))
        box.addWidget(self.view, 1)
        box.addWidget(self.notes)
        box.addLayout(row(None, close, self.copy, self.save))
        self.formats.chosen.connect(lambda key: self.choose(ExportFormat(key)))
        self.everything.toggled.connect(lambda _: self.text_asked.emit())
        self.save.clicked.connect(self.pick)
        close.clicked.connect(self.close)
        self._show_form()

    @property
    def wants_everything(self) -> bool:
        """Whether all tiers are to stand in the file."""
        return self.form.holds_several and self.everything.isChecked()

    def text(self) -> str:
        """Return the file as it would be saved, with the line ends of its format."""
        return self._text

    def choose(self, form: ExportFormat) -> None:
        """Show another format."""
        self.form = form
        self._show_form()
        self.text_asked.emit()

    def show_text(self, text: str, notes: Sequence[str], *, problem: str = "") -> None:
        """Show the file, with what was left out of it; or why there is none."""
        self._text = text
        self.view.setPlainText(text)
        self.copy.set_text(tr("Copy"), text)
        self.notes.setText("\n".join([problem] if problem else notes))
        theme.mark(self.notes, look="failure" if problem else "caution")
        self.notes.setVisible(bool(self.notes.text()))
        self.save.setEnabled(not problem)
        self.copy.setEnabled(not problem)

    def pick(self) -> QFileDialog:
        """Ask where to save it; does not block."""
        dialog = QFileDialog(self, tr("Export {role}", role=self.role))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters([f"*{self.form.suffix}", tr("All files (*)")])
        dialog.setDefaultSuffix(self.form.suffix.lstrip("."))
        name = "tiers" if self.wants_everything else self.role
        dialog.selectFile(f"{name}{self.form.suffix}")
        dialog.fileSelected.connect(self.file_chosen)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def _show_form(self) -> None:
        self.formats.set_current(self.form.value)
        self.everything.setEnabled(self.form.holds_several)
