"""What the formats of `exporting` share: one tier on its way into a file, and out of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import Command
from variet_gui.catalog.export_record import Record
from variet_gui.catalog.pasted import Call, is_flag
from variet_gui.i18n import Message, tr


class ExportError(ValueError):
    """A tier that cannot be written in a format, or a file that cannot be read back."""

    def __init__(self, message: Message) -> None:
        self.message = message
        super().__init__(message.id)

    def __str__(self) -> str:
        """Render the message in the current language."""
        return str(self.message)


@dataclass(frozen=True, slots=True)
class Part:
    """One tier on its way into a file."""

    role: str
    title: str
    command: Command
    port: int
    notes: tuple[Message, ...] = ()
    record: str | None = None
    """See `export_record`; already one line."""

    @property
    def headline(self) -> str:
        """Return what the file is, for a comment."""
        named = f"{self.role} ({self.title})" if self.title else self.role
        return one_line(tr("Starts the tier {tier} as the Variet control panel does.", tier=named))

    @property
    def comments(self) -> tuple[str, ...]:
        """Return the lines of the comment before the command: the notes, and the record last."""
        notes = tuple(one_line(str(note)) for note in self.notes)
        return notes if self.record is None else (*notes, self.record)


@dataclass(frozen=True, slots=True)
class ReadPart:
    """One tier as it was found in a file."""

    call: Call
    role: str | None = None
    """None: the command itself says it (--alias)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    record: Record | None = None


class Writer(Protocol):
    """One format."""

    def can_say(self, word: str) -> bool:
        """Whether `word` can stand on a command line of this format."""

    def can_say_extra(self, words: Sequence[str], capabilities: Capabilities | None) -> bool:
        """Whether `words` can stand there as extra arguments."""

    def can_say_variable(self, name: str, value: str) -> bool:
        """Whether the environment variable can be set."""

    def write(self, parts: Sequence[Part]) -> str:
        """Return the file."""


def one_line(text: str) -> str:
    """Return `text` in one line without control characters, for a comment."""
    return "".join(character if character.isprintable() else " " for character in " ".join(text.split()))


def lines_of(quoted: Sequence[str], words: Sequence[str], program_words: int) -> list[str]:
    """Return the quoted words of a command in lines: the program, then each flag with its values."""
    lines: list[str] = [" ".join(quoted[:program_words])]
    for text, word in list(zip(quoted, words, strict=True))[program_words:]:
        if is_flag(word) or len(lines) == 1:
            lines.append(text)
        else:
            lines[-1] += f" {text}"
    return lines
