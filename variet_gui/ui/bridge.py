"""The only crossing between the GUI thread and the core.

Calls go in as coroutines. Events come out through one queue that the GUI thread drains: state changes at once, floods
(log lines) gathered for at most a tenth of a second.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from variet_gui.catalog.parameters import ParameterError
from variet_gui.engine.launch import StartFailed
from variet_gui.events import (
    AnswerChanged,
    CatalogChanged,
    Event,
    GpusSampled,
    HostSampled,
    LogAppended,
    MarkAdded,
    NoticeRaised,
    ParameterValue,
    ServerStateChanged,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import Message, msg
from variet_gui.panel.panel import Panel
from variet_gui.ui.core_thread import CoreThread

log = logging.getLogger(__name__)

LOG_FLUSH_MS = 100
LOG_LINES_PER_FLUSH = 200


class Bridge(QObject):
    """Lives in the GUI thread. Signals are emitted there and nowhere else."""

    server_changed = Signal(object)
    log_appended = Signal(str, list)
    gpus_sampled = Signal(object)
    host_sampled = Signal(object)
    mark_added = Signal(object)
    catalog_changed = Signal()
    draft_changed = Signal(str)
    notice_raised = Signal(object)
    answer_changed = Signal(str, str)
    opened = Signal()
    closed = Signal()
    _woken = Signal()

    def __init__(self, panel: Panel, core: CoreThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.panel = panel
        self._core = core
        self._inbox: list[Callable[[], None]] = []
        self._inbox_lock = threading.Lock()
        self._wake_pending = False
        self._log_lines: dict[str, list[str]] = {}
        self._statuses: dict[str, ServerStatus] = {}
        self._closing = False
        self._woken.connect(self._drain, Qt.ConnectionType.QueuedConnection)
        self._log_timer = QTimer(self)
        self._log_timer.setSingleShot(True)
        self._log_timer.setInterval(LOG_FLUSH_MS)
        self._log_timer.timeout.connect(self._flush_logs)
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

    def call(
        self,
        coroutine: Coroutine[Any, Any, Any],
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Run `coroutine` on the core. Its result or error comes back in the GUI thread.

        Without `failed`, an error becomes a notice.
        """
        future = self._core.submit(coroutine)

        def finished(_: object) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is not None:
                self._post(lambda: (failed or self._show_error)(error))
            elif done is not None:
                result = future.result()
                self._post(lambda: done(result))

        future.add_done_callback(finished)

    def status(self, role: str) -> ServerStatus:
        """Return the last status that the window was told of."""
        return self._statuses.get(role) or ServerStatus(role)

    def gpus(self) -> GpusSampled | None:
        """Return the last round of the GPU sampler."""
        return self.panel.watch.gpus

    # ---------------------------------------------------------------------------------- what an operator does

    def start(self, role: str) -> None:
        """Start the tier with what the sliders show."""
        self.call(self.panel.run.start(role), failed=self._ignore_start_failure)

    def start_on_cpu(self, role: str) -> None:
        """Start the tier on the embedded engine, as the operator chose in so many words."""
        self.panel.run.allow_cpu(role)
        self.start(role)

    def stop(self, role: str) -> None:
        """Stop the tier or cancel its start."""
        self.call(self.panel.run.stop(role))

    def restart(self, role: str) -> None:
        """Stop the tier and start it with what the sliders show."""
        self.call(self.panel.run.restart(role), failed=self._ignore_start_failure)

    def stop_all(self) -> None:
        """Stop every tier."""
        self.call(self.panel.run.stop_all())

    def edit(self, role: str, key: str, value: ParameterValue | None) -> Message | None:
        """Change one parameter of the draft; returns why not, when the value is not allowed."""
        try:
            self.panel.tune.edit(role, key, value)
        except ParameterError as error:
            return error.message
        if key == "model":
            self.call(self.panel.tune.read_model(role), done=lambda _: self.draft_changed.emit(role))
        self.draft_changed.emit(role)
        return None

    def revert(self, role: str, key: str | None = None) -> None:
        """Take back one edit, or all."""
        self.panel.tune.revert(role, key)
        self.draft_changed.emit(role)

    def save(self, role: str, done: Callable[[], None] | None = None) -> None:
        """Write the draft into the catalog."""
        self.call(self.panel.tune.save(role), done=lambda _: done() if done else None)

    def save_and_restart(self, role: str) -> None:
        """Write the draft and restart the tier with it, or start it when it does not run."""
        self.save(role, done=lambda: self.restart(role))

    def set_engine(self, role: str, path: str) -> None:
        """Use the llama-server at `path` from now on; it is saved."""
        self.call(self.panel.tune.set_engine(role, path), done=lambda _: self._find_engines())

    def set_port(self, role: str, port: int) -> None:
        """Give the tier another port; it is saved."""
        self.call(self.panel.tune.set_port(role, port), done=lambda _: self.draft_changed.emit(role))

    def reload_catalog(self) -> None:
        """Read the catalog again, after it was repaired."""
        self.call(self.panel.tune.load(), done=lambda _: self._find_engines())

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

    def _post(self, task: Callable[[], None]) -> None:
        with self._inbox_lock:
            self._inbox.append(task)
            asleep, self._wake_pending = not self._wake_pending, True
        if asleep:
            self._woken.emit()

    @Slot()
    def _drain(self) -> None:
        with self._inbox_lock:
            tasks, self._inbox = self._inbox, []
            self._wake_pending = False
        for task in tasks:
            try:
                task()
            except Exception:  # noqa: BLE001 - one bad receiver must not swallow what stands behind it in the queue
                sys.excepthook(*sys.exc_info())

    def _announce(self, event: Event) -> None:
        match event:
            case ServerStateChanged(status=status):
                self._statuses[status.role] = status
                self.server_changed.emit(status)
            case LogAppended(role=role, lines=lines):
                self._log_lines.setdefault(role, []).extend(lines)
                if not self._log_timer.isActive():
                    self._log_timer.start()
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
            case NoticeRaised():
                self.notice_raised.emit(event)
            case AnswerChanged(conversation_id=conversation, message_id=message):
                self.answer_changed.emit(conversation, message)

    @Slot()
    def _flush_logs(self) -> None:
        lines, self._log_lines = self._log_lines, {}
        for role, added in lines.items():
            shown = added[-LOG_LINES_PER_FLUSH:]
            if len(shown) < len(added):
                skipped = msg("… {count} lines not shown; the file has them", count=len(added) - len(shown))
                shown = [str(skipped), *shown]
            self.log_appended.emit(role, shown)

    # --------------------------------------------------------------------------------------------- results

    def _on_opened(self) -> None:
        self._find_engines()
        self.opened.emit()

    def _find_engines(self) -> None:
        catalog = self.panel.tune.catalog
        for role in catalog.roles if catalog else ():
            self.call(self.panel.run.find_engine(role), done=lambda _, role=role: self.draft_changed.emit(role))
            self.call(self.panel.tune.read_model(role), done=lambda _, role=role: self.draft_changed.emit(role))

    def _on_closed(self) -> None:
        self._unsubscribe()
        self._log_timer.stop()
        self.closed.emit()

    def _on_close_failed(self, error: BaseException) -> None:
        log.error("closing the panel failed", exc_info=error)
        self._on_closed()

    def _ignore_start_failure(self, error: BaseException) -> None:
        # The tier's card tells a failed start; anything else is news.
        if not isinstance(error, StartFailed):
            self._show_error(error)

    def _show_error(self, error: BaseException) -> None:
        log.error("a call to the core failed", exc_info=error)
        told = getattr(error, "message", None)
        text = told if isinstance(told, Message) else msg("{error}", error=error or type(error).__name__)
        self.notice_raised.emit(NoticeRaised(Severity.ERROR, text, repr(error)))
