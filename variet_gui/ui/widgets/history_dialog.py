"""What was saved of a tier before: look, compare any two, mark what is known to work, bring one back."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLocale, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QHeaderView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from variet_gui.catalog.differences import Change
from variet_gui.catalog.revisions import CURRENT, Revision
from variet_gui.i18n import Message, msg, ntr, tr
from variet_gui.ui import icons, theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.change_table import ChangeTable
from variet_gui.ui.widgets.drop_down import DropDown
from variet_gui.ui.widgets.layout import column, label, row
from variet_gui.ui.widgets.setting_text import change_text

_SIZE = QSize(860, 560)
_KINDS: dict[str, Message] = {
    "saved": msg("saved"),
    "found": msg("found in the file"),
    "rolled_back": msg("brought back"),
}
_ID = Qt.ItemDataRole.UserRole


class HistoryDialog(QDialog):
    """Shows revisions and asks for what is done with them. Not modal: the sliders stay in reach."""

    compare_asked = Signal(str, str)
    """(id before, id after); either may be CURRENT."""
    good_asked = Signal(str, bool)
    """(id, whether it is known to work)."""
    roll_back_asked = Signal(str)

    def __init__(self, role: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.role = role
        self._revisions: dict[str, Revision] = {}
        self.setWindowTitle(tr("What was saved of {role}", role=role))
        self.setModal(False)
        self.resize(_SIZE)
        self.list = QTreeWidget()
        theme.mark(self.list, look="table")
        self.list.setAccessibleName(tr("Revisions of {role}, newest first", role=role))
        self.list.setHeaderLabels([tr("Saved"), tr("Tier"), tr("How"), tr("What changed"), tr("Note")])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setTabKeyNavigation(False)
        header = self.list.header()
        header.setSectionsMovable(False)
        for section in range(3):
            header.setSectionResizeMode(section, QHeaderView.ResizeMode.ResizeToContents)
        header.resizeSection(3, 280)
        self.other = DropDown()
        self.other.setAccessibleName(tr("Compare with"))
        self.other.setMinimumContentsLength(24)
        self.table = ChangeTable(tr("What differs"))
        self.summary = label("", "quiet", wrap=True)
        self.good = Button(tr("Mark as known to work"), icon="check")
        self.bring_back = Button(tr("Bring these settings back"), "primary")
        self.bring_back.setToolTip(tr("They become unsaved edits: look at them, then save. Undo takes them off again."))
        close = Button(tr("Close"))
        compare = row(label(tr("Compare with"), "quiet"), self.other, None)
        self._empty = label(tr("Nothing was saved yet. Every Save keeps what was before, so that it can come back."))
        self._empty.setWordWrap(True)
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 16, 16, 16)
        box.setSpacing(10)
        box.addWidget(self._empty)
        box.addWidget(self.list, 3)
        box.addLayout(compare)
        box.addLayout(column(self.summary, self.table, spacing=6), 2)
        box.addLayout(row(self.good, None, close, self.bring_back))
        self.list.currentItemChanged.connect(lambda *_: self._chose())
        self.other.activated.connect(lambda _: self._ask())
        self.good.clicked.connect(self._mark)
        self.bring_back.clicked.connect(lambda: self.current and self.roll_back_asked.emit(self.current))
        close.clicked.connect(self.close)
        self.show_revisions(())

    @property
    def current(self) -> str | None:
        """The id of the chosen revision."""
        item = self.list.currentItem()
        return None if item is None else str(item.data(0, _ID))

    def show_revisions(self, revisions: Sequence[Revision]) -> None:
        """Show `revisions`, newest first; the chosen one stays chosen where it still exists."""
        chosen, other = self.current, self.other.currentData()
        self._revisions = {revision.id: revision for revision in revisions}
        self.list.blockSignals(True)
        self.list.clear()
        self.other.clear()
        self.other.addItem(tr("the settings of now, with unsaved edits"), CURRENT)
        for revision in revisions:
            self.list.addTopLevelItem(_item(revision))
            self.other.addItem(_title(revision), revision.id)
        self.list.blockSignals(False)
        self.other.setCurrentIndex(max(0, self.other.findData(other)))
        self._empty.setVisible(not revisions)
        for widget in (self.list, self.other, self.table, self.summary, self.good, self.bring_back):
            widget.setEnabled(bool(revisions))
        ids = list(self._revisions)
        if ids:
            self.list.setCurrentItem(self.list.topLevelItem(ids.index(chosen) if chosen in ids else 0))
            self._chose()
            if chosen is None:
                self.list.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self.table.show_changes(())
            self.summary.setText("")

    def show_difference(self, before: str, after: str, changes: Sequence[Change]) -> None:
        """Show what differs between two states, unless others were chosen meanwhile."""
        if (before, after) != self._pair():
            return
        self.table.set_heads(*(self._head(one) for one in (before, after)))
        self.table.show_changes(changes)
        count = ntr("{count} setting differs.", "{count} settings differ.", len(changes))
        self.summary.setText(count if changes else tr("Nothing differs."))
        self.bring_back.setEnabled(before != CURRENT and (after != CURRENT or bool(changes)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Enter in the list must not press a button that changes settings.
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)

    def _pair(self) -> tuple[str, str]:
        return self.current or "", str(self.other.currentData() or "")

    def _chose(self) -> None:
        revision = self._revisions.get(self.current or "")
        if revision is not None:
            self.good.setText(tr("Not known to work") if revision.known_good else tr("Mark as known to work"))
            self._ask()

    def _ask(self) -> None:
        if self.current is not None:
            self.bring_back.setEnabled(True)
            self.compare_asked.emit(*self._pair())

    def _mark(self) -> None:
        revision = self._revisions.get(self.current or "")
        if revision is not None:
            self.good_asked.emit(revision.id, not revision.known_good)

    def _head(self, revision_id: str) -> str:
        revision = self._revisions.get(revision_id)
        return tr("Now") if revision is None else _when(revision)


def _item(revision: Revision) -> QTreeWidgetItem:
    changed = ", ".join(change_text(change) for change in revision.changes) or tr("as it was first")
    how = tr("known to work") if revision.known_good else str(_KINDS[revision.kind])
    item = QTreeWidgetItem([_when(revision), revision.role, how, changed, revision.note or ""])
    item.setData(0, _ID, revision.id)
    item.setToolTip(3, "\n".join(change_text(change) for change in revision.changes))
    item.setToolTip(4, revision.note or "")
    if revision.known_good:
        item.setIcon(2, icons.icon("check", "good"))
        item.setForeground(2, theme.colour("good_text"))
    return item


def _when(revision: Revision) -> str:
    """Return the time of this place, the same in every language."""
    return QLocale.c().toString(revision.saved_at.astimezone().replace(tzinfo=None), "yyyy-MM-dd HH:mm:ss")


def _title(revision: Revision) -> str:
    return f"{_when(revision)}  {revision.note or ''}".strip()
