"""Model servers that run outside of this panel: listed when asked for, and ended only after a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from variet_gui.engine.found import FoundServer
from variet_gui.events import Severity
from variet_gui.i18n import msg, tr
from variet_gui.ui import asking
from variet_gui.ui.widgets.elsewhere_dialog import ElsewhereDialog

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


class FoundTools(QObject):
    """Opens the list and asks the questions."""

    def __init__(self, bridge: Bridge, window: QWidget) -> None:
        super().__init__(window)
        self._bridge = bridge
        self._window = window
        self.dialog: ElsewhereDialog | None = None

    def open_list(self) -> ElsewhereDialog:
        """Show what runs outside of this panel, as it is now."""
        if self.dialog is None or not shiboken6.isValid(self.dialog):
            self.dialog = ElsewhereDialog(self._window)
            self.dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self.dialog.look_asked.connect(self._look)
            self.dialog.end_asked.connect(self.ask_to_end)
        self.dialog.show()
        self.dialog.raise_()
        self._look()
        return self.dialog

    def end(self, pid: int) -> None:
        """Ask whether the found server `pid` shall be ended, by what it is now."""
        self._bridge.look_elsewhere(lambda found: self._ask_among(pid, found))

    def ask_to_end(self, found: FoundServer) -> QMessageBox:
        """Ask whether `found` shall be ended."""
        port = tr("port {port}", port=found.port) if found.port is not None else tr("no port known")
        question = tr("End {program} (process {pid}, {port})?", program=found.name, pid=found.pid, port=port)
        details = tr(
            "It runs {model}, and this panel did not start it. Whoever uses it loses the answer that is being written.",
            model=found.model or tr("an unknown model"),
        )
        parent = self.dialog if self.dialog is not None and shiboken6.isValid(self.dialog) else self._window
        return asking.confirm(
            parent, question, tr("End it"), lambda: self._bridge.end_found(found.pid, self._look), details=details
        )

    def _ask_among(self, pid: int, found: tuple[FoundServer, ...]) -> None:
        if not shiboken6.isValid(self._window):
            return
        one = next((each for each in found if each.pid == pid), None)
        if one is not None:
            self.ask_to_end(one)
        else:
            self._bridge.notify(Severity.INFO, msg("Process {pid} is gone.", pid=pid))

    def _look(self) -> None:
        if self.dialog is not None and shiboken6.isValid(self.dialog):
            self.dialog.show_looking()
            self._bridge.look_elsewhere(self._show)

    def _show(self, found: tuple[FoundServer, ...]) -> None:
        if self.dialog is not None and shiboken6.isValid(self.dialog):
            self.dialog.show_found(found)
