"""Outside: somebody else writes the catalog file. It is noticed, told, and merged with what is edited here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from variet_gui.catalog.differences import Change, Conflict, changes_between, merge_profiles, profile_of, settings_of
from variet_gui.catalog.store import CatalogError
from variet_gui.catalog.tiers import SCHEMA, Catalog, LaunchProfile
from variet_gui.catalog.validation import read_catalog
from variet_gui.catalog.whole_file import write_whole
from variet_gui.events import CatalogChanged, CatalogFileChanged
from variet_gui.i18n import Message, msg
from variet_gui.panel.workspace import Workspace

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class OutsideChange:
    """How the catalog file differs from what was read or written here last."""

    file: Path
    changed: tuple[tuple[str, Change], ...] = ()
    """Role and setting, for tiers that are in both."""
    conflicts: tuple[Conflict, ...] = ()
    """Those of them that are being edited here as well, and in another way."""
    added: tuple[str, ...] = ()
    """Roles that are only in the file."""
    removed: tuple[str, ...] = ()
    """Roles that are only here."""
    problem: CatalogError | None = None
    """Why the new file cannot be used; then it can only be repaired, or overwritten by `keep_ours`."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the tiers that are not what they were."""
        return tuple(dict.fromkeys((*(role for role, _ in self.changed), *self.added, *self.removed)))

    @property
    def is_newer(self) -> bool:
        """Whether a newer version of this program wrote the file; it is never overwritten."""
        found = self.problem.found if self.problem is not None and self.problem.where == "schema" else ""
        return found.isdecimal() and int(found) > SCHEMA

    @property
    def text(self) -> Message:
        """Return what happened, in one sentence."""
        if self.problem is not None:
            return msg("The catalog file was changed by another program. {problem}", problem=self.problem.message)
        if not self.roles:
            return msg("{file} was changed by another program.", file=self.file)
        return msg("{file} was changed by another program: {roles}.", file=self.file, roles=", ".join(self.roles))


@dataclass(slots=True)
class _Look:
    """What was seen of the file the last time."""

    stamp: tuple[int, int] | None = None
    """Time of change, ns, and size."""
    doubtful: bool = False
    """It could not be read; perhaps it is only half written, so that it is looked at once more."""


