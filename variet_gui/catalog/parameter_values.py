"""The values of parameters: check one, read one from a command line, write one for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import TypeGuard

from variet_gui.catalog.parameter_types import Kind, Parameter, ParameterError
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg

MOST_DEVICES = 15
"""llama-server reads fewer than llama_max_devices() = 16 proportions (common/arg.cpp, --tensor-split)."""

INTEGER_PATTERN = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FLOAT_PATTERN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_THIN_SPACE = "\u2009"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
TRUE_WORDS = frozenset({"on", "true", "yes", "1", "enabled"})
FALSE_WORDS = frozenset({"off", "false", "no", "0", "disabled"})


def allowed(parameter: Parameter) -> Message:
    """Return what `parameter` accepts, in words that follow "Allowed: "."""
    return _ALLOWED[parameter.kind](parameter)


def check(parameter: Parameter, value: object) -> ParameterValue:
    """Return `value` in its normal form, or raise what is wrong with it.

    Lists become tuples, whole floats become integers where an integer is wanted, words and choices become lower case.

    Raises:
        ParameterError: names the key, what was found and what is allowed.
    """
    return _CHECKS[parameter.kind](parameter, value)


def parse_argument(parameter: Parameter, text: str) -> ParameterValue:
    """Return what `text` means behind the flag on llama-server's command line, or in its environment variable.

    Raises:
        ParameterError: llama-server would refuse it, or read something else than it says.
    """
    text = parameter.synonyms.get(text, text)
    match parameter.kind:
        case Kind.INTEGER:
            return check(parameter, int(text) if INTEGER_PATTERN.fullmatch(text) else text)
        case Kind.FRACTION:
            return check(parameter, number_or_text(text))
        case Kind.RATIO:
            # A separator at the end is nothing to llama-server (std::sregex_token_iterator).
            return check(parameter, tuple(number_or_text(part) for part in re.split("[,/]+", text.rstrip(",/"))))
        case Kind.SWITCH:
            lowered = text.casefold()
            if lowered not in TRUE_WORDS | FALSE_WORDS:
                raise error(parameter, text)
            return lowered in TRUE_WORDS
        case _:
            return check(parameter, text)


def argument(parameter: Parameter, value: ParameterValue) -> str:
    """Return `value` as it stands behind the flag on a command line. Not for switches without a value."""
    if parameter.kind is Kind.SWITCH:
        off, on = parameter.switch_values or ("off", "on")
        return on if value else off
    if isinstance(value, tuple):
        return ",".join(plain_number(number) for number in value)
    if isinstance(value, int | float):
        return plain_number(value)
    return str(value)


# ------------------------------------------------------------------------------------------------------------- checking


def error(parameter: Parameter, value: object) -> ParameterError:
    """Return the refusal of `value`."""
    return ParameterError(parameter.key, shown(value), allowed(parameter))


def shown(value: object) -> str:
    """Return `value` as it would stand in the file, shortened to fit into a sentence."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= 80 else text[:79] + "…"


def _check_integer(parameter: Parameter, value: object) -> ParameterValue:
    if isinstance(value, str) and value.lower() in parameter.words:
        return value.lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not _in_range(parameter, value):
        raise error(parameter, value)
    return value


def _check_fraction(parameter: Parameter, value: object) -> ParameterValue:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise error(parameter, value)
    try:
        number = float(value)
    except OverflowError as too_large:
        raise error(parameter, value) from too_large
    if not math.isfinite(number) or not _in_range(parameter, number):
        raise error(parameter, value)
    return number


def _in_range(parameter: Parameter, number: float) -> bool:
    if number in parameter.specials:
        return True
    low, high = parameter.minimum, parameter.maximum
    return (low is None or number >= low) and (high is None or number <= high)


def _check_choice(parameter: Parameter, value: object) -> ParameterValue:
    if not isinstance(value, str):
        raise error(parameter, value)
    chosen = value.lower()
    parts = chosen.split(",") if parameter.many else [chosen]
    if not all(part in parameter.choices for part in parts):
        raise error(parameter, value)
    return chosen


