"""What an exported command cannot say of a profile, in one line that travels with it.

A command line has no word for "this switch is off by being left away", for "the number of slots is not set", or for a
path that is relative; a router preset has none for a variable. So each exported tier carries a record: for every
setting that reading the command back would get wrong, what is read and what it was. The second counts only while the
command still says the first: whoever edits an exported file is believed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from variet_gui.catalog.differences import profile_of, settings_of
from variet_gui.catalog.importing import Imported
from variet_gui.catalog.launch_checks import usable_profile
from variet_gui.catalog.tiers import LaunchProfile

log = logging.getLogger(__name__)

MARK = "variet:"
"""Stands before a record, after the format's own sign for a comment."""

_SHELL_SPECIAL = re.compile(r"[%&|<>^!`$]")


class Record(BaseModel):
    """The difference between a profile and what its exported command says."""

    model_config = ConfigDict(frozen=True)

    port: int | None = None
    """Where the format has no place for it."""
    settings: dict[str, tuple[JsonValue, JsonValue]] = {}
    """By key (see `differences`): what is read from the command, and what it was. None: not set."""


def record_of(read: Imported, profile: LaunchProfile, port: int) -> Record:
    """Return what has to be remembered so that `read` becomes `profile` again."""
    found, wanted = settings_of(read.profile(profile.role)), settings_of(profile)
    return Record(
        port=None if read.port == port else port,
        settings={
            key: (found.get(key), wanted.get(key))
            for key in sorted(found.keys() | wanted.keys())
            if found.get(key) != wanted.get(key)
        },
    )


def encoded(record: Record) -> str | None:
    """Return the record as one line of ASCII that no shell would touch, or None when there is nothing to record."""
    data: dict[str, Any] = {}
    if record.port is not None:
        data["port"] = record.port
    if record.settings:
        data["settings"] = record.settings
    if not data:
        return None
    text = json.dumps(data, separators=(",", ":"))
    return f"{MARK} " + _SHELL_SPECIAL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def decoded(comment: str) -> Record | None:
    """Return the record that a comment (its sign taken off) holds; None: it is another comment, or damaged."""
    text = comment.strip()
    if not text.startswith(MARK):
        return None
    try:
        return Record.model_validate_json(text.removeprefix(MARK))
    except ValidationError as error:
        log.warning("the record of an exported file is damaged: %s", error)
        return None


def applied(read: Imported, record: Record | None) -> Imported:
    """Return what was exported, where the command still says what it said then."""
    if record is None:
        return read
    settings = settings_of(read.profile(""))
    for key, (said, was) in record.settings.items():
        if settings.get(key) != said:
            continue
        if was is None:
            settings.pop(key, None)
        else:
            settings[key] = was
    # The record is a line of a file that anybody can edit: it is checked like any other.
    profile, refused = usable_profile(profile_of("", settings))
    return replace(
        read,
        values=profile.values,
        extra_arguments=profile.extra_arguments,
        environment=_plain(profile.environment),
        port=read.port if read.port is not None else record.port,
        notes=(*read.notes, *refused),
    )


def _plain(environment: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(environment))
