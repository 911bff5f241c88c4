"""Exchange: tiers out into scripts and other programs' configurations, and command lines in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from variet_gui.catalog.differences import Change, changes_between
from variet_gui.catalog.exporting import Exported, ExportError, ExportFormat, Launch, export, read_back
from variet_gui.catalog.importing import Imported
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.catalog.whole_file import write_whole
from variet_gui.i18n import Message, msg
from variet_gui.panel.tune import Tune

SCRIPT_MODE = 0o755


class NothingToImport(Exception):  # noqa: N818 - what is the case, as everywhere in this house
    """A text that holds no llama-server command, or none for the tier that was asked for."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an imported command would make of a tier. Nothing is changed by it; `Tune.replace` takes `profile`."""

    profile: LaunchProfile
    imported: Imported
    changes: tuple[Change, ...]
    """Against what the tier would launch now."""
    notes: tuple[Message, ...]


def exported(tune: Tune, roles: Sequence[str], form: ExportFormat) -> Exported:
    """Return the file that starts the drafts of `roles` without the panel.

    Raises:
        ExportError: the format holds one tier only, or cannot call the engine.
        KeyError: there is no such tier.
    """
    launches = []
    for role in roles:
        tier = tune.tier(role)
        title = f"{tier.model_name} {tier.quantisation or ''}".strip()
        launches.append(Launch(tune.draft(role), tier.port, title, tune.program(role), tune.capabilities(role)))
    return export(launches, form, tune.models_dir)


def write_exported(path: Path, file: Exported, form: ExportFormat) -> None:
    """Write an exported file; a script can be started where it stands.

    Raises:
        OSError: it cannot be written; a file that was there is untouched.
    """
    write_whole(path, file.text.encode("utf-8"))
    if form is ExportFormat.SH and os.name != "nt":
        path.chmod(SCRIPT_MODE)


def planned(tune: Tune, role: str, text: str, windows: bool | None = None) -> ImportPlan:
    """Return what `text`, a command line or a file that was exported, would make of `role`.

    Raises:
        NothingToImport: it holds no command, or several and none of them for `role`.
        ExportError: a configuration that is not understood; it names the line.
        ShellTextError: a command line that cannot be split into words.
        KeyError: there is no such tier.
    """
    tier = tune.tier(role)
    found = read_back(text, tune.models_dir, windows)
    named = [one for one in found if one.alias == role]
    if len(found) > 1 and not named:
        there = ", ".join(one.alias or "-" for one in found)
        raise NothingToImport(
            msg("The text holds several commands, and none for {role}: {roles}.", role=role, roles=there)
        )
    imported = (named or list(found) or [Imported()])[0]
    if not imported.values and not imported.extra_arguments and imported.program is None:
        raise NothingToImport(msg("There is no llama-server command in this text."))
    profile = imported.profile(role)
    notes = list(imported.notes)
    if imported.port not in (None, tier.port):
        notes.append(
            msg("Port {port} was left out: {role} keeps its own, {own}.", port=imported.port, role=role, own=tier.port)
        )
    return ImportPlan(profile, imported, changes_between(tune.draft(role), profile), tuple(notes))


__all__ = ["ExportError", "ExportFormat", "ImportPlan", "NothingToImport", "exported", "planned", "write_exported"]
