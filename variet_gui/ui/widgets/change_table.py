"""What differs between two states of a tier: setting, before, after."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from variet_gui.catalog.differences import Change
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.setting_text import setting_flag, setting_name, setting_value


class ChangeTable(QTreeWidget):
    """Read-only; one row a setting. The whole text of a long value is its tooltip."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="table")
        self.setAccessibleName(name)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.set_heads(tr("Before"), tr("After"))
        header = self.header()
        header.setSectionsMovable(False)
        header.setStretchLastSection(True)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.resizeSection(1, 150)

    def set_heads(self, before: str, after: str) -> None:
        """Say what the two columns of values are."""
        self.setHeaderLabels([tr("Setting"), before, after])

    def show_changes(self, changes: Sequence[Change]) -> None:
        """Show `changes`; settings that name a flag show it behind their name."""
        self.clear()
        for change in changes:
            name, flag = setting_name(change.key), setting_flag(change.key)
            values = [setting_value(change.key, value) for value in (change.before, change.after)]
            item = QTreeWidgetItem([f"{name}  {flag}".strip(), *values])
            for column, text in enumerate([change.key, *values]):
                item.setToolTip(column, text)
            item.setForeground(1, theme.colour("quiet"))
            self.addTopLevelItem(item)
        if changes:
            self.setCurrentItem(self.topLevelItem(0))

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Return the texts that are shown."""
        items = (self.topLevelItem(index) for index in range(self.topLevelItemCount()))
        return tuple((item.text(0), item.text(1), item.text(2)) for item in items if item is not None)
