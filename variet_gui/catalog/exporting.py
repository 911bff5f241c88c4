"""From launch profiles to files that start them without the panel, and back without loss.

Four formats: a POSIX script, a Windows script, a configuration of llama-swap and a preset of llama-server's own router.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from variet_gui.catalog import export_preset, export_script, export_swap
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import Command, build
from variet_gui.catalog.export_parts import ExportError, Part, ReadPart, Writer
from variet_gui.catalog.export_record import applied, encoded, record_of
from variet_gui.catalog.import_reader import SECRET_NAME
from variet_gui.catalog.importing import Imported, read_call
from variet_gui.catalog.parameters import Reason, left_out
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.i18n import Message, msg

__all__ = ["ExportError", "ExportFormat", "Exported", "Launch", "export", "read_back"]


class ExportFormat(Enum):
    """What a tier can be exported as."""

    SH = "sh"
    BAT = "bat"
    LLAMA_SWAP = "llama-swap"
    PRESET = "preset"

    @property
    def suffix(self) -> str:
        """Return how a file of this format is called at its end."""
        return {"sh": ".sh", "bat": ".bat", "llama-swap": ".yaml", "preset": ".ini"}[self.value]

    @property
    def holds_several(self) -> bool:
        """Whether one file can hold several tiers."""
        return self in (ExportFormat.LLAMA_SWAP, ExportFormat.PRESET)


@dataclass(frozen=True, slots=True)
class Launch:
    """One tier to be exported."""

    profile: LaunchProfile
    port: int
    title: str = ""
    """For people: "Gemma 4 26B-A4B Q4_K_M"."""
    program: tuple[str, ...] = ("llama-server",)
    capabilities: Capabilities | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A file, and what has to be said of it."""

    text: str
    """Line ends as the format wants them."""
    notes: tuple[Message, ...] = ()
    """What was left out, and why."""


def export(launches: Sequence[Launch], form: ExportFormat, models_dir: Path) -> Exported:
    """Return the file that starts `launches` without the panel.

    What the format has no word for is left out with a note, and remembered in the file for reading it back. Keys and
    tokens are left out altogether: such files are passed on.

    Raises:
        ExportError: the format holds one tier only, or the program cannot be called in it.
    """
    if not launches or (len(launches) > 1 and not form.holds_several):
        raise ExportError(msg("A file of the format {format} holds exactly one tier.", format=form.value))
    writer = _WRITERS[form]
    parts: list[Part] = []
    notes: list[Message] = []
    for launch in launches:
        profile, secrets = _without_secrets(launch.profile)
        command, said = _sayable(replace(launch, profile=profile), form, models_dir)
        part = Part(profile.role, launch.title, command, launch.port, (*secrets, *said))
        (read,) = read_back(writer.write([part]), models_dir)
        record = encoded(record_of(read, profile, launch.port))
        parts.append(replace(part, record=record))
        notes += [note for note in part.notes if note not in notes]
    return Exported(writer.write(parts), tuple(notes))


def read_back(text: str, models_dir: Path | None = None, windows: bool | None = None) -> tuple[Imported, ...]:
    """Return what a file that was exported holds, one for each tier, its role as the alias.

    Any other script or command line is read as `import_command` does. `windows` says by whose rules a script is quoted;
    None: by how it looks.

    Raises:
        ExportError: a configuration that cannot be read; it names the line.
        ShellTextError: a command that cannot be split into words.
    """
    read: Callable[[str], Sequence[ReadPart]]
    if export_swap.looks_like(text):
        read = export_swap.read
    elif export_preset.looks_like(text):
        read = export_preset.read
    else:
        return tuple(_imported(part, models_dir) for part in export_script.read(text, windows))
    return tuple(_imported(part, models_dir) for part in read(text))


def _imported(part: ReadPart, models_dir: Path | None) -> Imported:
    call = replace(part.call, assignments={**part.environment, **part.call.assignments})
    read = applied(read_call(call, models_dir), part.record)
    return read if part.role is None else replace(read, alias=part.role)


# ---------------------------------------------------------------------------------------------- what can be said


def _without_secrets(profile: LaunchProfile) -> tuple[LaunchProfile, tuple[Message, ...]]:
    notes: list[Message] = []
    extra: list[str] = []
    skip = 0
    for word in profile.extra_arguments:
        entry = left_out(word.split("=", 1)[0])
        if skip:
            skip -= 1
        elif entry is not None and entry.reason is Reason.SECRET:
            skip = 0 if "=" in word else entry.values
            notes.append(msg("{flag} was left out. {reason}", flag=word.split("=", 1)[0], reason=entry.reason.text))
        else:
            extra.append(word)
    environment = {name: value for name, value in profile.environment.items() if not SECRET_NAME.search(name)}
    notes += [
        msg("The variable {name} was left out: it looks like a secret, and such files are passed on.", name=name)
        for name in profile.environment
        if name not in environment
    ]
    return replace(profile, extra_arguments=tuple(extra), environment=MappingProxyType(environment)), tuple(notes)


def _sayable(launch: Launch, form: ExportFormat, models_dir: Path) -> tuple[Command, tuple[Message, ...]]:
    """Build the command of what `form` has words for, and tell what it has none for."""
    writer = _WRITERS[form]
    profile = launch.profile
    if form is ExportFormat.PRESET and launch.capabilities and not launch.capabilities.knows("--models-preset"):
        launch = replace(launch, capabilities=None)  # another build than the tier's own will read it: one with a router
    notes: list[Message] = []
    if profile.extra_arguments and not writer.can_say_extra(profile.extra_arguments, launch.capabilities):
        profile = replace(profile, extra_arguments=())
        notes.append(msg("The extra arguments were left out: this format has no place for them."))
    environment = {name: text for name, text in profile.environment.items() if writer.can_say_variable(name, text)}
    notes += [
        msg("The variable {name} was left out: this format has no place for it.", name=name)
        for name in profile.environment
        if name not in environment
    ]
    profile = replace(profile, environment=MappingProxyType(environment))
    command = _built(launch, profile, models_dir)
    for word in command.argv[: command.program_words]:
        if not writer.can_say(word):
            raise ExportError(msg("The program {program} cannot be written in this format.", program=word))
    unsayable = {
        span.key
        for word, span in zip(command.argv, command.spans(), strict=True)
        if span.key is not None and not writer.can_say(word)
    }
    for key in sorted(unsayable):
        profile = profile.with_value(key, None)
        notes.append(msg("{key} was left out: this format cannot hold its value.", key=key))
    if unsayable:
        command = _built(launch, profile, models_dir)
    if profile.get("model") is None:
        notes.append(msg("{role} names no model file yet.", role=profile.role))
    return command, (*command.notes, *notes)


def _built(launch: Launch, profile: LaunchProfile, models_dir: Path) -> Command:
    return build(
        profile,
        program=launch.program,
        capabilities=launch.capabilities,
        port=launch.port,
        alias=profile.role,
        models_dir=models_dir,
        environ={},
    )


_WRITERS: Mapping[ExportFormat, Writer] = {
    ExportFormat.SH: export_script.POSIX,
    ExportFormat.BAT: export_script.WINDOWS,
    ExportFormat.LLAMA_SWAP: export_swap.WRITER,
    ExportFormat.PRESET: export_preset.WRITER,
}
