"""Tiers as scripts: `.sh` for POSIX shells, `.bat` for the Windows command prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from variet_gui.catalog import shell
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.export_parts import Part, ReadPart, lines_of
from variet_gui.catalog.export_record import MARK, Record, decoded
from variet_gui.catalog.pasted import find_call
from variet_gui.catalog.shell import Dialect

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RECORD = re.compile(rf"^[ \t]*(?:#|rem)[ \t]+({MARK}.*)$", re.MULTILINE | re.IGNORECASE)
_REMARK = re.compile(r"^[ \t]*(?:@?rem\b|@echo\b|::).*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ScriptWriter:
    """Writes one tier as a script."""

    windows: bool

    def can_say(self, word: str) -> bool:
        """Return False for what a line of a batch file cannot hold; a POSIX shell takes everything."""
        return not self.windows or word.isprintable() or not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", word)

    def can_say_extra(self, words: Sequence[str], capabilities: Capabilities | None) -> bool:
        """Return whether each of them can be said; `capabilities` do not matter here."""
        del capabilities
        return all(map(self.can_say, words))

    def can_say_variable(self, name: str, value: str) -> bool:
        """Return whether the shell can set it. A batch file has no way to put a quotation mark into one."""
        return bool(_NAME.fullmatch(name)) and self.can_say(value) and not (self.windows and '"' in value)

    def write(self, parts: Sequence[Part]) -> str:
        """Return the script of the only part."""
        (part,) = parts
        return self._batch(part) if self.windows else self._posix(part)

    @staticmethod
    def _posix(part: Part) -> str:
        command = part.command
        lines = ["#!/bin/sh", *(f"# {comment}" for comment in (part.headline, *part.comments))]
        lines += [f"export {name}={shell.quote(value)}" for name, value in command.environment.items()]
        quoted = [shell.quote(word) for word in command.argv]
        lines.append("exec " + " \\\n  ".join(lines_of(quoted, command.argv, command.program_words)))
        return "\n".join(lines) + "\n"

    @staticmethod
    def _batch(part: Part) -> str:
        command = part.command
        remarks = [re.sub(r"[%&|<>^!]", " ", text) for text in (part.headline, *part.comments)]
        lines = ["@echo off", *(f"rem {remark}" for remark in remarks), "setlocal"]
        # In a batch file a percent sign is doubled, whatever stands around it.
        lines += [f'set "{name}={value}"'.replace("%", "%%") for name, value in command.environment.items()]
        quoted = [shell.quote(word, windows=True).replace("%", "%%") for word in command.argv]
        lines.append(" ^\n  ".join(lines_of(quoted, command.argv, command.program_words)))
        text = "\n".join(lines) + "\n"
        if not text.isascii():
            text = text.replace("setlocal\n", "setlocal\nchcp 65001 >nul\n", 1)  # the file is in UTF-8
        return text.replace("\n", "\r\n")


POSIX = ScriptWriter(windows=False)
WINDOWS = ScriptWriter(windows=True)


def read(text: str, windows: bool | None = None) -> tuple[ReadPart]:
    """Return the tier of a script, or of any other text that holds a command line.

    Raises:
        ShellTextError: the text cannot be split into words.
    """
    dialect = _dialect(text, windows)
    record = _record(text)
    if dialect is not Dialect.POSIX:
        text = _REMARK.sub("", text)
    return (ReadPart(find_call(text, dialect), record=record),)


def _dialect(text: str, windows: bool | None) -> Dialect:
    if re.match(r"\s*@echo off\b", text, re.IGNORECASE):
        return Dialect.BATCH
    if windows is not None:
        return Dialect.CMD if windows else Dialect.POSIX
    if text.startswith("#!") and "pwsh" not in text.split("\n", 1)[0]:
        return Dialect.POSIX
    return shell.dialect_of(text)


def _record(text: str) -> Record | None:
    found = _RECORD.search(text)
    return decoded(found[1]) if found else None
