"""From a pasted llama-server command line to a launch profile. Old spellings are translated, with a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from variet_gui.catalog.import_reader import ImportReader
from variet_gui.catalog.pasted import Call, find_call
from variet_gui.catalog.shell import ShellTextError
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

    @property
    def model(self) -> str | None:
        """Return the path of the model file, or None when the line names none."""
        value = self.values.get("model")
        return None if value is None else str(value)

    def profile(self, role: str) -> LaunchProfile:
        """Return it as the launch profile of `role`."""
        return LaunchProfile(role, self.values, self.extra_arguments, self.environment)


def import_command(
    line: str | Sequence[str], *, windows: bool | None = None, models_dir: Path | None = None
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
    reader = ImportReader(models_dir)
    reader.read_environment(call.assignments)
    reader.read_arguments(call.arguments)
    reader.settle()
    return Imported(
        values=MappingProxyType(reader.values),
        extra_arguments=tuple(reader.extra),
        environment=MappingProxyType(reader.environment),
        notes=(*call.notes, *reader.notes),
        program=call.program,
        port=reader.port,
        alias=reader.alias,
        api_key=reader.api_key,
    )
