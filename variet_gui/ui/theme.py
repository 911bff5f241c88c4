"""How everything looks: the theme in use, its colours and fonts, and the one place that changes them.

`apply(app, choice)` once at the start and again at every change of mind. Widgets ask `colour(name)` when they paint
and listen to `manager().changed` (or QEvent.PaletteChange) if they keep pixmaps or pens.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory, QWidget

from variet_gui.ui import stylesheet
from variet_gui.ui.theme_tokens import DARK, LIGHT, Tokens

SERIES = ("gpu0", "gpu1", "context", "compute", "good", "failure", "quiet", "other")
"""Names of series colours in the order in which plots and bars take them."""

_TEXT_FAMILIES = ("Inter", "Segoe UI", "Noto Sans", "Noto Sans CJK KR", "Malgun Gothic", "Apple SD Gothic Neo")
_MONO_FAMILIES = ("JetBrains Mono", "Cascadia Mono", "Consolas", "DejaVu Sans Mono", "Noto Sans Mono CJK KR")


class ThemeChoice(StrEnum):
    """What the operator chose; `SYSTEM` follows the desktop."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class ThemeManager(QObject):
    """Holds the theme in use and tells when it changed. One per program: `manager()`."""

    changed = Signal()
    """Palette, style sheet and `tokens` are the new ones."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = ThemeChoice.SYSTEM
        self.tokens: Tokens = DARK
        self.colours = self.tokens.named()
        self._follows_desktop = False

    def apply(self, app: QApplication, choice: ThemeChoice | str) -> None:
        """Dress `app` in `choice` ("system", "light" or "dark"; anything else means "system")."""
        self.choice = ThemeChoice(choice) if choice in set(ThemeChoice) else ThemeChoice.SYSTEM
        hints = app.styleHints()
        # Native title bars and dialogs follow this where the platform knows colour schemes at all (Qt 6.8).
        hints.setColorScheme(
            {ThemeChoice.LIGHT: Qt.ColorScheme.Light, ThemeChoice.DARK: Qt.ColorScheme.Dark}.get(
                self.choice, Qt.ColorScheme.Unknown
            )
        )
        if not self._follows_desktop:
            hints.colorSchemeChanged.connect(self._desktop_changed)
            self._follows_desktop = True
        self._dress(app)

    def _desktop_changed(self) -> None:
        app = QApplication.instance()
        if self.choice is ThemeChoice.SYSTEM and isinstance(app, QApplication):
            self._dress(app)

    def _dress(self, app: QApplication) -> None:
        self.tokens = _tokens_for(self.choice)
        self.colours = self.tokens.named()
        sheet = stylesheet.build(self.tokens, mono_font().families())
        if app.styleSheet() == sheet:
            return  # dressed so already: a change of mind is told by the window and by the program
        # The old sheet comes off first. To replace one sheet by another, Qt restyles every widget once for each of its
        # ancestors (QStyleSheetStyle::repolish): seconds where a thousand widgets are shown.
        app.setStyleSheet("")
        if app.style().objectName().lower() != "fusion":
            app.setStyle(QStyleFactory.create("Fusion"))
        font = text_font()
        if app.font() != font:
            app.setFont(font)
        app.setPalette(_palette(self.tokens))
        app.setStyleSheet(sheet)
        self.changed.emit()


@cache
def manager() -> ThemeManager:
    """Return the one theme manager of this program."""
    return ThemeManager()


def apply(app: QApplication, choice: ThemeChoice | str = ThemeChoice.SYSTEM) -> None:
    """Dress `app`; see `ThemeManager.apply`."""
    manager().apply(app, choice)


def colour(name: str) -> QColor:
    """Return a colour of the theme in use by its token's name, such as "accent".

    Raises:
        KeyError: no token has that name.
    """
    return QColor(manager().colours[name])


def series_colour(index: int) -> QColor:
    """Return the colour of the plot or bar series with that number (GPU 0, GPU 1, context, compute, ...)."""
    return colour(SERIES[index % len(SERIES)])


def is_dark() -> bool:
    """Whether the theme in use is the dark one."""
    return manager().tokens is DARK


def text_font(pixels: int = stylesheet.TEXT_PX) -> QFont:
    """Return the one type family with tabular digits, so that figures which change do not dance."""
    font = QFont()
    font.setFamilies([*_present(_TEXT_FAMILIES), *QFont().families()])
    return _tabular(font, pixels)


def mono_font(pixels: int = stylesheet.SMALL_PX) -> QFont:
    """Return the font of commands and logs."""
    font = QFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    present = _present(_MONO_FAMILIES)
    if present:
        font.setFamilies(present)
    return _tabular(font, pixels)


def resized(font: QFont, pixels: int) -> QFont:
    """Return `font` in another size."""
    other = QFont(font)
    other.setPixelSize(pixels)
    return other


def space_letters(widget: QWidget) -> None:
    """Set the small capitals of a group heading a little wider; a style sheet cannot say that."""
    font = QFont(widget.font())
    font.setLetterSpacing(QFont.SpacingType.PercentageSpacing, 106)
    widget.setFont(font)


def animations_wanted() -> bool:
    """Whether the desktop wants motion at all."""
    style = QApplication.style()
    return bool(style.styleHint(style.StyleHint.SH_Widget_Animation_Duration) > 0)


def mark(widget: QWidget, **properties: str | bool) -> None:
    """Set the dynamic properties that the style sheet looks at, and restyle `widget` if any of them changed."""
    changed = [name for name, value in properties.items() if widget.property(name) != value]
    for name in changed:
        widget.setProperty(name, properties[name])
    # A widget that was not shown yet is styled when it is; doing it now too would double the work.
    if changed and widget.testAttribute(Qt.WidgetAttribute.WA_WState_Polished):
        widget.style().unpolish(widget)
        widget.style().polish(widget)
        widget.update()


def _tokens_for(choice: ThemeChoice) -> Tokens:
    if choice is ThemeChoice.LIGHT:
        return LIGHT
    if choice is ThemeChoice.DARK:
        return DARK
    # Unknown (offscreen, a bare X server) means dark: the panel usually stands beside plots and logs.
    return LIGHT if QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Light else DARK


def _present(families: tuple[str, ...]) -> list[str]:
    # Asking for a family that is not installed makes Qt build its alias table, which takes long and warns.
    installed = set(QFontDatabase.families())
    return [family for family in families if family in installed]


def _tabular(font: QFont, pixels: int) -> QFont:
    font.setPixelSize(pixels)
    font.setStyleStrategy(QFont.StyleStrategy.PreferAntialias)
    if hasattr(font, "setFeature"):  # Qt 6.7
        font.setFeature(QFont.Tag("tnum"), 1)
    return font


def _palette(tokens: Tokens) -> QPalette:
    roles = QPalette.ColorRole
    palette = QPalette(QColor(tokens.button), QColor(tokens.window))
    for role, name in (
        (roles.Window, tokens.window),
        (roles.WindowText, tokens.text),
        (roles.Base, tokens.field),
        (roles.AlternateBase, tokens.bar),
        (roles.Text, tokens.text),
        (roles.PlaceholderText, tokens.faint),
        (roles.Button, tokens.button),
        (roles.ButtonText, tokens.text),
        (roles.BrightText, tokens.failure),
        (roles.Highlight, tokens.chosen),
        (roles.HighlightedText, tokens.strong),
        (roles.Link, tokens.accent),
        (roles.LinkVisited, tokens.context),
        (roles.ToolTipBase, tokens.card),
        (roles.ToolTipText, tokens.text),
        (roles.Mid, tokens.line),
        (roles.Accent, tokens.accent),
    ):
        palette.setColor(role, QColor(name))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(tokens.faint))
    return palette
