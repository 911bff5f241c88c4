"""`drafts.json`: edits that were not saved, kept so that a crash does not take them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from variet_gui.catalog.catalog_name import CatalogName
from variet_gui.catalog.launch_checks import usable_profile
from variet_gui.catalog.tiers import LaunchProfile, Variant
from variet_gui.catalog.whole_file import set_aside, write_whole
from variet_gui.i18n import Message, msg
from variet_gui.panel.drafts import Draft

log = logging.getLogger(__name__)

SCHEMA = 1

_WRITING = threading.Lock()
"""Held while a file of drafts is read and written again. The lock of the data folder keeps other processes out."""


class _StoredDraft(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    base: Variant
    draft: Variant


class _StoredDrafts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    catalogs: dict[str, dict[str, _StoredDraft]] = Field(default_factory=dict)
    """By the name of the catalog (see `CatalogName`) and the role."""


class DraftFile:
    """The file of one data folder, as seen from one catalog; drafts of other catalogs in it are kept as they are.

    Several may be open on one file: each writes its own catalog's drafts into what the file holds at that moment. Its
    methods block on the disk.
    """

    def __init__(self, path: Path, catalog: Path) -> None:
        self.path = path
        self._catalog = CatalogName(catalog)
        self._hands_off = False

    def read(self) -> tuple[Mapping[str, Draft], tuple[Message, ...]]:
        """Return the drafts by role, and what has to be said of the file. Never raises: a start does not hang on it.

        A damaged file is set aside; one of a newer version, or that the system does not let us read, is never written.
        """
        try:
            stored, said = self._stored()
        except OSError as error:
            log.warning("%s cannot be read: %s", self.path, error)
            self._hands_off = True  # what stands in it may be somebody's work: the next write must not replace it
            problem = msg(
                "The unsaved edits in {file} cannot be read: {problem}", file=self.path, problem=error.strerror
            )
            return {}, (problem,)
        drafts: dict[str, Draft] = {}
        for role, found in self._ours(stored).items():
            profile, refused = usable_profile(LaunchProfile.of_stored(role, found.draft))
            drafts[role] = Draft(LaunchProfile.of_stored(role, found.base), profile)
            said += [msg("{role}: an unsaved edit was left out. {problem}", role=role, problem=one) for one in refused]
        return drafts, tuple(said)

    def write(self, drafts: Mapping[str, Draft]) -> None:
        """Keep `drafts` and nothing else of this catalog; without any draft of any catalog there is no file.

        Raises:
            OSError: the disk refused, or what the file holds cannot be read; it is as before.
        """
        with _WRITING:
            stored = _StoredDrafts() if self._hands_off else self._stored()[0]
            if self._hands_off:
                return
            catalogs: dict[str, Any] = {
                name: {role: one.model_dump(exclude_unset=True) for role, one in others.items()}
                for name, others in stored.catalogs.items()
                if not self._catalog.is_named(name)
            }
            if drafts:
                catalogs[self._catalog.text] = {
                    role: {"base": draft.base.as_stored(), "draft": draft.profile.as_stored()}
                    for role, draft in drafts.items()
                }
            if not catalogs:
                self.path.unlink(missing_ok=True)
                return
            document = {**(stored.model_extra or {}), "schema": SCHEMA, "catalogs": catalogs}
            # Half a character, as a broken clipboard gives it, must not cost the other drafts.
            write_whole(self.path, json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace"))

    def _ours(self, stored: _StoredDrafts) -> Mapping[str, _StoredDraft]:
        """Return this catalog's drafts by role, whatever spelling of its path they were kept under."""
        ours: dict[str, _StoredDraft] = {}
        # What stands under the name that is written today counts last, and so more than what an older version wrote.
        for name in sorted(stored.catalogs, key=lambda name: name == self._catalog.text):
            if self._catalog.is_named(name):
                ours.update(stored.catalogs[name])
        return ours

    def _stored(self) -> tuple[_StoredDrafts, list[Message]]:
        """Return what the file holds now, and what has to be said of it.

        Raises:
            OSError: it is there and cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return _StoredDrafts(), []
        try:
            return _StoredDrafts.model_validate_json(content), []
        except ValidationError as error:
            return _StoredDrafts(), [self._refused(content, error)]

    def _refused(self, content: bytes, error: ValidationError) -> Message:
        if _schema_of(content) > SCHEMA:
            self._hands_off = True
            return msg(
                "{file} was written by a newer Variet. Its unsaved edits stay there, and none are kept from this one.",
                file=self.path,
            )
        try:
            aside = set_aside(self.path)
        except OSError as refused:
            log.exception("%s is damaged (%s) and could not be set aside", self.path, error)
            self._hands_off = True  # there is no other place for it: it must not be written over
            return msg(
                "The unsaved edits in {file} are damaged, and it cannot be renamed ({problem}). It stays as it is, and "
                "no unsaved edits are kept.",
                file=self.path,
                problem=refused.strerror or str(refused),
            )
        log.warning("%s is damaged (%s); kept as %s", self.path, error, aside.name)
        return msg(
            "The unsaved edits in {file} are damaged; they were kept as {aside}.", file=self.path, aside=aside.name
        )


def _schema_of(content: bytes) -> int:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return 0
    schema = document.get("schema") if isinstance(document, dict) else None
    return schema if isinstance(schema, int) else 0
