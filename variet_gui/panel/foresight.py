"""Before a start: what the forecast has against it, and what the start is to be compared with afterwards."""

from __future__ import annotations

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.findings import Finding
from variet_gui.i18n import Message
from variet_gui.panel.learning import Launched
from variet_gui.panel.outlook import Outlooks
from variet_gui.panel.outlook_findings import beside_findings, fit_findings
from variet_gui.panel.tune import Tune


class Foresight:
    """What `panel.run` asks before every start."""

    def __init__(self, outlooks: Outlooks, tune: Tune) -> None:
        self._outlooks = outlooks
        self._tune = tune

    async def __call__(self, profile: LaunchProfile, *, ask: bool) -> list[Finding]:
        """Return what the forecast says against a start of `profile`, and remember it to compare the start with.

        Args:
            profile: exactly what is to be started.
            ask: whoever starts can answer: that it does not fit beside others is then an error, with the answers as
                fixes. Else it is a warning. That it does not fit at all is never more than a warning.
        """
        outlooks = self._outlooks
        await outlooks.look(profile)
        outlook, basis = outlooks.of_profile(profile), outlooks.survey.basis(profile.role, profile)
        if isinstance(basis, Message) or outlook.forecast is None:
            outlooks.learning.forget(profile.role)
            return []
        outlooks.learning.expect(
            Launched(
                profile.role,
                profile,
                outlook.forecast,
                basis.machine,
                basis.model,
                basis.projector,
                self._tune.capabilities(profile.role),
                outlooks.survey.environment(profile),
                outlooks.survey.gpus(),
            )
        )
        if basis.machine.assumed:
            return []
        found = beside_findings(outlooks.together_of(profile), ask=ask)
        return found or fit_findings(outlook, await outlooks.fixes_of(profile))
