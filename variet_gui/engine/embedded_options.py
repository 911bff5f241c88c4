"""What one flag of the embedded engine is, and the ways in which a flag can set something in the library.

The rows themselves are in `embedded_table`. An action writes into `Settings`: dotted attributes of xllamacpp's
`CommonParams` with plain values, so that a command line can be read, checked and tested without the library. The
checks and their wording mirror `common/arg.cpp` of llama.cpp. Nothing here is translated: it is llama-server's own
language, read by `engine.probe` and by people who know that program.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Raw = str | bool
"""What the parser hands to an action: the word behind a flag, or True / False for a flag that stands alone."""

_MAX_INTEGER = 2**31 - 1
_MINUS_INFINITY = float("-inf")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an enumeration of the library, by names."""

    enumeration: str
    name: str


@dataclass(frozen=True, slots=True)
class Leading:
    """The first numbers of a list whose length the library fixes; `rest` fills it up, None leaves the rest as it is."""

    numbers: tuple[float, ...]
    rest: float | None = None


@dataclass(frozen=True, slots=True)
class Processors:
    """Processors by number, out of a mask whose length the library fixes."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: a file, and how strongly it acts."""

    path: str
    scale: float


@dataclass(slots=True)
class Settings:
    """What a command line asks of the library: dotted attributes of `CommonParams` and their values."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Attribute to the flag that set it last, so that a refusal by the library can name the flag."""
    flag: str = ""
    """The flag that is being read."""

    def put(self, path: str, value: Any) -> None:
        """Set one attribute."""
        self.values[path] = value
        self.sources[path] = self.flag

    def add(self, path: str, *items: Any) -> None:
        """Append to a list."""
        self.put(path, (*self.values.get(path, ()), *items))

    def template_argument(self, name: str, value: Any) -> None:
        """Set one argument of the chat template; None removes it. The library wants each as JSON text."""
        arguments = {key: old for key, old in self.values.get("default_template_kwargs", {}).items() if key != name}
        if value is not None:
            arguments[name] = json.dumps(value)
        self.put("default_template_kwargs", arguments)


Action = Callable[[Settings, Raw], None]
"""Writes the value of one flag; raises ValueError with llama-server's wording when it is not allowed."""


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of `--help`. An option with a `hint` takes a value; one with `negative` spellings is a switch."""

    flags: tuple[str, ...]
    help: str
    action: Action
    hint: str = ""
    negative: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """Return all flags, the negative ones last."""
        return self.flags + self.negative


def option(usage: str, action: Action, help_text: str) -> Option:
    """Make a row from a line like "-kvo, --kv-offload / -nkvo, --no-kv-offload" or "-c, --ctx-size N"."""
    flags, _, negative = usage.partition(" / ")
    names, _, hint = flags.partition(" ")
    while names.endswith(","):
        name, _, hint = hint.partition(" ")
        names += name
    return Option(tuple(names.split(",")), help_text, action, hint, tuple(negative.split(", ")) if negative else ())


def as_integer(raw: Raw, minimum: int = -_MAX_INTEGER - 1, maximum: int = _MAX_INTEGER) -> int:
    """Return the whole number that `raw` spells."""
    try:
        number = int(str(raw))
    except ValueError:
        raise ValueError(f"invalid value: '{raw}' is not a whole number") from None
    if not minimum <= number <= maximum:
        raise ValueError(f"invalid value: {number} is out of range")
    return number


def as_number(raw: Raw, minimum: float = _MINUS_INFINITY) -> float:
    """Return the finite number that `raw` spells."""
    try:
        number = float(str(raw))
    except ValueError:
        raise ValueError(f"invalid value: '{raw}' is not a number") from None
    if not (minimum <= number < float("inf")) or number == _MINUS_INFINITY:
        raise ValueError(f"invalid value: {raw} is out of range")
    return number


def as_truth(raw: Raw) -> bool | None:
    """Return what `raw` says in one of llama-server's words for on and off; None for its words for auto."""
    for words, truth in (
        (("on", "enabled", "true", "1"), True),
        (("off", "disabled", "false", "0"), False),
        (("auto", "-1"), None),
    ):
        if raw in words:
            return truth
    raise ValueError(f"error: unknown value: '{raw}'")


