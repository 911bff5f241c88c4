"""Extra arguments as an operator types them: split as a shell would, and looked through before they are taken.

A flag that has a field of its own is not taken: it would say the same thing twice, and nobody would see which counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from variet_gui.catalog import shell
from variet_gui.catalog.command import pieces
from variet_gui.catalog.import_reader import ImportReader
from variet_gui.catalog.launch_checks import is_plain
from variet_gui.catalog.parameters import Parameter, flag_use, left_out, parameter
from variet_gui.catalog.pasted import is_flag
from variet_gui.catalog.shell import ShellTextError, Word
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg

_VARIABLE = re.compile(r"\$\w|\$\{|\$\(|%\w+%|^~/")


@dataclass(frozen=True, slots=True)
class OwnedFlag:
    """A flag among the extra arguments that has a field of its own."""

    words: tuple[str, ...]
    """As written, the flag first."""
    parameter: Parameter


@dataclass(frozen=True, slots=True)
class ExtraReading:
    """What a text of extra arguments says."""

    words: tuple[str, ...] = ()
    """All of them, quotes taken off."""
    owned: tuple[OwnedFlag, ...] = ()
    """What belongs into a field."""
    others: tuple[str, ...] = ()
    """The words without those."""
    values: Mapping[str, ParameterValue] = field(default_factory=dict)
    """What the fields would hold if `owned` moved there, by key; nothing where it cannot move as it stands."""
    problems: tuple[Message, ...] = ()
    """Why the text cannot be taken, apart from `owned`."""
    notes: tuple[Message, ...] = ()
    """What is allowed, and worth knowing."""

    @property
    def usable(self) -> bool:
        """Whether the words can be extra arguments as they are."""
        return not self.owned and not self.problems


def read_extra_arguments(text: str, windows: bool = False, models_dir: Path | None = None) -> ExtraReading:
    """Return what `text` says, quoted as a POSIX shell or the Windows command prompt wants it.

    Paths that move into a field become relative to `models_dir`.
    """
    try:
        words = shell.split(text, windows)
    except ShellTextError as error:
        return ExtraReading(problems=(error.message,))
    shapes = tuple(_shape_problems(words))
    notes = tuple(
        msg("{word} stays as it stands: no shell fills in what it names.", word=word.text)
        for word in words
        if _VARIABLE.search(word.text)
    )
    return _read(tuple(word.text for word in words), shapes, notes, models_dir)


def _read(
    words: tuple[str, ...], problems: tuple[Message, ...], notes: tuple[Message, ...], models_dir: Path | None
) -> ExtraReading:
    cut = tuple(_pieces(words))
    owned = tuple(OwnedFlag(piece, parameter(key)) for piece, key in cut if key is not None)
    others = tuple(word for piece, key in cut if key is None for word in piece)
    values, stuck = _moved(owned, models_dir)
    about_others = tuple(_about_others(cut))
    return ExtraReading(
        words,
        owned,
        others,
        values,
        (*problems, *stuck, *(text for text, refused in about_others if refused)),
        (*notes, *(text for text, refused in about_others if not refused)),
    )


def _shape_problems(words: Sequence[Word]) -> Iterator[Message]:
    for word in words:
        if word.operator:
            shown = "\\n" if word.text == "\n" else word.text
            yield msg("{sign} means something to a shell, and no shell reads this; put it in quotes.", sign=shown)
        elif not word.text:
            yield msg("An empty word cannot be an extra argument.")
        elif not is_plain(word.text):
            yield msg("{word} holds characters that cannot stand on a command line.", word=ascii(word.text))


def _pieces(words: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Cut `words` into flags with what belongs to them, each with the key of the field that owns it."""
    apart: list[str] = []
    for word in words:
        # llama-server takes no --flag=value: where a field owns the flag, it is meant as two words.
        flag, equals, inline = word.partition("=")
        apart += [flag, inline] if equals and flag_use(flag) is not None else [word]
    unknown: tuple[str, ...] = ()
    for piece, key in pieces(apart):
        belongs = key is None and left_out(piece[0]) is None and not is_flag(piece[0])
        if unknown and belongs:
            unknown += piece  # how many values an unknown flag takes is not known either
            continue
        if unknown:
            yield unknown, None
            unknown = ()
        if key is None and is_flag(piece[0]) and left_out(piece[0]) is None:
            unknown = piece
        else:
            yield piece, key
    if unknown:
        yield unknown, None


def _moved(
    owned: Sequence[OwnedFlag], models_dir: Path | None
) -> tuple[Mapping[str, ParameterValue], tuple[Message, ...]]:
    """Return what the fields would hold, and why some flag has no value that a field takes."""
    reader = ImportReader(models_dir)
    reader.read_arguments([word for each in owned for word in each.words])
    reader.settle(whole_line=False)
    if reader.extra or len(reader.values) < len({each.parameter.key for each in owned}):
        return MappingProxyType({}), tuple(reader.notes)
    return MappingProxyType(dict(reader.values)), ()


def _about_others(cut: Sequence[tuple[tuple[str, ...], str | None]]) -> Iterator[tuple[Message, bool]]:
    """Say what is wrong with, or to be known of, the words that no field owns; True: they cannot be taken."""
    for words, key in cut:
        if key is not None:
            continue
        flag = words[0].split("=", 1)[0]
        entry = left_out(flag)
        if entry is not None and entry.reason.refused_as_extra:
            yield msg("{flag} cannot be an extra argument. {reason}", flag=flag, reason=entry.reason.text), True
        elif entry is not None:
            yield msg("{flag}: {reason}", flag=flag, reason=entry.reason.text), False
        elif not is_flag(words[0]):
            yield msg("{word} belongs to no flag; llama-server would not start.", word=words[0]), True
