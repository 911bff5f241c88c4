"""Tune: every launch parameter of one tier, what an edit changes, and the exact command it makes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import QWidget

from variet_gui.catalog import command
from variet_gui.catalog.differences import changes_between
from variet_gui.catalog.tiers import Tier
from variet_gui.events import ServerStatus
from variet_gui.i18n import ntr, tr
from variet_gui.ui import actions
from variet_gui.ui.forecast_feed import ForecastFeed
from variet_gui.ui.free_edits import FreeEdits
from variet_gui.ui.model_hints import ModelHints
from variet_gui.ui.pages.tune_frame import TuneFrame
from variet_gui.ui.tier_tools import TierTools
from variet_gui.ui.tune_dialogs import TuneDialogs
from variet_gui.ui.tune_tools import TuneTools
from variet_gui.ui.widgets.setting_text import setting_name

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


class TunePage(TuneFrame):
    """Shows one tier's draft beside what is saved; every edit goes through the bridge and comes back from it."""

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._role: str | None = None
        self.tools = TuneTools(bridge, self.toolbar, self)
        self.dialogs = TuneDialogs(bridge, self)
        self._hints = ModelHints(bridge, self.list, self)
        self._free = FreeEdits(bridge, self.list.extra, self)
        self.tier_tools = TierTools(bridge, self.tier, self)
        self.feed = ForecastFeed(bridge, self.forecast, lambda: self.list.held, self)
        # Many edits in one turn of the event loop (a drag) make one refresh.
        self._refresh_soon = QTimer(self)
        self._refresh_soon.setSingleShot(True)
        self._refresh_soon.setInterval(0)
        self._refresh_soon.timeout.connect(self.refresh)
        self._connect()

    # ------------------------------------------------------------------------------------------------ the role

    def show_role(self, role: str) -> None:
        """Show the tier called `role`."""
        self.finish_typing()  # it belongs to the tier that was shown
        self._role = role
        self.search.clear()
        self.refresh()

    @property
    def role(self) -> str | None:
        """The tier that is shown."""
        return self._role

    def refresh(self) -> None:
        """Show everything as it is now."""
        tune = self._bridge.panel.tune
        if tune.catalog is None:
            if tune.catalog_error is not None:
                self.error.set_error(tune.catalog_error)
                self.show_catalog(False)
            return
        self.show_catalog(True)
        if self._role not in tune.catalog.roles:
            return
        role = self._role
        tier = tune.tier(role)
        draft, saved = tune.draft(role), tune.saved(role)
        facts = tune.model_facts(role)
        self.list.set_folder(tune.models_dir)
        self.list.set_model(facts.layers if facts else None, facts.max_context if facts else None)
        self.list.set_capabilities(tune.capabilities(role))
        self._hints.show_role(role)
        self.list.show_profile(
            draft.values, saved.values, lambda key: unset_text(tier, was_set=saved.get(key) is not None)
        )
        self._free.show_role(role)
        self.history.set_tier(tier)
        self.notes.set_tier(tier)
        self.show_elsewhere(tier.url)
        self.tier_tools.show_role(role)
        if tier.url is None:
            self.feed.show_role(role)
        self._show_changes(role)
        self._show_command(role, tuple(change.key for change in changes_between(saved, draft)))
        self.tools.show_role(role)

    # ----------------------------------------------------------------------------------------------- showing

    def _show_changes(self, role: str) -> None:
        tune = self._bridge.panel.tune
        # Extra arguments and variables count as well: a pasted command line brings them.
        changed = tuple(change.key for change in changes_between(tune.saved(role), tune.draft(role)))
        # What somebody else's server was started with is not known here.
        differing = () if tune.tier(role).url else self._bridge.panel.run.running_differences(role)
        running = self._bridge.status(role).state.is_active
        self.changes.setText(ntr("{count} change", "{count} changes", len(changed)) if changed else "")
        hidden = self.list.changed_under_fold(changed)
        folded = ntr("{count} of them under Advanced", "{count} of them under Advanced", hidden) if hidden else ""
        self.changes.setToolTip("\n".join([*(setting_name(key) for key in changed), *([folded] if folded else [])]))
        self.revert.setEnabled(bool(changed))
        self.save.setEnabled(bool(changed))
        self.note.setEnabled(bool(changed))
        self.save_and_restart.setEnabled(bool(changed or differing))
        text = tr("Save & restart") if running else tr("Save & start")
        self.save_and_restart.setText(text.replace("&", "&&"))
        self.differs.setText(
            ntr(
                "{count} setting differs from what is running",
                "{count} settings differ from what is running",
                len(differing),
            )
            if differing
            else ""
        )
        self.differs.setVisible(bool(differing))
        self.differs.setToolTip(
            tr("A restart applies: {names}", names=", ".join(setting_name(key) for key in differing))
            if differing
            else ""
        )
        count = self.list.advanced_count
        self.advanced.setText(tr("Advanced ({count})", count=count))
        self.advanced.set_icon("fold" if self.list.advanced_open else "unfold")

    def _show_command(self, role: str, changed: tuple[str, ...]) -> None:
        built = self._bridge.panel.tune.command(role)
        windows = os.name == "nt"
        environment = [f"{name}={value}" for name, value in built.environment.items()]
        spans = [(span.text, span.key) for span in built.spans(windows)]
        given = len(spans) - built.extra_words
        shown = [*spans[:given], *((text, "extra_arguments") for text, _ in spans[given:])]
        self.command.show_command(shown, changed, environment)
        self.copy.set_text(tr("Copy"), command.shell_text(built.argv, windows, built.environment))
        self.command_notes.setText("\n".join(str(note) for note in built.notes))
        self.command_notes.setVisible(bool(built.notes))

    # ------------------------------------------------------------------------------------------------ asking

    def _edit(self, key: str, value: object) -> None:
        if self._role is None:
            return
        refused = self._bridge.edit(self._role, key, value, self.list.gesture(key))
        if refused is not None:
            for editor in self.list.row(key).editors:
                if editor.parameter.key == key:
                    editor.refused.emit(str(refused))
        else:
            self.feed.follow()
            self._refresh_soon.start()

    def _revert(self, key: str | None = None) -> None:
        if self._role is not None:
            self._bridge.revert(self._role, key)
            self._refresh_soon.start()

    def _revert_all(self) -> None:
        self._revert()

    def _draft_changed(self, role: str) -> None:
        if role == self._role:
            self._refresh_soon.start()

    def _server_changed(self, status: ServerStatus) -> None:
        if status.role == self._role and self._bridge.panel.tune.catalog is not None:
            self._show_changes(status.role)
            self.tier_tools.show_role(status.role)

    def _gpus_sampled(self, _: object) -> None:
        if self._role is not None and self.isVisible():
            self._hints.show_devices(self._role)

    def _with_role(self, do: Callable[[str], object]) -> None:
        # Without a catalog there is nothing to act on.
        catalog = self._bridge.panel.tune.catalog
        if catalog is not None and self._role in catalog.roles:
            do(self._role)

    def _advanced_shown(self, shown: bool) -> None:
        self.refresh()
        if shown:
            # What was unfolded lies below the edge of the page: without this the button seems to do nothing.
            QTimer.singleShot(0, self, self._bring_advanced_up)

    def _bring_advanced_up(self) -> None:
        if self.list.sections:
            bar = self.list_scroll.verticalScrollBar()
            bar.setValue(self.list.sections[0].mapTo(self.list_scroll.widget(), QPoint(0, 0)).y())

    def _save_by_key(self) -> None:
        self.finish_typing()
        if self._role is not None and self._bridge.panel.tune.is_changed(self._role):
            self._save()

    def _save(self, *, and_restart: bool = False) -> None:
        self.finish_typing()
        if self._role is not None:
            (self._bridge.save_and_restart if and_restart else self._bridge.save)(self._role)

    def _find(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _connect(self) -> None:
        bridge = self._bridge
        self.list.edited.connect(self._edit)
        self.list.released.connect(self.feed.settle)
        self.list.revert_asked.connect(self._revert)
        self.search.textChanged.connect(self.list.set_filter)
        self.search.textChanged.connect(self.tier.filter)
        self.advanced.clicked.connect(lambda: self.list.open_advanced(not self.list.advanced_open))
        self.list.advanced_shown.connect(self._advanced_shown)
        self.revert.clicked.connect(self._revert_all)
        self.save.clicked.connect(lambda _: self._save())
        self.save_and_restart.clicked.connect(lambda _: self._save(and_restart=True))
        self.error.reload_asked.connect(bridge.reload_catalog)
        self.note.clicked.connect(lambda: self.note_popover.open_above(self.note))
        self.note_popover.save_asked.connect(lambda note: self._with_role(lambda role: bridge.save(role, note=note)))
        self.toolbar.history.clicked.connect(lambda: self._with_role(self.dialogs.open_history))
        self.toolbar.paste_asked.connect(lambda: self._with_role(self.dialogs.open_import))
        self.toolbar.export_asked.connect(
            lambda form: self._with_role(lambda role: self.dialogs.open_export(role, form))
        )
        handlers: dict[str, Callable[[], object]] = {
            "find": self._find,
            "save": self._save_by_key,
            "undo": lambda: self._with_role(bridge.undo),
            "redo": lambda: self._with_role(bridge.redo),
            "history": lambda: self._with_role(self.dialogs.open_history),
            "paste_command": lambda: self._with_role(self.dialogs.open_import),
        }
        actions.install(self, handlers)  # also while a tier has the keyboard; a hidden page has no shortcuts
        bridge.draft_changed.connect(self._draft_changed)
        bridge.catalog_changed.connect(self._hints.forget)
        bridge.catalog_changed.connect(self._refresh_soon.start)
        bridge.gpus_sampled.connect(self._gpus_sampled)
        bridge.server_changed.connect(self._server_changed)


def unset_text(tier: Tier, *, was_set: bool) -> str:
    """Return what stands where a parameter has no value.

    A tier that brings figures without a fingerprint ran with settings that nobody wrote down: "not recorded". What the
    operator unset, or a tier never measured before, takes llama-server's own default.
    """
    unrecorded = any(not figure.fingerprint for figure in tier.history)
    return tr("not recorded") if unrecorded and not was_set else tr("default")