def as_list(raw: Raw, separators: str = ",") -> tuple[str, ...]:
    """Return the parts between any of the separators, without blanks around them and without empty ones."""
    joined = str(raw)
    for separator in separators[1:]:
        joined = joined.replace(separator, separators[0])
    return tuple(part.strip() for part in joined.split(separators[0]) if part.strip())


def as_content(raw: Raw) -> str:
    """Return what the named file holds."""
    try:
        return Path(str(raw)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"error: failed to open file '{raw}' ({error})") from error


def nothing(settings: Settings, raw: Raw) -> None:
    """Accept what llama-server accepts and ignores, and what the parser does itself."""


def flag(path: str, value: Any = True) -> Action:
    """Set `path` to a fixed value when the flag is there."""
    return lambda settings, _: settings.put(path, value)


def switch(path: str) -> Action:
    """Set `path` to whether the positive spelling was used."""
    return lambda settings, raw: settings.put(path, raw)


def inverse(path: str) -> Action:
    """Set `path`, which says "no", to whether the negative spelling was used."""
    return lambda settings, raw: settings.put(path, not raw)


def integer(path: str, minimum: int = -_MAX_INTEGER - 1, maximum: int = _MAX_INTEGER) -> Action:
    """Set `path` to a whole number."""
    return lambda settings, raw: settings.put(path, as_integer(raw, minimum, maximum))


def number(path: str, minimum: float = _MINUS_INFINITY) -> Action:
    """Set `path` to a number."""
    return lambda settings, raw: settings.put(path, as_number(raw, minimum))


def text(path: str) -> Action:
    """Set `path` to the word itself."""
    return lambda settings, raw: settings.put(path, str(raw))


def listed(path: str) -> Action:
    """Append the parts of a comma list."""
    return lambda settings, raw: settings.add(path, *as_list(raw))


def content(path: str) -> Action:
    """Set `path` to what the named file holds."""
    return lambda settings, raw: settings.put(path, as_content(raw))


def folder(path: str) -> Action:
    """Set `path` to an existing folder, with the separator at its end that the library wants."""

    def write(settings: Settings, raw: Raw) -> None:
        if not Path(str(raw)).is_dir():
            raise ValueError(f"not a directory: {raw}")
        settings.put(path, str(raw).rstrip(os.sep) + os.sep)

    return write


def choice(path: str, enumeration: str, members: Mapping[str, str]) -> Action:
    """Set `path` to the member of `enumeration` that stands for the word."""

    def write(settings: Settings, raw: Raw) -> None:
        if raw not in members:
            raise ValueError(f"invalid value: '{raw}' (allowed values: {', '.join(members)})")
        settings.put(path, Member(enumeration, members[str(raw)]))

    return write


def on_or_off(path: str) -> Action:
    """Set `path` to on or off, given as a word."""

    def write(settings: Settings, raw: Raw) -> None:
        truth = as_truth(raw)
        if truth is None:
            raise ValueError(f"error: unknown value: '{raw}'")
        settings.put(path, truth)

    return write


def threads(path: str) -> Action:
    """Set a count of threads; zero and less mean all processors."""

    def write(settings: Settings, raw: Raw) -> None:
        count = as_integer(raw)
        settings.put(path, count if count > 0 else os.cpu_count() or 1)

    return write


def sampling(name: str, convert: Callable[[Raw], float], mark: str = "") -> Action:
    """Set a sampling default. `mark` tells the library that it was chosen here, so that the model's own stays out."""

    def write(settings: Settings, raw: Raw) -> None:
        settings.put(f"sampling.{name}", convert(raw))
        if mark:
            chosen = Member("common_params_sampling_config", f"COMMON_PARAMS_SAMPLING_CONFIG_{mark}")
            settings.add("sampling.user_sampling_config", chosen)

    return write


def template_argument(name: str) -> Action:
    """Set one argument of the chat template to whether the positive spelling was used."""
    return lambda settings, raw: settings.template_argument(name, raw)


def both(*actions: Action) -> Action:
    """Do several actions with the same value."""

    def write(settings: Settings, raw: Raw) -> None:
        for action in actions:
            action(settings, raw)

    return write
