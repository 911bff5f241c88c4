"""The fixes that need to ask the operator something: which file, which port. Dialogs are opened, never executed."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QInputDialog, QWidget

from variet_gui.events import Fix
from variet_gui.i18n import tr
from variet_gui.ui.bridge import Bridge

_PORTS = range(1024, 65536)


class FixDialogs(QObject):
    """Carries out what `MainWindow.fix_asked` hands over."""

    def __init__(self, bridge: Bridge, window: QWidget) -> None:
        super().__init__(window)
        self._bridge = bridge
        self._window = window

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
