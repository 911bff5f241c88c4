"""The parameter table and its functions: one row for each launch parameter of llama-server.

From a row come the widget, the check, the command line, the way back from a pasted command line, the help in
docs/parameters.md and the tests.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from variet_gui.catalog.left_out import LEFT_OUT, LeftOut, Reason
from variet_gui.catalog.parameter_table import PARAMETERS
from variet_gui.catalog.parameter_text import format_value, parse_text
from variet_gui.catalog.parameter_types import (
    Cost,
    Group,
    Kind,
    OlderForm,
    Parameter,
    ParameterError,
    Removed,
    Scale,
)
from variet_gui.catalog.parameter_values import allowed, argument, check, parse_argument

__all__ = [
    "LEFT_OUT",
    "PARAMETERS",
    "Cost",
    "FlagUse",
    "Group",
    "Kind",
    "LeftOut",
    "OlderForm",
    "Parameter",
    "ParameterError",
    "Reason",
    "Removed",
    "Scale",
    "allowed",
    "argument",
    "by_flag",
    "check",
    "closest_key",
    "environment_use",
    "essential_parameters",
    "flag_use",
    "format_value",
    "in_group",
    "left_out",
    "normalised",
    "parameter",
    "parse_argument",
    "parse_text",
]


@dataclass(frozen=True, slots=True)
class FlagUse:
    """What one spelling on a command line means."""

    parameter: Parameter
    negative: bool = False
    """It turns a switch off."""
    removed: Removed | None = None
    """It is a spelling that newer builds refuse."""


def parameter(key: str) -> Parameter:
    """Return the row called `key`.

    Raises:
        KeyError: there is none; the message names the closest.
    """
    try:
        return _BY_KEY[key]
    except KeyError:
        near = closest_key(key)
        hint = f"; did you mean {near!r}?" if near else ""
        raise KeyError(f"no launch parameter is called {key!r}{hint}") from None


def closest_key(key: str) -> str | None:
    """Return the key that was probably meant by `key`: a misspelling, or any spelling of its flag."""
    use = flag_use(key if key.startswith("-") else "--" + key) or flag_use("-" + key)
    if use is not None:
        return use.parameter.key
    near = difflib.get_close_matches(key.lower().strip("-").replace("-", "_"), _BY_KEY, n=1, cutoff=0.6)
    return near[0] if near else None


def by_flag(flag: str) -> Parameter | None:
    """Return the row that `flag` belongs to, in any spelling, old, negative or removed; None: no row has it."""
    use = flag_use(flag)
    return use.parameter if use else None


def flag_use(flag: str) -> FlagUse | None:
    """Return what `flag` means, or None when no row has it."""
    return _BY_FLAG.get(normalised(flag))


def left_out(flag: str) -> LeftOut | None:
    """Return why `flag` has no row, or None when it has one or is unknown."""
    return _LEFT_OUT_BY_FLAG.get(normalised(flag))


def environment_use(name: str) -> FlagUse | None:
    """Return what the environment variable `name` of llama-server means, or None when no row has it."""
    return _BY_ENVIRONMENT.get(name)


def normalised(flag: str) -> str:
    """Return `flag` as llama-server reads it: underscores of long flags become dashes."""
    return flag.replace("_", "-") if flag.startswith("--") else flag


def essential_parameters() -> tuple[Parameter, ...]:
    """Return the rows that show without unfolding anything, in order."""
    return tuple(row for row in PARAMETERS if row.essential)


def in_group(group: Group) -> tuple[Parameter, ...]:
    """Return the rows of `group`, in order."""
    return tuple(row for row in PARAMETERS if row.group is group)


def _flags_of(row: Parameter) -> Iterator[tuple[str, FlagUse]]:
    for flag in row.spellings:
        yield flag, FlagUse(row)
    for flag in row.negatives:
        yield flag, FlagUse(row, negative=True)
    for removed in row.replaced:
        for flag in (removed.flag, *removed.aliases):
            yield flag, FlagUse(row, removed=removed)


def _environment_of(row: Parameter) -> Iterator[tuple[str, FlagUse]]:
    if row.environment:
        yield row.environment, FlagUse(row)
        if row.negative_flag:
            # LLAMA_ARG_NO_X with any value turns X off (common/arg.cpp, get_value_from_env).
            yield row.environment.replace("LLAMA_ARG_", "LLAMA_ARG_NO_", 1), FlagUse(row, negative=True)
    for removed in row.replaced:
        for name in removed.environment:
            yield name, FlagUse(row, removed=removed)


_BY_KEY = {row.key: row for row in PARAMETERS}
_BY_FLAG = {flag: use for row in PARAMETERS for flag, use in _flags_of(row)}
_BY_ENVIRONMENT = {name: use for row in PARAMETERS for name, use in _environment_of(row)}
_LEFT_OUT_BY_FLAG = {flag: entry for entry in LEFT_OUT for flag in entry.flags}
