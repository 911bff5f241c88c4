"""Looks for fixes in a thread, one search per tier at a time; a draft that changes meanwhile is looked at instead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.fixes import Fix, fixes_for
from variet_gui.i18n import Message
from variet_gui.panel.outlook_basis import Basis

log = logging.getLogger(__name__)


class FixSearches:
    """The searches of one panel. Everything belongs to the core's loop."""

    def __init__(
        self, draft: Callable[[str], LaunchProfile], basis: Callable[[str, LaunchProfile], Basis | Message]
    ) -> None:
        """`draft` returns what is edited now; `basis` what its forecast is made from, or why there is none."""
        self._draft = draft
        self._basis = basis
        self._searches: dict[str, asyncio.Task[tuple[Fix, ...]]] = {}

    async def of(self, role: str) -> tuple[Fix, ...]:
        """Return what would make the draft fit, best first; all who wait are given the fixes of the newest draft.

        Raises:
            KeyError: there is no such tier, or no catalog.
        """
        search = self._searches.get(role)
        if search is None:
            search = asyncio.create_task(self._search(role), name=f"fixes of {role}")
            self._searches[role] = search
            search.add_done_callback(lambda _: self._searches.pop(role, None))
        return await asyncio.shield(search)

    async def of_profile(self, profile: LaunchProfile) -> tuple[Fix, ...]:
        """Return what would make a profile fit; takes some tenths of a second where it does not."""
        basis = self._basis(profile.role, profile)
        if isinstance(basis, Message):
            return ()
        return await asyncio.to_thread(
            fixes_for,
            basis.model,
            basis.profile,
            basis.machine.devices,
            projector=basis.projector,
            build=basis.build,
            calibration=basis.calibration,
        )

    async def close(self) -> None:
        """Give up every search."""
        searches = tuple(self._searches.values())
        for search in searches:
            search.cancel()
        for result in await asyncio.gather(*searches, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a search for fixes ended with an error", exc_info=result)

    async def _search(self, role: str) -> tuple[Fix, ...]:
        while True:
            profile = self._draft(role)
            found = await self.of_profile(profile)
            if self._draft(role) == profile:
                return found
