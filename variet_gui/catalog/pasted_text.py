"""Undo what happens to a command line on its way through web pages, chats and terminals, before it is split."""

from __future__ import annotations

import re

from variet_gui.catalog.parameters import flag_use, left_out
from variet_gui.i18n import Message, msg

_PROMPT = re.compile(
    r"\A\s*(?:[$>#]|PS [^>\n]*>|[A-Za-z]:\\[^>\n]*>|[\w.-]+@[\w.-]+:[^$#\n]*[$#])[ \t]+(?=\S)", re.IGNORECASE
)
"""What a terminal prints in front of what is typed; only at the very start, where > is no redirection."""
_BLANKS_BEHIND_BACKSLASH = re.compile(r"\\[ \t]+(?=\r?\n)")
_TYPOGRAPHIC_DASH = re.compile(r"(?<!\S)[\u2013\u2014\u2212](?P<name>[A-Za-z][\w-]*)")
_PLAIN = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00a0": " ", "\u200b": None})


def tidied(text: str) -> tuple[str, tuple[Message, ...]]:
    """Return `text` as it was typed, and what was changed that the operator should know."""
    plain = _BLANKS_BEHIND_BACKSLASH.sub(r"\\", _PROMPT.sub("", text))
    mended = _TYPOGRAPHIC_DASH.sub(_with_plain_dash, plain.translate(_PLAIN))
    if mended == plain:
        return plain, ()
    return mended, (msg("Typographic quotation marks, dashes or spaces became plain ones."),)


def _with_plain_dash(match: re.Match[str]) -> str:
    # Word processors make one character of -- as well as of -: the flag itself tells which it was.
    short = f"-{match['name']}"
    return short if flag_use(short) or left_out(short) else f"-{short}"
