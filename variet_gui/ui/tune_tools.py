"""Undo and variants: what the Tune page offers beside the parameters themselves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QInputDialog, QMessageBox, QWidget

from variet_gui.catalog.launch_checks import LONGEST_NAME
from variet_gui.i18n import tr
from variet_gui.panel.variants import VariantRefused
from variet_gui.ui.widgets.tune_toolbar import TuneToolbar

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


class TuneTools(QObject):
    """Acts on one tier at a time. Dialogs are opened, never executed."""

    def __init__(self, bridge: Bridge, toolbar: TuneToolbar, page: QWidget) -> None:
        super().__init__(page)
        self._bridge = bridge
        self._toolbar = toolbar
        self._page = page
        self._role: str | None = None
        self._connect()

    def show_role(self, role: str) -> None:
        """Show what can be done with the draft of `role`, as it is now."""
        self._role = role
        tune = self._bridge.panel.tune
        self._toolbar.show_steps(tune.can_undo(role), tune.can_redo(role))
        draft, names = tune.draft(role), list(tune.variants.list(role))
        current = next((name for name in names if tune.variants.profile(role, name) == draft), None)
        self._toolbar.variants.show_variants(names, current, saved=not tune.is_changed(role))

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
