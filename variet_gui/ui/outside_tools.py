"""The catalog file was changed by another program: shows the banner on every page, and does what is decided there."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject, QTimer

from variet_gui.events import Severity
from variet_gui.i18n import msg
from variet_gui.ui.widgets.outside_banner import OutsideBanner

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

LOOK_MS = 2000
"""How often it is asked whether a change from outside has gone away by itself, while one is shown."""


class OutsideTools(QObject):
    """Holds for all tiers: the file is one."""

    def __init__(self, bridge: Bridge, banner: OutsideBanner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._banner = banner
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self.show_change)
        outside = bridge.panel.tune.outside
        banner.merge_asked.connect(lambda theirs: self._decide(outside.merge(theirs)))
        banner.theirs_asked.connect(lambda: self._decide(outside.accept_theirs()))
        banner.ours_asked.connect(lambda: self._decide(outside.keep_ours()))
        bridge.catalog_file_changed.connect(self.show_change)
        bridge.catalog_changed.connect(self.show_change)
        bridge.draft_changed.connect(lambda _: self.show_change())
        self.show_change()

    def show_change(self) -> None:
        """Show the change from outside that waits for a decision, if there is one."""
        if not shiboken6.isValid(self._banner):
            return  # an answer that came after the window was built anew
        change = self._bridge.panel.tune.outside.change
        self._banner.show_change(change)
        if change is None:
            self._look.stop()
        elif not self._look.isActive():
            self._look.start()

    def _decide(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self._bridge.call(coroutine, done=self._decided, failed=self._not_decided)

    def _decided(self, result: object) -> None:
        if isinstance(result, Path):
            self._bridge.notify(Severity.INFO, msg("What the other program wrote was kept as {file}.", file=result))
        self._bridge.find_engines()
        self.show_change()

    def _not_decided(self, error: BaseException) -> None:
        self._bridge.show_error(error)
        self.show_change()
