"""Variables of a server's environment as an operator types them, looked through before they are taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from variet_gui.catalog.command import FIXED_ENVIRONMENT, is_scrubbed
from variet_gui.catalog.import_reader import SECRET_NAME, ImportReader
from variet_gui.catalog.launch_checks import is_plain, is_variable_name
from variet_gui.catalog.parameters import Parameter, environment_use
from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg


@dataclass(frozen=True, slots=True)
class VariableReading:
    """What one variable says."""

    problem: Message | None = None
    """Why it cannot be taken."""
    owner: Parameter | None = None
    """The field that says the same."""
    values: Mapping[str, ParameterValue] = field(default_factory=dict)
    """What the fields would hold if it moved there, by key; nothing where its value is none of theirs."""
    note: Message | None = None
    """What is allowed, and worth knowing."""


def read_variable(name: str, value: str, others: Collection[str] = ()) -> VariableReading:
    """Return what a variable called `name` would do beside those called `others`."""
    if not name:
        return VariableReading(msg("A variable needs a name."))
    if not is_variable_name(name) or not is_plain(value):
        return VariableReading(msg("A variable has a name without = and a text as its value."))
    if name in others:
        return VariableReading(msg("{name} stands there already.", name=name))
    use = environment_use(name)
    if use is not None:
        reader = ImportReader(None)
        reader.read_environment({name: value})
        reader.settle(whole_line=False)
        problem = msg("{name} belongs to the field {field}; use that instead.", name=name, field=use.parameter.label)
        return VariableReading(problem, use.parameter, dict(reader.values))
    if is_scrubbed(name):
        return VariableReading(msg("{name} would change the launch behind the command line.", name=name))
    if SECRET_NAME.search(name):
        return VariableReading(
            msg("{name} looks like a secret; a profile is a plain file that is shown and exported.", name=name)
        )
    usual = FIXED_ENVIRONMENT.get(name)
    if usual is not None and value != usual:
        return VariableReading(
            note=msg("The panel sets {name}={value} itself; this takes its place.", name=name, value=usual)
        )
    return VariableReading()
