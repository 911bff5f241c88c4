"""What a line of a server's log is worth: an error, a warning, or just information."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from variet_gui.engine.log_parser import split_line

_BARE_ERROR = re.compile(
    r"^(?:error|fatal|terminate called|GGML_ASSERT|Segmentation fault|.*\bGGML_ASSERT\()|\berror:|\bCUDA error\b",
    re.IGNORECASE,
)
_BARE_WARNING = re.compile(r"^(?:warn|warning)\b", re.IGNORECASE)


class Level(Enum):
    """How much a line matters."""

    INFO = 0
    WARNING = 1
    ERROR = 2


def level_of(line: str) -> Level:
    """Return the level that `line` states itself, or for a line without one what its words say."""
    found = split_line(line)
    if found.level is not None:
        return {"E": Level.ERROR, "W": Level.WARNING}.get(found.level, Level.INFO)
    if _BARE_ERROR.search(found.text):
        return Level.ERROR
    return Level.WARNING if _BARE_WARNING.match(found.text) else Level.INFO


def at_least(lines: Iterable[str], least: Level) -> list[str]:
    """Return the lines that matter at least as much as `least`."""
    if least is Level.INFO:
        return list(lines)
    return [line for line in lines if level_of(line).value >= least.value]
