"""Reading the embedded engine's command line as llama-server's parser reads its own, and printing its `--help`.

What is unknown, refused or wrong is named in llama-server's words (`common_params_parse_ex` in `common/arg.cpp`).
Environment variables (LLAMA_ARG_*) and llama.cpp's config.ini are not read: the command line is everything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from variet_gui.engine.embedded_options import Option, Settings
from variet_gui.engine.embedded_table import DEFAULTS, REFUSED, SECTIONS

_HELP_COLUMN = 40
_HELP_WIDTH = 70

OPTIONS: Mapping[str, Option] = {
    spelling: option for section in SECTIONS.values() for option in section for spelling in option.spellings
}
"""Every flag that is honoured, by every spelling."""


class ArgumentError(Exception):
    """The command line cannot be followed; its text is what llama-server would print on stderr before it exits."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a command line asks for."""

    settings: Settings
    instead: str | None = None
    """The flag that asks for a text instead of a server: "--help", "--version" or "--list-devices"."""
    warnings: tuple[str, ...] = field(default=())


def parse(arguments: Sequence[str]) -> Invocation:
    """Read a command line. `--version` and `--list-devices` end the reading at once, as in llama-server.

    Raises:
        ArgumentError: a flag is unknown, cannot be honoured, lacks its value or has a wrong one; or no model is named.
    """
    settings = Settings(dict(DEFAULTS))
    warnings: list[str] = []
    seen: set[str] = set()
    usage = False
    words = iter(arguments)
    for word in words:
        spelling = word.replace("_", "-") if word.startswith("--") else word
        option = _option(spelling)
        if spelling in ("--version", "--list-devices"):
            return Invocation(settings, spelling, tuple(warnings))
        usage = usage or spelling in ("-h", "--help", "--usage")
        if spelling in seen:
            warnings.append(
                f"DEPRECATED: argument '{spelling}' specified multiple times, use comma-separated values instead "
                "(only last value will be used)"
            )
        seen.add(spelling)
        settings.flag = spelling
        try:
            option.action(settings, _value(words) if option.hint else spelling not in option.negative)
        except ValueError as problem:
            raise argument_error(spelling, str(problem)) from problem
    if usage:
        return Invocation(settings, "--help", tuple(warnings))
    if not settings.values.get("model.path"):
        raise ArgumentError("error: --model is required: the embedded engine serves one model and has no router mode")
    return Invocation(settings, None, tuple(warnings))


def argument_error(spelling: str, problem: str) -> ArgumentError:
    """Return the error for a flag whose value is refused, with its entry of `--help`."""
    usage = f"\n\nusage:\n{help_entry(OPTIONS[spelling])}\n\nto show complete usage, run with -h"
    return ArgumentError(f'error while handling argument "{spelling}": {problem}{usage}')


def help_text() -> str:
    """Return the whole `--help`, laid out as llama-server's: entries in column 0, their text in column 40."""
    sections = []
    for title, options in SECTIONS.items():
        entries = "".join(help_entry(option) for option in options)
        sections.append(f"----- {title} -----\n\n{entries}")
    return "\n\n".join(sections)


def help_entry(option: Option) -> str:
    """Return one entry of `--help` (`common_arg::to_string` in `common/arg.cpp`)."""
    first, *others = option.spellings
    # The first spelling is usually the short one: what follows it is aligned.
    head = f"{first + ',':<7}{', '.join(others)}" if others else first
    if others and len(first) > 5:
        head = f"{first}, {', '.join(others)}"
    if option.hint:
        head += f" {option.hint}"
    indent = " " * _HELP_COLUMN
    head = f"{head}\n{indent}" if len(head) > _HELP_COLUMN - 3 else f"{head:<{_HELP_COLUMN}}"
    lines = [line for part in option.help.splitlines() for line in textwrap.wrap(part, _HELP_WIDTH)]
    return head + f"\n{indent}".join(lines) + "\n"


def _option(spelling: str) -> Option:
    if spelling in REFUSED:
        raise ArgumentError(f"error: the embedded engine cannot honour {spelling} ({REFUSED[spelling]})")
    if spelling not in OPTIONS:
        raise ArgumentError(f"error: invalid argument: {spelling}")
    return OPTIONS[spelling]


def _value(words: Iterator[str]) -> str:
    try:
        return next(words)
    except StopIteration:
        raise ValueError("expected value for argument") from None
