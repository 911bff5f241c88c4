"""In and out: what a pasted text would make of a tier, and tiers as files that start them without the panel."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from variet_gui.catalog.differences import Change, changes_between
from variet_gui.catalog.exporting import Exported, ExportFormat, Launch, export, read_back
from variet_gui.catalog.importing import Imported
from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.catalog.whole_file import write_whole
from variet_gui.i18n import Message, msg
from variet_gui.panel.tune import Tune


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a text would make of the draft of one tier."""

    profile: LaunchProfile
    changes: tuple[Change, ...] = ()
    """Against the draft."""
    notes: tuple[Message, ...] = ()
    """What was translated, left out or kept apart, and why."""
    names: tuple[str, ...] = ()
    """The tiers in the text, where it holds several."""
    problem: Message | None = None
    """Why there is nothing to be taken over: it holds no call of llama-server. The profile is the draft as it was."""

    @property
    def found(self) -> bool:
        """Return whether there is any call of llama-server in it."""
        return self.problem is None


def read_pasted(text: str, tune: Tune, role: str, *, keep: bool = False, which: int = 0) -> Pasted:
    """Return what `text`, a command line or a file that was exported, would make of the draft of `role`.

    Where it holds no call of llama-server, the draft comes back as it is, with the problem. With `keep`, settings that
    it does not name stay as they are; the model file stays whenever it names none. `which` picks one of several tiers.
    Nothing is read from disk.

    Raises:
        ExportError: a configuration that cannot be read; it names the line.
        ShellTextError: a command that cannot be split into words.
    """
    draft, tier = tune.draft(role), tune.tier(role)
    read = read_back(text, tune.models_dir) if text.strip() else ()
    imported = read[min(max(which, 0), len(read) - 1)] if read else Imported()
    names = tuple(one.alias or str(number) for number, one in enumerate(read, 1)) if len(read) > 1 else ()
    if not imported.is_call:
        problem = _no_call(imported)
        return Pasted(draft, notes=(problem,) if text.strip() else (), names=names, problem=problem)
    if not (imported.values or imported.extra_arguments or imported.environment):
        problem = msg("This call of llama-server sets nothing that the panel keeps.")
        return Pasted(draft, notes=imported.notes, names=names, problem=problem)
    profile = imported.profile(role)
    notes = list(imported.notes)
    if keep:
        profile = replace(
            draft,
            values=MappingProxyType({**draft.values, **profile.values}),
            extra_arguments=profile.extra_arguments or draft.extra_arguments,
            environment=MappingProxyType({**draft.environment, **profile.environment}),
        )
    elif profile.get("model") is None and draft.get("model") is not None:
        profile = profile.with_value("model", draft.get("model"))
        notes.append(msg("It names no model file; the one that is set stays."))
    if imported.port is not None and imported.port != tier.port:
        notes.append(
            msg(
                "It listens on port {port}; {role} stays on its own, {own}.",
                port=imported.port,
                role=role,
                own=tier.port,
            )
        )
    return Pasted(profile, changes_between(draft, profile), tuple(dict.fromkeys(notes)), names)


def _no_call(imported: Imported) -> Message:
    if imported.program is None or not (imported.values or imported.extra_arguments):
        return msg("There is no llama-server command in this text. Paste a call of llama-server, or its flags alone.")
    return msg(
        "There is no llama-server command in this text: {program} is another program, with flags of its own. Paste a "
        "call of llama-server, or its flags alone.",
        program=imported.program,
    )


def export_text(tune: Tune, roles: Sequence[str], form: ExportFormat) -> Exported:
    """Return the file that starts the drafts of `roles` without the panel.

    Raises:
        ExportError: the format holds one tier only, or the program cannot be called in it.
    """
    launches = [
        Launch(
            tune.draft(role), tune.tier(role).port, _title(tune.tier(role)), tune.program(role), tune.capabilities(role)
        )
        for role in roles
    ]
    return export(launches, form, tune.models_dir)


def write_export(path: Path, text: str, form: ExportFormat) -> None:
    """Write an exported file; a shell script may be run by its owner. Blocks on the disk.

    Raises:
        OSError: it cannot be written, and names `path`; a file that was there is untouched.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(text.encode("utf-8"))  # a pipe or a device, such as /dev/stdout: there is nothing to replace
        return
    write_whole(path, text.encode("utf-8"))
    if form is ExportFormat.SH:
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _title(tier: Tier) -> str:
    return f"{tier.model_name} {tier.quantisation or ''}".strip()
