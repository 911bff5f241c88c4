"""Where in a JSON text something stands that Python's parser accepts or names without its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Return line and column of a character, both from 1."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def place_of_word(text: str, word: str) -> int:
    """Return where a number or constant stands, as it is written, outside of texts; 0 when it does not."""
    return next((match.start() for match in _TOKEN.finditer(text) if match[0] == word), 0)


def place_of_double_name(text: str) -> int:
    """Return where an object says a name for the second time; 0 when none does."""
    names: list[set[str]] = []
    for match, following in _with_next(text):
        if match[0] in "{[":
            names.append(set())
        elif match[0] in "}]" and names:
            names.pop()
        elif match[0][0] == '"' and following == ":" and names:
            name = json.loads(match[0], strict=False)
            if name in names[-1]:
                return match.start()
            names[-1].add(name)
    return 0


def place_of_depth(text: str, deepest: int) -> int:
    """Return where brackets begin to be nested deeper than `deepest`; 0 when they are not."""
    depth = 0
    for match in _TOKEN.finditer(text):
        depth += (match[0] in "{[") - (match[0] in "}]")
        if depth > deepest:
            return match.start()
    return 0


def _with_next(text: str) -> Iterator[tuple[re.Match[str], str]]:
    before: re.Match[str] | None = None
    for match in _TOKEN.finditer(text):
        if before is not None:
            yield before, match[0]
        before = match
    if before is not None:
        yield before, ""
