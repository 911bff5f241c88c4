"""`drafts.json`: edits that were not saved, kept so that a crash does not take them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from variet_gui.catalog.launch_checks import usable_profile
from variet_gui.catalog.tiers import LaunchProfile, Variant
from variet_gui.catalog.whole_file import write_whole
from variet_gui.i18n import Message, msg
from variet_gui.panel.drafts import Draft

log = logging.getLogger(__name__)

SCHEMA = 1


class _StoredDraft(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    base: Variant
    draft: Variant


class _StoredDrafts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    catalogs: dict[str, dict[str, _StoredDraft]] = Field(default_factory=dict)
    """By the path of the catalog file and the role."""


class DraftFile:
    """The file of one data folder, as seen from one catalog; drafts of other catalogs in it are kept as they are.

    Its methods block on the disk.
    """

    def __init__(self, path: Path, catalog: Path) -> None:
        self.path = path
        self._catalog = str(catalog)
        self._others: dict[str, dict[str, _StoredDraft]] = {}
        self._hands_off = False

    def read(self) -> tuple[Mapping[str, Draft], tuple[Message, ...]]:
        """Return the drafts by role, and what has to be said of the file. Never raises: a start does not hang on it.

        A damaged file is set aside; one of a newer version, or that the system does not let us read, is never written.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}, ()
        except OSError as error:
            log.warning("%s cannot be read: %s", self.path, error)
            self._hands_off = True  # what stands in it may be somebody's work: the next write must not replace it
            problem = msg(
                "The unsaved edits in {file} cannot be read: {problem}", file=self.path, problem=error.strerror
            )
            return {}, (problem,)
        try:
            stored = _StoredDrafts.model_validate_json(content)
        except ValidationError as error:
            return {}, (self._refused(content, error),)
        self._others = {catalog: drafts for catalog, drafts in stored.catalogs.items() if catalog != self._catalog}
        drafts: dict[str, Draft] = {}
        said: list[Message] = []
        for role, found in stored.catalogs.get(self._catalog, {}).items():
            profile, refused = usable_profile(LaunchProfile.of_stored(role, found.draft))
            drafts[role] = Draft(LaunchProfile.of_stored(role, found.base), profile)
            said += [msg("{role}: an unsaved edit was left out. {problem}", role=role, problem=one) for one in refused]
        return drafts, tuple(said)

    def write(self, drafts: Mapping[str, Draft]) -> None:
        """Keep `drafts` and nothing else of this catalog; without any draft there is no file.

        Raises:
            OSError: the disk refused; the file is as before.
        """
        if self._hands_off:
            return
        ours = {
            role: {"base": draft.base.as_stored(), "draft": draft.profile.as_stored()} for role, draft in drafts.items()
        }
        catalogs: dict[str, Any] = {
            catalog: {role: one.model_dump(exclude_unset=True) for role, one in drafts.items()}
            for catalog, drafts in self._others.items()
        }
        if ours:
            catalogs[self._catalog] = ours
        if not catalogs:
            self.path.unlink(missing_ok=True)
            return
        document = {"schema": SCHEMA, "catalogs": catalogs}
        write_whole(self.path, json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8"))

    def _refused(self, content: bytes, error: ValidationError) -> Message:
        if _schema_of(content) > SCHEMA:
            self._hands_off = True
            return msg(
                "{file} was written by a newer Variet. Its unsaved edits stay there, and none are kept from this one.",
                file=self.path,
            )
        aside = self.path.with_name(self.path.name + ".unreadable")
        log.warning("%s is damaged (%s); kept as %s", self.path, error, aside.name)
        try:
            self.path.replace(aside)
        except OSError:
            log.exception("%s could not be set aside", self.path)
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
