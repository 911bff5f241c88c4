"""Tiers as the models of a llama-swap configuration (YAML).

Written: block text and double-quoted scalars that are JSON as well. Read: that form and nothing else, by line; anything
cleverer is refused with its line, because half-understood YAML would be a wrong profile.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from variet_gui.catalog import shell
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.export_parts import ExportError, Part, ReadPart, lines_of
from variet_gui.catalog.export_record import Record, decoded
from variet_gui.catalog.pasted import Call, find_call
from variet_gui.i18n import msg

_MACRO = "${"
_FOR_POSIX, _FOR_WINDOWS = "quoted for POSIX", "quoted for Windows"
"""In the first line: by whose rules the commands are split."""
_UNPRINTABLE = re.compile("[^\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML does not print or takes for the end of a line."""
_MODELS = re.compile(r"^models:[ \t]*(#.*)?$", re.MULTILINE)
_COMMENT = re.compile(r"#(.*)")
_KEY = re.compile(r'("(?:[^"\\]|\\.)*"|[^\s"\'#:][^#:]*?)[ \t]*:(?:[ \t]+(.*))?')


@dataclass(frozen=True, slots=True)
class SwapWriter:
    """Writes tiers as models of llama-swap; it splits commands by the rules of the system that it runs on."""

    windows: bool = False

    def can_say(self, word: str) -> bool:
        """Return False for what YAML, llama-swap's macros or its way of splitting would turn into something else."""
        if _UNPRINTABLE.search(word):
            return False
        # llama-swap takes a backslash at the end of a line away, and knows no carets.
        return not self.windows or not (re.search(r'["%!]', word) or _MACRO in word or word.endswith("\\"))

    def can_say_extra(self, words: Sequence[str], capabilities: Capabilities | None) -> bool:
        """Return whether each of them can be said; `capabilities` do not matter here."""
        del capabilities
        return all(map(self.can_say, words))

    def can_say_variable(self, name: str, value: str) -> bool:
        """Return whether it can be set; llama-swap replaces ${env.X} everywhere and has no way to prevent it."""
        return not _UNPRINTABLE.search(name + value) and "${env." not in name + value

    def write(self, parts: Sequence[Part]) -> str:
        """Return the configuration."""
        lines = [f"# llama-swap, {_FOR_WINDOWS if self.windows else _FOR_POSIX}", "models:"]
        for part in parts:
            command = part.command
            lines.append(f"  {_scalar(part.role)}:")
            lines += [f"    # {comment}" for comment in (part.headline, *part.comments)]
            if part.title and not _UNPRINTABLE.search(part.title) and _MACRO not in part.title:
                lines.append(f"    name: {_scalar(part.title)}")
            lines.append("    cmd: |")
            quoted = [self._quoted(word) for word in command.argv]
            lines += [f"      {line}" for line in lines_of(quoted, command.argv, command.program_words)]
            if command.environment:
                lines.append("    env:")
                lines += [f"      - {_scalar(f'{name}={value}')}" for name, value in command.environment.items()]
            # A port of our own in the command has to be told: the default is ${PORT}.
            lines.append(f"    proxy: {_scalar(f'http://127.0.0.1:{part.port}')}")
        return "\n".join(lines) + "\n"

    def _quoted(self, word: str) -> str:
        quoted = shell.quote(word, windows=self.windows)
        # ${...} is a macro to llama-swap, wherever it stands; two quoted pieces beside each other are none.
        return quoted.replace(_MACRO, "$''{")


WRITER = SwapWriter(windows=sys.platform == "win32")


