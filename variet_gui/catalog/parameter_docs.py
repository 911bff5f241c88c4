"""Writes docs/parameters.md from the table: `python -m variet_gui.catalog.parameter_docs > docs/parameters.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from variet_gui.catalog.parameter_values import argument
from variet_gui.catalog.parameters import (
    LEFT_OUT,
    PARAMETERS,
    Group,
    Kind,
    Parameter,
    Reason,
    allowed,
    in_group,
)

_INTRODUCTION = """\
# Launch parameters

This page is generated from the table in `variet_gui/catalog/parameter_table.py`; a test fails when it is not current:
`python -m variet_gui.catalog.parameter_docs > docs/parameters.md`.

The name in the first column is the one to use everywhere: in the catalog file, after `--set`, in JSON. It is
llama.cpp's long flag with underscores. Flags, ranges and defaults are those of llama.cpp b11434; with another build the
panel asks its `--help` and takes the spelling that it knows. What a build does not know is left off with a note.
All of them take effect at the next start of the server. **Bold** ones show on the Tune page without unfolding anything.
"""

_LEFT_OUT_INTRODUCTION = """\
## Left out on purpose

These flags of llama-server have no row. Together with the table above they are every flag that b11434 prints in its
`--help`. Where the reason does not forbid it, they can still be written among a tier's extra arguments.
"""


def parameters_markdown() -> str:
    """Return docs/parameters.md, in English."""
    return "\n".join([*_introduction(), *_tables(), *_replaced(), *_left_out()])


def _introduction() -> Iterator[str]:
    yield _INTRODUCTION


def _tables() -> Iterator[str]:
    for group in Group:
        yield f"## {group.title.english}\n"
        yield "| parameter | flag | what it does and costs | allowed | llama-server's default |"
        yield "|---|---|---|---|---|"
        for parameter in in_group(group):
            yield _table_row(parameter)
        yield ""


def _table_row(parameter: Parameter) -> str:
    name = f"**`{parameter.key}`**" if parameter.essential else f"`{parameter.key}`"
    flags = [*parameter.spellings, *parameter.negatives]
    cells = [
        f"{name}<br>{parameter.label.english}",
        " ".join(f"`{flag}`" for flag in flags),
        parameter.help.english,
        _allowed_text(parameter),
        _default_text(parameter),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _allowed_text(parameter: Parameter) -> str:
    text = allowed(parameter).english
    unit = f", {parameter.unit}" if parameter.unit else ""
    return text + unit


def _default_text(parameter: Parameter) -> str:
    if parameter.default is None:
        return "depends"
    if parameter.kind is Kind.SWITCH:
        return "on" if parameter.default else "off"
    text = argument(parameter, parameter.default)
    special = parameter.specials.get(int(text)) if text.lstrip("-").isdigit() else None
    return f"{text} ({special.english})" if special else text


def _replaced() -> Iterator[str]:
    yield "## Old flags that are translated\n"
    yield "They are understood in a pasted command line, and used for builds that know no other way.\n"
    yield "| old flag | becomes | since |"
    yield "|---|---|---|"
    for parameter in PARAMETERS:
        for removed in parameter.replaced:
            old = " ".join(f"`{flag}`" for flag in (removed.flag, *removed.aliases))
            if removed.takes_value:
                now = f"`{parameter.flag}` with the same value"
            elif removed.becomes is not None:
                now = f"`{parameter.flag} {removed.becomes}`"
            else:
                now = "nothing"
            since = f"b{removed.since_build}" if removed.since_build else "not recorded"
            yield f"| {old} | {now} | {since} |"
        for flags, value in parameter.replaced_together:
            together = " with ".join(f"`{flag}`" for flag in sorted(flags))
            yield f"| {together} | `{parameter.flag} {value}` | |"
    yield ""


def _left_out() -> Iterator[str]:
    yield _LEFT_OUT_INTRODUCTION
    for reason in Reason:
        entries = [entry for entry in LEFT_OUT if entry.reason is reason]
        yield f"**{reason.text.english}** " + _what_happens(reason) + "\n"
        yield ", ".join(" ".join(f"`{flag}`" for flag in entry.flags) for entry in entries) + "\n"


def _what_happens(reason: Reason) -> str:
    if reason.kept_on_import:
        return "A pasted command line keeps them as extra arguments."
    if reason.refused_as_extra:
        return "They are left off, even among the extra arguments."
    return "A pasted command line loses them, with a note."


if __name__ == "__main__":
    sys.stdout.write(parameters_markdown())
