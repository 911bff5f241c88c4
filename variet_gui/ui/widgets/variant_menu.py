"""Which set of launch settings is edited: as saved, a named variant, or edits of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from variet_gui.i18n import tr
from variet_gui.ui.widgets.buttons import Button

_SHOWN = 20
"""Characters of a name on the button; the whole name is in the menu and in the tooltip."""


class VariantMenu(Button):
    """A button with a menu; knows the names and which of them is the draft, nothing of what they hold."""

    saved_asked = Signal()
    load_asked = Signal(str)
    keep_asked = Signal()
    rename_asked = Signal(str)
    delete_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", icon="unfold", parent=parent)
        self._names: tuple[str, ...] = ()
        self._current: str | None = None
        self._saved = True
        self.clicked.connect(self.popup)
        self.show_variants((), None, saved=True)

    def show_variants(self, names: Sequence[str], current: str | None, *, saved: bool) -> None:
        """Offer `names`; `current` is the one whose settings the draft has, `saved`: it has those of the file."""
        self._names, self._current, self._saved = tuple(names), current, saved
        shown = self.state()
        self.setText(tr("Variant: {name}", name=_cut(shown)).replace("&", "&&"))
        self.setAccessibleName(tr("Variant: {name}", name=shown))
        self.setToolTip(tr("Named sets of launch settings of this tier"))

    def state(self) -> str:
        """Return what the button says of the draft."""
        if self._saved:
            return tr("as saved")
        return self._current if self._current is not None else tr("edited")

    def popup(self) -> QMenu:
        """Open the menu."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        _checkable(menu.addAction(tr("As saved"), self.saved_asked.emit), self._saved)
        for name in self._names:
            action = menu.addAction(_escaped(name), lambda name=name: self.load_asked.emit(name))
            _checkable(action, not self._saved and name == self._current)
        menu.addSeparator()
        menu.addAction(tr("Keep these settings as a variant…"), self.keep_asked.emit)
        if self._names:
            rename, delete = menu.addMenu(tr("Rename")), menu.addMenu(tr("Delete"))
            for name in self._names:
                rename.addAction(_escaped(name), lambda name=name: self.rename_asked.emit(name))
                delete.addAction(_escaped(name), lambda name=name: self.delete_asked.emit(name))
        menu.popup(self.mapToGlobal(QPoint(0, self.height())))
        return menu


def _checkable(action: QAction, checked: bool) -> None:
    action.setCheckable(True)
    action.setChecked(checked)


def _escaped(name: str) -> str:
    return name.replace("&", "&&")


def _cut(name: str) -> str:
    return name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"
