"""Command lines as text: quoting and splitting by the rules of a POSIX shell and of the Windows command prompt."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from variet_gui.i18n import Message, msg


class ShellTextError(ValueError):
    """A command line that cannot be split into words."""

    def __init__(self, message: Message) -> None:
        self.message = message
        super().__init__(message.id)

    def __str__(self) -> str:
        """Render the message in the current language."""
        return str(self.message)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command line, quotes taken off; or an operator such as `&&`, `>` or the end of a line."""

    text: str
    operator: bool = False


_OPERATORS = re.compile(r"\d?>>?&?|<<?|&&?|\|\|?|;|\(|\)|\n")
_WINDOWS_OPERATORS = re.compile(r"\d?>>?&?|<|&&?|\|\|?|;(?=\s|$)|\n")
_LINE_END = re.compile(r"[ \t]*\r?\n")
_BACKSLASHES = re.compile(r"\\*")
_SINGLE_QUOTED = re.compile(r"'([^']*)'(?=\s|$)")
_CMD_SPECIAL = re.compile(r'[()%!^"<>&|;]')
_NEEDS_WINDOWS_QUOTES = re.compile(r"[\s\"'&|<>^()%!,;=`]")


def quote(word: str, windows: bool = False) -> str:
    """Return `word` so that the shell takes it as one word and as it stands."""
    return _quote_windows(word) if windows else shlex.quote(word)


def join(words: Iterable[str], windows: bool = False) -> str:
    """Return a command line that the shell splits into `words` again."""
    return " ".join(quote(word, windows) for word in words)


def split(line: str, windows: bool = False) -> list[Word]:
    """Split `line` into words and operators. Variables are not expanded; comments and line continuations are known.

    Raises:
        ShellTextError: a quotation mark is not closed.
    """
    return _split_windows(line) if windows else _split_posix(line)


def looks_like_windows(line: str) -> bool:
    """Whether `line` was written for Windows: a program or drive path, or a line continued by ^ says so."""
    return bool(
        re.search(r"\.exe\b|(^|[\s\"'=])[A-Za-z]:\\|\^\r?\n|%~dp0|\$env:", line, re.IGNORECASE)
        or re.match(r"\s*(@echo|rem\b|set\s+\"?\w+=)", line, re.IGNORECASE)
    )


# ---------------------------------------------------------------------------------------------------------------- POSIX


def _split_posix(line: str) -> list[Word]:
    words: list[Word] = []
    current: list[str] = []
    begun = False  # a word may have begun and still be empty: ''
    position = 0
    while position < len(line):
        character = line[position]
        if character == "\\":
            following = line[position + 1 : position + 2]
            if following == "\n" or line.startswith("\r\n", position + 1):
                position += 3 if following == "\r" else 2
                continue
            current.append(following)
            begun = True
            position += 2
        elif character in "'\"":
            text, position = _posix_quoted(line, position)
            current.append(text)
            begun = True
        elif character == "#" and not begun:
            end = line.find("\n", position)
            position = len(line) if end < 0 else end
        elif not begun and (operator := _OPERATORS.match(line, position)):
            words.append(Word(operator[0], operator=True))
            position = operator.end()
        elif character.isspace() or character in "><&|;()\n":
            if begun:
                words.append(Word("".join(current)))
                current, begun = [], False
            else:
                position += 1
        else:
            current.append(character)
            begun = True
            position += 1
    if begun:
        words.append(Word("".join(current)))
    return words


def _posix_quoted(line: str, start: int) -> tuple[str, int]:
    mark = line[start]
    if mark == "'":
        end = line.find("'", start + 1)
        if end < 0:
            raise _unclosed(mark)
        return line[start + 1 : end], end + 1
    text: list[str] = []
    position = start + 1
    while position < len(line):
        character = line[position]
        if character == '"':
            return "".join(text), position + 1
        if character == "\\" and line[position + 1 : position + 2] in ("$", "`", '"', "\\", "\n"):
            if line[position + 1] != "\n":
                text.append(line[position + 1])
            position += 2
        else:
            text.append(character)
            position += 1
    raise _unclosed(mark)


def _unclosed(mark: str) -> ShellTextError:
    return ShellTextError(msg("A quotation mark {mark} is not closed.", mark=mark))


# -------------------------------------------------------------------------------------------------------------- Windows


def _quote_windows(word: str) -> str:
    if word and not _NEEDS_WINDOWS_QUOTES.search(word):
        return word
    # The program's own rules (CommandLineToArgvW): a quotation mark is escaped, backslashes before one are doubled.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    quoted = '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
    if '"' in word or "%" in word or "!" in word:
        # The prompt does not know \": it would take what follows as unquoted. Carets hide every special character.
        return _CMD_SPECIAL.sub(r"^\g<0>", quoted)
    return quoted


def _split_windows(line: str) -> list[Word]:
    words: list[Word] = []
    plain: list[str] = []
    quoted = False
    position = 0
    while position < len(line):
        character = line[position]
        if not quoted and character in "^`" and _LINE_END.match(line, position + 1):
            position = line.index("\n", position) + 1
        elif not quoted and character == "^" and position + 1 < len(line):
            plain.append(line[position + 1])
            position += 2
        elif not quoted and (operator := _WINDOWS_OPERATORS.match(line, position)) and _starts_word(plain, operator[0]):
            words += [Word(text) for text in _program_words("".join(plain))]
            words.append(Word(operator[0], operator=True))
            plain = []
            position = operator.end()
        else:
            quoted = quoted != (character == '"')
            plain.append(character)
            position += 1
    words += [Word(text) for text in _program_words("".join(plain))]
    return words


def _starts_word(before: list[str], operator: str) -> bool:
    """Whether an operator that begins with a digit (2>) stands alone, and is not the end of a word (model2>log)."""
    return not operator[0].isdigit() or not before or before[-1].isspace()


def _program_words(text: str) -> list[str]:
    """Split by the rules of CommandLineToArgvW, and take the single-quoted words of PowerShell as well."""
    words: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            return words
        if single := _SINGLE_QUOTED.match(text, position):
            words.append(single[1])
            position = single.end()
        else:
            word, position = _program_word(text, position)
            words.append(word)


def _program_word(text: str, position: int) -> tuple[str, int]:
    word: list[str] = []
    quoted = False
    while position < len(text):
        run = _BACKSLASHES.match(text, position)
        slashes = len(run[0]) if run else 0
        after = text[position + slashes : position + slashes + 1]
        if slashes and after == '"':
            word.append("\\" * (slashes // 2))
            position += slashes
            if slashes % 2:
                word.append('"')
                position += 1
        elif slashes:
            word.append("\\" * slashes)
            position += slashes
        elif after == '"':
            if quoted and text[position + 1 : position + 2] == '"':
                word.append('"')
                position += 1
            else:
                quoted = not quoted
            position += 1
        elif not quoted and after.isspace():
            break
        else:
            word.append(after)
            position += 1
    if quoted:
        raise _unclosed('"')
    return "".join(word), position
