"""One group of parameters: its heading and its rows, folded away where they are many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.catalog.parameter_types import Group, Parameter
from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.parameter_row import ParameterRow, finds


class ParameterSection(QWidget):
    """With `folded`, the heading is a button and the rows are made when it is first opened."""

    def __init__(
        self,
        group: Group,
        parameters: Sequence[Parameter],
        make: Callable[[Parameter], ParameterRow],
        *,
        folded: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.parameters = tuple(parameters)
        self._rows: dict[str, ParameterRow] = {}
        self._make = make
        self._open = not folded
        self._filtered = False
        self._title = str(group.title)
        self._remark = label("", "caution")
        self.heading: QWidget
        self._fold: Button | None = None
        if folded:
            self._fold = Button(self._title.upper(), "group", "unfold")
            self._fold.clicked.connect(lambda: self.open(not self._open))
            self.heading = self._fold
        else:
            self.heading = label(self._title.upper(), "group")
        theme.space_letters(self.heading)
        self.heading.setAccessibleName(self._title)
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
        if not folded:
            self.build()
        self._name()

    @property
    def is_open(self) -> bool:
        """Whether the rows are shown."""
        return self._open

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the section's parameters, whether their rows exist or not."""
        return frozenset(parameter.key for parameter in self.parameters)

    def open(self, wanted: bool) -> None:
        """Show or fold away the rows."""
        self._open = wanted
        if wanted:
            self.build()
        self._body.setVisible(wanted or self._filtered)
        self._name()

    @property
    def rows(self) -> tuple[ParameterRow, ...]:
        """The rows that exist, in the order of the table."""
        return tuple(self._rows[each.key] for each in self.parameters if each.key in self._rows)

    def build(self, wanted: Collection[str] | None = None) -> None:
        """Make the rows of the parameters called `wanted` (None: all) that do not exist yet."""
        for parameter in self.parameters:
            key = parameter.key
            if key not in self._rows and (wanted is None or key in wanted):
                before = [each.key for each in self.parameters[: self.parameters.index(parameter)]]
                made = self._make(parameter)
                self._body_box.insertWidget(sum(earlier in self._rows for earlier in before), made)
                self._rows[key] = made

    def show_counts(self, set_keys: Collection[str], changed: Collection[str]) -> None:
        """Say on a folded heading how many of its parameters are set or changed."""
        if self._fold is None:
            return
        n_changed, n_set = len(self.keys & set(changed)), len(self.keys & set(set_keys))
        parts = [ntr("{count} set", "{count} set", n_set)] if n_set else []
        if n_changed:
            parts.append(ntr("{count} changed", "{count} changed", n_changed))
        self._remark.setText(" · ".join(parts))
        theme.mark(self._remark, look="caution" if n_changed else "faint")

    def filter(self, needle: str) -> int:
        """Show only the rows that `needle` finds, opening the fold for them; return how many there are."""
        hits = {each.key for each in self.parameters if not needle or self._found(needle, each)}
        if needle:
            self.build(hits)
        elif self._open:
            self.build()
        self._filtered = bool(needle)
        self._body.setVisible(self._filtered or self._open)
        self._name()
        for key, each in self._rows.items():
            each.setVisible(key in hits)
        return len(hits)

    def _found(self, needle: str, parameter: Parameter) -> bool:
        made = self._rows.get(parameter.key)
        return made.matches(needle) if made is not None else finds(needle, parameter)

    def _name(self) -> None:
        if self._fold is not None:
            self._fold.setText(f"{self._title.upper()}  {len(self.parameters)}".replace("&", "&&"))
            # What the filter found is shown whether the group is folded or not: nothing to fold or unfold.
            shown = self._open or self._filtered
            self._fold.setEnabled(not self._filtered)
            self._fold.set_icon("fold" if shown else "unfold")
            self._fold.setAccessibleName(
                tr("{group}, open", group=self._title) if shown else tr("{group}, folded", group=self._title)
            )
