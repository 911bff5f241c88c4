"""The panel's own rotating log, and the nets under every thread and task: nothing that goes wrong is swallowed."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import logging.handlers
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from variet_gui.events import NoticeRaised, Severity
from variet_gui.i18n import msg

log = logging.getLogger(__name__)

LOG_BYTES = 2 * 1024 * 1024
LOGS_KEPT = 5


class PanelLog:
    """`panel.log` and the hooks that feed it. `notify` is told of every exception that nobody caught."""

    def __init__(self, folder: Path, notify: Callable[[NoticeRaised], None]) -> None:
        self.path = folder / "panel.log"
        self._notify = notify
        self._handler = logging.handlers.RotatingFileHandler(
            self.path, maxBytes=LOG_BYTES, backupCount=LOGS_KEPT, encoding="utf-8", delay=True
        )
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        self._faults: IO[str] | None = None

    def install(self) -> None:
        """Log to the file from now on, and catch what threads, tasks and slots let fall."""
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(logging.INFO)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every poll
        self._faults = (self.path.parent / "faults.log").open("a", encoding="utf-8")
        faulthandler.enable(self._faults)
        sys.excepthook = self._on_exception
        threading.excepthook = lambda args: self._on_exception(
            args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
        )

    def remove(self) -> None:
        """Take the hooks back and close the files."""
        sys.excepthook = sys.__excepthook__
        threading.excepthook = threading.__excepthook__
        faulthandler.disable()
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        if self._faults is not None:
            self._faults.close()
            self._faults = None

    def on_loop_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Serve as the event loop's exception handler."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            self._on_exception(type(error), error, error.__traceback__)
        else:
            log.error("event loop: %s", context.get("message"))

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        log.error("not caught: %s", text)
        self._notify(
            NoticeRaised(
                Severity.ERROR,
                msg("Something went wrong inside the panel: {error}. It goes on; details are in its log.", error=error),
                text,
            )
        )
