"""What a command line is made of, whatever shell it was written for: words, operators, and what the shell fills in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from variet_gui.i18n import Message, msg


class Dialect(Enum):
    """By whose rules a text is quoted."""

    POSIX = "posix"
    CMD = "cmd"
    """The Windows command prompt; programs split their words by CommandLineToArgvW."""
    BATCH = "batch"
    """A batch file: the same, and a percent sign is doubled."""
    POWERSHELL = "powershell"


class ShellTextError(ValueError):
    """A command line that cannot be split into words."""

    def __init__(self, message: Message) -> None:
        self.message = message
        super().__init__(message.id)

    def __str__(self) -> str:
        """Render the message in the current language."""
        return str(self.message)


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a word that the shell fills in when it runs: a variable, or the output of a command."""

    start: int
    end: int
    quoted: bool = False
    """What comes there stays one word, whatever blanks it holds."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command line, quotes taken off; or an operator such as `&&`, `>` or the end of a line."""

    text: str
    operator: bool = False
    holes: tuple[Hole, ...] = field(default=(), compare=False)
    """None where the quotes say that `$HOME` means just these five characters."""
    source: str = field(default="", compare=False)
    """As it was written, where that matters (CMD)."""


class WordBuilder:
    """Gathers the characters of one word, and which of them the quotes made plain."""

    def __init__(self, holes: re.Pattern[str]) -> None:
        self._pattern = holes
        self._characters: list[str] = []
        self._plain: set[int] = set()
        self._quoted: set[int] = set()
        self.begun = False
        """A word may have begun and still be empty: ''."""

    def add(self, text: str, *, plain: bool = False, quoted: bool = False) -> None:
        """Append `text`. Plain: no part of it begins a variable. Quoted: a variable in it stays one word."""
        self.begun = True
        for character in text:
            place = len(self._characters)
            if plain:
                self._plain.add(place)
            if quoted:
                self._quoted.add(place)
            self._characters.append(character)

    def take(self, source: str = "") -> Word:
        """Return the word and begin the next."""
        text = "".join(self._characters)
        word = Word(text, holes=tuple(self._holes(text)), source=source)
        self._characters, self._plain, self._quoted, self.begun = [], set(), set(), False
        return word

    def _holes(self, text: str) -> Iterator[Hole]:
        position = 0
        while found := self._pattern.search(text, position):
            if found.start() in self._plain:
                position = found.start() + 1
            else:
                yield Hole(found.start(), found.end(), found.start() in self._quoted)
                position = found.end()


def unclosed(mark: str) -> ShellTextError:
    """Return the refusal of a text in which a quotation mark is not closed."""
    return ShellTextError(msg("A quotation mark {mark} is not closed.", mark=mark))
