"""Changes that a next step makes to a tier's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from variet_gui.catalog.parameters import ParameterError
from variet_gui.events import Fix, Severity
from variet_gui.panel.autopsy_fixes import applied

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


def apply_fix(bridge: Bridge, role: str, fix: Fix) -> bool:
    """Make what `fix` changes part of the draft, as one step for undo; False, with a notice, when it is not allowed."""
    if not fix.changes_settings:
        return True
    tune = bridge.panel.tune
    try:
        tune.replace(applied(tune.draft(role), fix))
    except ParameterError as error:
        bridge.notify(Severity.WARNING, error.message)
        return False
    bridge.announce_draft(role)
    return True
