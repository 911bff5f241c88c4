"""What a forecast says against a start, as findings: never more than a warning, or a question to whoever can answer."""

from __future__ import annotations

from collections.abc import Sequence

from variet_gui.engine.findings import Finding
from variet_gui.events import Fix as NextStep
from variet_gui.events import Severity
from variet_gui.forecast.fixes import Fix
from variet_gui.forecast.values import Verdict
from variet_gui.i18n import msg
from variet_gui.panel.outlook_values import Outlook, Together

START_ANYWAY = NextStep(msg("Start anyway"), action="start_anyway")
"""Starts the tier without asking again."""
STOP_FIRST = "stop_first"
"""The action of a fix that stops the tiers that are in the way, and starts the tier then."""


def fit_findings(outlook: Outlook, fixes: Sequence[Fix]) -> list[Finding]:
    """Return a warning where the forecast says that a start does not fit, with the first fix as a button."""
    if outlook.verdict is not Verdict.DOES_NOT_FIT:
        return []
    text = msg("By the forecast this {summary}.", summary=outlook.summary)
    steps = tuple(NextStep(fix.text, fix.set_values) for fix in fixes[:1])
    detail = msg("It is started nevertheless. What would help: {fix}", fix=fixes[0].text) if fixes else None
    return [Finding(Severity.WARNING, "forecast_does_not_fit", text, steps, detail)]


def beside_findings(together: Together, *, ask: bool) -> list[Finding]:
    """Return what stands against a start beside the tiers that run: a question, or for who cannot answer a warning."""
    if together.fits is not False or not together.stop_first or together.text is None:
        return []
    stop = NextStep(msg("Stop {roles} first", roles=", ".join(together.stop_first)), action=STOP_FIRST)
    severity = Severity.ERROR if ask else Severity.WARNING
    return [Finding(severity, "tiers_do_not_fit", together.text, (stop, START_ANYWAY) if ask else (stop,))]
