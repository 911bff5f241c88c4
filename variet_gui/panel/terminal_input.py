"""What the words after `variet` mean: a tier, launch parameters, a command line to import."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from variet_gui.catalog.parameters import ParameterError, parameter, parse_text
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg
from variet_gui.panel.exchange import Pasted, read_pasted
from variet_gui.panel.panel import Panel


class UsageError(Exception):
    """The command line, or the catalog, asks for something that cannot be."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


def role_named(panel: Panel, role: str) -> str:
    """Return `role`, which is one of the catalog.

    Raises:
        UsageError: it is none; the message names those there are.
    """
    catalog = panel.tune.catalog
    if catalog is None or role not in catalog.roles:
        there = ", ".join(catalog.roles) if catalog else "-"
        raise UsageError(msg("No tier is called {role}. There are: {roles}.", role=role, roles=there))
    return role


def override_values(settings: list[str]) -> dict[str, ParameterValue | None]:
    """Return the launch parameters of `--set KEY=VALUE ...`; an empty value unsets one.

    Raises:
        UsageError: there is no such parameter, or it does not take the value.
    """
    values: dict[str, ParameterValue | None] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(msg("--set wants KEY=VALUE; {setting} has no '='.", setting=setting))
        try:
            row = parameter(key.strip().lstrip("-").replace("-", "_"))
            values[row.key] = None if text == "" else parse_text(row, text)
        except KeyError as error:
            raise UsageError(msg("{problem}", problem=error.args[0])) from error
        except ParameterError as error:
            raise UsageError(error.message) from error
    return values


def pasted(panel: Panel, role: str, options: argparse.Namespace) -> Pasted:
    """Return what the text of `import-command` would make of `role`.

    Raises:
        UsageError: there is no text, or no command in it for this tier.
        ExportError, ShellTextError: it cannot be read; the message says where.
        OSError: the file cannot be read.
    """
    text = _text_to_import(options)
    found = read_pasted(text, panel.tune, role)
    if found.names and role not in found.names:
        names = ", ".join(found.names)
        raise UsageError(msg("The text holds several tiers, and none is {role}: {roles}.", role=role, roles=names))
    if found.names:
        found = read_pasted(text, panel.tune, role, which=found.names.index(role))
    if found.problem is not None:
        raise UsageError(found.problem)
    return found


def _text_to_import(options: argparse.Namespace) -> str:
    if (options.line is None) == (options.file is None):
        raise UsageError(msg("Give a command line, or --file with a file that holds one."))
    if options.line == "-":
        return sys.stdin.read()
    if options.line is not None:
        return str(options.line)
    file: Path = options.file
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(msg("{file} is not text in UTF-8.", file=file)) from error
