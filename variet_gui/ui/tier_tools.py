"""Carries out what the "This tier" group of the Tune page asks for: asked first where it matters, saved at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from variet_gui.events import Severity
from variet_gui.i18n import msg, tr
from variet_gui.panel.tier_options import EVERYWHERE
from variet_gui.ui import asking
from variet_gui.ui.widgets.key_dialog import KeyDialog
from variet_gui.ui.widgets.tier_section import TierRuns, TierSection

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


class TierTools(QObject):
    """Acts on one tier at a time. Dialogs are opened, never executed."""

    def __init__(self, bridge: Bridge, section: TierSection, page: QWidget) -> None:
        super().__init__(page)
        self._bridge = bridge
        self._section = section
        self._page = page
        self._role: str | None = None
        self.question: QMessageBox | None = None
        self.key_dialog: KeyDialog | None = None
        options = bridge.panel.tune.options
        section.keep_asked.connect(lambda on: self._change(lambda role: options.set_keep_running(role, on)))
        section.start_asked.connect(lambda on: self._change(lambda role: options.set_start_with_panel(role, on)))
        section.network_asked.connect(self._ask_network)
        section.key_asked.connect(self._ask_key)

    def show_role(self, role: str) -> None:
        """Show what is saved of `role`."""
        self._role = role
        status = self._bridge.status(role)
        active = status.state.is_active
        runs = TierRuns(active, role in self._bridge.panel.staying(), EVERYWHERE in status.argv)
        self._section.show_tier(self._bridge.panel.tune.tier(role), runs)

    def _ask_network(self, wanted: bool) -> None:
        role, options = self._role, self._bridge.panel.tune.options
        if role is None:
            return
        if not wanted:
            self._change(options.close_to_network)
            return
        self.question = asking.confirm(
            self._page,
            tr("Let other computers use {role}?", role=role),
            tr("Open to the network"),
            lambda: self._run(role, options.open_to_network(role), self._show_key),
            details=tr(
                "Every computer that reaches this one over the network can then send it requests, as long as it knows "
                "the API key that is made now. What is sent is not encrypted: others in the same network may read it. "
                "Do this only in a network that you trust."
            ),
        )

    def _ask_key(self) -> None:
        role, options = self._role, self._bridge.panel.tune.options
        if role is not None:
            self.question = asking.confirm(
                self._page,
                tr("Make a new key for {role}?", role=role),
                tr("Make a new key"),
                lambda: self._run(role, options.renew_key(role), self._show_key),
                details=tr("The old key stops working when {role} is started again.", role=role),
            )

    def _show_key(self, role: str, key: str | None) -> None:
        if key is None:
            told = msg(
                "The key that {role} was given earlier still holds. If nobody has it, make a new one.", role=role
            )
            self._bridge.notify(Severity.INFO, told)
        if key is None or not shiboken6.isValid(self._page):
            return
        dialog = KeyDialog(role, key, str(self._bridge.panel.tune.keys.path(role)), self._page)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.key_dialog = dialog
        dialog.show()

    def _change(self, change: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        if self._role is not None:
            self._run(self._role, change(self._role), lambda *_: None)

    def _run(self, role: str, work: Coroutine[Any, Any, Any], then: Callable[[str, Any], None]) -> None:
        def done(result: Any) -> None:
            self._bridge.announce_draft(role)  # the page shows what is saved now
            then(role, result)

        self._bridge.call(work, done=done, failed=self._bridge.show_save_error)
