"""Checks what a tier and its variants would put on a command line: parameters, extra arguments, environment."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from variet_gui.catalog.parameter_values import shown
from variet_gui.catalog.parameters import ParameterError, check, closest_key, parameter
from variet_gui.catalog.refusal import CatalogError, path_inside
from variet_gui.catalog.tiers import LaunchProfile, Tier, Variant
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg

LONGEST_NAME = 64
"""Characters of a variant's name."""

Where: TypeAlias = tuple[str | int, ...]
"""The path of a value inside the file."""

_VARIABLE_NAME = re.compile(r"[^=\x00-\x1f\x7f]+")


def checked_tier(tier: Tier, where: Where, file: Path) -> Tier:
    """Return `tier` with every launch parameter in its normal form, those of its variants too.

    Raises:
        CatalogError: located in `file`.
    """
    update: dict[str, Any] = {}
    values = _checked_launch(tier, where, file)
    if values != tier.parameters:
        update["parameters"] = values
    variants = {
        name: _checked_variant(name, variant, (*where, "variants", name), file)
        for name, variant in tier.variants.items()
    }
    if variants != tier.variants:
        update["variants"] = variants
    return tier.model_copy(update=update) if update else tier


def checked_parameter(key: str, value: object, where: Where, file: Path) -> object:
    """Return the value of one launch parameter in its normal form, as it stands in a file.

    Raises:
        CatalogError: located in `file` at `where`.
    """
    place = path_inside(where)
    try:
        checked = check(parameter(key), value)
    except KeyError:
        near = closest_key(key)
        allowed = msg("the name of a launch parameter, such as {key}", key=near or "ctx_size")
        if near is None:
            message = msg("{file}: {where}: no launch parameter is called {key}.", file=file, where=place, key=key)
        else:
            message = msg(
                "{file}: {where}: no launch parameter is called {key}; did you mean {near}?",
                file=file,
                where=place,
                key=key,
                near=near,
            )
        raise CatalogError(file, place, shown(key), allowed, message) from None
    except ParameterError as error:
        raise CatalogError(file, place, error.found, error.allowed) from error
    return list(checked) if isinstance(checked, tuple) else checked


def usable_profile(profile: LaunchProfile) -> tuple[LaunchProfile, tuple[Message, ...]]:
    """Return `profile` without the values that today's parameters do not take, and what is wrong with those.

    For profiles that an earlier version of this program wrote down.
    """
    values: dict[str, ParameterValue] = {}
    problems: list[Message] = []
    for key, value in profile.values.items():
        try:
            values[key] = check(parameter(key), value)
        except KeyError:
            problems.append(msg("No launch parameter is called {key}.", key=key))
        except ParameterError as refused:
            problems.append(refused.message)
    return replace(profile, values=MappingProxyType(values)), tuple(problems)


def is_variable_name(name: str) -> bool:
    """Whether `name` can name a variable of the environment."""
    return _VARIABLE_NAME.fullmatch(name) is not None and is_plain(name)


def is_plain(text: str) -> bool:
    """Whether the operating system can hand `text` to a program."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def is_variant_name(name: str) -> bool:
    """Whether `name` can name a variant: one line without spaces around it, not too long."""
    return 0 < len(name) <= LONGEST_NAME and name == name.strip() and name.isprintable()


def _checked_variant(name: str, variant: Variant, where: Where, file: Path) -> Variant:
    if not is_variant_name(name):
        allowed = msg("a name in one line of up to {count} characters", count=LONGEST_NAME)
        raise CatalogError(file, path_inside(where), shown(name), allowed)
    values = _checked_launch(variant, where, file)
    return variant if values == variant.parameters else variant.model_copy(update={"parameters": values})


def _checked_launch(stored: Tier | Variant, where: Where, file: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in stored.parameters.items():
        values[key] = checked_parameter(key, value, (*where, "parameters", key), file)
    for number, word in enumerate(stored.extra_arguments):
        if not word or not is_plain(word):
            place = path_inside((*where, "extra_arguments", number))
            raise CatalogError(file, place, shown(word), msg("a text that can stand on a command line"))
    for name, text in stored.environment.items():
        if not is_variable_name(name) or not is_plain(text):
            place = path_inside((*where, "environment", name))
            raise CatalogError(file, place, shown(text), msg("a variable name without = and a text as its value"))
    return values
