"""From the bytes of a catalog file to a Catalog, or to a refusal that says where and why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from variet_gui.catalog.json_places import line_and_column, place_of_depth, place_of_double_name, place_of_word
from variet_gui.catalog.launch_checks import checked_parameter, checked_tier
from variet_gui.catalog.parameter_values import shown
from variet_gui.catalog.refusal import CatalogError, path_inside
from variet_gui.catalog.tiers import SCHEMA, Catalog
from variet_gui.i18n import Message, msg, tr

__all__ = ["CatalogError", "check_catalog", "path_inside", "read_catalog"]

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes. A catalog is a few kilobytes; anything larger is another file by mistake."""
DEEPEST = 100
"""Levels of lists and objects within each other."""


def read_catalog(content: bytes, file: Path) -> tuple[Catalog, dict[str, Any]]:
    """Return the catalog that `content` holds, and the plain data that it was made from.

    Raises:
        CatalogError: `content` is no catalog; located in `file`.
    """
    data = _parse(content, file)
    return check_catalog(data, file), data


def check_catalog(data: dict[str, Any], file: Path) -> Catalog:
    """Return the catalog in plain `data`, its launch parameters checked and in their normal form.

    Raises:
        CatalogError: located in `file`.
    """
    schema = data.get("schema", SCHEMA)
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        message = msg(
            "{file} was written by a newer Variet: schema {found}; this one reads {schema}. Nothing was changed in it.",
            file=file,
            found=schema,
            schema=SCHEMA,
        )
        raise CatalogError(file, "schema", str(schema), msg("{schema} or less", schema=SCHEMA), message)
    try:
        catalog = Catalog.model_validate(data)
    except ValidationError as error:
        raise _translated(error.errors(include_url=False)[0], data, file) from error
    tiers = [checked_tier(tier, ("tiers", index), file) for index, tier in enumerate(catalog.tiers)]
    return catalog if tiers == catalog.tiers else catalog.model_copy(update={"tiers": tiers})


# ---------------------------------------------------------------------------------------------------------------- JSON


class _UnusableJsonError(ValueError):
    """Found while parsing, where the file is not known."""

    def __init__(self, found: str, allowed: Message, word: str | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.allowed = allowed
        self.word = word
        """As it stands in the text; None: a name that an object says twice."""


def _parse(content: bytes, file: Path) -> dict[str, Any]:
    json_text = msg("a JSON document")
    if len(content) > LARGEST_FILE:
        raise CatalogError(file, "", tr("{count} bytes", count=len(content)), msg("a catalog of a few kilobytes"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = tr("byte {position}", position=error.start)
        raise CatalogError(file, where, f"0x{content[error.start]:02x}", msg("text in UTF-8")) from error
    try:
        data = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
        _check_depth(data)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].split("\n", 1)[0][:40]
        found = shown(rest) if rest.strip() else tr("the end of a line")
        raise CatalogError(file, _where(text, error.pos), found, json_text) from error
    except _UnusableJsonError as error:
        place = place_of_double_name(text) if error.word is None else place_of_word(text, error.word)
        raise CatalogError(file, _where(text, place), error.found, error.allowed) from error
    except RecursionError as error:
        where = _where(text, place_of_depth(text, DEEPEST))
        raise CatalogError(file, where, tr("too many brackets within each other"), json_text) from error
    if not isinstance(data, dict):
        raise CatalogError(file, "", shown(data), msg("an object in braces that holds a list of tiers"))
    return data


def _where(text: str, position: int) -> str:
    line, column = line_and_column(text, position)
    return tr("line {line}, column {column}", line=line, column=column)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        # Python would keep the last one in silence, and Save would then lose the others.
        raise _UnusableJsonError(tr("{name} twice in one object", name=shown(double)), msg("each name once"))
    return result


def _no_constant(name: str) -> float:
    raise _UnusableJsonError(name, msg("a finite number"), name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _UnusableJsonError(text[:40], msg("a finite number"), text)
    return number


def _integer(text: str) -> int:
    if len(text) > 300:
        raise _UnusableJsonError(text[:40] + "…", msg("a number that is not so long"), text)
    return int(text)


def _check_depth(data: object) -> None:
    level = [data]
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise RecursionError


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# -------------------------------------------------------------------------------------------- pydantic in plain words


def _translated(error: ErrorDetails, data: Mapping[str, Any], file: Path) -> CatalogError:
    location, kind = error["loc"], error["type"]
    if (located := _refused_parameter(location, data, file)) is not None:
        return located
    if kind == "value_error" and (double := _double(data)) is not None:
        where, found = double
        return CatalogError(file, where, found, msg("a role and a port that no other tier has"))
    found = tr("missing") if kind == "missing" else shown(error["input"])
    context = error.get("ctx", {})
    translate = _RULES.get(kind)
    allowed = translate(context) if translate else msg("another value ({rule})", rule=error["msg"])
    return CatalogError(file, path_inside(location), found, allowed)


def _refused_parameter(location: tuple[str | int, ...], data: Mapping[str, Any], file: Path) -> CatalogError | None:
    """Return what the parameter's own row says of a value that has the wrong type."""
    if location[:1] != ("tiers",):
        return None
    depth = 4 if location[2:3] == ("variants",) else 2
    if location[depth : depth + 1] != ("parameters",) or len(location) < depth + 2:
        return None
    where = location[: depth + 2]
    value: Any = data
    for part in where:
        value = value[part]
    try:
        checked_parameter(str(where[-1]), value, where, file)
    except CatalogError as refused:
        return refused
    return None


def _double(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return where the first role or port stands that an earlier tier has already."""
    for name in ("role", "port"):
        seen = set()
        for index, tier in enumerate(data["tiers"]):
            value = str(tier[name])
            if value in seen:
                return path_inside(["tiers", index, name]), shown(tier[name])
            seen.add(value)
    return None


_Rule = Callable[[Mapping[str, Any]], Message]

_TEXT: _Rule = lambda _: msg("a text")  # noqa: E731 - one line each, in a table
_WHOLE: _Rule = lambda _: msg("a whole number")  # noqa: E731
_NUMBER: _Rule = lambda _: msg("a number")  # noqa: E731
_BOOLEAN: _Rule = lambda _: msg("true or false")  # noqa: E731
_LIST: _Rule = lambda _: msg("a list in square brackets")  # noqa: E731
_OBJECT: _Rule = lambda _: msg("an object in braces")  # noqa: E731

_RULES: Mapping[str, _Rule] = {
    "missing": lambda _: msg("a value; it may not be left out"),
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "list_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "greater_than": lambda context: msg("a number above {limit}", limit=context["gt"]),
    "greater_than_equal": lambda context: msg("a number from {limit} up", limit=context["ge"]),
    "less_than_equal": lambda context: msg("a number up to {limit}", limit=context["le"]),
    "too_short": lambda context: msg("a list with at least {count} entry", count=context["min_length"]),
    "too_long": lambda context: msg("a list with at most {count} entries", count=context["max_length"]),
    "string_pattern_mismatch": lambda _: msg("up to 32 small letters, digits and dashes, not beginning with a dash"),
}
