"""What a tier hands to its server beside the launch parameters: extra arguments and variables of the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from variet_gui.catalog import shell
from variet_gui.catalog.command import Command
from variet_gui.catalog.extra_arguments import ExtraReading, read_extra_arguments
from variet_gui.catalog.extra_variables import VariableReading, read_variable
from variet_gui.catalog.parameters import check, parameter
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.panel.workspace import Workspace

EXTRA_ARGUMENTS = "extra_arguments"
ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class FreeSettings:
    """Edits of one tier's draft, in memory. Whatever is not taken leaves the draft as it was; undo takes back the rest.

    Texts are quoted as a POSIX shell wants it, or with `windows` the Windows command prompt.
    """

    workspace: Workspace
    models_dir: Callable[[], Path]
    """Returns where relative paths start: those that move into a field become so."""
    windows: bool = os.name == "nt"

    # ----------------------------------------------------------------------------------------------- arguments

    def extra_text(self, profile: LaunchProfile) -> str:
        """Return the extra arguments of `profile` in one line."""
        return shell.join(profile.extra_arguments, self.windows)

    def read_extra(self, text: str) -> ExtraReading:
        """Return what `text` would say as extra arguments; nothing is changed."""
        return read_extra_arguments(text, self.windows, self.models_dir())

    def set_extra(self, role: str, text: str) -> ExtraReading:
        """Let `text` be the extra arguments, where it can; what was read says whether and why not."""
        reading = self.read_extra(text)
        if reading.usable:
            with self.workspace.lock:
                changed = replace(self.workspace.draft(role), extra_arguments=reading.words)
                self.workspace.put(changed, key=EXTRA_ARGUMENTS)
        return reading

    def move_extra(self, role: str, text: str) -> ExtraReading:
        """Put the flags of `text` that fields own into those fields and keep the rest, as one step.

        Nothing happens where the rest cannot be taken, or a value is none that its field takes.
        """
        reading = self.read_extra(text)
        if not reading.problems and reading.owned:
            wanted = {owned.parameter.key for owned in reading.owned}
            with self.workspace.lock:
                draft = self.workspace.draft(role)
                filled = _with_values(draft, reading.values, wanted)
                self.workspace.put(replace(filled, extra_arguments=reading.others))
        return reading

    # ------------------------------------------------------------------------------------------------- variables

    def set_variable(self, role: str, name: str, value: str, instead_of: str | None = None) -> VariableReading:
        """Set a variable, where it can be; `instead_of` is its name before, which keeps its place."""
        with self.workspace.lock:
            draft = self.workspace.draft(role)
            reading = read_variable(name, value, [other for other in draft.environment if other != instead_of])
            if reading.problem is None:
                self._put_variables(draft, _renamed(draft.environment, instead_of, name, value), instead_of or name)
        return reading

    def remove_variable(self, role: str, name: str) -> None:
        """Take a variable away."""
        with self.workspace.lock:
            draft = self.workspace.draft(role)
            self._put_variables(draft, {key: value for key, value in draft.environment.items() if key != name}, name)

    def move_variable(self, role: str, name: str, value: str, instead_of: str | None = None) -> VariableReading:
        """Put what a LLAMA_ARG_* variable says into its field, and take away `instead_of`, as one step."""
        reading = read_variable(name, value)
        if reading.owner is not None and reading.values:
            with self.workspace.lock:
                draft = self.workspace.draft(role)
                kept = {key: other for key, other in draft.environment.items() if key not in (name, instead_of)}
                filled = _with_values(draft, reading.values, {reading.owner.key})
                self.workspace.put(replace(filled, environment=MappingProxyType(kept)))
        return reading

    # --------------------------------------------------------------------------------------------------- reverting

    def revert(self, role: str, what: str) -> LaunchProfile:
        """Take back the edits of the extra arguments or of the environment; `what` is one of the two constants."""
        with self.workspace.lock:
            draft, saved = self.workspace.draft(role), self.workspace.saved(role)
            if what == EXTRA_ARGUMENTS:
                return self.workspace.put(replace(draft, extra_arguments=saved.extra_arguments))
            return self.workspace.put(replace(draft, environment=saved.environment))

    def _put_variables(self, draft: LaunchProfile, environment: Mapping[str, str], name: str) -> None:
        changed = replace(draft, environment=MappingProxyType(dict(environment)))
        self.workspace.put(changed, key=f"{ENVIRONMENT}.{name}")


def free_differences(one: Command, other: Command) -> tuple[str, ...]:
    """Return what differs between two commands beside the launch parameters, by the keys of `catalog.differences`."""
    arguments = one.argv[len(one.argv) - one.extra_words :] != other.argv[len(other.argv) - other.extra_words :]
    names = sorted(one.environment.keys() | other.environment.keys())
    variables = [name for name in names if one.environment.get(name) != other.environment.get(name)]
    return (*([EXTRA_ARGUMENTS] if arguments else []), *(f"{ENVIRONMENT}.{name}" for name in variables))


def _renamed(environment: Mapping[str, str], before: str | None, name: str, value: str) -> dict[str, str]:
    if before is None or before not in environment:
        return {**environment, name: value}
    return {(name if key == before else key): (value if key == before else old) for key, old in environment.items()}


def _with_values(draft: LaunchProfile, values: Mapping[str, ParameterValue], wanted: set[str]) -> LaunchProfile:
    """Return `draft` with `values`; what nobody asked for by name fills only what is not set."""
    for key, value in values.items():
        if key in wanted or draft.get(key) is None:
            draft = draft.with_value(key, check(parameter(key), value))
    return draft
