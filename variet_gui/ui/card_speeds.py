"""The speeds on the tiers' cards: twice a second while anything runs, and at the end of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from variet_gui.chat.conversation import StreamState
from variet_gui.ui.widgets.tier_rail import TierRail

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

SPEED_PERIOD_MS = 500


class CardSpeeds(QObject):
    """Pulls what was measured last; a card keeps its figure until there is a newer one."""

    def __init__(self, bridge: Bridge, rail: TierRail, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._rail = rail
        self.timer = QTimer(self)
        self.timer.setInterval(SPEED_PERIOD_MS)
        self.timer.timeout.connect(self.show_speeds)
        bridge.answer_changed.connect(self._answer_changed)

    def follow(self, running: bool) -> None:
        """Look while something runs, and only then."""
        if running and not self.timer.isActive():
            self.timer.start()
        elif not running:
            self.timer.stop()

    def show_speeds(self) -> None:
        """Show the newest speed of every tier that is up."""
        store = self._bridge.panel.watch.store
        for role, card in self._rail.cards.items():
            speed = store.last(f"{role}.generation_tps") if card.status.state.is_up else None
            # The last speed that was measured stays: between two answers there is none, and that is not 0.
            if speed is not None:
                card.set_speed(speed)

    def _answer_changed(self, conversation_id: str, message_id: str) -> None:
        """An answer that has ended leaves the speed over all of it on the card."""
        for role, card in self._rail.cards.items():
            conversation = self._bridge.panel.converse.conversation(role)
            message = conversation.message(message_id) if conversation.id == conversation_id else None
            if message is None or message.state is StreamState.STREAMING or message.timings is None:
                continue
            if message.timings.generation_tps is not None:
                card.set_speed(message.timings.generation_tps)
