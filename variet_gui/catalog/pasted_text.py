"""Undo what happens to a command line on its way through web pages, chats and terminals, before it is split."""

from __future__ import annotations

import re

from variet_gui.catalog.parameters import flag_use, left_out
from variet_gui.i18n import Message, msg

_PROMPT = re.compile(
    r"\A\s*(?:[$>#]|PS [^>\n]*>|[A-Za-z]:\\[^>\n]*>|[\w.-]+@[\w.-]+:[^$#\n]*[$#])[ \t]+(?=\S)", re.IGNORECASE
)
"""What a terminal prints in front of what is typed; only at the very start, where > is no redirection."""
_LATER_PROMPT = re.compile(r"^(?:\$|PS [^>\n]*>)[ \t]+(?=\S)", re.MULTILINE | re.IGNORECASE)
"""The same in later lines, where the first had one."""
_CONTINUED_PROMPT = re.compile(r"(\\\r?\n)>[ \t]|(`\r?\n)>>[ \t]|(\^\r?\n)More\?[ \t]")
"""What a terminal prints in front of a continued line."""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*\r?$\n?", re.MULTILINE)
_IN_BACKTICKS = re.compile(r"\s*(`+)([^`]+)\1\s*")
"""How chats and documents set a command apart."""
_BLANKS_BEHIND_BACKSLASH = re.compile(r"\\[ \t]+(?=\r?\n)")
_TYPOGRAPHIC_DASH = re.compile(
    r"(?<!\S)(?=-?[\u2010-\u2014\u2212])(?P<dashes>[-\u2010-\u2014\u2212]{1,2})(?P<name>[A-Za-z][\w-]*)"
)
_TYPOGRAPHIC_SINGLE = re.compile("(?<![^\\s=])[\u2018\u201a]([^\u2018\u2019'\n]*)\u2019(?=\\s|$)")
"""Not an apostrophe: one of a pair around a word."""
_PLAIN = str.maketrans(
    {
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u00a0": " ",
        "\u200b": None,
        "\u2060": None,
        "\ufeff": None,
        "\0": None,
        **dict.fromkeys(map(chr, range(0xD800, 0xE000)), "\ufffd"),
    }
)
"""Halves of characters come from broken clipboards; nothing that can be saved holds one."""


def tidied(text: str) -> tuple[str, tuple[Message, ...]]:
    """Return `text` as it was typed, and what was changed that the operator should know."""
    bare = _FENCE.sub("", text)
    if quoted := _IN_BACKTICKS.fullmatch(bare):
        bare = quoted[2]
    typed = _PROMPT.sub("", bare)
    if typed != bare:
        typed = _LATER_PROMPT.sub("", typed)
    plain = _BLANKS_BEHIND_BACKSLASH.sub(r"\\", typed)
    plain = _CONTINUED_PROMPT.sub(lambda match: match[1] or match[2] or match[3], plain)
    mended = _TYPOGRAPHIC_DASH.sub(_with_plain_dash, _TYPOGRAPHIC_SINGLE.sub(r"'\1'", plain.translate(_PLAIN)))
    if mended == plain:
        return plain, ()
    return mended, (msg("Typographic quotation marks, dashes or spaces became plain ones."),)


def _with_plain_dash(match: re.Match[str]) -> str:
    # Word processors make one character of -- as well as of -: the flag itself tells which it was.
    short = f"-{match['name']}"
    if len(match["dashes"]) > 1:
        return f"-{short}"
    return short if flag_use(short) or left_out(short) else f"-{short}"
