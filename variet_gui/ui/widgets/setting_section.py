"""One group of settings: its heading, and a body that folds away where it is long."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets import tab_order
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label, row


class SettingSection(QWidget):
    """With `folded`, the heading is a button and the rows are made when it is first opened."""

    built = Signal()
    """There are more rows than before."""

    def __init__(self, title: str, count: int, *, folded: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._open = not folded
        self._filtered = False
        self._title = title
        self._count = count
        self._remark = label("", "caution")
        self.heading: QWidget
        self._fold: Button | None = None
        if folded:
            self._fold = Button(title.upper(), "group", "unfold")
            self._fold.clicked.connect(lambda: self.open(not self._open))
            self.heading = self._fold
        else:
            self.heading = label(title.upper(), "group")
        theme.space_letters(self.heading)
        self.heading.setAccessibleName(title)
        self._body = QWidget()
        self._body_box = QVBoxLayout(self._body)
        self._body_box.setContentsMargins(0, 0, 0, 0)
        self._body_box.setSpacing(0)
        self._body.setVisible(self._open)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 6 if folded else 14)
        box.setSpacing(6)
        box.addLayout(row(self.heading, self._remark, None))
        box.addWidget(self._body)
        self._name()

    def build(self) -> None:
        """Make the rows that do not exist yet."""
        raise NotImplementedError

    @property
    def is_open(self) -> bool:
        """Whether the rows are shown, a filter aside."""
        return self._open

    def open(self, wanted: bool) -> None:
        """Show or fold away the rows."""
        self._open = wanted
        if wanted:
            self.build()
        self._body.setVisible(wanted or self._filtered)
        self._name()

    def stops(self) -> list[QWidget]:
        """Return what takes the keyboard, in the order in which it stands here."""
        return [*tab_order.stops(self.heading), *tab_order.stops(self._body)]

    def show_counts(self, n_set: int, n_changed: int) -> None:
        """Say on a folded heading how many settings are set and changed."""
        if self._fold is None:
            return
        parts = [ntr("{count} set", "{count} set", n_set)] if n_set else []
        if n_changed:
            parts.append(ntr("{count} changed", "{count} changed", n_changed))
        self._remark.setText(" · ".join(parts))
        theme.mark(self._remark, look="caution" if n_changed else "faint")

    def show_filtered(self, filtered: bool) -> None:
        """Show the body whether it is folded or not, because a filter decides what is in it."""
        self._filtered = filtered
        self._body.setVisible(filtered or self._open)
        self._name()

    def _name(self) -> None:
        if self._fold is not None:
            self._fold.setText(f"{self._title.upper()}  {self._count}".replace("&", "&&"))
            # What the filter found is shown whether the group is folded or not: nothing to fold or unfold.
            shown = self._open or self._filtered
            self._fold.setEnabled(not self._filtered)
            self._fold.set_icon("fold" if shown else "unfold")
            self._fold.setAccessibleName(
                tr("{group}, open", group=self._title) if shown else tr("{group}, folded", group=self._title)
            )
