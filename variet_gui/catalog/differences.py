"""What differs between two tiers or profiles, setting by setting, and how two changes of the same thing come together.

A setting is named by a key: a launch parameter by its own key ("ctx_size"), a variable as "environment.NAME", a variant
as "variants.NAME", everything else as it is called in the file ("extra_arguments", "port"). No launch parameter has the
name of another field of a tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from variet_gui.catalog.tiers import LaunchProfile, Tier

_BY_NAME = ("environment", "variants")


class Change(BaseModel):
    """One setting that is not what it was. None: not set."""

    model_config = ConfigDict(frozen=True)

    key: str
    before: JsonValue = None
    after: JsonValue = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """One setting that two sides changed in different ways. None: not set."""

    role: str
    key: str
    base: JsonValue
    ours: JsonValue
    theirs: JsonValue


def settings_of(what: Tier | LaunchProfile) -> dict[str, JsonValue]:
    """Return everything that is set, by key. What is empty counts as not set."""
    data: Mapping[str, Any] = what.as_stored() if isinstance(what, LaunchProfile) else what.model_dump(mode="json")
    settings: dict[str, JsonValue] = {}
    for name, value in data.items():
        if name == "parameters":
            settings.update(value)
        elif name in _BY_NAME:
            settings.update({f"{name}.{inner}": one for inner, one in value.items()})
        elif value is not None and value != [] and value != {}:
            settings[name] = value
    return settings


def profile_of(role: str, settings: Mapping[str, JsonValue]) -> LaunchProfile:
    """Return the launch profile that `settings` make. The reverse of `settings_of` for a profile."""
    values: dict[str, Any] = {}
    environment: dict[str, str] = {}
    extra: list[str] = []
    for key, value in settings.items():
        if key == "extra_arguments":
            extra = [str(word) for word in value] if isinstance(value, list) else []
        elif key.startswith("environment."):
            environment[key.removeprefix("environment.")] = str(value)
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    return LaunchProfile(role, MappingProxyType(values), tuple(extra), MappingProxyType(environment))


def changes_between(
    before: Tier | LaunchProfile | Mapping[str, JsonValue], after: Tier | LaunchProfile | Mapping[str, JsonValue]
) -> tuple[Change, ...]:
    """Return the settings that differ, in alphabetical order of their keys."""
    old = before if isinstance(before, Mapping) else settings_of(before)
    new = after if isinstance(after, Mapping) else settings_of(after)
    return tuple(
        Change(key=key, before=old.get(key), after=new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )


def merge_profiles(
    base: LaunchProfile, ours: LaunchProfile, theirs: LaunchProfile
) -> tuple[LaunchProfile, tuple[Conflict, ...]]:
    """Bring two changes of `base` together. Where both changed the same setting, ours stands and a conflict tells."""
    old, one, other = settings_of(base), settings_of(ours), settings_of(theirs)
    merged: dict[str, JsonValue] = {}
    conflicts: list[Conflict] = []
    for key in dict.fromkeys((*other, *one, *old)):
        before, mine, yours = old.get(key), one.get(key), other.get(key)
        if mine not in (before, yours) and yours != before:
            conflicts.append(Conflict(ours.role, key, before, mine, yours))
        chosen = yours if mine == before else mine
        if chosen is not None:
            merged[key] = chosen
    return profile_of(ours.role, merged), tuple(conflicts)
