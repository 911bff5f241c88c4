"""The five tiers below each other; one of them is selected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from variet_gui.catalog.tiers import Tier
from variet_gui.events import ServerStatus
from variet_gui.i18n import tr
from variet_gui.panel.outlook_values import Outlook, Together
from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import GRID
from variet_gui.ui.widgets.tier_card import TierCard

WIDTH = 300


class TierRail(QFrame):
    """Holds one card per tier. Up and Down move between the cards, Enter or Space selects."""

    selected = Signal(str)
    start_asked = Signal(str)
    stop_asked = Signal(str)
    restart_asked = Signal(str)
    fix_asked = Signal(str, object)

    def __init__(self, tiers: Iterable[Tier] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cards: dict[str, TierCard] = {}
        self._current: str | None = None
        theme.mark(self, look="rail")
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(tr("Tiers"))
        self._column = QWidget()
        theme.mark(self._column, look="plain")
        self._box = QVBoxLayout(self._column)
        self._box.setContentsMargins(10, 10, 10, 10)
        self._box.setSpacing(GRID)
        self._box.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(self._column)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._scroll)
        self.set_tiers(tiers)

    def set_tiers(self, tiers: Iterable[Tier]) -> None:
        """Show these tiers; cards of the same roles are kept, in the order of `tiers`."""
        wanted = {tier.role: tier for tier in tiers}
        for role in [role for role in self.cards if role not in wanted]:
            card = self.cards.pop(role)
            self._box.removeWidget(card)
            card.hide()
            card.deleteLater()
        for position, (role, tier) in enumerate(wanted.items()):
            card = self.cards.get(role) or self._new_card(tier)
            card.set_tier(tier)
            self._box.insertWidget(position, card)
        if self._current not in wanted:
            self._current = None
            if wanted:
                self.select(next(iter(wanted)))

    @property
    def current(self) -> str | None:
        """The role of the selected tier; None without tiers."""
        return self._current

    def select(self, role: str) -> None:
        """Select `role`, scroll it into view and say so."""
        if role == self._current or role not in self.cards:
            return
        self._current = role
        for name, card in self.cards.items():
            card.set_selected(name == role)
        self._scroll.ensureWidgetVisible(self.cards[role], 0, GRID)
        self.selected.emit(role)

    def select_by_step(self, step: int) -> None:
        """Select the tier `step` places further down; at the ends nothing happens."""
        roles = list(self.cards)
        if self._current is not None:
            position = roles.index(self._current) + step
            if 0 <= position < len(roles):
                self.select(roles[position])

    def set_status(self, status: ServerStatus) -> None:
        """Hand `status` to the card of its role."""
        card = self.cards.get(status.role)
        if card is not None:
            card.set_status(status)

    def wait_for(self, role: str, others: Sequence[str]) -> None:
        """Let the card of `role` say that it is started once `others` have stopped."""
        card = self.cards.get(role)
        if card is not None:
            card.wait_for(others)

    def set_outlook(self, outlook: Outlook, together: Together | None = None) -> None:
        """Hand `outlook` to the card of its role."""
        card = self.cards.get(outlook.role)
        if card is not None:
            card.set_outlook(outlook, together)

    def _step(self, step: int) -> None:
        self.select_by_step(step)
        if self._current is not None:
            self.cards[self._current].setFocus(Qt.FocusReason.TabFocusReason)

    def _new_card(self, tier: Tier) -> TierCard:
        card = TierCard(tier)
        card.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        card.selected.connect(self.select)
        card.step_asked.connect(self._step)
        card.start_asked.connect(self.start_asked)
        card.stop_asked.connect(self.stop_asked)
        card.restart_asked.connect(self.restart_asked)
        card.fix_asked.connect(self.fix_asked)
        self.cards[tier.role] = card
        return card
