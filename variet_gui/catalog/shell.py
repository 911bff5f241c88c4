"""Command lines as text: quoting and splitting by the rules of POSIX shells and of Windows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from variet_gui.catalog.shell_posix import split_posix
from variet_gui.catalog.shell_powershell import split_powershell
from variet_gui.catalog.shell_windows import quote_windows, split_windows
from variet_gui.catalog.shell_words import Dialect, Hole, ShellTextError, Word

__all__ = [
    "Dialect",
    "Hole",
    "ShellTextError",
    "Word",
    "dialect_of",
    "join",
    "looks_like_windows",
    "quote",
    "split",
    "split_as",
]

_WINDOWS = re.compile(
    r"\.exe\b|(^|[\s\"'=])[A-Za-z]:\\|\^\r?\n|%~dp0|\$env:|%\w+%\\|(^|[\s\"'&])\.{1,2}\\[\w\\-]*(llama|server)",
    re.IGNORECASE | re.MULTILINE,
)
_WINDOWS_COMMAND = re.compile(r"^[ \t]*(@echo|rem\b|set\s+\"?\w+=)", re.IGNORECASE | re.MULTILINE)
_POWERSHELL = re.compile(
    r"\$env:\w|(?<=\s)`[ \t]*\r?$|^[ \t]*&[ \t]*['\"$.]|\bStart-Process\b|^[ \t]*\$\w+[ \t]*\+?=[ \t]"
    r"|^[ \t]*PS(?: [^>\n]*)?>",
    re.IGNORECASE | re.MULTILINE,
)


def quote(word: str, windows: bool = False) -> str:
    """Return `word` so that the shell takes it as one word and as it stands."""
    return quote_windows(word) if windows else shlex.quote(word)


def join(words: Iterable[str], windows: bool = False) -> str:
    """Return a command line that the shell splits into `words` again."""
    return " ".join(quote(word, windows) for word in words)


def split(line: str, windows: bool = False) -> list[Word]:
    """Split `line` into words and operators. Variables are not expanded; comments and line continuations are known.

    Raises:
        ShellTextError: a quotation mark is not closed.
    """
    return split_as(line, Dialect.CMD if windows else Dialect.POSIX)


def split_as(line: str, dialect: Dialect) -> list[Word]:
    """Split `line` by the rules of `dialect`.

    Raises:
        ShellTextError: a quotation mark is not closed.
    """
    match dialect:
        case Dialect.POSIX:
            return split_posix(line)
        case Dialect.POWERSHELL:
            return split_powershell(line)
        case _:
            return split_windows(line, batch=dialect is Dialect.BATCH)


def dialect_of(line: str) -> Dialect:
    """Return for which shell `line` was written, by how it looks."""
    if _POWERSHELL.search(line):
        return Dialect.POWERSHELL
    return Dialect.CMD if looks_like_windows(line) else Dialect.POSIX


def looks_like_windows(line: str) -> bool:
    """Whether `line` was written for Windows: a program or drive path, or a line continued by ^ says so."""
    return bool(_WINDOWS.search(line) or _WINDOWS_COMMAND.search(line))
