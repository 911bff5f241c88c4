"""The last group of the Tune page: what a server gets beside its launch parameters."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QWidget

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.i18n import tr
from variet_gui.ui.widgets import tab_order
from variet_gui.ui.widgets.environment_row import EnvironmentRow
from variet_gui.ui.widgets.extra_arguments_row import ExtraArgumentsRow
from variet_gui.ui.widgets.setting_section import SettingSection


class ExtraSection(SettingSection):
    """Extra arguments and environment."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Extra arguments & environment"), 2, folded=True, parent=parent)
        self.arguments = ExtraArgumentsRow()
        self.environment = EnvironmentRow()
        self.environment.lines_changed.connect(self.built)
        for each in (self.arguments, self.environment):
            self._body_box.addWidget(each)

    def build(self) -> None:
        """Both rows are there from the start."""

    def show_profile(self, profile: LaunchProfile, saved: LaunchProfile, text: str) -> None:
        """Show what `profile` has of both, and mark what is not saved; `text` is its arguments in one line."""
        self.arguments.show_text(text, changed=profile.extra_arguments != saved.extra_arguments)
        self.environment.show_variables(profile.environment, saved.environment)
        self.show_counts(
            bool(profile.extra_arguments) + len(profile.environment),
            (profile.extra_arguments != saved.extra_arguments) + _differing(profile.environment, saved.environment),
        )

    def finish(self) -> None:
        """Commit a new variable that is being typed."""
        line = self.environment.new_line
        if line is not None and line.name.text().strip() and not line.refused:
            line.committed.emit()

    def forget(self) -> None:
        """Drop what was typed and not taken: another tier is shown."""
        self.arguments.forget()
        self.environment.forget()

    def stops(self) -> list[QWidget]:
        """Return what takes the keyboard, in the order in which it stands here."""
        lines = [stop for line in self.environment.lines for stop in tab_order.stops(line)]
        rest = [stop for stop in tab_order.stops(self.environment) if stop not in lines]
        return [*tab_order.stops(self.heading), *tab_order.stops(self.arguments), *lines, *rest]

    def filter(self, needle: str) -> int:
        """Show only the rows that `needle` finds; return how many there are."""
        found = {each: _finds(needle, each) for each in (self.arguments, self.environment)}
        self.show_filtered(bool(needle))
        for each, hit in found.items():
            each.setVisible(hit)
        return sum(found.values())


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())


def _finds(needle: str, row: ExtraArgumentsRow | EnvironmentRow) -> bool:
    texts = [row.name.name, row.name.toolTip()]
    texts += [row.field.text()] if isinstance(row, ExtraArgumentsRow) else [line.name.text() for line in row.lines]
    text = "\n".join(texts).casefold()
    return all(word in text for word in needle.casefold().split())
