"""Text that somebody else wrote, such as a server's log: shown as it is, never as markup, never as control codes."""

from __future__ import annotations

import html
import re

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b."
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
"""Terminal sequences, control characters but tab and line feed, and characters that reorder or hide text."""
_BREAKS = re.compile(r"[\u2028\u2029]")


def without_controls(text: str) -> str:
    """Return `text` without what would move a terminal's cursor or hide what is written."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub("", _BREAKS.sub(" ", text))


def tooltip(text: str) -> str:
    """Return `text` for a tooltip, which would take some of it for markup; empty stays empty."""
    if not text:
        return ""
    return f'<p style="white-space: pre-wrap">{html.escape(without_controls(text))}</p>'
