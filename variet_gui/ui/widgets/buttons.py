"""Buttons that keep their icon in the colours of the theme."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtWidgets import QPushButton, QToolButton, QWidget

from variet_gui.ui import icons, theme

_ICON_COLOUR = {"primary": "on_primary", "danger": "on_danger", "quiet": "quiet", "group": "faint", "link": "accent"}


class Button(QPushButton):
    """A button with words; `kind` is "plain", "primary", "danger", "quiet", "group" or "link"."""

    def __init__(self, text: str = "", kind: str = "plain", icon: str | None = None, parent: QWidget | None = None):
        super().__init__(text, parent)
        self._icon_name = icon
        self.setIconSize(QSize(14, 14))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click must not take the keyboard away from what is typed into
        self.setAutoDefault(False)
        self.set_kind(kind)

    def set_kind(self, kind: str) -> None:
        """Change what the button is: its colours follow."""
        theme.mark(self, kind=kind)
        self._tint()

    def set_icon(self, icon: str | None) -> None:
        """Show another icon beside the words, or none."""
        self._icon_name = icon
        self._tint()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._tint()

    def _tint(self) -> None:
        if self._icon_name is not None:
            self.setIcon(icons.icon(self._icon_name, _ICON_COLOUR.get(str(self.property("kind")), "text"), 14))


class IconButton(QToolButton):
    """A small button that is only an icon; `name` is what a screen reader says and the tooltip shows."""

    def __init__(self, icon: str, name: str, colour: str = "quiet", parent: QWidget | None = None):
        super().__init__(parent)
        self._icon_name = icon
        self._colour = colour
        self.setIconSize(QSize(16, 16))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)
        self.setToolTip(name)
        theme.mark(self, kind="quiet")
        self._tint()

    def set_icon(self, icon: str, colour: str | None = None) -> None:
        """Show another icon."""
        self._icon_name = icon
        self._colour = colour or self._colour
        self._tint()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._tint()

    def _tint(self) -> None:
        self.setIcon(icons.icon(self._icon_name, self._colour))