def _check_switch(parameter: Parameter, value: object) -> ParameterValue:
    if not isinstance(value, bool):
        raise error(parameter, value)
    return value


def _check_path(parameter: Parameter, value: object) -> ParameterValue:
    if not _is_usable_text(value) or _CONTROL.search(value):
        raise error(parameter, value)
    return value


def _is_usable_text(value: object) -> TypeGuard[str]:
    """Whether `value` is a text that can stand on a command line: not empty, no NUL, no half of a character."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _check_ratio(parameter: Parameter, value: object) -> ParameterValue:
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= MOST_DEVICES:
        raise error(parameter, value)
    numbers: list[float] = []
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e9:
            raise error(parameter, value)
        numbers.append(number)
    if not any(numbers):
        raise error(parameter, value)
    return tuple(numbers)


def _check_text(parameter: Parameter, value: object) -> ParameterValue:
    if not _is_usable_text(value):
        raise error(parameter, value)
    if parameter.pattern is not None and not re.fullmatch(parameter.pattern, value, re.ASCII):
        raise error(parameter, value)
    if parameter.json_object and not _is_json_object(value):
        raise error(parameter, value)
    return value


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


_CHECKS: dict[Kind, Callable[[Parameter, object], ParameterValue]] = {
    Kind.INTEGER: _check_integer,
    Kind.FRACTION: _check_fraction,
    Kind.CHOICE: _check_choice,
    Kind.SWITCH: _check_switch,
    Kind.PATH: _check_path,
    Kind.RATIO: _check_ratio,
    Kind.TEXT: _check_text,
}


# -------------------------------------------------------------------------------------------------- what is allowed


def _allowed_number(parameter: Parameter) -> Message:
    low, high = grouped(parameter.minimum or 0), grouped(parameter.maximum or 0)
    if parameter.kind is Kind.INTEGER:
        result = msg("a whole number from {minimum} to {maximum}", minimum=low, maximum=high)
    else:
        result = msg("a number from {minimum} to {maximum}", minimum=low, maximum=high)
    for number, meaning in parameter.specials.items():
        result = msg("{options} or {number} ({meaning})", options=result, number=number, meaning=meaning)
    for word in parameter.words:
        result = msg("{options} or {word}", options=result, word=shown(word))
    return result


def _allowed_choice(parameter: Parameter) -> Message:
    choices = ", ".join(parameter.choices)
    if parameter.many:
        return msg("one or more of {choices}, with commas between", choices=choices)
    return msg("one of {choices}", choices=choices)


def _allowed_path(parameter: Parameter) -> Message:
    if parameter.folder:
        return msg("the path of a folder, in one line")
    return msg("the path of a file, in one line")


def _allowed_text(parameter: Parameter) -> Message:
    if parameter.json_object:
        return msg("a JSON object such as {example}", example=parameter.example)
    return msg("a text such as {example}", example=parameter.example)


_ALLOWED: dict[Kind, Callable[[Parameter], Message]] = {
    Kind.INTEGER: _allowed_number,
    Kind.FRACTION: _allowed_number,
    Kind.CHOICE: _allowed_choice,
    Kind.SWITCH: lambda _: msg("true or false"),
    Kind.PATH: _allowed_path,
    Kind.RATIO: lambda _: msg(
        "a list of 1 to {most} numbers from 0 up, not all of them 0, such as [0.43, 0.57]", most=MOST_DEVICES
    ),
    Kind.TEXT: _allowed_text,
}


# -------------------------------------------------------------------------------------------------------- numbers


def number_or_text(text: str) -> int | float | str:
    """Return the number that `text` spells, or `text` itself, for `check` to refuse."""
    if INTEGER_PATTERN.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT_PATTERN.fullmatch(text) else text


def plain_number(number: float) -> str:
    """Return `number` as a command line wants it: 4096, 0.43."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return str(number)


def grouped(number: float) -> str:
    """Return `number` for people, with thin spaces between thousands."""
    plain = plain_number(number)
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    return sign + (f"{int(digits):,}".replace(",", _THIN_SPACE) if digits.isdigit() else digits)
