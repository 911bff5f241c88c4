"""One group of launch parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from PySide6.QtWidgets import QWidget

from variet_gui.catalog.parameter_types import Group, Parameter
from variet_gui.ui.widgets import tab_order
from variet_gui.ui.widgets.parameter_row import ParameterRow, finds
from variet_gui.ui.widgets.setting_section import SettingSection


class ParameterSection(SettingSection):
    """Makes a row only for what is shown."""

    def __init__(
        self,
        group: Group,
        parameters: Sequence[Parameter],
        make: Callable[[Parameter], ParameterRow],
        *,
        folded: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(str(group.title), len(parameters), folded=folded, parent=parent)
        self.parameters = tuple(parameters)
        self._rows: dict[str, ParameterRow] = {}
        self._make = make
        if not folded:
            self.build()

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the section's parameters, whether their rows exist or not."""
        return frozenset(parameter.key for parameter in self.parameters)

    @property
    def rows(self) -> tuple[ParameterRow, ...]:
        """The rows that exist, in the order of the table."""
        return tuple(self._rows[each.key] for each in self.parameters if each.key in self._rows)

    def build(self, wanted: Collection[str] | None = None) -> None:
        """Make the rows of the parameters called `wanted` (None: all) that do not exist yet."""
        count = len(self._rows)
        for parameter in self.parameters:
            key = parameter.key
            if key not in self._rows and (wanted is None or key in wanted):
                before = [each.key for each in self.parameters[: self.parameters.index(parameter)]]
                made = self._make(parameter)
                self._body_box.insertWidget(sum(earlier in self._rows for earlier in before), made)
                self._rows[key] = made
        if len(self._rows) != count:
            self.built.emit()

    def stops(self) -> list[QWidget]:
        """Return what takes the keyboard, in the order in which it stands here."""
        return [*tab_order.stops(self.heading), *(stop for each in self.rows for stop in tab_order.stops(each))]

    def count(self, set_keys: Collection[str], changed: Collection[str]) -> None:
        """Say on a folded heading how many of its parameters are set or changed."""
        self.show_counts(len(self.keys & set(set_keys)), len(self.keys & set(changed)))

    def filter(self, needle: str) -> int:
        """Show only the rows that `needle` finds, opening the fold for them; return how many there are."""
        hits = {each.key for each in self.parameters if not needle or self._found(needle, each)}
        if needle:
            self.build(hits)
        elif self._open:
            self.build()
        self.show_filtered(bool(needle))
        for key, each in self._rows.items():
            each.setVisible(key in hits)
        return len(hits)

    def _found(self, needle: str, parameter: Parameter) -> bool:
        made = self._rows.get(parameter.key)
        return made.matches(needle) if made is not None else finds(needle, parameter)
