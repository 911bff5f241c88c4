"""Find the command in a unit file of systemd, a program of supervisord or a desktop entry.

systemd.exec(5), systemd.service(5) "COMMAND LINES"; http://supervisord.org/configuration.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from variet_gui.catalog.shell import ShellTextError, Word
from variet_gui.catalog.shell_posix import split_posix

_SECTION = re.compile(r"^[ \t]*\[[^]\n]+\][ \t]*$", re.MULTILINE)
_SYSTEMD = re.compile(r"^[ \t]*ExecStart[ \t]*=[ \t]*[-@:+!|]*(?P<command>\S.*)$", re.MULTILINE)
_OTHERS = re.compile(r"^[ \t]*(?:Exec|command)[ \t]*=[ \t]*(?P<command>\S.*)$", re.MULTILINE)
_ENVIRONMENT = re.compile(r"^[ \t]*[Ee]nvironment[ \t]*=[ \t]*(\S.*)$", re.MULTILINE)
_CONTINUED = re.compile(r"\\[ \t]*\r?\n(?:[ \t]*[#;].*\n)*[ \t]*")
_SPECIFIER = re.compile(r"(?<!%)%(?:[A-Za-z]|\()")
_PAIR = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass(slots=True)
class Unit:
    """What a unit starts."""

    command: str
    environment: dict[str, Word] = field(default_factory=dict)


def looks_like_unit(text: str) -> bool:
    """Whether `text` is such a file, or a line of one."""
    return _command(text) is not None


def read_unit(text: str) -> Unit | None:
    """Return what the unit `text` starts; the command that names llama where there are several. None: it is no unit."""
    whole = _CONTINUED.sub(" ", text)
    command = _command(whole)
    if command is None:
        return None
    unit = Unit(command)
    for line in _ENVIRONMENT.finditer(whole):
        for word in _words(line[1]):
            if pair := _PAIR.fullmatch(word.rstrip(",")):
                unit.environment[pair[1]] = Word(pair[2])
    return unit


def has_specifier(word: str) -> bool:
    """Whether systemd (`%h`) or supervisord (`%(here)s`) would fill something into `word`."""
    return _SPECIFIER.search(word) is not None


def _command(text: str) -> str | None:
    found = [match["command"] for match in _SYSTEMD.finditer(text)]
    if not found and _SECTION.search(text):
        found = [match["command"] for match in _OTHERS.finditer(text)]
    return next(iter([*(command for command in found if "llama" in command), *found]), None)


def _words(line: str) -> list[str]:
    try:
        # supervisord sets them apart by commas: A="1",B="2"
        words = split_posix(re.sub(r"(?<=[\"'\w]),(?=[A-Za-z_]\w*=)", " ", line))
    except ShellTextError:
        return []
    return [word.text for word in words if not word.operator]
