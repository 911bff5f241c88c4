"""From a pasted llama-server command line to a launch profile. Old spellings are translated, with a note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from variet_gui.catalog.import_reader import ImportReader
from variet_gui.catalog.parameters import flag_use, normalised
from variet_gui.catalog.pasted import Call, Caller, find_call, is_flag, is_known_flag
from variet_gui.catalog.shell import Dialect, ShellTextError
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message

__all__ = ["Imported", "ShellTextError", "import_command", "read_call"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What a command line says, in the panel's own terms."""

    values: Mapping[str, ParameterValue] = field(default_factory=dict)
    """Launch parameters by key."""
    extra_arguments: tuple[str, ...] = ()
    """What the panel has no parameter for, as it stood there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Message, ...] = ()
    """What was translated, left out or kept apart, and why."""
    program: str | None = None
    """llama-server as it was called; None where only arguments were pasted."""
    port: int | None = None
    alias: str | None = None
    api_key: str | None = field(default=None, repr=False)
    """A secret: for the key store, never for a command line, a catalog or a log."""
    is_call: bool = False
    """Whether this is a call of llama-server, or flags of it, and nothing else that happens to have flags."""

    @property
    def model(self) -> str | None:
        """Return the path of the model file, or None when the line names none."""
        value = self.values.get("model")
        return None if value is None else str(value)

    def profile(self, role: str) -> LaunchProfile:
        """Return it as the launch profile of `role`."""
        return LaunchProfile(role, self.values, self.extra_arguments, self.environment)


def import_command(
    line: str | Sequence[str], *, windows: bool | Dialect | None = None, models_dir: Path | None = None
) -> Imported:
    """Return what a llama-server command line says.

    `line` is a text (a line, or a script that holds one) or an argument list. `windows` says by whose rules a text is
    quoted; None: by how it looks. Paths below `models_dir` become relative to it, as `command.build` wants them.

    Raises:
        ShellTextError: the text cannot be split into words.
    """
    return read_call(find_call(line, windows), models_dir)


def read_call(call: Call, models_dir: Path | None = None) -> Imported:
    """Return what one call of llama-server says, once it is taken apart."""
    reader = ImportReader(models_dir, call.variables)
    reader.read_environment(call.assignments)
    reader.read_arguments(call.arguments)
    reader.settle()
    return Imported(
        values=MappingProxyType(reader.values),
        extra_arguments=tuple(reader.extra),
        environment=MappingProxyType(reader.environment),
        notes=(*call.notes, *reader.notes),
        program=call.program,
        port=reader.others.port,
        alias=reader.others.alias,
        api_key=reader.others.api_key,
        is_call=_is_call(call, reader.values),
    )


_OF_LLAMA_ALONE = re.compile(r"-[a-z]{3,}|--[a-z0-9]+(-[a-z0-9]+)+")
"""Flags such as -ngl and --ctx-size; -c, -t and --threads are flags of half the programs there are."""


def _is_call(call: Call, values: Mapping[str, ParameterValue]) -> bool:
    flags = [word.split("=", 1)[0] for word in call.arguments if is_flag(word)]
    known = sum(map(is_known_flag, flags))
    match call.caller:
        case Caller.LLAMA:
            return True
        case Caller.OTHER:
            return False
        case Caller.FLAGS:
            return known > 0 or bool(values)
    if known < len(flags) - known:
        return False
    telling = [flag for flag in map(normalised, flags) if flag_use(flag) and _OF_LLAMA_ALONE.fullmatch(flag)]
    names_a_model = str(values.get("model", "")).lower().endswith(".gguf")
    return names_a_model or len(telling) > 1 or any(not flag.startswith("--") for flag in telling)