def _scalar(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# -------------------------------------------------------------------------------------------------------------- reading


@dataclass(slots=True)
class _Model:
    role: str
    command: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str
    """Without the indent."""


def looks_like(text: str) -> bool:
    """Whether `text` is a configuration of llama-swap."""
    return bool(_MODELS.search(text))


def read(text: str) -> tuple[ReadPart, ...]:
    """Return the models of a configuration that was exported.

    Raises:
        ExportError: it is in a form that is not read here; it names the line.
        ShellTextError: a command cannot be split into words.
    """
    lines = _Lines(text)
    models: list[_Model] = []
    while (line := lines.take(above=-1)) is not None:
        if line.indent == 0 and _MODELS.fullmatch(line.text):
            models += _models(lines)
        elif line.indent == 0 or not models:
            lines.skip_block(line)
    head = text.split("\n", 1)[0]
    windows = True if _FOR_WINDOWS in head else False if _FOR_POSIX in head else None
    return tuple(_part(model, windows) for model in models)


def _part(model: _Model, windows: bool | None) -> ReadPart:
    call = Call() if model.command is None else find_call(model.command, windows)
    # No shell is there to fill in anything: only the macros of llama-swap are.
    call = replace(call, variables=frozenset(word for word in call.variables if _MACRO in word))
    return ReadPart(call, model.role, model.environment, model.record)


def _models(lines: _Lines) -> Iterator[_Model]:
    while (line := lines.take(above=0)) is not None:
        if _COMMENT.fullmatch(line.text):
            continue
        name, value = _key(line)
        if value:
            raise _refused(line)
        model = _Model(name)
        _fields(lines, line.indent, model)
        yield model


def _fields(lines: _Lines, above: int, model: _Model) -> None:
    while (line := lines.take(above)) is not None:
        if comment := _COMMENT.fullmatch(line.text):
            model.record = decoded(comment[1]) or model.record
            continue
        name, value = _key(line)
        if name == "cmd":
            model.command = lines.block(line) if value in ("|", "|-", ">", ">-") else _value(line, value)
        elif name == "env":
            for item in lines.items(line, value):
                variable, equals, text = item.partition("=")
                if equals:
                    model.environment[variable] = text
        else:
            lines.skip_block(line)


class _Lines:
    """The lines of a file, one after the other."""

    def __init__(self, text: str) -> None:
        # Not splitlines(): it ends a line at characters that YAML takes as part of it.
        plain = text.replace("\r\n", "\n").split("\n")
        self._lines = [
            _Line(number, len(line) - len(line.lstrip(" ")), line.lstrip(" ").rstrip("\r"))
            for number, line in enumerate(plain, start=1)
        ]
        self._position = 0

    def take(self, above: int) -> _Line | None:
        """Return the next line that is not empty and is indented by more than `above`; None: there is none here."""
        while self._position < len(self._lines) and not self._lines[self._position].text.strip():
            self._position += 1
        if self._position == len(self._lines) or self._lines[self._position].indent <= above:
            return None
        self._position += 1
        return self._lines[self._position - 1]

    def skip_block(self, key: _Line) -> None:
        """Pass over whatever belongs to `key`."""
        while self.take(above=key.indent) is not None:
            pass

    def block(self, key: _Line) -> str:
        """Return the block text below `key`."""
        taken: list[_Line] = []
        while (line := self.take(above=key.indent)) is not None:
            taken.append(line)
        # To llama-swap the end of a line is a space like any other, and a line that begins with # is none.
        return " ".join(line.text for line in taken if not line.text.startswith("#"))

    def items(self, key: _Line, value: str) -> Iterator[str]:
        """Yield the items of the list below `key`."""
        if value and value != "[]":
            raise _refused(key)
        while (line := self.take(above=key.indent - 1)) is not None:
            if _COMMENT.fullmatch(line.text):
                continue
            if not line.text.startswith("- "):
                self._position -= 1
                return
            yield _value(line, line.text.removeprefix("- ").strip())


def _key(line: _Line) -> tuple[str, str]:
    found = _KEY.fullmatch(line.text)
    if found is None:
        raise _refused(line)
    return _value(line, found[1]), (found[2] or "").strip()


def _value(line: _Line, text: str) -> str:
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise _refused(line) from error
        return str(value)
    if not text or text[0] in "'|>&*!%@`[{":
        raise _refused(line)
    return text.split(" #", 1)[0].rstrip()


def _refused(line: _Line) -> ExportError:
    return ExportError(
        msg(
            "Line {line} is not understood: {found}. Only configurations in the form that the panel writes are read.",
            line=line.number,
            found=line.text[:60],
        )
    )
