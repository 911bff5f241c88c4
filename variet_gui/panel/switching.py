"""Switching in one step: which tiers stop so that another one has room, and how long it will take to come up."""

from __future__ import annotations

from dataclasses import dataclass

from variet_gui.engine.readiness import model_argument
from variet_gui.i18n import Message
from variet_gui.panel.load_times import LoadTimes
from variet_gui.panel.outlook import Outlooks
from variet_gui.panel.tune import Tune

DOES_NOT_FIT = "tiers_do_not_fit"
"""The code of the failure of a start that was not tried, because there is no room beside the tiers that run."""


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    """What a switch to a tier would do."""

    role: str
    stopping: tuple[str, ...]
    """The tiers that stop first; empty when nothing is in the way any more."""
    why: Message | None
    """Why they have to."""
    seconds: float | None
    """How long earlier loads of the tier's model took, s; None when there was none."""


def plan(outlooks: Outlooks, tune: Tune, load_times: LoadTimes, role: str) -> SwitchPlan:
    """Return what a switch to `role` would do now. May read files: not for the event loop's own thread.

    Raises:
        KeyError: there is no such tier.
    """
    together = outlooks.together(role)
    seconds = load_times.expected(role, model_argument(tune.command(role).argv))
    return SwitchPlan(role, together.stop_first, together.text, seconds)
