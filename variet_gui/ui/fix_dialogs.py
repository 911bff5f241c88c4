"""The fixes that need a dialog: which file, which port, what happened. Dialogs are opened, never executed."""

from __future__ import annotations

from pathlib import Path

import shiboken6
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QInputDialog, QWidget

from variet_gui.events import Fix, ServerState, ServerStatus
from variet_gui.i18n import msg, tr
from variet_gui.ui.bridge import Bridge
from variet_gui.ui.widgets.autopsy_dialog import AutopsyDialog

_PORTS = range(1024, 65536)


class FixDialogs(QObject):
    """Carries out what `MainWindow.fix_asked` hands over."""

    chosen = Signal(str, object)
    """(role, `events.Fix`): a next step was pressed in a dialog; the window carries it out like one of a card."""

    def __init__(self, bridge: Bridge, window: QWidget) -> None:
        super().__init__(window)
        self._bridge = bridge
        self._window = window
        self._autopsies: dict[str, AutopsyDialog] = {}
        bridge.server_changed.connect(self._server_changed)

    def carry_out(self, role: str, fix: Fix) -> None:
        """Ask what `fix` needs to know and do it; an action that needs nothing asked is ignored here."""
        if fix.action == "pick_engine":
            self.pick_engine(role)
        elif fix.action == "pick_model":
            self._pick_file(role, "model", tr("Choose the model of {role}", role=role))
        elif fix.action == "pick_projector":
            self._pick_file(role, "mmproj", tr("Choose the projector of {role}", role=role))
        elif fix.action == "change_port":
            self._pick_port(role)
        elif fix.action == "what_happened":
            self.show_autopsy(role)

    def show_autopsy(self, role: str) -> AutopsyDialog | None:
        """Show what happened to `role`; None where nothing did, or it was started again."""
        failure = self._bridge.status(role).failure
        if failure is None:
            return None
        old = self._autopsies.pop(role, None)
        if old is not None and shiboken6.isValid(old):
            old.close()
        dialog = AutopsyDialog(role, failure, self._window)
        dialog.fix_asked.connect(lambda fix: self.chosen.emit(role, fix))
        dialog.log_asked.connect(lambda: self.chosen.emit(role, Fix(msg("Show the log"), action="show_log")))
        dialog.finished.connect(dialog.deleteLater)
        self._autopsies[role] = dialog
        dialog.open()
        return dialog

    def _server_changed(self, status: ServerStatus) -> None:
        """The panel may have looked closer; and a tier that is started again has nothing to explain any more."""
        dialog = self._autopsies.get(status.role)
        if dialog is None or not shiboken6.isValid(dialog):
            self._autopsies.pop(status.role, None)
        elif status.state is not ServerState.FAILED or status.failure is None:
            dialog.close()
        elif status.failure != dialog.failure:
            dialog.show_failure(status.failure)

    def pick_engine(self, role: str) -> None:
        """Let the operator show where llama-server is."""
        dialog = self._file_dialog(tr("Where is llama-server?"), Path.home())
        dialog.fileSelected.connect(lambda path: self._bridge.set_engine(role, path))
        dialog.open()

    def _pick_file(self, role: str, key: str, title: str) -> None:
        dialog = self._file_dialog(title, self._bridge.panel.tune.models_dir)
        dialog.setNameFilters([tr("Model files (*.gguf)"), tr("All files (*)")])
        dialog.fileSelected.connect(lambda path: self._use_file(role, key, Path(path)))
        dialog.open()

    def _use_file(self, role: str, key: str, path: Path) -> None:
        """Set the file that was missing and start: that is what failed without it."""
        folder = self._bridge.panel.tune.models_dir
        named = path.relative_to(folder) if path.is_relative_to(folder) else path
        if self._bridge.edit(role, key, str(named)) is None:
            self._bridge.start(role)

    def _pick_port(self, role: str) -> None:
        dialog = QInputDialog(self._window)
        dialog.setInputMode(QInputDialog.InputMode.IntInput)
        dialog.setIntRange(_PORTS.start, _PORTS.stop - 1)
        dialog.setIntValue(self._bridge.panel.tune.tier(role).port + 100)
        dialog.setWindowTitle(tr("Port of {role}", role=role))
        dialog.setLabelText(tr("The port of {role} on this computer:", role=role))
        dialog.intValueSelected.connect(lambda port: self._bridge.set_port(role, port, then_start=True))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _file_dialog(self, title: str, folder: Path) -> QFileDialog:
        dialog = QFileDialog(self._window, title, str(folder))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.finished.connect(dialog.deleteLater)
        return dialog
