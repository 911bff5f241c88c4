"""The one background thread on which the core's event loop runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class CoreThread:
    """An `asyncio.Runner` on a thread of its own. Made and joined by the GUI thread."""

    def __init__(self, on_loop_exception: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]) -> None:
        self._on_loop_exception = on_loop_exception
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._up = threading.Event()
        # A daemon: should the GUI thread ever die, the process ends, and the lifelines end the servers. Closing in
        # order joins it.
        self._thread = threading.Thread(target=self._run, name="core", daemon=True)

    def start(self) -> None:
        """Start the loop; returns once it takes calls (milliseconds)."""
        self._thread.start()
        self._up.wait()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Run `coroutine` on the core's loop. Once that has ended, nothing runs and the future is cancelled."""
        assert self._loop is not None
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop is closed: a click in the last moment of the window
            coroutine.close()
            never: concurrent.futures.Future[Any] = concurrent.futures.Future()
            never.cancel()
            return never

    def finish(self) -> None:
        """Let the loop end: what still runs on it is cancelled. Call `join` afterwards."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread to end and return whether it did."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_loop_exception)
        self._stop = asyncio.Event()
        self._up.set()
        await self._stop.wait()
