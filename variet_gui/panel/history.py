"""History: the revisions of a tier as an operator uses them: look, compare, mark, go back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from variet_gui.catalog.differences import Change
from variet_gui.catalog.launch_checks import usable_profile
from variet_gui.catalog.revisions import CURRENT, Revision, RevisionNotFound, RevisionStore
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.i18n import Message
from variet_gui.panel.workspace import Workspace

__all__ = ["CURRENT", "History", "Revision", "RevisionNotFound"]


@dataclass(frozen=True, slots=True)
class History:
    """The revisions of one catalog. Everything awaited reads or writes files; RevisionNotFound and OSError may rise."""

    workspace: Workspace

    async def list(self, role: str) -> tuple[Revision, ...]:
        """Return the revisions of `role`, newest first; none where no data folder keeps them."""
        revisions = self.workspace.revisions
        return () if revisions is None else await asyncio.to_thread(revisions.list, role)

    async def diff(self, role: str, before: str, after: str = CURRENT) -> tuple[Change, ...]:
        """Return what differs between two revisions; CURRENT stands for the tier with the edits of today."""
        draft = self.workspace.draft(role).as_stored()
        current = self.workspace.tier(role).model_copy(update=draft)
        return await asyncio.to_thread(self._store().diff, before, after, current)

    async def mark_known_good(self, revision_id: str, good: bool = True) -> Revision:
        """Mark a revision as known to work, or take the mark back."""
        return await asyncio.to_thread(self._store().mark_known_good, revision_id, good)

    async def load(self, role: str, revision_id: str) -> tuple[Message, ...]:
        """Make the launch settings of a revision the draft of `role`, as one step that undo takes back.

        Returns what could not be taken over, because no parameter takes it any more.
        """
        profile, problems = await self._usable(role, revision_id)
        self.workspace.put(profile)
        return problems

    async def roll_back(self, role: str, revision_id: str) -> tuple[Message, ...]:
        """Make the launch settings of a revision those of the catalog file; that is a revision of its own.

        A running server goes on as it is. What was edited and not saved comes back by undo. Returns as `load`.

        Raises:
            CatalogError: as `Workspace.save`.
        """
        problems = await self.load(role, revision_id)
        await self.workspace.save(role, rolled_back_to=revision_id)
        return problems

    async def _usable(self, role: str, revision_id: str) -> tuple[LaunchProfile, tuple[Message, ...]]:
        revision = await asyncio.to_thread(self._store().get, revision_id)
        if revision.role != role:
            raise RevisionNotFound(revision_id)
        return usable_profile(revision.profile)

    def _store(self) -> RevisionStore:
        if self.workspace.revisions is None:
            raise RevisionNotFound(CURRENT)
        return self.workspace.revisions
