"""The only crossing between the GUI thread and the core.

Calls go in as coroutines (`CoreCalls`). Events come out through one queue that the GUI thread drains: state changes at
once, floods (log lines) gathered for at most a tenth of a second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QObject, Signal

from variet_gui.catalog.parameters import ParameterError
from variet_gui.catalog.store import CatalogChangedOutside
from variet_gui.events import (
    AnswerChanged,
    CatalogChanged,
    CatalogFileChanged,
    Event,
    GpusSampled,
    HostSampled,
    LogAppended,
    MarkAdded,
    NoticeRaised,
    OutlookChanged,
    ParameterValue,
    ServerStateChanged,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import Message
from variet_gui.panel.panel import Panel
from variet_gui.ui.bridge_runs import RunCalls
from variet_gui.ui.core_thread import CoreThread
from variet_gui.ui.log_gatherer import LogGatherer

log = logging.getLogger(__name__)


class Bridge(RunCalls):
    """Lives in the GUI thread. Signals are emitted there and nowhere else."""

    server_changed = Signal(object)
    log_appended = Signal(str, list)
    gpus_sampled = Signal(object)
    host_sampled = Signal(object)
    mark_added = Signal(object)
    catalog_changed = Signal()
    catalog_file_changed = Signal()
    """Somebody else wrote the catalog file; `panel.tune.outside.change` says what differs."""
    draft_changed = Signal(str)
    outlook_changed = Signal(object, object)
    """(`panel.outlook.Outlook`, `Together`) of a tier's draft as it is now, by whoever asked for them."""
    answer_changed = Signal(str, str)
    opened = Signal()
    closed = Signal()

    def __init__(self, panel: Panel, core: CoreThread, parent: QObject | None = None) -> None:
        super().__init__(core, parent)
        self.panel = panel
        self._statuses: dict[str, ServerStatus] = {}
        self._closing = False
        self._logs = LogGatherer(self)
        self._logs.gathered.connect(self.log_appended)
        self._unsubscribe = panel.events.subscribe(self._receive)

    # ---------------------------------------------------------------------------------------------- life

    def open(self) -> None:
        """Open the panel; `opened` follows, also when the catalog is bad."""
        self.call(self.panel.open(), done=lambda _: self._on_opened())

    def close(self) -> None:
        """Stop every server and close the panel; `closed` follows when nothing of ours is left."""
        if self._closing:
            return
        self._closing = True
        self.call(self.panel.close(), done=lambda _: self._on_closed(), failed=self._on_close_failed)

    @property
    def is_closing(self) -> bool:
        """Whether the panel is on its way down."""
        return self._closing

    # --------------------------------------------------------------------------------------------- calls

    def status(self, role: str) -> ServerStatus:
        """Return the last status that the window was told of."""
        return self._statuses.get(role) or ServerStatus(role)

    def gpus(self) -> GpusSampled | None:
        """Return the last round of the GPU sampler."""
        return self.panel.watch.gpus

    # ---------------------------------------------------------------------------------- what an operator does

    def edit(self, role: str, key: str, value: ParameterValue | None, gesture: object | None = None) -> Message | None:
        """Change one parameter of the draft; returns why not, when the value is not allowed.

        Edits that share a `gesture` (a drag) are one step for undo.
        """
        try:
            self.panel.tune.edit(role, key, value, gesture)
        except ParameterError as error:
            return error.message
        if key == "model":
            self.announce_draft(role)
        else:
            self.draft_changed.emit(role)
        return None

    def revert(self, role: str, key: str | None = None) -> None:
        """Take back one edit, or all."""
        self.panel.tune.revert(role, key)
        self.announce_draft(role)

    def undo(self, role: str) -> None:
        """Take back the last step of the tier's edits."""
        if self.panel.tune.undo(role):
            self.announce_draft(role)

    def redo(self, role: str) -> None:
        """Do again what undo took back."""
        if self.panel.tune.redo(role):
            self.announce_draft(role)

    def announce_draft(self, role: str) -> None:
        """Tell that the tier's draft is another one, and read its model file where that is a new one."""
        if self.panel.tune.model_facts(role) is None:
            self.call(self.panel.tune.read_model(role), done=lambda facts: facts and self.draft_changed.emit(role))
        self.draft_changed.emit(role)

    def save(self, role: str, done: Callable[[], None] | None = None, note: str | None = None) -> None:
        """Write the draft into the catalog, with the operator's own words for the revision in `note`."""
        self.call(
            self.panel.tune.save(role, note), done=lambda _: done() if done else None, failed=self.show_save_error
        )

    def save_and_restart(self, role: str, note: str | None = None) -> None:
        """Write the draft and restart the tier with it, or start it when it does not run."""
        self.save(role, done=lambda: self.restart(role), note=note)

    def set_engine(self, role: str, path: str) -> None:
        """Use the llama-server at `path` from now on; it is saved."""
        self.call(self.panel.tune.set_engine(role, path), done=lambda _: self.find_engines())

    def set_port(self, role: str, port: int, *, then_start: bool = False) -> None:
        """Give the tier another port; it is saved."""

        def done(_: object) -> None:
            self.draft_changed.emit(role)
            if then_start:
                self.start(role)

        self.call(self.panel.tune.set_port(role, port), done=done)

    def reload_catalog(self) -> None:
        """Read the catalog again, after it was repaired."""
        self.call(self.panel.tune.load(), done=lambda _: self.find_engines())

    def ask(
        self,
        role: str,
        text: str,
        pictures: tuple[bytes, ...],
        sampling: Mapping[str, Any],
        system_prompt: str | None = None,
    ) -> None:
        """Send a message to the tier."""
        self.call(self.panel.converse.ask(role, text, pictures, sampling, system_prompt))

    def regenerate(self, role: str, sampling: Mapping[str, Any]) -> None:
        """Ask for the last answer again."""
        self.call(self.panel.converse.regenerate(role, sampling))

    def stop_answer(self, role: str) -> None:
        """End the running answer and keep what came."""
        self.call(self.panel.converse.stop(role))

    def new_conversation(self, role: str) -> None:
        """Begin an empty conversation with the tier."""
        self.call(self.panel.converse.begin(role))

    def notify(self, severity: Severity, text: Message, details: str = "") -> None:
        """Show a quiet notice."""
        self.notice_raised.emit(NoticeRaised(severity, text, details))

    # ---------------------------------------------------------------------------------------------- events

    def _receive(self, event: Event) -> None:
        """Take an event on whatever thread it was published."""
        self._post(lambda: self._announce(event))

    def _announce(self, event: Event) -> None:
        match event:
            case ServerStateChanged(status=status):
                self._statuses[status.role] = status
                self.server_changed.emit(status)
            case LogAppended(role=role, lines=lines):
                self._logs.add(role, lines)
            case GpusSampled():
                self.gpus_sampled.emit(event)
            case HostSampled():
                self.host_sampled.emit(event)
            case MarkAdded():
                self.mark_added.emit(event)
            case CatalogChanged(role=role):
                if role is None:
                    self.catalog_changed.emit()
                else:
                    self.draft_changed.emit(role)
            case CatalogFileChanged():
                self.catalog_file_changed.emit()
            case OutlookChanged(role=role):
                catalog = self.panel.tune.catalog
                for changed in catalog.roles if catalog else ():
                    if role in (None, changed):
                        self.draft_changed.emit(changed)
            case NoticeRaised():
                self.notice_raised.emit(event)
            case AnswerChanged(conversation_id=conversation, message_id=message):
                self.answer_changed.emit(conversation, message)

    # --------------------------------------------------------------------------------------------- results

    def _on_opened(self) -> None:
        self.find_engines()
        self.call(self.panel.resume())
        self.opened.emit()

    def find_engines(self) -> None:
        """Look for every tier's llama-server and read its model file, as after the tiers have changed."""
        catalog = self.panel.tune.catalog
        for role in catalog.roles if catalog else ():
            self.call(self.panel.run.find_engine(role), done=lambda _, role=role: self.draft_changed.emit(role))
            self.call(self.panel.tune.read_model(role), done=lambda _, role=role: self.draft_changed.emit(role))

    def _on_closed(self) -> None:
        self._unsubscribe()
        self._logs.stop()
        self.closed.emit()

    def _on_close_failed(self, error: BaseException) -> None:
        log.error("closing the panel failed", exc_info=error)
        self._on_closed()

    def show_save_error(self, error: BaseException) -> None:
        """Tell of a Save that failed: by the banner where another program wrote the file, else in a notice."""
        if isinstance(error, CatalogChangedOutside) and self.panel.tune.outside.change is not None:
            self.catalog_file_changed.emit()  # the banner tells, and offers what can be done
        else:
            self.show_error(error)
