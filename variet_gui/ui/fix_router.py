"""What the next steps of failures and notices do: each action by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from variet_gui.events import Fix
from variet_gui.panel.recovery import END_FOUND
from variet_gui.ui.bridge_runs import OPEN_FOLDER
from variet_gui.ui.fixing import apply_fix

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge
    from variet_gui.ui.found_tools import FoundTools

_OF_THE_BRIDGE = frozenset(
    {"restart", "save_evidence", "start_anyway", "start_on_cpu", "start_with_present_gpus", "stop_first"}
)


class FixRouter:
    """Changes settings as a fix says, and does what it names."""

    def __init__(self, bridge: Bridge, found: FoundTools, show_log: Callable[[str], None]) -> None:
        self._bridge = bridge
        self._found = found
        self._show_log = show_log

    def carry_out(self, role: str, fix: Fix) -> bool:
        """Do what `fix` says; False when its action is none that is known here. Its settings are changed then, too."""
        if not apply_fix(self._bridge, role, fix):
            return True
        action, _, what = (fix.action or "").partition(":")
        if action == "show_log":
            self._show_log(role)
        elif not action and fix.changes_settings:
            self._bridge.restart(role)
        elif action in _OF_THE_BRIDGE:
            getattr(self._bridge, action)(role)
        elif action == END_FOUND and what.isdecimal():
            self._found.end(int(what))
        elif action == OPEN_FOLDER:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(what))))
        else:
            return False
        return True
