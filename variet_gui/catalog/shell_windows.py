"""Quotes and splits by the rules of Windows: first the command prompt's own, then those of CommandLineToArgvW."""

from __future__ import annotations

import re

from variet_gui.catalog.shell_words import Word, WordBuilder, unclosed

_OPERATORS = re.compile(r"\d?>>?&?|<|&&?|\|\|?|;(?=\s|$)|[()](?=\s|$)|\n")
_LINE_END = re.compile(r"[ \t]*\r?\n")
_BACKSLASHES = re.compile(r"\\*")
_SINGLE_QUOTED = re.compile(r"'([^']*)'(?=\s|$)")
_CMD_SPECIAL = re.compile(r'[()%!^"<>&|;]')
_NEEDS_QUOTES = re.compile(r"[\s\"'&|<>^()%!,;=`]")
_SET = re.compile(r'[ \t]*@?(set)[ \t]+("([^"\n]*)")(?=[ \t]*(?:[&|)\r\n]|\Z))', re.IGNORECASE)
"""The prompt's own `set "A=C:\\models\\"`: no program splits it, and a backslash is one."""
_HOLES = re.compile(r"%[A-Za-z_][\w()]*%|%~[A-Za-z]*\d|%\*|\$\w+|\$\{[^{}]{0,256}\}")
_HOLES_IN_BATCH = re.compile(r"%[A-Za-z_][\w()]*%|%~[A-Za-z]*\d|%\*")


def quote_windows(word: str) -> str:
    """Return `word` so that the command prompt and the program take it as one word and as it stands."""
    if word and not _NEEDS_QUOTES.search(word):
        return word
    # The program's own rules (CommandLineToArgvW): a quotation mark is escaped, backslashes before one are doubled.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    quoted = '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
    if '"' in word or "%" in word or "!" in word:
        # The prompt does not know \": it would take what follows as unquoted. Carets hide every special character.
        return _CMD_SPECIAL.sub(r"^\g<0>", quoted)
    return quoted


def split_windows(line: str, batch: bool = False) -> list[Word]:
    """Return the words and operators of `line`; in a batch file a doubled percent sign is one, and no variable.

    The single-quoted words and the continued lines of other shells are taken as they are meant.

    Raises:
        ShellTextError: a quotation mark is not closed.
    """
    text, doubled = _single_percent_signs(line) if batch else (line, frozenset[int]())
    words: list[Word] = []
    prompt = _Prompt(batch)
    quoted = False
    position = 0
    while position < len(text):
        character = text[position]
        if prompt.is_empty and (assignment := _SET.match(text, position)):
            words += prompt.take_set(assignment, doubled)
            position = assignment.end()
        elif not quoted and _continues(text, position, prompt.at_word_start):
            position = text.index("\n", position) + 1
        elif not quoted and character == "^" and position + 1 < len(text):
            prompt.add(text[position + 1], plain=True)
            position += 2
        elif not quoted and (operator := _OPERATORS.match(text, position)) and prompt.can_end_before(operator[0]):
            words += prompt.take()
            words.append(Word(operator[0], operator=True))
            position = operator.end()
        else:
            quoted = quoted != (character == '"')
            prompt.add(character, plain=position in doubled)
            position += 1
    return words + prompt.take()


def _single_percent_signs(line: str) -> tuple[str, frozenset[int]]:
    parts = line.split("%%")
    places, length = set(), 0
    for part in parts[:-1]:
        length += len(part)
        places.add(length)
        length += 1
    return "%".join(parts), frozenset(places)


def _continues(text: str, position: int, at_word_start: bool) -> bool:
    """Whether the line goes on behind its end: by a caret, a backtick or, standing alone, a backslash."""
    if text[position] not in "^`\\" or (text[position] == "\\" and not at_word_start):
        return False
    return _LINE_END.match(text, position + 1) is not None


class _Prompt:
    """What the command prompt makes of a line, on its way to the program."""

    def __init__(self, batch: bool) -> None:
        self._holes = _HOLES_IN_BATCH if batch else _HOLES
        self._text: list[str] = []
        self._plain: set[int] = set()

    @property
    def at_word_start(self) -> bool:
        return not self._text or self._text[-1].isspace()

    @property
    def is_empty(self) -> bool:
        return not self._text

    def take_set(self, assignment: re.Match[str], doubled: frozenset[int]) -> list[Word]:
        """Return the words of a `set` that stands at the beginning of a command."""
        builder = WordBuilder(self._holes)
        for place, character in enumerate(assignment[3], start=assignment.start(3)):
            builder.add(character, plain=place in doubled, quoted=True)
        return [Word(assignment[1]), builder.take(assignment[2])]

    def add(self, character: str, *, plain: bool) -> None:
        if plain:
            self._plain.add(len(self._text))
        self._text.append(character)

    def can_end_before(self, operator: str) -> bool:
        """Whether an operator that may be part of a word (`2>`, a parenthesis) stands by itself."""
        return not (operator[0].isdigit() or operator in "()") or self.at_word_start

    def take(self) -> list[Word]:
        """Split what was gathered by the rules of CommandLineToArgvW, and begin again."""
        text, plain = "".join(self._text), frozenset(self._plain)
        self._text, self._plain = [], set()
        words: list[Word] = []
        builder = WordBuilder(self._holes)
        position = 0
        while True:
            while position < len(text) and text[position].isspace():
                position += 1
            if position == len(text):
                return words
            start = position
            if single := _SINGLE_QUOTED.match(text, position):
                builder.add(single[1], plain=True)
                position = single.end()
            else:
                position = _program_word(text, position, plain, builder)
            words.append(builder.take(text[start:position]))


def _program_word(text: str, position: int, plain: frozenset[int], builder: WordBuilder) -> int:
    """Add one word and return the position behind it."""
    builder.add("")
    quoted = False
    while position < len(text):
        run = _BACKSLASHES.match(text, position)
        slashes = len(run[0]) if run else 0
        after = text[position + slashes : position + slashes + 1]
        if slashes and after == '"':
            builder.add("\\" * (slashes // 2))
            position += slashes
            if slashes % 2:
                builder.add('"')
                position += 1
        elif slashes:
            builder.add("\\" * slashes)
            position += slashes
        elif after == '"':
            if quoted and text[position + 1 : position + 2] == '"':
                builder.add('"')
                position += 1
            else:
                quoted = not quoted
            position += 1
        elif not quoted and after.isspace():
            break
        else:
            builder.add(after, plain=position in plain, quoted=quoted)
            position += 1
    if quoted:
        raise unclosed('"')
    return position
