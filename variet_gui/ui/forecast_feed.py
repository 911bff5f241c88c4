"""Keeps the forecast card of the Tune page true: at every step of a slider, and once the slider rests.

Bars follow in the tick of the edit. What takes longer waits for a rest: fixes are searched for, and llama-server itself
is asked, on the core; whatever comes back for values that are no longer set is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QEvent, QObject, QTimer

from variet_gui.catalog.parameters import ParameterError
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ServerStatus, Severity
from variet_gui.forecast.fixes import Fix
from variet_gui.forecast.values import Verdict
from variet_gui.i18n import msg
from variet_gui.panel.outlook_values import CheckError, ExactFigures, Outlook, Together
from variet_gui.ui.widgets.forecast_card import ForecastCard

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

_STEP_MIB = 100.0
"""GPU memory of other programs that moves less is no reason to look for other fixes."""
REST_MS = 300
"""How long nothing has to change before fixes and exact figures are asked for."""


class ForecastFeed(QObject):
    """Asks for one tier's outlook and hands it to the card and, through the bridge, to whoever else shows it."""

    def __init__(
        self, bridge: Bridge, card: ForecastCard, held: Callable[[], bool], parent: QObject | None = None
    ) -> None:
        """`held` returns whether a slider is being dragged."""
        super().__init__(parent)
        self._bridge = bridge
        self._card = card
        self._held = held
        self._role: str | None = None
        self._profile: LaunchProfile | None = None
        self._stale = True
        self._edited = False
        self._turn = 0
        """Grows when values change; what was asked in an earlier turn is not shown."""
        self._offered: object = None
        """What the fixes on the card are for."""
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._rested)
        card.installEventFilter(self)
        card.fix_asked.connect(self._apply)
        card.start_asked.connect(self._start_anyway)
        card.exact.asked.connect(self._check)
        card.exact.cancelled.connect(self._give_up)
        bridge.draft_changed.connect(self._note_draft)
        bridge.catalog_changed.connect(self._note)
        bridge.gpus_sampled.connect(self._look_again)
        bridge.server_changed.connect(self._server_changed)

    # ------------------------------------------------------------------------------------------------- the page

    def show_role(self, role: str) -> None:
        """Show the draft of `role` as it is now; asks only where something has changed since."""
        if role != self._role:
            self._give_up()
            self._role, self._profile, self._edited, self._offered = role, None, False, None
            self._card.fixes.clear()
            self._card.exact.show_nothing()
            self._stale = True
        if self._stale:
            self._ask()

    def follow(self) -> None:
        """Let the bars follow in this very tick: a slider has moved. The rest comes with the page's own refresh."""
        role, catalog = self._role, self._bridge.panel.tune.catalog
        if role is not None and catalog is not None and role in catalog.roles:
            self._card.follow(self._bridge.panel.outlook.of(role))

    def settle(self) -> None:
        """A slider was let go: what takes longer may be asked for soon."""
        if self._edited:
            self._rest.start()

    # -------------------------------------------------------------------------------------------------- asking

    def _ask(self) -> None:
        role = self._role
        catalog = self._bridge.panel.tune.catalog
        if role is None or catalog is None or role not in catalog.roles:
            return
        profile = self._bridge.panel.tune.draft(role)
        outlook = self._bridge.panel.outlook.of(role)
        together = self._together(role)
        self._stale = False
        if profile != self._profile:
            self._edited = self._profile is not None
            self._profile = profile
            self._turn += 1
            self._give_up()
            self._card.fixes.set_stale()
            self._rest.start()
        active = self._bridge.status(role).state.is_active
        self._card.set_outlook(outlook)
        self._card.set_stopped(not active)
        self._card.set_beside(together.text if not active else None)
        if outlook.exact is not None:
            self._card.show_exact(outlook.exact)
        if not self._rest.isActive() and self._offered != self._offer_key(outlook):
            self._rest.start()
        self._bridge.outlook_changed.emit(outlook, together)

    def _together(self, role: str) -> Together:
        catalog = self._bridge.panel.tune.catalog
        others = [other for other in catalog.roles if other != role] if catalog is not None else []
        if not any(self._bridge.status(other).state.is_active for other in others):
            return Together(role, True)
        return self._bridge.panel.outlook.together(role)

    def _offer_key(self, outlook: Outlook) -> object:
        """Return what fixes depend on: the values, the verdict, and roughly what other programs hold."""
        held = tuple(round(device.forecast.other_mib / _STEP_MIB) for device in outlook.devices)
        return self._turn, outlook.verdict, held

    def _start_anyway(self) -> None:
        if self._role is not None:
            self._bridge.start_anyway(self._role)

    def _rested(self) -> None:
        role, outlook = self._role, self._card.outlook
        if role is None or outlook is None or self._profile is None:
            return
        key = self._offer_key(outlook)
        if key != self._offered:
            self._offered = key
            if outlook.verdict in (Verdict.TIGHT, Verdict.DOES_NOT_FIT):
                self._card.fixes.show_searching()
                turn = self._turn
                self._bridge.call(
                    self._bridge.panel.outlook.fixes(role), done=lambda fixes: self._take_fixes(turn, fixes)
                )
            else:
                self._card.fixes.clear()
        if self._edited and not self._held():
            self._edited = False
            if outlook.exact is None:
                self._check()

    def _take_fixes(self, turn: int, fixes: tuple[Fix, ...]) -> None:
        if turn == self._turn and shiboken6.isValid(self._card):
            self._card.show_fixes(fixes)

    def _check(self) -> None:
        role, turn = self._role, self._turn
        if role is None or self._card.exact.asking:
            return

        def current() -> bool:
            return turn == self._turn and shiboken6.isValid(self._card) and self._card.exact.asking

        def done(figures: ExactFigures) -> None:
            if current():
                self._card.show_exact(figures)

        def failed(error: BaseException) -> None:
            if not isinstance(error, CheckError):
                self._bridge.show_error(error)
            if current():
                why = error.message if isinstance(error, CheckError) else msg("The check failed.")
                self._card.exact.show_refusal(str(why))

        self._card.exact.show_asking()
        self._bridge.call(self._bridge.panel.outlook.check(role), done=done, failed=failed)

    def _give_up(self) -> None:
        """End a check that is under way, and take away figures of other values."""
        if self._card.exact.asking and self._role is not None:
            self._bridge.call(_cancel(self._bridge, self._role))
        self._card.exact.show_nothing()

    def _apply(self, fix: Fix) -> None:
        if self._role is None:
            return
        try:
            self._bridge.panel.tune.edit_together(self._role, fix.set_values)
        except ParameterError as error:
            self._bridge.notify(Severity.WARNING, error.message)
        else:
            self._bridge.announce_draft(self._role)

    # ------------------------------------------------------------------------------------------------- hearing

    def _note(self) -> None:
        self._stale = True

    def _note_draft(self, role: str) -> None:
        if role == self._role:
            self._stale = True

    def _look_again(self, _: object) -> None:
        # Other programs hold more or less of a GPU than before; nobody sees it while another page is shown.
        self._stale = True
        if self._card.isVisible() and not self._held():
            self._ask()

    def _server_changed(self, _: ServerStatus) -> None:
        # Another tier's too: whether this one fits beside it.
        self._stale = True
        if self._card.isVisible():
            self._ask()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and self._stale:
            self._ask()
        return super().eventFilter(watched, event)


async def _cancel(bridge: Bridge, role: str) -> None:
    bridge.panel.outlook.cancel_check(role)
