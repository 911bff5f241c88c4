"""How calls cross into the core and come back: coroutines in, results and events out through one queue."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

from variet_gui.events import NoticeRaised, Severity
from variet_gui.i18n import Message, msg
from variet_gui.ui.core_thread import CoreThread

log = logging.getLogger(__name__)


class CoreCalls(QObject):
    """Lives in the GUI thread; whatever comes back is delivered there and nowhere else."""

    notice_raised = Signal(object)
    _woken = Signal()

    def __init__(self, core: CoreThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._core = core
        self._inbox: list[Callable[[], None]] = []
        self._inbox_lock = threading.Lock()
        self._wake_pending = False
        self._woken.connect(self._drain, Qt.ConnectionType.QueuedConnection)

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
                self._post(lambda: (failed or self.show_error)(error))
            elif done is not None:
                result = future.result()
                self._post(lambda: done(result))

        future.add_done_callback(finished)

    def show_error(self, error: BaseException) -> None:
        """Tell of a call that failed, in a notice."""
        log.error("a call to the core failed", exc_info=error)
        told = getattr(error, "message", None)
        text = told if isinstance(told, Message) else msg("{error}", error=error or type(error).__name__)
        self.notice_raised.emit(NoticeRaised(Severity.ERROR, text, repr(error)))

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
