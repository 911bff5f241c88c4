"""The small group at the end of the Tune page: what holds for the tier, whatever it is launched with."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from variet_gui.catalog.tiers import Tier
from variet_gui.i18n import tr
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.segments import Segments
from variet_gui.ui.widgets.setting_row import SettingRow
from variet_gui.ui.widgets.setting_section import SettingSection
from variet_gui.ui.widgets.switch import Switch

HERE = "here"
NETWORK = "network"


@dataclass(frozen=True, slots=True)
class TierRuns:
    """What is known of the tier's server as it runs now."""

    active: bool = False
    stays: bool = False
    """It was started to run on when the panel closes, and still is to."""
    is_open: bool = False
    """It was started so that other computers reach it."""


class TierSection(SettingSection):
    """Shows what is saved. A switch turns when the change is saved, not before."""

    keep_asked = Signal(bool)
    start_asked = Signal(bool)
    network_asked = Signal(bool)
    key_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("This tier"), 3, folded=True, parent=parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.keep, self._keep_word = Switch(), label("", "quiet")
        self.start, self._start_word = Switch(), label("", "quiet")
        self.reach = Segments([(HERE, tr("this computer")), (NETWORK, tr("the network, with a key"))])
        self.new_key = Button(tr("Make a new key…"))
        self.keep_row = SettingRow(
            tr("Keep running"),
            tr("when the panel closes"),
            tr(
                "The server runs on when the panel is closed, and is taken over when the panel is opened again. "
                "Otherwise it ends with the panel, however that ends."
            ),
        )
        self.start_row = SettingRow(
            tr("Start with the panel"),
            tr("each time it is opened"),
            tr("The tier is started, or taken over if it still runs, whenever the panel is opened."),
        )
        self.reach_row = SettingRow(
            tr("Reachable from"),
            tr("and who may use it"),
            tr(
                "Usually only programs on this computer reach the server. With the network, every computer that "
                "reaches this one does, and must know the API key."
            ),
        )
        self._add_switch(self.keep_row, self.keep, self._keep_word)
        self._add_switch(self.start_row, self.start, self._start_word)
        self.reach_row.set_content(row(self.reach, None))
        self.reach_row.set_below(self.new_key)
        self.reach.set_accessible_names(tr("Reachable from"))
        self._body_box.addWidget(self.reach_row)
        self.keep.switched.connect(self.keep_asked)
        self.start.switched.connect(self.start_asked)
        self.reach.chosen.connect(self._choose)
        self.new_key.clicked.connect(self.key_asked)

    def build(self) -> None:
        """All rows are there from the start."""

    def show_tier(self, tier: Tier, runs: TierRuns) -> None:
        """Show what is saved of `tier`, and where its running server is not like that yet."""
        ours = tier.url is None
        self.keep_row.setVisible(ours)
        self.reach_row.setVisible(ours)
        _turn(self.keep, self._keep_word, tier.keep_running)
        _turn(self.start, self._start_word, tier.start_with_panel)
        is_open = tier.is_open_to_the_network
        self.reach.set_current(NETWORK if is_open else HERE)
        self.new_key.setVisible(is_open)
        later = tr("From its next start on.")
        keep_later = runs.active and tier.keep_running and not runs.stays
        self.keep_row.show_note(tr("From its next start on; what runs now ends with the panel.") if keep_later else "")
        self.start_row.show_note("" if ours else tr("The panel connects to it; the server itself is somebody else's."))
        where = tr("Others use this computer's address and port {port}.", port=tier.port) if is_open else ""
        notes = [where, later if runs.active and runs.is_open is not is_open else ""]
        self.reach_row.show_note(" ".join(note for note in notes if note))
        self._count = 3 if ours else 1
        self._name()
        self.show_counts((ours and tier.keep_running) + tier.start_with_panel + (ours and is_open), 0)

    def filter(self, needle: str) -> None:
        """Show only what `needle` finds; the whole group goes where it finds nothing."""
        words = needle.casefold().split()
        rows = (self.keep_row, self.start_row, self.reach_row)
        found = any(
            all(word in f"{each.name.name}\n{each.name.toolTip()}".casefold() for word in words) for each in rows
        )
        self.show_filtered(bool(words) and found)
        self.setVisible(found)

    def _add_switch(self, line: SettingRow, switch: Switch, word: QLabel) -> None:
        switch.setAccessibleName(line.name.name)
        content = row(switch, word, None)
        content.setAlignment(switch, Qt.AlignmentFlag.AlignVCenter)
        line.set_content(content)
        self._body_box.addWidget(line)

    def _choose(self, key: str) -> None:
        if key != self.reach.current:
            self.network_asked.emit(key == NETWORK)


def _turn(switch: Switch, word: QLabel, on: bool) -> None:
    switch.show_state(on, True)
    word.setText(tr("on") if on else tr("off"))
    switch.setAccessibleDescription(word.text())
