"""The bar at the top: the title, the meters, language and theme, and Stop all."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QWidget

from variet_gui.i18n import LANGUAGES, tr
from variet_gui.ui import theme
from variet_gui.ui.actions import with_shortcut
from variet_gui.ui.theme import ThemeChoice
from variet_gui.ui.widgets.buttons import Button, IconButton
from variet_gui.ui.widgets.gpu_meter import MeterStrip
from variet_gui.ui.widgets.layout import label

HEIGHT = 44
_THEME_ICONS = {ThemeChoice.SYSTEM: "system", ThemeChoice.LIGHT: "sun", ThemeChoice.DARK: "moon"}


class TopBar(QFrame):
    """Says what was chosen; does not act on it."""

    language_chosen = Signal(str)
    """"system" or a language code."""
    theme_chosen = Signal(str)
    """"system", "light" or "dark"."""
    stop_all_asked = Signal()

    def __init__(self, title: str, language: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._language = language
        theme.mark(self, look="top")
        self.setFixedHeight(HEIGHT)
        self.meters = MeterStrip()
        self.language = IconButton("globe", tr("Language"))
        self.theme = IconButton("system", tr("Light or dark"))
        self.stop_all = Button(tr("Stop all"), "danger")
        self.stop_all.setToolTip(with_shortcut(tr("Stop every tier that runs"), "stop_all"))
        box = QHBoxLayout(self)
        box.setContentsMargins(14, 0, 14, 0)
        box.setSpacing(8)
        box.addWidget(label(title, "title"))
        box.addSpacing(10)
        box.addWidget(self.meters)
        box.addStretch(1)
        for button in (self.language, self.theme, self.stop_all):
            box.addWidget(button)
        self.language.clicked.connect(self.popup_languages)
        self.theme.clicked.connect(self.popup_themes)
        self.stop_all.clicked.connect(self.stop_all_asked)
        theme.manager().changed.connect(self._show_theme)
        self._show_theme()

    def popup_languages(self) -> QMenu:
        """Open the menu of languages, each by its own name."""
        choices = {"system": tr("As the system"), **LANGUAGES}
        return self._popup(self.language, choices, self._language, self.language_chosen)

    def popup_themes(self) -> QMenu:
        """Open the menu of themes."""
        choices = {"system": tr("As the system"), "light": tr("Light"), "dark": tr("Dark")}
        return self._popup(self.theme, choices, theme.manager().choice.value, self.theme_chosen)

    def _popup(self, button: IconButton, choices: dict[str, str], current: str, chosen: Signal) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for key, text in choices.items():
            entry = menu.addAction(text, lambda key=key: chosen.emit(key))
            entry.setCheckable(True)
            entry.setChecked(key == current)
        menu.popup(button.mapToGlobal(QPoint(0, button.height() + 2)))
        return menu

    def _show_theme(self) -> None:
        self.theme.set_icon(_THEME_ICONS[theme.manager().choice])
