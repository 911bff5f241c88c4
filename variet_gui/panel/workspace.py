"""The catalog in memory and the drafts on top of it: what everything that an operator does to a tier works on.

Reads and edits are in memory and guarded by a lock, so that the window may call them from its own thread in the same
tick as a slider moves. Only what is awaited touches the disk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from variet_gui.catalog.differences import Conflict
from variet_gui.catalog.revisions import RevisionStore
from variet_gui.catalog.store import CatalogError, CatalogStore
from variet_gui.catalog.tiers import Catalog, LaunchProfile, Tier
from variet_gui.events import CatalogChanged, EventStream, NoticeRaised, Severity
from variet_gui.i18n import Message, msg
from variet_gui.panel.draft_file import DraftFile
from variet_gui.panel.drafts import Drafts

log = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
"""Unsaved edits are written at most this often."""


class Workspace:
    """One catalog file with its drafts and, where there is a data folder, its revisions and the file of the drafts."""

    def __init__(
        self,
        store: CatalogStore,
        events: EventStream,
        data_dir: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.events = events
        self.lock = threading.RLock()
        self.catalog: Catalog | None = None
        self.error: CatalogError | None = None
        self.drafts = Drafts(clock)
        self.revisions = RevisionStore(data_dir / "revisions", store.path) if data_dir else None
        self._draft_file = DraftFile(data_dir / "drafts.json", store.path) if data_dir else None
        self._keeps_drafts = False
        self._written = 0
        """The version of the drafts that the file holds."""
        self.writing = asyncio.Lock()
        """Held while the catalog file is written and what was written becomes the catalog."""
        self._writing_drafts = threading.Lock()

    # ------------------------------------------------------------------------------------------------ the catalog

    async def load(self) -> None:
        """Read the catalog, making it from the template at the first start. A bad file becomes `error`.

        Edits that are not saved are kept and moved onto what the file says now.
        """
        try:
            catalog = await asyncio.to_thread(self.store.load)
        except CatalogError as refused:
            log.warning("the catalog was refused: %s", refused.message.english)
            with self.lock:
                self.catalog, self.error = None, refused
            self.events.publish(CatalogChanged())
            return
        for role, conflicts in self.adopt(catalog).items():
            self.events.publish(NoticeRaised(Severity.WARNING, _moved(role, conflicts)))

    def adopt(self, catalog: Catalog) -> Mapping[str, tuple[Conflict, ...]]:
        """Take `catalog`, as it was just read, and move the drafts onto it.

        Returns the roles whose drafts were moved, each with the settings that both sides changed; there ours stands.
        """
        moved: dict[str, tuple[Conflict, ...]] = {}
        with self.lock:
            self.catalog, self.error = catalog, None
            edited = self.drafts.pending()
            for tier in catalog.tiers:
                saved = LaunchProfile.of(tier)
                conflicts = self.drafts.rebase(saved)
                if tier.role in edited and edited[tier.role].base != saved and self.drafts.get(tier.role) is not None:
                    moved[tier.role] = conflicts
        self.events.publish(CatalogChanged())
        return moved

    def tier(self, role: str) -> Tier:
        """Return the saved tier.

        Raises:
            KeyError: no such role, or there is no catalog; the message says which.
        """
        catalog, error = self.catalog, self.error
        if catalog is None:
            raise KeyError(f"there is no catalog: {error.message.english if error else 'not loaded yet'}")
        return catalog.tier(role)

    async def save(self, role: str, note: str | None = None, rolled_back_to: str | None = None) -> None:
        """Write the draft of `role` into the catalog file and keep a revision.

        Raises:
            CatalogError: the file was changed from outside or has become unreadable; the draft is kept.
            OSError: it cannot be written; the draft is kept.
        """
        async with self.writing:
            before, profile = self.tier(role), self.draft(role)
            catalog = await asyncio.to_thread(self.store.save_profile, role, profile)
            after = catalog.tier(role)
            with self.lock:
                self.catalog = catalog
                self.drafts.settle(LaunchProfile.of(after))
            await self.record(before, after, note, rolled_back_to)
        self.events.publish(CatalogChanged(role))

    async def change(self, edit: Callable[[Catalog], Catalog]) -> None:
        """Write what `edit` makes of the catalog, other fields than launch profiles; each tier gets its revision.

        Raises:
            CatalogError, OSError: as `save`.
        """
        async with self.writing:
            before = self.catalog
            if before is None:
                return
            after = edit(before)
            await asyncio.to_thread(self.store.save, after)
            with self.lock:
                self.catalog = after
            for tier in after.tiers:
                await self.record(before.tier(tier.role), tier)
        for tier in after.tiers:
            self.events.publish(CatalogChanged(tier.role))

    async def change_tier(self, role: str, **update: object) -> None:
        """Write other fields of a tier than its launch profile.

        Raises:
            KeyError: no such role.
            CatalogError, OSError: as `save`.
        """
        self.tier(role)

        def edit(catalog: Catalog) -> Catalog:
            tiers = [tier.model_copy(update=update) if tier.role == role else tier for tier in catalog.tiers]
            return catalog.model_copy(update={"tiers": tiers})

        await self.change(edit)

    async def record(
        self, before: Tier, after: Tier, note: str | None = None, rolled_back_to: str | None = None
    ) -> None:
        """Keep a revision. Where that fails, the save itself stands, and a notice tells."""
        if self.revisions is None:
            return
        try:
            await asyncio.to_thread(self.revisions.record, before, after, note=note, rolled_back_to=rolled_back_to)
        except OSError as error:
            log.exception("no revision of %s could be kept", after.role)
            problem = error.strerror or str(error)
            text = msg("{role} was saved, but no revision could be kept: {problem}", role=after.role, problem=problem)
            self.events.publish(NoticeRaised(Severity.WARNING, text))

    # ------------------------------------------------------------------------------------------------- the drafts

    def saved(self, role: str) -> LaunchProfile:
        """Return the profile as it stands in the file."""
        return LaunchProfile.of(self.tier(role))

    def draft(self, role: str) -> LaunchProfile:
        """Return the profile with the operator's edits."""
        with self.lock:
            return self.drafts.get(role) or self.saved(role)

    def put(self, profile: LaunchProfile, *, key: str | None = None, gesture: object | None = None) -> LaunchProfile:
        """Let `profile` be the draft of its role; see `Drafts.put`."""
        with self.lock:
            self.drafts.put(self.saved(profile.role), profile, key=key, gesture=gesture)
            return self.draft(profile.role)

    async def restore_drafts(self) -> None:
        """Take up what was not saved when the panel ended, and keep edits from now on. Call it before `load`."""
        if self._draft_file is None:
            return
        drafts, notices = await asyncio.to_thread(self._draft_file.read)
        with self.lock:
            for draft in drafts.values():
                self.drafts.restore(draft)
            self._written = self.drafts.version
        self._keeps_drafts = True
        for notice in notices:
            self.events.publish(NoticeRaised(Severity.WARNING, notice))

    async def keep_drafts(self) -> None:
        """Write the drafts whenever they have changed, until cancelled."""
        failing = False
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            try:
                await self.write_drafts()
                failing = False
            except OSError as error:
                if not failing:
                    log.exception("the unsaved edits could not be written")
                    text = msg("Unsaved edits cannot be kept for a restart: {problem}", problem=error.strerror or error)
                    self.events.publish(NoticeRaised(Severity.WARNING, text))
                failing = True

    async def write_drafts(self) -> None:
        """Write the drafts if they have changed since the last time.

        Raises:
            OSError: the disk refused; they will be written at the next call.
        """
        if self._draft_file is None or not self._keeps_drafts:
            return
        await asyncio.to_thread(self._write_drafts, self._draft_file)

    def _write_drafts(self, file: DraftFile) -> None:
        # What is written is taken inside: a call that was given up and still runs cannot bring back older edits.
        with self._writing_drafts:
            with self.lock:
                version, drafts = self.drafts.version, self.drafts.pending()
            if version != self._written:
                file.write(drafts)
                self._written = version


def _moved(role: str, conflicts: tuple[Conflict, ...]) -> Message:
    if not conflicts:
        return msg("{role} was changed in the catalog file. Your unsaved edits were kept.", role=role)
    keys = ", ".join(conflict.key for conflict in conflicts)
    return msg(
        "{role} was changed in the catalog file, also in what you edited: {keys}. Your unsaved edits were kept.",
        role=role,
        keys=keys,
    )
