"""The line above the parameters: find, variants, undo and redo, and what comes in or goes out."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Signal
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from variet_gui.catalog.exporting import ExportFormat
from variet_gui.i18n import tr
from variet_gui.ui import actions
from variet_gui.ui.widgets.buttons import IconButton
from variet_gui.ui.widgets.export_dialog import FORMATS
from variet_gui.ui.widgets.layout import row
from variet_gui.ui.widgets.search_field import SearchField
from variet_gui.ui.widgets.variant_menu import VariantMenu

_SEARCH_WIDTH = (140, 288)


class TuneToolbar(QWidget):
    """Holds the controls; says which of the rarer things was asked for."""

    paste_asked = Signal()
    export_asked = Signal(object)
    """The `ExportFormat`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = SearchField(tr("Find a parameter by name, flag or help"))
        self.search.setMinimumWidth(_SEARCH_WIDTH[0])
        self.search.setMaximumWidth(_SEARCH_WIDTH[1])
        self.search.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.variants = VariantMenu()
        self.undo = _button("undo", tr("Undo"))
        self.redo = _button("redo", tr("Redo"))
        self.history = _button("history", tr("What was saved before"))
        self.more = IconButton("more", tr("Paste a command line, export"))
        line = row(self.search, self.variants, self.undo, self.redo, self.history, self.more, spacing=4)
        line.insertStretch(1, 1)
        line.setStretch(0, 1000)
        self.setLayout(line)
        self.more.clicked.connect(self.popup_more)

    def show_steps(self, can_undo: bool, can_redo: bool) -> None:
        """Offer undo and redo where there is something to take back."""
        # A button that loses its focus by being disabled would throw the keyboard off the page.
        focused = self.undo if self.undo.hasFocus() else self.redo if self.redo.hasFocus() else None
        self.undo.setEnabled(can_undo)
        self.redo.setEnabled(can_redo)
        if focused is not None and not focused.isEnabled():
            other = self.redo if focused is self.undo else self.undo
            (other if other.isEnabled() else self.history).setFocus()

    def popup_more(self) -> QMenu:
        """Open the menu of what comes in and goes out."""
        menu = QMenu(self)
        menu.addAction(actions.with_shortcut(tr("Paste a command line…"), "paste_command"), self.paste_asked.emit)
        menu.addSeparator()
        export = menu.addMenu(tr("Export"))
        for form, text in FORMATS.items():
            export.addAction(str(text), lambda form=form: self._export(form))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.more.mapToGlobal(QPoint(0, self.more.height())))
        return menu

    def _export(self, form: ExportFormat) -> None:
        self.export_asked.emit(form)


def _button(icon: str, text: str) -> IconButton:
    made = IconButton(icon, text)
    made.setToolTip(actions.with_shortcut(text, icon))
    return made
