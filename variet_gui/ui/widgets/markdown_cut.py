"""Where a growing Markdown text can be cut: everything before the cut looks the same whatever comes after it."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_STARTS_PARAGRAPH = re.compile(r"^(?![ \t>|]|[-+*][ \t]|\d{1,9}[.)][ \t]|[-+*]?$|\d{1,9}[.)]?$)")


def settled_length(text: str, known: int = 0) -> int:
    """Return how much of `text` is settled: it ends behind a blank line, outside a fence, before a new paragraph.

    A list, a quotation or an indented block is not cut off from what precedes it, because a blank line does not end
    those. What follows the cut has to have begun, as only its first characters tell that it is none of them.

    Args:
        text: what has arrived so far.
        known: an earlier result for the same growing text; the search goes on from there.
    """
    settled = position = known
    fence: str | None = None
    after_blank = False
    while position < len(text):
        end = text.find("\n", position)
        line = text[position : end if end >= 0 else len(text)]
        if fence is None and after_blank and _STARTS_PARAGRAPH.match(line):
            settled = position
        marker = _FENCE.match(line)
        if fence is None:
            # A backtick fence cannot have backticks behind it: that is inline code.
            if marker and not (marker[1][0] == "`" and "`" in marker[2]):
                fence = marker[1]
        elif marker and marker[1][0] == fence[0] and len(marker[1]) >= len(fence) and not marker[2].strip():
            fence = None
        after_blank = not line.strip() and fence is None
        if end < 0:
            break
        position = end + 1
    return settled