@dataclass(slots=True)
class Outside:
    """Watches one catalog file. What it finds stays in `change` until it is decided, or the file is as it was."""

    workspace: Workspace
    change: OutsideChange | None = None
    _seen: _Look = field(default_factory=_Look)
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def watch(self, interval_s: float = LOOK_EVERY_S) -> None:
        """Look at the file again and again, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.check()
            except OSError:
                log.exception("%s cannot be looked at", self.workspace.store.path)

    async def check(self) -> OutsideChange | None:
        """Look at the file now, and announce a change that was not announced yet."""
        async with self._checking:
            return await self._check()

    async def _check(self) -> OutsideChange | None:
        store = self.workspace.store
        stamp = await asyncio.to_thread(_stamp, store.path)
        if stamp == self._seen.stamp and not self._seen.doubtful:
            return self.change
        if stamp is None or not await asyncio.to_thread(store.changed_outside):
            self._seen, self.change = _Look(stamp), None
            return None
        if self.workspace.catalog is None and self.workspace.error is not None:
            # Nothing is edited while there is no catalog: a repaired file is simply taken.
            self._seen = _Look(stamp)
            await self.workspace.load()
            return None
        found = self._compare(await asyncio.to_thread(_read, store.path))
        doubtful = found.problem is not None and stamp != self._seen.stamp
        self._seen = _Look(stamp, doubtful)
        if doubtful:
            return self.change
        self.change = found
        log.info("%s", found.text.english)
        self.workspace.events.publish(
            CatalogFileChanged(found.text, found.roles, len(found.conflicts), usable=found.problem is None)
        )
        return found

    async def accept_theirs(self) -> None:
        """Take the tiers as the file has them. Where it launches a tier otherwise, edits are dropped; undo has them.

        Raises:
            CatalogError: the file cannot be used; everything is as before.
        """
        workspace = self.workspace
        before = workspace.catalog
        await self._take()
        with workspace.lock:
            for tier in before.tiers if before is not None else ():
                catalog = workspace.catalog
                if catalog is not None and tier.role in catalog.roles:
                    saved = workspace.saved(tier.role)
                    if saved != LaunchProfile.of(tier):
                        workspace.put(saved)
        workspace.events.publish(CatalogChanged())

    async def merge(self, theirs: Collection[tuple[str, str]] = ()) -> tuple[Conflict, ...]:
        """Take the tiers as the file has them and keep every edit on top.

        Where both changed the same setting the edit stands, except for the (role, key) in `theirs`. Returns the
        conflicts as they were.

        Raises:
            CatalogError: the file cannot be used; everything is as before.
        """
        workspace = self.workspace
        found = await self._take()
        with workspace.lock:
            for role in {role for role, _ in theirs}:
                saved, draft = workspace.saved(role), settings_of(workspace.draft(role))
                wanted = settings_of(saved)
                for key in (key for named, key in theirs if named == role):
                    draft.pop(key, None)
                    if key in wanted:
                        draft[key] = wanted[key]
                workspace.put(profile_of(role, draft))
        workspace.events.publish(CatalogChanged())
        return found.conflicts

    async def keep_ours(self) -> Path | None:
        """Write the tiers as they are here over the file; the other content is kept beside it. Returns where.

        Edits that are not saved stay edits.

        Raises:
            CatalogError: a newer version wrote the file, or there is nothing here to write.
            OSError: it cannot be written; the file is as the other program left it.
        """
        workspace = self.workspace
        async with workspace.writing:
            aside = await self._overwrite(workspace.catalog)
        workspace.events.publish(CatalogChanged())
        return aside

    # -------------------------------------------------------------------------------------------------------------

    async def _take(self) -> OutsideChange:
        """Make the file's content the catalog, the drafts moved onto it. Returns how it differed."""
        workspace = self.workspace
        async with workspace.writing:
            catalog = await asyncio.to_thread(workspace.store.load)
            with workspace.lock:
                found = self._compare(catalog)
                workspace.adopt(catalog)
        self._decided()
        return found

    async def _overwrite(self, ours: Catalog | None) -> Path | None:
        store = self.workspace.store
        theirs = await asyncio.to_thread(_read, store.path)
        found = self._compare(theirs)
        if found.problem is not None and (found.is_newer or ours is None):
            raise found.problem
        if ours is None:
            return None
        aside = await asyncio.to_thread(_keep_beside, store.path)
        await asyncio.to_thread(store.save, ours, overwrite=True)
        for tier in ours.tiers:
            if isinstance(theirs, Catalog) and tier.role in theirs.roles:
                await self.workspace.record(theirs.tier(tier.role), tier)
        self._decided()
        return aside

    def _decided(self) -> None:
        self._seen, self.change = _Look(), None

    def _compare(self, theirs: Catalog | CatalogError) -> OutsideChange:
        path, ours = self.workspace.store.path, self.workspace.catalog
        if isinstance(theirs, CatalogError):
            return OutsideChange(path, problem=theirs)
        if ours is None:
            return OutsideChange(path, added=theirs.roles)
        changed: list[tuple[str, Change]] = []
        conflicts: list[Conflict] = []
        for tier in theirs.tiers:
            if tier.role in ours.roles:
                before = ours.tier(tier.role)
                changed += [(tier.role, change) for change in changes_between(before, tier)]
                base = LaunchProfile.of(before)
                conflicts += merge_profiles(base, self.workspace.draft(tier.role), LaunchProfile.of(tier))[1]
        return OutsideChange(
            path,
            tuple(changed),
            tuple(conflicts),
            added=tuple(role for role in theirs.roles if role not in ours.roles),
            removed=tuple(role for role in ours.roles if role not in theirs.roles),
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError as error:
        log.debug("%s is not there: %s", path, error)
        return None
    return status.st_mtime_ns, status.st_size


def _read(path: Path) -> Catalog | CatalogError:
    try:
        return read_catalog(path.read_bytes(), path)[0]
    except CatalogError as refused:
        return refused
    except OSError as error:
        problem = error.strerror or str(error)
        message = msg("{file} cannot be read: {problem}", file=path, problem=problem)
        return CatalogError(path, "", problem, msg("a file that can be read"), message)


def _keep_beside(path: Path) -> Path | None:
    """Copy the file, where there is one, under a name that is free."""
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    write_whole(aside, path.read_bytes())
    return aside
