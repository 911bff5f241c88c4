"""Where a tier has no room beside those that run: one question, whose first answer does everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from variet_gui.i18n import tr
from variet_gui.panel.switching import SwitchPlan
from variet_gui.ui.widgets import tier_life
from variet_gui.ui.widgets.tier_rail import TierRail

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


class SwitchTools(QObject):
    """Asks, and lets the cards tell how the switch goes."""

    def __init__(self, bridge: Bridge, rail: TierRail, window: QWidget) -> None:
        super().__init__(window)
        self._bridge = bridge
        self._window = window
        self.box: QMessageBox | None = None
        """The question, while it is open."""
        bridge.switch_offered.connect(self.ask)
        bridge.switching.connect(rail.wait_for)

    def ask(self, plan: SwitchPlan) -> None:
        """Ask what to do; pressing Enter switches."""
        if self.box is not None:
            return  # one question at a time: the tier's card has the same answers
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(tr("No room for {role}", role=plan.role))
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(str(plan.why or ""))
        switch = box.addButton(switch_words(plan).replace("&", "&&"), QMessageBox.ButtonRole.AcceptRole)
        beside = box.addButton(tr("Start anyway"), QMessageBox.ButtonRole.DestructiveRole)
        cancel = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(switch)
        box.setEscapeButton(cancel)
        switch.clicked.connect(lambda _: self._bridge.switch(plan.role, plan.stopping))
        beside.clicked.connect(lambda _: self._bridge.start_anyway(plan.role))
        box.finished.connect(self._closed)
        self.box = box
        box.open()

    def _closed(self, _: int) -> None:
        if self.box is not None:
            self.box.deleteLater()
            self.box = None


def switch_words(plan: SwitchPlan) -> str:
    """Return what pressing the button does, and how long it will take where earlier loads tell."""
    others = ", ".join(plan.stopping)
    if plan.seconds is None:
        return tr("Switch: stop {others}, start {role}", others=others, role=plan.role)
    return tr(
        "Switch: stop {others}, start {role} (about {time})",
        others=others,
        role=plan.role,
        time=tier_life.duration(max(plan.seconds, 1.0)),
    )
