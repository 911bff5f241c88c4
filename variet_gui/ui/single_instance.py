"""One window per data folder: a second start asks the first to come to the front."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtNetwork import QLocalServer, QLocalSocket

log = logging.getLogger(__name__)

ANSWER_MS = 1000
_RAISE = b"raise\n"


class SingleInstance(QObject):
    """The local socket of the panel that holds a data folder."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__()
        self._name = "variet-" + hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
        self._server: QLocalServer | None = None

    def raise_other(self) -> bool:
        """Ask the panel that runs already to show itself; whether it was reached. Called before any window exists."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(ANSWER_MS):
            return False
        socket.write(_RAISE)
        reached = socket.waitForBytesWritten(ANSWER_MS)
        socket.disconnectFromServer()
        return reached

    def listen(self, on_raise: Callable[[], None]) -> None:
        """Call `on_raise` whenever a second start asks for it. The caller holds the folder's lock."""
        QLocalServer.removeServer(self._name)  # what a crashed holder of the same lock left behind
        server = QLocalServer(self)
        server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)

        def greet() -> None:
            connection = server.nextPendingConnection()
            if connection is not None:
                connection.disconnected.connect(connection.deleteLater)
                on_raise()

        server.newConnection.connect(greet)
        if not server.listen(self._name):
            log.warning("a second start cannot raise this window: %s", server.errorString())
        self._server = server

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
