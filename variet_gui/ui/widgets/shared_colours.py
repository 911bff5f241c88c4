"""The colours of the theme in use as they are painted with: each made once, for widgets that a slider moves."""

from __future__ import annotations

from PySide6.QtGui import QColor

from variet_gui.ui import theme


class _Shared:
    """Colours by their token and how opaque they are, as long as the theme stays."""

    def __init__(self) -> None:
        self._named: object = None
        self._made: dict[tuple[str, float], QColor] = {}

    def get(self, name: str, opacity: float) -> QColor:
        """Return a colour; those of another theme are forgotten."""
        named = theme.manager().colours
        if named is not self._named:
            self._named = named
            self._made.clear()
        made = self._made.get((name, opacity))
        if made is None:
            made = theme.colour(name)
            made.setAlphaF(opacity)
            self._made[name, opacity] = made
        return made


_shared = _Shared()


def shared_colour(name: str, opacity: float = 1.0) -> QColor:
    """Return a colour of the theme in use by its token's name. It is shared: nobody may change it.

    Raises:
        KeyError: no token has that name.
    """
    return _shared.get(name, opacity)
