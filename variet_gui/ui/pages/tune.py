"""Tune: every launch parameter of one tier, what an edit changes, and the exact command it makes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from variet_gui.catalog import command
from variet_gui.catalog.parameters import parameter
from variet_gui.catalog.tiers import Tier
from variet_gui.events import ServerStatus
from variet_gui.i18n import ntr, tr
from variet_gui.ui import actions, theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.catalog_error_view import CatalogErrorView
from variet_gui.ui.widgets.command_view import CommandView
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.history_panel import HistoryPanel
from variet_gui.ui.widgets.layout import Panel, label, row
from variet_gui.ui.widgets.notes_panel import NotesPanel
from variet_gui.ui.widgets.parameter_list import ParameterList
from variet_gui.ui.widgets.search_field import SearchField

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

SIDE_WIDTH = 400
SIDE_WIDTH_MIN = 300
SEARCH_WIDTH = 288
LIST_WIDTH_MIN = 560
"""Below this width of the list the panels at its right move under it, px."""


class TunePage(QWidget):
    """Shows one tier's draft beside what is saved; every edit goes through the bridge and comes back from it."""

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._role: str | None = None
        self._narrow = False
        self.list = ParameterList()
        self.search = SearchField(tr("Find a parameter by name, flag or help"))
        self.differs = label("", "caution")
        self.error = CatalogErrorView()
        self.command = CommandView()
        self.copy = CopyButton(tr("Copy"), "")
        self.history = HistoryPanel()
        self.notes = NotesPanel()
        self.advanced = Button("", icon="unfold")
        self.changes = label("", "quiet")
        self.revert = Button(tr("Revert"))
        self.save = Button(tr("Save"))
        self.save_and_restart = Button(tr("Save & restart").replace("&", "&&"), "primary")
        self._command_notes = label("", "caution", wrap=True)
        # Many edits in one turn of the event loop (a drag) make one refresh.
        self._refresh_soon = QTimer(self)
        self._refresh_soon.setSingleShot(True)
        self._refresh_soon.setInterval(0)
        self._refresh_soon.timeout.connect(self.refresh)
        self._build()
        self._connect()

    # ------------------------------------------------------------------------------------------------ the role

    def show_role(self, role: str) -> None:
        """Show the tier called `role`."""
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
                self._stack.setCurrentWidget(self.error)
            return
        self._stack.setCurrentIndex(0)
        if self._role not in tune.catalog.roles:
            return
        role = self._role
        tier = tune.tier(role)
        draft, saved = tune.draft(role), tune.saved(role)
        facts = tune.model_facts(role)
        self.list.set_folder(tune.models_dir)
        self.list.set_model(facts.layers if facts else None, facts.max_context if facts else None)
        self.list.set_capabilities(tune.capabilities(role))
        self.list.show_profile(
            draft.values, saved.values, lambda key: unset_text(tier, was_set=saved.get(key) is not None)
        )
        self.history.set_tier(tier)
        self.notes.set_tier(tier)
        changed = tune.changed(role)
        self._show_changes(role, changed)
        self._show_command(role, changed)

    # ----------------------------------------------------------------------------------------------- showing

    def _show_changes(self, role: str, changed: tuple[str, ...]) -> None:
        differing = self._bridge.panel.run.running_differences(role)
        running = self._bridge.status(role).state.is_active
        self.changes.setText(ntr("{count} change", "{count} changes", len(changed)) if changed else "")
        hidden = self.list.changed_under_fold(changed)
        folded = ntr("{count} of them under Advanced", "{count} of them under Advanced", hidden) if hidden else ""
        self.changes.setToolTip("\n".join([*(_name(key) for key in changed), *([folded] if folded else [])]))
        self.revert.setEnabled(bool(changed))
        self.save.setEnabled(bool(changed))
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
        self.differs.setToolTip(
            tr("A restart applies: {names}", names=", ".join(_name(key) for key in differing)) if differing else ""
        )
        count = self.list.advanced_count
        self.advanced.setText(tr("Advanced ({count})", count=count))
        self.advanced.set_icon("fold" if self.list.advanced_open else "unfold")

    def _show_command(self, role: str, changed: tuple[str, ...]) -> None:
        built = self._bridge.panel.tune.command(role)
        windows = os.name == "nt"
        environment = [f"{name}={value}" for name, value in built.environment.items()]
        self.command.show_command([(span.text, span.key) for span in built.spans(windows)], changed, environment)
        self.copy.set_text(tr("Copy"), command.shell_text(built.argv, windows, built.environment))
        self._command_notes.setText("\n".join(str(note) for note in built.notes))
        self._command_notes.setVisible(bool(built.notes))

    # ------------------------------------------------------------------------------------------------ asking

    def _edit(self, key: str, value: object) -> None:
        if self._role is None:
            return
        refused = self._bridge.edit(self._role, key, value)
        if refused is not None:
            for editor in self.list.row(key).editors:
                if editor.parameter.key == key:
                    editor.refused.emit(str(refused))
        else:
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
            self._show_changes(status.role, self._bridge.panel.tune.changed(status.role))

    def _find(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _connect(self) -> None:
        bridge = self._bridge
        self.list.edited.connect(self._edit)
        self.list.revert_asked.connect(self._revert)
        self.search.textChanged.connect(self.list.set_filter)
        self.advanced.clicked.connect(lambda: self.list.open_advanced(not self.list.advanced_open))
        self.list.advanced_shown.connect(lambda _: self.refresh())
        self.revert.clicked.connect(self._revert_all)
        self.save.clicked.connect(lambda: self._role and bridge.save(self._role))
        self.save_and_restart.clicked.connect(lambda: self._role and bridge.save_and_restart(self._role))
        self.error.reload_asked.connect(bridge.reload_catalog)
        actions.install(
            self,
            {"find": self._find, "save": self.save.click},
            Qt.ShortcutContext.WidgetWithChildrenShortcut,
        )
        bridge.draft_changed.connect(self._draft_changed)
        bridge.catalog_changed.connect(self._refresh_soon.start)
        bridge.server_changed.connect(self._server_changed)

    # ---------------------------------------------------------------------------------------------- building

    def _build(self) -> None:
        self._list_scroll, self._list_box = _scroll()
        self._list_box.addWidget(self.list)
        self._side_scroll, self._side_box = _scroll()
        self._panels = QWidget()
        theme.mark(self._panels, look="plain")
        panels = QVBoxLayout(self._panels)
        panels.setContentsMargins(0, 0, 0, 12)
        panels.setSpacing(12)
        shown = Panel(tr("Command"))
        shown.head.addWidget(self.copy)
        shown.add(self.command)
        shown.add(self._command_notes)
        self.command.setAccessibleName(tr("The exact command that starts this tier"))
        for panel in (shown, self.history, self.notes):
            panels.addWidget(panel)
        panels.addStretch(1)
        self._side_box.addWidget(self._panels)
        self.search.setFixedWidth(SEARCH_WIDTH)

        top = row(self.search, None, self.differs)
        bar = row(self.advanced, None, self.changes, self.revert, self.save, self.save_and_restart)
        bar.setContentsMargins(0, 8, 0, 12)
        left = QVBoxLayout()
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(12)
        left.addLayout(top)
        left.addWidget(self._list_scroll, 1)
        left.addLayout(bar)
        content = QWidget()
        columns = QHBoxLayout(content)
        columns.setContentsMargins(0, 12, 0, 0)
        columns.setSpacing(16)
        columns.addLayout(left, 1)
        columns.addWidget(self._side_scroll)
        self._stack = QStackedWidget()
        self._stack.addWidget(content)
        self._stack.addWidget(self.error)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._stack)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        side = min(SIDE_WIDTH, max(SIDE_WIDTH_MIN, round(self.width() * 0.34)))
        narrow = self.width() < LIST_WIDTH_MIN + 16 + SIDE_WIDTH_MIN
        self._side_scroll.setFixedWidth(side)
        if narrow != self._narrow:
            self._narrow = narrow
            self._side_scroll.setVisible(not narrow)
            (self._list_box if narrow else self._side_box).addWidget(self._panels)
            self._panels.show()  # a widget that changes its parent is hidden


def unset_text(tier: Tier, *, was_set: bool) -> str:
    """Return what stands where a parameter has no value.

    A tier that brings figures without a fingerprint ran with settings that nobody wrote down: "not recorded". What the
    operator unset, or a tier never measured before, takes llama-server's own default.
    """
    unrecorded = any(not figure.fingerprint for figure in tier.history)
    return tr("not recorded") if unrecorded and not was_set else tr("default")


def _name(key: str) -> str:
    try:
        return str(parameter(key).label)
    except KeyError:
        return key


def _scroll() -> tuple[QScrollArea, QVBoxLayout]:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    inner = QWidget()
    theme.mark(inner, look="plain")
    box = QVBoxLayout(inner)
    box.setContentsMargins(0, 0, 4, 0)
    box.setSpacing(12)
    area.setWidget(inner)
    return area, box
