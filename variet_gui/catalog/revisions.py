"""What each Save has made of a tier: one JSON file a revision, so that any earlier state can be brought back."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from variet_gui.catalog.catalog_name import CatalogName
from variet_gui.catalog.differences import Change, changes_between
from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.catalog.whole_file import set_aside, write_whole
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

SCHEMA = 1
"""The version of a revision's file. Files of a newer one are left alone."""

KEPT = 50
"""Revisions of each tier; those that are marked known-good are kept beside them."""

CURRENT = "current"
"""Stands for the tier as it is now, where the id of a revision is asked for."""

_FILE_NAME = re.compile(r"(\d{6,})-([a-z0-9][a-z0-9-]{0,31})\.json")
_NUMBERED = re.compile(r"(\d{6,})-.*")
"""Also those that were set aside: the number of one is not given out again."""


class RevisionNotFound(Exception):  # noqa: N818 - what is the case, as everywhere in this house
    """A revision that does not exist (any more)."""

    def __init__(self, revision_id: str) -> None:
        super().__init__(revision_id)
        self.message: Message = msg("There is no revision {revision} any more.", revision=revision_id)


class Revision(BaseModel):
    """A tier as it was at one moment, and how it came to be so."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    id: str
    """"000012-fast": counts up over all tiers, so that the order does not hang on the clock."""
    catalog: str
    """The catalog file that it belongs to; see `CatalogName`."""
    role: str
    saved_at: AwareDatetime
    kind: Literal["saved", "found", "rolled_back"] = "saved"
    """saved: by Save. found: as it stood in the file before our first Save, or after somebody else changed it."""
    changes: tuple[Change, ...] = ()
    """Against the revision before; empty for the first of a tier."""
    note: str | None = None
    """The operator's own words."""
    rolled_back_to: str | None = None
    """The id of the revision that was brought back."""
    known_good: bool = False
    tier: Tier
    """The whole tier."""

    @property
    def profile(self) -> LaunchProfile:
        """Return what it would launch."""
        return LaunchProfile.of(self.tier)


