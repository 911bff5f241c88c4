"""The dialogs of the Tune page: what was saved, what is pasted, what is exported. They work on one tier each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QDialog, QWidget

from variet_gui.catalog.exporting import ExportError, ExportFormat
from variet_gui.catalog.importing import ShellTextError
from variet_gui.events import Severity
from variet_gui.i18n import Message, msg
from variet_gui.panel.exchange import Pasted, export_text, read_pasted, write_export
from variet_gui.ui.widgets.export_dialog import ExportDialog
from variet_gui.ui.widgets.history_dialog import HistoryDialog
from variet_gui.ui.widgets.import_dialog import ImportDialog, Preview

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

_SETTLE_MS = 250
"""A history that is open follows the sliders at this distance."""


class TuneDialogs(QObject):
    """Opens the dialogs and carries out what they ask for. Nothing is executed, nothing blocks."""

    def __init__(self, bridge: Bridge, page: QWidget) -> None:
        super().__init__(page)
        self._bridge = bridge
        self._page = page
        self.history: HistoryDialog | None = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._follow)
        bridge.draft_changed.connect(self._draft_changed)

    # ------------------------------------------------------------------------------------------------- history

    def open_history(self, role: str) -> HistoryDialog:
        """Show what was saved of `role`."""
        if self.history is not None and shiboken6.isValid(self.history):
            self.history.close()
        dialog = HistoryDialog(role, self._page)
        history, call = self._bridge.panel.tune.history, self._bridge.call

        def compare(before: str, after: str) -> None:
            shown = _alive(dialog, lambda changes: dialog.show_difference(before, after, changes))
            call(history.diff(role, before, after), done=shown)

        dialog.compare_asked.connect(compare)
        dialog.good_asked.connect(
            lambda revision, good: call(history.mark_known_good(revision, good), done=lambda _: self._follow())
        )
        dialog.roll_back_asked.connect(
            lambda revision: call(history.load(role, revision), done=lambda problems: self._loaded(role, problems))
        )
        self.history = dialog
        self._open(dialog)
        self._follow()
        return dialog

    def _follow(self) -> None:
        """Show the revisions as they are now; what is compared with now is compared again."""
        dialog = self.history
        if dialog is not None and shiboken6.isValid(dialog) and dialog.isVisible():
            listed = self._bridge.panel.tune.history.list(dialog.role)
            self._bridge.call(listed, done=_alive(dialog, dialog.show_revisions))

    def _draft_changed(self, role: str) -> None:
        if self.history is not None and shiboken6.isValid(self.history) and self.history.role == role:
            self._settle.start()

    def _loaded(self, role: str, problems: tuple[Message, ...]) -> None:
        for problem in problems:
            self._bridge.notify(Severity.WARNING, msg("{role}: {problem}", role=role, problem=problem))
        self._bridge.announce_draft(role)

    # ------------------------------------------------------------------------------------------------ pasting

    def open_import(self, role: str) -> ImportDialog:
        """Let a command line be pasted for `role`."""
        dialog = ImportDialog(role, self._page)
        dialog.preview_asked.connect(lambda: self._preview(dialog))
        dialog.use_asked.connect(lambda: self._use(dialog))
        self._open(dialog)
        return dialog

    def _read(self, dialog: ImportDialog) -> Pasted:
        which = max(0, dialog.which.currentIndex())
        return read_pasted(
            dialog.pasted(), self._bridge.panel.tune, dialog.role, keep=dialog.keep.isChecked(), which=which
        )

    def _preview(self, dialog: ImportDialog) -> None:
        try:
            read = self._read(dialog)
        except (ExportError, ShellTextError) as error:
            dialog.show_preview(Preview(problem=str(error.message)))
            return
        except KeyError:
            # The tier has gone from the catalog while the dialog was open.
            dialog.close()
            return
        notes = tuple(str(note) for note in read.notes)
        dialog.show_preview(Preview(read.changes, notes, read.names, is_nothing=not read.found))

    def _use(self, dialog: ImportDialog) -> None:
        read = self._read(dialog)
        self._loaded(dialog.role, self._bridge.panel.tune.replace(read.profile))
        dialog.close()

    # ----------------------------------------------------------------------------------------------- exporting

    def open_export(self, role: str, form: ExportFormat) -> ExportDialog:
        """Show `role` as a file of the format `form`."""
        dialog = ExportDialog(role, form, self._page)
        dialog.text_asked.connect(lambda: self._write(dialog))
        dialog.file_chosen.connect(lambda path: self._save(dialog, Path(path)))
        self._write(dialog)
        self._open(dialog)
        return dialog

    def _write(self, dialog: ExportDialog) -> None:
        tune, form = self._bridge.panel.tune, dialog.form
        everyone = tune.catalog.roles if tune.catalog is not None else ()
        roles = everyone if dialog.wants_everything else (dialog.role,)
        try:
            made = export_text(tune, roles, form)
        except ExportError as error:
            dialog.show_text("", (), problem=str(error.message))
        except KeyError:
            # The tier has gone from the catalog while the dialog was open.
            dialog.close()
        else:
            dialog.show_text(made.text, tuple(str(note) for note in made.notes))

    def _save(self, dialog: ExportDialog, path: Path) -> None:
        said = msg("{role} was exported to {file}.", role=dialog.role, file=path)
        self._bridge.call(
            asyncio.to_thread(write_export, path, dialog.text(), dialog.form),
            done=lambda _: self._bridge.notify(Severity.INFO, said),
        )

    def _open(self, dialog: QDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()


def _alive(dialog: QDialog, then: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return `then` for an answer that may come after the dialog was closed."""

    def answer(result: Any) -> None:
        if shiboken6.isValid(dialog):
            then(result)

    return answer
