"""All servers of the panel: one per role, made when it is first asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from variet_gui.engine.server import Server, Surroundings
from variet_gui.events import ServerStatus

log = logging.getLogger(__name__)


class Fleet:
    """Owns every `Server`. Starts none by itself: at most what the operator asks for runs."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._servers: dict[str, Server] = {}

    def server(self, role: str) -> Server:
        """Return the server of `role`, always the same one."""
        if role not in self._servers:
            self._servers[role] = Server(role, self._around)
        return self._servers[role]

    def statuses(self) -> tuple[ServerStatus, ...]:
        """Return the status of every server that was ever asked for."""
        return tuple(server.status for server in tuple(self._servers.values()))

    def running(self) -> tuple[Server, ...]:
        """Return the servers that hold, or are about to hold, a process."""
        return tuple(server for server in tuple(self._servers.values()) if server.status.state.is_active)

    async def stop_all(self) -> None:
        """Stop every server at once and return when all are gone, also those that are set to keep running."""
        await self._all_over([server.stop() for server in self.running()])

    async def close(self, to_keep: Callable[[str], bool] = lambda _: True) -> None:
        """At the end of the panel: stop all servers, but let go of those that were started to keep running.

        `to_keep` says of a role whether that is still wanted.
        """
        await self._all_over([server.release() if to_keep(server.role) else server.stop() for server in self.running()])

    @staticmethod
    async def _all_over(ends: list[Coroutine[Any, Any, None]]) -> None:
        """Wait for every one of `ends`; one that fails must not leave the others unawaited."""
        for result in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a server could not be ended", exc_info=result)
