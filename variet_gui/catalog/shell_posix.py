"""Splits a text by the rules of a POSIX shell. Nothing is expanded; comments and continued lines are known."""

from __future__ import annotations

import re
from collections.abc import Mapping

from variet_gui.catalog.shell_words import Word, WordBuilder, unclosed

_OPERATORS = re.compile(r"&>>?|\d?>>?[&|]?|<<?<?|&&?|\|[|&]?|;;?|\(|\)|\n")
_HOLES = re.compile(r"\$\{[^{}]{0,256}\}|\$\w+|\$[@*(]|`")
_ESCAPED_IN_QUOTES = ("$", "`", '"', "\\")


def split_posix(line: str) -> list[Word]:
    """Return the words and operators of `line`.

    Raises:
        ShellTextError: a quotation mark is not closed.
    """
    words: list[Word] = []
    builder = WordBuilder(_HOLES)
    closing = _closing_parentheses(line)
    position = 0
    while position < len(line):
        character = line[position]
        if character == "\\":
            if ended := _line_end(line, position + 1):
                position = ended
                continue
            builder.add(line[position + 1 : position + 2], plain=True)
            position += 2
        elif character == "'":
            end = line.find("'", position + 1)
            if end < 0:
                raise unclosed("'")
            builder.add(line[position + 1 : end], plain=True)
            position = end + 1
        elif character == '"':
            position = _double_quoted(line, position, builder, closing)
        elif character in "$`" and (end := _substitution_end(line, position, closing)):
            builder.add(line[position:end])
            position = end
        elif character == "#" and not builder.begun:
            end = line.find("\n", position)
            position = len(line) if end < 0 else end
        elif not builder.begun and (operator := _OPERATORS.match(line, position)):
            words.append(Word(operator[0], operator=True))
            position = operator.end()
        elif character.isspace() or character in "><&|;()":
            if builder.begun:
                words.append(builder.take())
            else:
                position += 1
        else:
            builder.add(character)
            position += 1
    if builder.begun:
        words.append(builder.take())
    return words


def _double_quoted(line: str, start: int, builder: WordBuilder, closing: Mapping[int, int]) -> int:
    """Add what stands between double quotes and return the position behind them."""
    builder.add("")
    position = start + 1
    while position < len(line):
        character, following = line[position], line[position + 1 : position + 2]
        if character == '"':
            return position + 1
        if character == "\\" and (ended := _line_end(line, position + 1)):
            position = ended
        elif character == "\\" and following in _ESCAPED_IN_QUOTES:
            builder.add(following, plain=True)
            position += 2
        elif character == "$" and (end := _substitution_end(line, position, closing)):
            builder.add(line[position:end], quoted=True)
            position = end
        else:
            builder.add(character, quoted=True)
            position += 1
    raise unclosed('"')


def _line_end(line: str, position: int) -> int:
    """Return the position behind the end of a line that stands at `position`; 0: none stands there."""
    if line.startswith("\r\n", position):
        return position + 2
    return position + 1 if line.startswith("\n", position) else 0


def _substitution_end(line: str, position: int, closing: Mapping[int, int]) -> int:
    """Return the position behind a `$( )` or a pair of backticks that begins at `position`; 0: none begins there."""
    if line[position] == "`":
        return line.find("`", position + 1) + 1
    return closing.get(position + 1, -1) + 1


def _closing_parentheses(line: str) -> Mapping[int, int]:
    """Return where each parenthesis behind a dollar sign is closed, by its position."""
    if "$(" not in line:
        return {}
    begun: list[int] = []
    closing: dict[int, int] = {}
    for position, character in enumerate(line):
        if character == "(":
            begun.append(position)
        elif character == ")" and begun:
            closing[begun.pop()] = position
    return {position: end for position, end in closing.items() if line[position - 1] == "$" and position}
