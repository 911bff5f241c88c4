"""From the bytes of a catalog file to a Catalog, or to a refusal that says where and why."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from variet_gui.catalog.parameter_values import shown
from variet_gui.catalog.parameters import ParameterError, check, closest_key, parameter
from variet_gui.catalog.tiers import SCHEMA, Catalog, Tier
from variet_gui.i18n import Message, msg, tr

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes. A catalog is a few kilobytes; anything larger is another file by mistake."""
DEEPEST = 100
"""Levels of lists and objects within each other."""

_VARIABLE_NAME = re.compile(r"[^=\x00-\x1f\x7f]+")


class CatalogError(Exception):
    """A catalog file that cannot be used: which file, where in it, what was found and what is allowed."""

    def __init__(self, file: Path, where: str, found: str, allowed: Message, message: Message | None = None) -> None:
        self.file = file
        self.where = where
        """The path inside the file, such as "tiers[1].acceptance.min_tps", or a line and column; may be empty."""
        self.found = found
        self.allowed = allowed
        if message is None and where:
            message = msg(
                "{file}: {where} is {found}. Allowed: {allowed}.", file=file, where=where, found=found, allowed=allowed
            )
        self.message = message or msg(
            "{file} holds {found}. Allowed: {allowed}.", file=file, found=found, allowed=allowed
        )
        super().__init__(str(file), where)

    def __str__(self) -> str:
        """Render the message in the current language."""
        return str(self.message)


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
    tiers = [_checked_tier(tier, index, file) for index, tier in enumerate(catalog.tiers)]
    return catalog if tiers == catalog.tiers else catalog.model_copy(update={"tiers": tiers})


def path_inside(parts: Iterable[str | int]) -> str:
    """Return the path of a value inside the file: `tiers[1].parameters.ctx_size`."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


# ---------------------------------------------------------------------------------------------------------------- JSON


class _UnusableJsonError(ValueError):
    """Found while parsing, where the file is not known."""

    def __init__(self, found: str, allowed: Message) -> None:
        super().__init__(found)
        self.found = found
        self.allowed = allowed


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
        where = tr("line {line}, column {column}", line=error.lineno, column=error.colno)
        rest = text[error.pos :].split("\n", 1)[0][:40]
        raise CatalogError(file, where, shown(rest) if rest.strip() else tr("the end of a line"), json_text) from error
    except _UnusableJsonError as error:
        raise CatalogError(file, "", error.found, error.allowed) from error
    except RecursionError as error:
        raise CatalogError(file, "", tr("too many brackets within each other"), json_text) from error
    if not isinstance(data, dict):
        raise CatalogError(file, "", shown(data), msg("an object in braces that holds a list of tiers"))
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        # Python would keep the last one in silence, and Save would then lose the others.
        raise _UnusableJsonError(tr("{name} twice in one object", name=shown(double)), msg("each name once"))
    return result


def _no_constant(name: str) -> float:
    raise _UnusableJsonError(name, msg("a finite number"))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _UnusableJsonError(text[:40], msg("a finite number"))
    return number


def _integer(text: str) -> int:
    if len(text) > 300:
        raise _UnusableJsonError(text[:40] + "…", msg("a number that is not so long"))
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


# --------------------------------------------------------------------------------------------------------------- tiers


def _checked_tier(tier: Tier, index: int, file: Path) -> Tier:
    values: dict[str, Any] = {}
    for key, value in tier.parameters.items():
        values[key] = _checked_parameter(key, value, index, file)
    for number, word in enumerate(tier.extra_arguments):
        if not word or not _is_plain(word):
            where = path_inside(["tiers", index, "extra_arguments", number])
            raise CatalogError(file, where, shown(word), msg("a text that can stand on a command line"))
    for name, value in tier.environment.items():
        if not _VARIABLE_NAME.fullmatch(name) or not _is_plain(name) or not _is_plain(value):
            where = path_inside(["tiers", index, "environment", name])
            raise CatalogError(file, where, shown(value), msg("a variable name without = and a text as its value"))
    return tier if values == tier.parameters else tier.model_copy(update={"parameters": values})


def _checked_parameter(key: str, value: object, index: int, file: Path) -> object:
    where = path_inside(["tiers", index, "parameters", key])
    try:
        checked = check(parameter(key), value)
    except KeyError:
        near = closest_key(key)
        allowed = msg("the name of a launch parameter, such as {key}", key=near or "ctx_size")
        if near is None:
            message = msg("{file}: {where}: no launch parameter is called {key}.", file=file, where=where, key=key)
        else:
            message = msg(
                "{file}: {where}: no launch parameter is called {key}; did you mean {near}?",
                file=file,
                where=where,
                key=key,
                near=near,
            )
        raise CatalogError(file, where, shown(key), allowed, message) from None
    except ParameterError as error:
        raise CatalogError(file, where, error.found, error.allowed) from error
    return list(checked) if isinstance(checked, tuple) else checked


def _is_plain(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


# -------------------------------------------------------------------------------------------- pydantic in plain words


def _translated(error: ErrorDetails, data: Mapping[str, Any], file: Path) -> CatalogError:
    location, kind = error["loc"], error["type"]
    if location[:1] == ("tiers",) and location[2:3] == ("parameters",) and len(location) > 3:
        index, key = location[1], location[3]
        if isinstance(index, int) and isinstance(key, str):
            try:
                _checked_parameter(key, data["tiers"][index]["parameters"][key], index, file)
            except CatalogError as located:
                return located
    if kind == "value_error" and (double := _double(data)) is not None:
        where, found = double
        return CatalogError(file, where, found, msg("a role and a port that no other tier has"))
    found = tr("missing") if kind == "missing" else shown(error["input"])
    context = error.get("ctx", {})
    translate = _RULES.get(kind)
    allowed = translate(context) if translate else msg("another value ({rule})", rule=error["msg"])
    return CatalogError(file, path_inside(location), found, allowed)


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
