"""Which catalog something belongs to that is kept beside it: its revisions, the drafts of its tiers."""

from __future__ import annotations

import os
from pathlib import Path


class CatalogName:
    """The name of one catalog file, however it is spelled: by a relative path, through a symbolic link, with `..`.

    Earlier versions wrote the path down as it was given; such names are recognised by where they lead today.
    """

    def __init__(self, path: Path) -> None:
        self._given = str(path.absolute())
        self.text = os.path.realpath(path)
        """What is written down: the path of the file itself."""
        self._known: dict[str, bool] = {}

    def is_named(self, stored: str) -> bool:
        """Whether `stored`, a name that was written down, is that of this catalog."""
        known = self._known.get(stored)
        if known is None:
            known = stored in (self.text, self._given) or _plain(stored) == _plain(self.text)
            self._known[stored] = known
        return known


def _plain(path: str) -> str:
    # A name of another system, or a damaged one, may hold what this one takes for no path at all.
    return os.path.normcase(path if "\0" in path else os.path.realpath(path))
