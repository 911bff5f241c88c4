"""Splits a text by the rules of PowerShell, as far as people use it to start programs.

https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_parsing (and about_quoting_rules).
"""

from __future__ import annotations

import re

from variet_gui.catalog.shell_words import Word, WordBuilder, unclosed

_OPERATORS = re.compile(r"(?:\d|\*)?>>?(?:&\d)?|&&?|\|\|?|;|@?\(|\)|@?\{|\}|\n")
_LINE_END = re.compile(r"[ \t]*\r?\n")
_HOLES = re.compile(r"\$\{[^{}]{0,256}\}|\$\w[\w:]*|\$\(")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": ""}
_BRACED = re.compile(r"\$\{[^{}\n]{0,256}\}|\$\([^()\n]{0,256}\)")
_BLOCK_COMMENT = re.compile(r"<#.*?(?:#>|\Z)", re.DOTALL)
_ESCAPED_MARK = re.compile(r'\\"(?![\s,)]|\Z)')
"""PowerShell hands it on, and the program takes the backslash away. At the end of a word it is that of a folder."""
COMMA = Word(",", operator=True)
"""Between the parts of a list; `0.43,0.57` without quotes or parentheses is one word."""


def split_powershell(line: str) -> list[Word]:
    """Return the words and operators of `line`; the parts of a list have COMMA between them.

    Raises:
        ShellTextError: a quotation mark is not closed.
    """
    words: list[Word] = []
    builder = WordBuilder(_HOLES)
    depth = position = 0

    def end_word() -> None:
        if builder.begun:
            words.append(builder.take())

    while position < len(line):
        character = line[position]
        if character in "`\\" and not builder.begun and _LINE_END.match(line, position + 1):
            position = line.index("\n", position) + 1
        elif character == "`" and position + 1 < len(line):
            builder.add(_ESCAPES.get(line[position + 1], line[position + 1]), plain=True)
            position += 2
        elif character in "'\"":
            position = _quoted(line, position, builder)
        elif character == "$" and (braced := _BRACED.match(line, position)):
            builder.add(braced[0])
            position = braced.end()
        elif not builder.begun and (comment := _comment_end(line, position)):
            position = comment
        elif character == "," and (depth or _beside_quotes(line, position)):
            end_word()
            words.append(COMMA)
            position += 1
        elif (operator := _OPERATORS.match(line, position)) and (not builder.begun or character in "\n;|)"):
            end_word()
            words.append(Word(operator[0], operator=True))
            depth = max(0, depth + operator[0].endswith("(") - (character == ")"))
            position = operator.end()
        elif character.isspace():
            end_word()
            position += 1
        else:
            builder.add(character)
            position += 1
    end_word()
    return words


def _quoted(line: str, start: int, builder: WordBuilder) -> int:
    """Add what stands between quotation marks and return the position behind them."""
    mark = line[start]
    builder.add("")
    position = start + 1
    while position < len(line):
        character, following = line[position], line[position + 1 : position + 2]
        if character == mark and following == mark:
            builder.add(mark, plain=True)
            position += 2
        elif character == "\\" and _ESCAPED_MARK.match(line, position):
            builder.add('"')
            position += 2
        elif character == mark:
            return position + 1
        elif character == "`" and mark == '"':
            builder.add(_ESCAPES.get(following, following), plain=True)
            position += 2
        else:
            builder.add(character, plain=mark == "'", quoted=True)
            position += 1
    raise unclosed(mark)


def _comment_end(line: str, position: int) -> int:
    """Return where the comment that begins at `position` ends; 0: none begins there."""
    if block := _BLOCK_COMMENT.match(line, position):
        return block.end()
    if line[position] != "#":
        return 0
    end = line.find("\n", position)
    return len(line) if end < 0 else end


def _beside_quotes(line: str, position: int) -> bool:
    before, after = position - 1, position + 1
    while before > 0 and line[before] in " \t":
        before -= 1
    while after < len(line) and line[after].isspace():
        after += 1
    return line[max(before, 0)] in "'\"" or line[after : after + 1] in ("'", '"')
