"""Reads the commands of a pasted text one after the other, and fills in the variables that were set before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from variet_gui.catalog.pasted_program import ASSIGNMENT, assignment_at
from variet_gui.catalog.shell import Dialect, Hole, ShellTextError, Word, split_as
from variet_gui.catalog.shell_powershell import COMMA
from variet_gui.i18n import msg

_ARRAY = re.compile(r"([A-Za-z_]\w*)(\+?)=")
_NAME = re.compile(r"\$?\{?(?:\$?env:)?([A-Za-z_]\w*)(\[[@*]\])?\}?|%([A-Za-z_]\w*)%", re.IGNORECASE)
_WITH_DEFAULT = re.compile(r"\$\{(\w+):?-([^}$`]*)\}")
_MOST_FILLED = 1_000_000
"""Characters that may be filled in altogether; see `pasted.LONGEST`."""
_SETTERS = frozenset({"export", "set", "setx", "declare", "typeset", "local", "readonly", "setenv"})
_EXPORTERS = frozenset({"export", "set", "setx", "setenv"})
_READ_BY_SERVERS = re.compile(
    r"(AMD|CUDA|GGML|GOMP|GPU|HIP|HSA|KMP|LLAMA|LD|MALLOC|MKL|NCCL|NVIDIA|OMP|ONEAPI|OPENBLAS|ROC\w*|SYCL|VK|ZE)_"
)
"""Variables that are meant for the server, wherever and however they are set."""


@dataclass(slots=True)
class Command:
    """One command of a text."""

    words: list[Word]
    cut: bool = False
    """A redirection was cut out of it."""

    @property
    def texts(self) -> list[str]:
        """Return its words as plain texts."""
        return [word.text for word in self.words]


@dataclass(slots=True)
class Variables:
    """What the commands so far have set."""

    dialect: Dialect
    values: dict[str, Word] = field(default_factory=dict)
    arrays: dict[str, list[Word]] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    _room: int = _MOST_FILLED

    def note(self, command: Command) -> bool:
        """Remember what `command` sets; False when it does something else."""
        words = command.words
        name = words[0].text.lower() if words else ""
        if self.dialect is Dialect.POWERSHELL and len(words) >= 2 and words[1].text in ("=", "+="):
            self._note_powershell(words)
            return True
        if name in _SETTERS:
            if self.dialect in (Dialect.CMD, Dialect.BATCH):
                words = _one_of_cmd(words)
            for word in words[1:]:
                self._note_one(word, exported=name in _EXPORTERS)
            return True
        if any(ASSIGNMENT.fullmatch(word.text) is None for word in words):
            return False
        for word in words:
            self._note_one(word, exported="$env:" in word.text.lower())
        return True

    def environment(self) -> Mapping[str, Word]:
        """Return what the server is to get: not what only belongs to the script."""
        return {
            name: word
            for name, word in self.values.items()
            if _READ_BY_SERVERS.match(name) or (name in self.exported and name not in self.used)
        }

    def filled(self, words: Sequence[Word]) -> list[Word]:
        """Return `words` with what is known filled in."""
        filled: list[Word] = []
        for word in words:
            parts = [word] if word.operator else self._filled(word)
            if word.holes or len(parts) > 1:
                self._take_room(parts)
            filled += parts
        return filled

    def _take_room(self, words: Sequence[Word]) -> None:
        """Refuse what only grows by being filled in: a few lines can name each other into millions of words."""
        self._room -= sum(len(word.text) + 1 for word in words)
        if self._room < 0:
            raise ShellTextError(msg("This text is too long for a command line."))

    # ------------------------------------------------------------------------------------------------------ setting

    def _note_one(self, word: Word, *, exported: bool) -> None:
        match = ASSIGNMENT.fullmatch(word.text)
        if match is None:
            if exported and word.text in self.values:
                self.exported.add(word.text)
            return
        self.values[match[1]] = _behind(word, match.start(2))
        if exported:
            self.exported.add(match[1])

    def _note_powershell(self, words: list[Word]) -> None:
        match = _NAME.fullmatch(words[0].text)
        parts = [word for word in words[2:] if word != COMMA]
        if match is None or not match[1] or not parts:
            return
        name = match[1]
        if words[0].text.lower().startswith(("$env:", "${env:")):
            self.exported.add(name)
        if len(parts) > 1:
            self.arrays[name] = [*(self.arrays.get(name, []) if words[1].text == "+=" else []), *parts]
        else:
            self.values[name] = parts[0]

    # ------------------------------------------------------------------------------------------------------ filling

    def _filled(self, word: Word) -> list[Word]:
        listed = self._listed(word)
        if listed is not None:
            return listed
        known = [self._pieces(word.text[hole.start : hole.end], hole) for hole in word.holes]
        if not any(pieces is not None for pieces in known):
            return [word]
        done: list[Word] = []
        current = _Joined()
        position = 0
        for hole, pieces in zip(word.holes, known, strict=True):
            current.add(word.text[position : hole.start])
            position = hole.end
            if pieces is None:
                current.add(word.text[hole.start : hole.end], (Hole(0, hole.end - hole.start, hole.quoted),))
                continue
            self._take_room(pieces)
            for number, piece in enumerate(pieces):
                if number:
                    done.append(current.word())
                    current = _Joined()
                current.add(piece.text, piece.holes)
        current.add(word.text[position:])
        return [*done, current.word("" if done else self._filled_source(word))]

    def _filled_source(self, word: Word) -> str:
        """Return what the prompt would put in the place of `word`, quotes and all."""

        def fill(match: re.Match[str]) -> str:
            name = self._known(match[1])
            return match[0] if name is None else self.values[name].source or self.values[name].text

        return re.sub(r"%([A-Za-z_]\w*)%", fill, word.source)

    def _listed(self, word: Word) -> list[Word] | None:
        """Return what stands in the array that `word` is, or None when it is none."""
        text = word.text
        if self.dialect is Dialect.POWERSHELL:
            name = text[1:] if text[:1] in "@$" else ""
            return self.arrays.get(name)
        match = _NAME.fullmatch(text) if word.holes else None
        return self.arrays.get(match[1]) if match and match[2] else None

    def _known(self, name: str) -> str | None:
        if name in self.values or self.dialect is Dialect.POSIX:
            return name if name in self.values else None
        return next((other for other in self.values if other.lower() == name.lower()), None)

    def _pieces(self, reference: str, hole: Hole) -> list[Word] | None:
        """Return what stands for a reference such as $NAME, in words; None when that is not known."""
        match = _NAME.fullmatch(reference) or _WITH_DEFAULT.fullmatch(reference)
        if match is None:
            return None
        name = self._known(match[1] or match[3])
        if name is None:
            return [Word(match[2])] if match.re is _WITH_DEFAULT else None
        value = self.values[name]
        self.used.add(name)
        if hole.quoted or self.dialect is Dialect.POWERSHELL:
            return [value]
        if self.dialect is Dialect.POSIX:
            return [Word(part) for part in value.text.split()] if any(map(str.isspace, value.text)) else [value]
        try:
            # The prompt puts the text there as it was written, and only then it is split.
            return [word for word in split_as(value.source or value.text, self.dialect) if not word.operator] or [value]
        except ShellTextError:
            return [value]


def commands(words: Sequence[Word], variables: Variables) -> Iterator[Command]:
    """Yield the commands of a text, filled in; the caller tells `variables` what each of them sets."""
    command: list[Word] = []
    cut = skip_next = False
    rest = iter([*words, Word("\n", operator=True)])
    for word in rest:
        if not word.operator:
            if not skip_next:
                command.append(word)
            skip_next = False
        elif word == COMMA:
            command.append(word)
        elif word.text in ("(", "@(") and (name := _array_begun(command)):
            listed = list(_until_closed(rest))
            added = command[-1].text.endswith("+=") or (len(command) > 1 and command[-2:][0].text == "+=")
            before = variables.arrays.get(name, []) if added else []
            variables.arrays[name] = [*before, *variables.filled(listed)]
            command = []
        elif ">" in word.text or "<" in word.text:
            cut = True
            skip_next = not word.text[-1].isdigit()  # 2>&1 of PowerShell names its target itself
        else:
            if command:
                yield Command(_plain_call(variables.filled(command)), cut)
            command, cut, skip_next = [], False, False


def _plain_call(words: list[Word]) -> list[Word]:
    """Return the words of a command of PowerShell as those of the program that it starts."""
    if len(words) >= 2 and words[1].text in ("=", "+="):
        return words
    names = [word.text.lower() for word in words]
    listed = next((place for place, name in enumerate(names) if name in ("-argumentlist", "-args")), None)
    if listed is None or names[0] not in ("start-process", "saps", "start"):
        return [word for word in words if word != COMMA]
    file = names.index("-filepath") + 1 if "-filepath" in names[:-1] else 1
    last = listed + 1
    while words[last + 1 : last + 2] == [COMMA]:
        last += 2
    arguments = [word for word in words[listed + 1 : last + 1] if word != COMMA]
    try:
        # Start-Process puts blanks between them and quotes nothing.
        inner = [one for word in arguments for one in split_as(word.text, Dialect.CMD) if not one.operator]
    except ShellTextError:
        inner = arguments
    return [words[file], *inner]


def _array_begun(command: Sequence[Word]) -> str | None:
    """Return the name of the array that `command` is about to list: `ARGS=(` or `$args = @(`."""
    if len(command) == 1 and (match := _ARRAY.fullmatch(command[0].text)):
        return match[1]
    if len(command) == 2 and command[1].text in ("=", "+=") and (match := _NAME.fullmatch(command[0].text)):
        return match[1]
    return None


def _until_closed(rest: Iterator[Word]) -> Iterator[Word]:
    for word in rest:
        if word.operator and word.text == ")":
            return
        if not word.operator:
            yield word


def _one_of_cmd(words: Sequence[Word]) -> list[Word]:
    """Return the words of `set A=b c` as the prompt takes them: everything behind the sign is one value."""
    rest = words[1:]
    if not rest or "=" not in rest[0].text or rest[0].source.startswith('"'):
        return list(words)
    name, _, begin = rest[0].source.partition("=")
    source = " ".join([begin, *(word.source for word in rest[1:])])
    return [words[0], Word(f"{name}={source.replace(chr(34), '')}", source=f"{name}={source}")]


def _behind(word: Word, start: int) -> Word:
    """Return the part of `word` from `start` on."""
    holes = tuple(Hole(hole.start - start, hole.end - start, hole.quoted) for hole in word.holes if hole.start >= start)
    source = word.source.partition("=")[2] if word.source and not word.source.startswith('"') else ""
    return Word(word.text[start:], holes=holes, source=source)


class _Joined:
    """One word, put together from parts."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._holes: list[Hole] = []
        self._length = 0

    def add(self, text: str, holes: Sequence[Hole] = ()) -> None:
        """Append `text`, with the holes that it has."""
        self._parts.append(text)
        self._holes += (Hole(hole.start + self._length, hole.end + self._length, hole.quoted) for hole in holes)
        self._length += len(text)

    def word(self, source: str = "") -> Word:
        """Return what was put together."""
        return Word("".join(self._parts), holes=tuple(self._holes), source=source)


def assignments_before(words: Sequence[Word], end: int) -> dict[str, Word]:
    """Return the variables that are set for a program in front of it, by name."""
    texts = [word.text for word in words]
    found: dict[str, Word] = {}
    for index in range(end):
        one = assignment_at(texts, index)
        if one is not None:
            found[one[0]] = _behind(words[index], len(words[index].text) - len(one[1]))
    return found
