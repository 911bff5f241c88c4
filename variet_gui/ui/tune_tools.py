"""Undo, variants and the change from outside: what the Tune page offers beside the parameters themselves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QInputDialog, QMessageBox, QWidget

from variet_gui.catalog.launch_checks import LONGEST_NAME
from variet_gui.events import Severity
from variet_gui.i18n import msg, tr
from variet_gui.panel.variants import VariantRefused
from variet_gui.ui.widgets.outside_banner import OutsideBanner
from variet_gui.ui.widgets.tune_toolbar import TuneToolbar

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

LOOK_MS = 2000
"""How often it is asked whether a change from outside has gone away by itself, while one is shown."""


class TuneTools(QObject):
    """Acts on one tier at a time. Dialogs are opened, never executed."""

    def __init__(self, bridge: Bridge, toolbar: TuneToolbar, banner: OutsideBanner, page: QWidget) -> None:
        super().__init__(page)
        self._bridge = bridge
        self._toolbar = toolbar
        self._banner = banner
        self._page = page
        self._role: str | None = None
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self.show_outside)
        self._connect()

    def show_role(self, role: str) -> None:
        """Show what can be done with the draft of `role`, as it is now."""
        self._role = role
        tune = self._bridge.panel.tune
        self._toolbar.show_steps(tune.can_undo(role), tune.can_redo(role))
        draft, names = tune.draft(role), list(tune.variants.list(role))
        current = next((name for name in names if tune.variants.profile(role, name) == draft), None)
        self._toolbar.variants.show_variants(names, current, saved=not tune.is_changed(role))
        self.show_outside()

    def show_outside(self) -> None:
        """Show the change from outside that waits for a decision, if there is one."""
        if not shiboken6.isValid(self._banner):
            return  # an answer that came after the window was built anew
        change = self._bridge.panel.tune.outside.change
        self._banner.show_change(change)
        if change is None:
            self._look.stop()
        elif not self._look.isActive():
            self._look.start()

    # ------------------------------------------------------------------------------------------------ variants

    def _load_variant(self, name: str) -> None:
        if self._role is None:
            return
        try:
            self._bridge.panel.tune.variants.load(self._role, name)
        except VariantRefused as error:
            self._bridge.show_error(error)
        self._bridge.announce_draft(self._role)

    def _keep_variant(self) -> None:
        role = self._role
        if role is not None:
            self._ask_name(tr("Keep as a variant"), "", lambda name: self._save_variant(role, name))

    def _save_variant(self, role: str, name: str) -> None:
        variants = self._bridge.panel.tune.variants
        if name not in variants.list(role):
            self._change(role, variants.save_as(role, name))
            return
        question = tr("There is a variant called {name} already. Replace it by these settings?", name=name)
        self._confirm(question, tr("Replace"), lambda: self._change(role, variants.save_as(role, name, replace=True)))

    def _rename_variant(self, old: str) -> None:
        role, variants = self._role, self._bridge.panel.tune.variants
        if role is not None:
            self._ask_name(
                tr("Rename the variant {name}", name=old),
                old,
                lambda new: self._change(role, variants.rename(role, old, new)),
            )

    def _delete_variant(self, name: str) -> None:
        role, variants = self._role, self._bridge.panel.tune.variants
        if role is not None:
            question = tr("Delete the variant {name}? The settings that are edited stay as they are.", name=name)
            self._confirm(question, tr("Delete"), lambda: self._change(role, variants.delete(role, name)))

    def _change(self, role: str, coroutine: Coroutine[Any, Any, object]) -> None:
        self._bridge.call(
            coroutine, done=lambda _: self._bridge.announce_draft(role), failed=self._bridge.show_save_error
        )

    # -------------------------------------------------------------------------------------- the change from outside

    def _merge(self, theirs: tuple[tuple[str, str], ...]) -> None:
        self._decide(self._bridge.panel.tune.outside.merge(theirs))

    def _take_theirs(self) -> None:
        self._decide(self._bridge.panel.tune.outside.accept_theirs())

    def _keep_ours(self) -> None:
        self._decide(self._bridge.panel.tune.outside.keep_ours())

    def _decide(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self._bridge.call(coroutine, done=self._decided, failed=self._not_decided)

    def _decided(self, result: object) -> None:
        if isinstance(result, Path):
            self._bridge.notify(Severity.INFO, msg("What the other program wrote was kept as {file}.", file=result))
        self._bridge.find_engines()
        self.show_outside()

    def _not_decided(self, error: BaseException) -> None:
        self._bridge.show_error(error)
        self.show_outside()

    # -------------------------------------------------------------------------------------------------- asking

    def _ask_name(self, title: str, text: str, then: Callable[[str], None]) -> None:
        dialog = QInputDialog(self._page)
        dialog.setInputMode(QInputDialog.InputMode.TextInput)
        dialog.setWindowTitle(title)
        dialog.setLabelText(
            tr("Name, such as “demo day” or “long context” (up to {count} characters):", count=LONGEST_NAME)
        )
        dialog.setTextValue(text)
        dialog.textValueSelected.connect(lambda name: then(name.strip()))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _confirm(self, question: str, yes: str, then: Callable[[], None]) -> None:
        box = QMessageBox(self._page)
        box.setIcon(QMessageBox.Icon.Question)
        box.setText(question)
        accept = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
        box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        accept.clicked.connect(lambda _: then())
        box.finished.connect(box.deleteLater)
        box.open()

    def _with_role(self, do: Callable[[str], None]) -> None:
        if self._role is not None:
            do(self._role)

    def _connect(self) -> None:
        bridge, variants = self._bridge, self._toolbar.variants
        self._toolbar.undo.clicked.connect(lambda: self._with_role(bridge.undo))
        self._toolbar.redo.clicked.connect(lambda: self._with_role(bridge.redo))
        variants.saved_asked.connect(lambda: self._with_role(bridge.revert))
        variants.load_asked.connect(self._load_variant)
        variants.keep_asked.connect(self._keep_variant)
        variants.rename_asked.connect(self._rename_variant)
        variants.delete_asked.connect(self._delete_variant)
        self._banner.merge_asked.connect(self._merge)
        self._banner.theirs_asked.connect(self._take_theirs)
        self._banner.ours_asked.connect(self._keep_ours)
        bridge.catalog_file_changed.connect(self.show_outside)
        bridge.catalog_changed.connect(self.show_outside)
