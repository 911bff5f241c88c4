"""Keeps "fits 10.8 / 11.4" on the tier cards true, for tiers that are not shown too; asked away from the GUI thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QObject, QTimer

from variet_gui.events import GpusSampled
from variet_gui.panel.outlook_values import Outlook, Together
from variet_gui.ui.widgets.tier_rail import TierRail

if TYPE_CHECKING:
    from variet_gui.panel.outlook import Outlooks
    from variet_gui.ui.bridge import Bridge

GATHER_MS = 150
"""Changes that follow each other this closely make one question a tier."""
_STEP_MIB = 50.0
"""GPU memory of other programs that moves less changes no word on a card."""


class RailOutlooks(QObject):
    """Asks for the outlook of every tier whose draft, engine or surroundings have changed."""

    def __init__(self, bridge: Bridge, rail: TierRail, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._rail = rail
        self._wanted: set[str] = set()
        self._asking: set[str] = set()
        self._held: tuple[int, ...] = ()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(GATHER_MS)
        self._soon.timeout.connect(self._ask)
        bridge.outlook_changed.connect(self._told)
        bridge.draft_changed.connect(self._want)
        bridge.catalog_changed.connect(self._want_all)
        bridge.server_changed.connect(lambda _: self._want_all())
        bridge.gpus_sampled.connect(self._gpus_sampled)
        self._want_all()

    def _want(self, role: str) -> None:
        self._wanted.add(role)
        self._soon.start()

    def _want_all(self) -> None:
        catalog = self._bridge.panel.tune.catalog
        self._wanted.update(catalog.roles if catalog is not None else ())
        self._soon.start()

    def _gpus_sampled(self, sampled: GpusSampled) -> None:
        held = tuple(round((gpu.memory_used_mib or 0.0) / _STEP_MIB) for gpu in sampled.samples)
        if held != self._held:
            self._held = held
            self._want_all()

    def _ask(self) -> None:
        catalog = self._bridge.panel.tune.catalog
        roles = self._wanted.intersection(catalog.roles if catalog is not None else ()) - self._asking
        self._wanted -= roles
        for role in roles:
            self._asking.add(role)
            self._bridge.call(
                asyncio.to_thread(_ask, self._bridge.panel.outlook, role),
                done=lambda told: self._take(*told),
                failed=lambda error, role=role: self._failed(role, error),
            )

    def _take(self, outlook: Outlook, together: Together) -> None:
        self._answered(outlook.role)
        # Edited meanwhile: the newer question is under way, and the Tune page has shown its answer already.
        if outlook.role not in self._wanted:
            self._show(outlook, together)

    def _failed(self, role: str, error: BaseException) -> None:
        self._answered(role)
        # A tier that left the catalog between question and answer is no error.
        if not isinstance(error, KeyError):
            self._bridge.show_error(error)

    def _answered(self, role: str) -> None:
        self._asking.discard(role)
        if self._wanted and shiboken6.isValid(self._soon):
            self._soon.start()

    def _told(self, outlook: Outlook, together: Together) -> None:
        """The Tune page has just asked for itself."""
        self._wanted.discard(outlook.role)
        self._show(outlook, together)

    def _show(self, outlook: Outlook, together: Together) -> None:
        if shiboken6.isValid(self._rail):
            self._rail.set_outlook(outlook, together)


def _ask(outlooks: Outlooks, role: str) -> tuple[Outlook, Together]:
    return outlooks.of(role), outlooks.together(role)
