"""A file: its path as it stands in the catalog, and a picker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QFileDialog, QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button, IconButton
from variet_gui.ui.widgets.layout import column, row
from variet_gui.ui.widgets.parameter_editor import ParameterEditor
from variet_gui.ui.widgets.unit_field import UnitField

_LEAST_NAME = 60
_LINK_PADDING = 14


class PathField(ParameterEditor):
    """For PATH parameters. Files in `folder` are written relative to it, as the catalog keeps them."""

    def __init__(self, parameter: Parameter, folder: Path | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self._folder = folder
        self._dialog: QFileDialog | None = None
        self.field = UnitField()
        self.field.setAcceptDrops(False)
        self.button = IconButton("folder", tr("Choose a file"))
        self.setAcceptDrops(True)
        self.proposal = Button("", "link")
        self.proposal.setMinimumWidth(40)  # a long name is cut rather than making every row as wide as itself
        self.proposal.hide()
        self._proposals: tuple[str, ...] = ()
        line = row(self.field, self.button, spacing=4)
        line.setStretch(0, 1)
        box = column(line, self.proposal, spacing=2)
        box.setAlignment(self.proposal, Qt.AlignmentFlag.AlignLeft)
        self.setLayout(box)
        self.button.clicked.connect(self.pick)
        self.proposal.clicked.connect(lambda: self.offer(self._proposals[0]))
        self.field.committed.connect(self.offer_text)

    def set_folder(self, folder: Path | None) -> None:
        """Let relative paths start at `folder`; the picker opens there."""
        self._folder = folder

    def set_proposals(self, fitting: Sequence[str]) -> None:
        """Offer the first of these files below the field, unless one of them is chosen; best first."""
        self._proposals = tuple(fitting)
        self._propose()

    def controls(self) -> tuple[QWidget, ...]:
        return (self.field,)

    def refresh(self) -> None:
        text = "" if self.value is None else str(self.value)
        self.field.setPlaceholderText(self.unset_note())
        self.field.show_text(text)
        if not self.field.hasFocus():
            # The end of a path tells more than its beginning.
            self.field.end(False)
        self.field.setToolTip(text)
        theme.mark(self.field, changed=self.changed, wrong=False)
        self._propose()

    def _propose(self) -> None:
        chosen = None if self.value is None else self._absolute(str(self.value))
        wanted = bool(self._proposals) and chosen not in {self._absolute(each) for each in self._proposals}
        self.proposal.setVisible(wanted and self.isEnabled())
        if wanted:
            text = tr("Use {file}: it fits this model", file=self._proposals[0])
            self.proposal.setAccessibleName(text)
            self.proposal.setToolTip("\n".join([text, *self._proposals[1:]]))
            self._write_proposal()

    def _write_proposal(self) -> None:
        """Write the proposal so that its words fit; the middle of a long name is cut."""
        if not self._proposals:
            return
        metrics = self.proposal.fontMetrics()
        words = metrics.horizontalAdvance(tr("Use {file}: it fits this model", file=""))
        room = max(_LEAST_NAME, self.width() - words - _LINK_PADDING)
        name = metrics.elidedText(self._proposals[0], Qt.TextElideMode.ElideMiddle, room)
        self.proposal.setText(tr("Use {file}: it fits this model", file=name).replace("&", "&&"))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._write_proposal()

    def pick(self) -> QFileDialog:
        """Open the picker; it does not block."""
        start = self._absolute(self.value) if isinstance(self.value, str) else self._folder
        if start is not None and not start.is_dir():
            start = start.parent
        dialog = QFileDialog(self, tr("Choose a file for “{name}”", name=self.parameter.label))
        folder = self.parameter.folder
        dialog.setFileMode(QFileDialog.FileMode.Directory if folder else QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters(self._filters())
        if start is not None and start.is_dir():
            dialog.setDirectory(str(start))
        dialog.fileSelected.connect(self.take)
        dialog.finished.connect(dialog.deleteLater)
        self._dialog = dialog
        dialog.open()
        return dialog

    def take(self, chosen: str) -> None:
        """Take a file from the picker or a drop."""
        path = Path(chosen)
        if self._folder is not None and path.is_absolute() and path.is_relative_to(self._folder):
            path = path.relative_to(self._folder)
        self.offer(path.as_posix() if not path.is_absolute() else str(path))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.acceptProposedAction()
            self.take(files[0])

    def _absolute(self, value: str) -> Path:
        path = Path(value).expanduser()
        return path if path.is_absolute() or self._folder is None else self._folder / path

    def _filters(self) -> list[str]:
        models = tr("GGUF models (*.gguf)")
        if self.parameter.key == "mmproj":
            return [tr("Projectors (*mmproj*.gguf)"), models, tr("All files (*)")]
        if "model" in self.parameter.key:
            return [models, tr("All files (*)")]
        return [tr("All files (*)")]
