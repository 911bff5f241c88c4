"""The values of parameters as people type and read them."""

from __future__ import annotations

import re

from variet_gui.catalog.parameter_types import Kind, Parameter, ParameterError
from variet_gui.catalog.parameter_values import (
    FALSE_WORDS,
    INTEGER_PATTERN,
    TRUE_WORDS,
    check,
    error,
    grouped,
    number_or_text,
    plain_number,
    shown,
)
from variet_gui.events import ParameterValue
from variet_gui.i18n import msg, tr

_GROUPING = re.compile("[\u2009\u202f\u00a0 _']")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+")
_ABBREVIATED = re.compile(r"([0-9]{1,6})\s*[kK]")


def parse_text(parameter: Parameter, text: str) -> ParameterValue:
    """Return what a person typed: "262 144", "all", "0.43 : 0.57", "on".

    Raises:
        ParameterError: it is no value of this parameter.
    """
    text = text.strip()
    for number, meaning in parameter.specials.items():
        if text.casefold() == str(meaning).casefold():
            return check(parameter, number)
    match parameter.kind:
        case Kind.INTEGER | Kind.FRACTION:
            return check(parameter, _typed_number(parameter, text))
        case Kind.SWITCH:
            lowered = text.casefold()
            if lowered in TRUE_WORDS or lowered == tr("on").casefold():
                return True
            if lowered in FALSE_WORDS or lowered == tr("off").casefold():
                return False
            raise error(parameter, text)
        case Kind.RATIO:
            return check(parameter, _typed_ratio(parameter, text))
        case _:
            return check(parameter, text)


def format_value(parameter: Parameter, value: ParameterValue) -> str:
    """Return `value` for people: "262 144" with thin spaces, "all", "0.43 : 0.57", "on"."""
    if isinstance(value, bool):
        return tr("on") if value else tr("off")
    if isinstance(value, tuple):
        return " : ".join(plain_number(number) for number in value)
    if isinstance(value, int | float):
        special = parameter.specials.get(int(value)) if value == int(value) else None
        return str(special) if special is not None else grouped(value)
    return str(value)


def _typed_number(parameter: Parameter, text: str) -> int | float | str:
    plain = _GROUPING.sub("", text)
    if parameter.kind is Kind.INTEGER:
        if _THOUSANDS.fullmatch(plain):
            plain = plain.replace(",", "")
        if abbreviated := _ABBREVIATED.fullmatch(plain):
            suggestion = msg("the number written out: {number}", number=grouped(int(abbreviated[1]) * 1024))
            raise ParameterError(parameter.key, shown(text), suggestion)
        return int(plain) if INTEGER_PATTERN.fullmatch(plain) else text
    return number_or_text(plain.replace(",", ".") if plain.count(",") == 1 else plain)


def _typed_ratio(parameter: Parameter, text: str) -> tuple[float | str, ...]:
    if re.search("[:|;/]", text):
        # With another separator a comma can only be a decimal comma.
        parts = [part.replace(",", ".") for part in re.split(r"[:|;/]", text)]
    else:
        parts = re.split(r"\s*,\s*|\s+", text.strip("[]() "))
    if not all(parts):
        raise error(parameter, text)
    return tuple(number_or_text(_GROUPING.sub("", part)) for part in parts)