class RevisionStore:
    """The revisions of one catalog file, in a folder. Its methods block on the disk and may be called from any thread.

    A file that cannot be understood is set aside with a line in the log, and never stands in the way.
    """

    def __init__(
        self,
        folder: Path,
        catalog: Path,
        *,
        kept: int = KEPT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._catalog = CatalogName(catalog)
        self._kept = kept
        self._now = now
        self._lock = threading.Lock()

    def record(
        self,
        before: Tier,
        after: Tier,
        *,
        note: str | None = None,
        rolled_back_to: str | None = None,
    ) -> Revision | None:
        """Keep what a Save made of `before`; None when it changed nothing.

        When `before` is not what the newest revision holds (the first Save, or the file was changed outside), it is
        kept as well: otherwise nothing could bring it back.

        Raises:
            OSError: the folder cannot be written to.
        """
        if not changes_between(before, after):
            return None
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            newest = next(iter(self._read_all(before.role)), None)
            if newest is None or changes_between(newest.tier, before):
                self._add(before, kind="found", changes=changes_between(newest.tier, before) if newest else ())
            added = self._add(
                after,
                kind="rolled_back" if rolled_back_to else "saved",
                changes=changes_between(before, after),
                # Half a character, as a broken clipboard gives it, must not cost the revision.
                note=(note or "").encode("utf-8", "replace").decode("utf-8") or None,
                rolled_back_to=rolled_back_to,
            )
            self._prune(after.role)
            return added

    def list(self, role: str) -> tuple[Revision, ...]:
        """Return the revisions of `role`, newest first."""
        with self._lock:
            return self._read_all(role)

    def get(self, revision_id: str) -> Revision:
        """Return one revision.

        Raises:
            RevisionNotFound: there is none of that id, or its file is damaged.
        """
        with self._lock:
            return self._get(revision_id)

    def diff(self, before: str, after: str, current: Tier | None = None) -> tuple[Change, ...]:
        """Return what differs between two revisions; either may be CURRENT, which stands for the tier `current`.

        Raises:
            RevisionNotFound: one of them does not exist.
        """
        return changes_between(self._state(before, current), self._state(after, current))

    def mark_known_good(self, revision_id: str, good: bool = True) -> Revision:
        """Mark a revision as one that is known to work, or take the mark back. Marked ones are never thrown away.

        Raises:
            RevisionNotFound: there is none of that id.
            OSError: it cannot be written; it is as before.
        """
        with self._lock:
            marked = self._get(revision_id).model_copy(update={"known_good": good})
            self._write(marked)
            return marked

    def roll_back(self, revision_id: str) -> LaunchProfile:
        """Return what the revision would launch; saving it makes a revision of its own.

        Raises:
            RevisionNotFound: there is none of that id.
        """
        return self.get(revision_id).profile

    # ------------------------------------------------------------------------------------------------------- files

    def _state(self, revision_id: str, current: Tier | None) -> Tier:
        if revision_id != CURRENT:
            return self.get(revision_id).tier
        if current is None:
            raise RevisionNotFound(revision_id)
        return current

    def _get(self, revision_id: str) -> Revision:
        path = self._folder / f"{revision_id}.json"
        found = self._read(path) if _FILE_NAME.fullmatch(path.name) else None
        if found is None or not self._catalog.is_named(found.catalog):
            raise RevisionNotFound(revision_id)
        return found

    def _read_all(self, role: str) -> tuple[Revision, ...]:
        found = (self._read(path) for number, name, path in self._files() if name == role)
        return tuple(
            revision for revision in found if revision is not None and self._catalog.is_named(revision.catalog)
        )

    def _files(self) -> Iterator[tuple[int, str, Path]]:
        """Yield number, role and path of every revision's file, newest first."""
        named = ((_FILE_NAME.fullmatch(path.name), path) for path in self._folder.glob("*.json"))
        matched = [(int(match[1]), match[2], path) for match, path in named if match]
        yield from sorted(matched, reverse=True)

    def _read(self, path: Path) -> Revision | None:
        try:
            content = path.read_bytes()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                log.warning("the revision %s cannot be read: %s", path, error)
            return None
        try:
            revision = Revision.model_validate_json(content)
        except ValidationError as error:
            if _is_newer(content):
                log.info("the revision %s was written by a newer Variet and is left alone", path)
            else:
                self._set_aside(path, error)
            return None
        return revision if revision.id == path.stem else revision.model_copy(update={"id": path.stem})

    @staticmethod
    def _set_aside(path: Path, error: Exception) -> None:
        try:
            aside = set_aside(path)
        except OSError:
            log.exception("the revision %s is damaged (%s) and could not be set aside", path, error)
        else:
            log.warning("the revision %s is damaged (%s); kept as %s", path, error, aside.name)

    def _add(
        self,
        tier: Tier,
        *,
        kind: Literal["saved", "found", "rolled_back"],
        changes: tuple[Change, ...],
        note: str | None = None,
        rolled_back_to: str | None = None,
    ) -> Revision:
        used = (_NUMBERED.fullmatch(path.name) for path in self._folder.iterdir())
        number = max((int(match[1]) for match in used if match), default=0) + 1
        revision = Revision(
            id=f"{number:06d}-{tier.role}",
            catalog=self._catalog.text,
            role=tier.role,
            saved_at=self._now(),
            kind=kind,
            changes=changes,
            note=note,
            rolled_back_to=rolled_back_to,
            tier=tier,
        )
        self._write(revision)
        return revision

    def _write(self, revision: Revision) -> None:
        text = revision.model_dump_json(indent=1)
        write_whole(self._folder / f"{revision.id}.json", text.encode("utf-8"))

    def _prune(self, role: str) -> None:
        for revision in self._read_all(role)[self._kept :]:
            if not revision.known_good:
                with contextlib.suppress(OSError):  # it will be tried again after the next Save
                    (self._folder / f"{revision.id}.json").unlink()


def _is_newer(content: bytes) -> bool:
    class Version(BaseModel):
        schema_version: int = Field(0, alias="schema")

    try:
        return Version.model_validate_json(content).schema_version > SCHEMA
    except ValidationError:
        return False
