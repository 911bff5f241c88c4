"""The catalog file was changed by another program: a quiet line with the ways on, and what differs on demand."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from variet_gui.catalog.differences import Conflict
from variet_gui.i18n import ntr, tr
from variet_gui.panel.outside import OutsideChange
from variet_gui.ui import icons, theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.setting_text import change_text, setting_flag, setting_name, setting_value
from variet_gui.ui.widgets.tick_box import TickBox

_DETAILS_PX = 170


class OutsideBanner(QFrame):
    """Shows an `OutsideChange` and asks what to do with it. Nothing happens by itself."""

    merge_asked = Signal(object)
    """The (role, key) of the conflicts in which theirs is to stand: a tuple."""
    theirs_asked = Signal()
    ours_asked = Signal()
    shown = Signal(bool)
    """There is something to decide, or no longer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="banner")
        self._change: OutsideChange | None = None
        self._choices: dict[tuple[str, str], TickBox] = {}
        self._icon = QLabel()
        self._text = label("", wrap=True)
        self.details_button = Button("", "quiet", "unfold")
        self.merge = Button(tr("Merge"), "primary")
        self.merge.setToolTip(tr("Take what was changed there and keep your unsaved edits on top."))
        self.theirs = Button(tr("Take theirs"))
        self.theirs.setToolTip(
            tr("Take the file as it is. Unsaved edits of the tiers changed there go; undo has them.")
        )
        self.ours = Button(tr("Keep mine"))
        self.ours.setToolTip(tr("Write the tiers as they are here over the file; the other content is kept beside it."))
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.hide()
        line = row(self._icon, self._text, self.details_button, self.merge, self.theirs, self.ours)
        line.setStretch(1, 1)
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 8, 12, 8)
        box.setSpacing(6)
        box.addLayout(line)
        box.addWidget(self._scroll)
        self.details_button.clicked.connect(lambda: self.unfold(self._scroll.isHidden()))
        self.merge.clicked.connect(lambda: self.merge_asked.emit(self.theirs_wanted()))
        self.theirs.clicked.connect(self.theirs_asked)
        self.ours.clicked.connect(self.ours_asked)
        self.hide()

    @property
    def change(self) -> OutsideChange | None:
        """What is shown."""
        return self._change

    def show_change(self, change: OutsideChange | None) -> None:
        """Show `change`; None: there is nothing to decide any more."""
        if change == self._change:
            return
        self._change = change
        self.setVisible(change is not None)
        self.shown.emit(change is not None)
        if change is None:
            return
        self._icon.setPixmap(icons.pixmap("warning", "caution"))
        self._text.setText(_summary(change))
        usable = change.problem is None
        self.merge.setVisible(usable)
        self.theirs.setVisible(usable)
        self.ours.setVisible(not change.is_newer)
        self.setAccessibleName(self.text())
        self._fill(change)
        self.details_button.setVisible(usable and bool(change.roles))
        self.unfold(bool(change.conflicts))  # a conflict is not to be decided unseen

    def text(self) -> str:
        """Return the sentence of the banner."""
        return self._text.text()

    def details(self) -> tuple[str, ...]:
        """Return the lines that say what differs."""
        return tuple(each.text() for each in self._scroll.findChildren(QLabel))

    def choice(self, role: str, key: str) -> TickBox:
        """Return the box that takes theirs for one conflict.

        Raises:
            KeyError: there is no such conflict.
        """
        return self._choices[role, key]

    def theirs_wanted(self) -> tuple[tuple[str, str], ...]:
        """Return the conflicts in which theirs was chosen."""
        return tuple(pair for pair, box in self._choices.items() if box.isChecked())

    def unfold(self, wanted: bool) -> None:
        """Show or fold away what differs."""
        self._scroll.setVisible(wanted)
        self.details_button.setText(tr("Hide what differs") if wanted else tr("Show what differs"))
        self.details_button.set_icon("fold" if wanted else "unfold")

    def _fill(self, change: OutsideChange) -> None:
        inner = QWidget()
        theme.mark(inner, look="plain")
        grid = QGridLayout(inner)
        grid.setContentsMargins(24, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(2, 1)
        self._choices = {}
        conflicts = {(conflict.role, conflict.key): conflict for conflict in change.conflicts}
        lines: list[tuple[str, str, Conflict | None]]
        lines = [(role, tr("only in the file"), None) for role in change.added]
        lines += [(role, tr("no longer in the file"), None) for role in change.removed]
        lines += [(role, change_text(one), conflicts.get((role, one.key))) for role, one in change.changed]
        for position, (role, text, conflict) in enumerate(lines):
            grid.addWidget(label(role, "small-quiet"), position, 0)
            grid.addWidget(label(text, "small"), position, 1)
            if conflict is not None:
                grid.addWidget(self._choice(conflict), position, 2)
        self._scroll.setWidget(inner)
        self._scroll.setFixedHeight(min(_DETAILS_PX, inner.sizeHint().height()))

    def _choice(self, conflict: Conflict) -> TickBox:
        ours, theirs = (setting_value(conflict.key, value) for value in (conflict.ours, conflict.theirs))
        box = TickBox(tr("you set {ours}; take {theirs} instead", ours=ours, theirs=theirs).replace("&", "&&"))
        name = setting_flag(conflict.key) or setting_name(conflict.key)
        box.setAccessibleName(f"{conflict.role} {name}: {box.text()}")
        self._choices[conflict.role, conflict.key] = box
        return box


def _summary(change: OutsideChange) -> str:
    if change.problem is not None:
        return str(change.text)
    count = len(change.changed) + len(change.added) + len(change.removed)
    if not count:
        return tr("The catalog was changed outside, but no tier differs.")
    text = ntr(
        "The catalog was changed outside: {count} difference.",
        "The catalog was changed outside: {count} differences.",
        count,
    )
    if not change.conflicts:
        return text
    both = ntr(
        "{count} of them you edited as well; your edit stands unless you choose otherwise.",
        "{count} of them you edited as well; your edits stand unless you choose otherwise.",
        len(change.conflicts),
    )
    return f"{text} {both}"
