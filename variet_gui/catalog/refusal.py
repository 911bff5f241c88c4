"""Why a catalog file cannot be used, and where in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from variet_gui.catalog.parameter_values import shown
from variet_gui.i18n import Message, msg


class CatalogError(Exception):
    """A catalog file that cannot be used: which file, where in it, what was found and what is allowed."""

    def __init__(self, file: Path, where: str, found: str, allowed: Message, message: Message | None = None) -> None:
        self.file = file
        self.where = where
        """The path inside the file, such as "tiers[1].acceptance.min_tps", or a line and column; may be empty."""
        self.found = found
        self.allowed = allowed
        if message is None and where:
            message = msg(
                "{file}: {where} is {found}. Allowed: {allowed}.", file=file, where=where, found=found, allowed=allowed
            )
        self.message = message or msg(
            "{file} holds {found}. Allowed: {allowed}.", file=file, found=found, allowed=allowed
        )
        super().__init__(str(file), where)

    def __str__(self) -> str:
        """Render the message in the current language."""
        return str(self.message)


def path_inside(parts: Iterable[str | int]) -> str:
    """Return the path of a value inside the file: `tiers[1].parameters.ctx_size`."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text
