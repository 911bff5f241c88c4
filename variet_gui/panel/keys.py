"""API keys of servers that can be reached from the network. A key is a file that only its owner may read.

It is handed to llama-server as a file name and to clients by the operator; it is never part of a command line, a log, a
report or an export.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_BYTES = 24


class Keys:
    """The keys of one data folder, one file for each tier."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, str]] = {}

    def path(self, role: str) -> Path:
        """Return where the key of `role` is, or would be."""
        return self._folder / f"{role}.key"

    def read(self, role: str) -> str | None:
        """Return the key of `role`; None where it has none.

        Raises:
            OSError: it is there and cannot be read.
        """
        path = self.path(role)
        try:
            changed = path.stat().st_mtime_ns
            if role not in self._known or self._known[role][0] != changed:
                self._known[role] = (changed, path.read_text(encoding="ascii").strip())
        except FileNotFoundError:
            return None
        return self._known[role][1] or None

    def ensure(self, role: str) -> str:
        """Return the key of `role`, making one where there is none.

        Raises:
            OSError: it cannot be written.
        """
        return self.read(role) or self.renew(role)

    def renew(self, role: str) -> str:
        """Make a new key for `role` and return it. A server that runs keeps the old one until it is started again.

        Raises:
            OSError: it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = secrets.token_urlsafe(_BYTES)
        temporary = self.path(role).with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
        temporary.replace(self.path(role))
        return key
