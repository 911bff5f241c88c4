"""Outlook: what a tier will take on every device, whether it fits, what would help; asked in the tick of a slider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.load_report import LoadReport
from variet_gui.events import (
    Event,
    EventStream,
    GpusSampled,
    HostSampled,
    NoticeRaised,
    OutlookChanged,
    ParameterValue,
    ServerStateChanged,
    ServerStatus,
    Severity,
)
from variet_gui.forecast.fixes import Fix
from variet_gui.i18n import Message
from variet_gui.panel.calibrations import Calibrations
from variet_gui.panel.device_lists import DeviceLists
from variet_gui.panel.exact_checks import ExactChecks
from variet_gui.panel.fix_search import FixSearches
from variet_gui.panel.header_shelf import HeaderShelf
from variet_gui.panel.learning import Learning
from variet_gui.panel.outlook_basis import Basis
from variet_gui.panel.outlook_compose import compose
from variet_gui.panel.outlook_machine import held_by_name
from variet_gui.panel.outlook_survey import IN_SHORT, Surveyor
from variet_gui.panel.outlook_text import own_mib, unknown
from variet_gui.panel.outlook_values import (
    CheckError,
    DeviceOutlook,
    ExactDevice,
    ExactFigures,
    Outlook,
    Together,
)
from variet_gui.panel.paths import Paths
from variet_gui.panel.seen_devices import SeenDevice
from variet_gui.panel.speeds import Speeds
from variet_gui.panel.together import Running, beside_running
from variet_gui.panel.tune import Tune

__all__ = ["CheckError", "DeviceOutlook", "ExactDevice", "ExactFigures", "Outlook", "Outlooks", "Together"]

log = logging.getLogger(__name__)

_KEPT = 4
"""Outlooks that are remembered per tier: what is asked again and again between two steps of a slider."""


class Outlooks:
    """The forecasts of all tiers of one panel.

    `of` and `together` are in memory and may be called from any thread; everything awaitable belongs to the core's
    loop.
    """

    def __init__(
        self,
        tune: Tune,
        paths: Paths,
        events: EventStream,
        environ: Mapping[str, str],
        statuses: Callable[[], Sequence[ServerStatus]],
        report: Callable[[str], LoadReport],
        gpus: Callable[[], GpusSampled | None],
        binary: Callable[[str], EngineBinary | None],
        elsewhere: Callable[[], tuple[ServerStatus, ...]],
        *,
        demo: bool,
    ) -> None:
        """Make the service; nothing is read before `open`, or before something is asked.

        Args:
            tune: for the drafts.
            paths: for `calibration.json`.
            events: of the panel; `OutlookChanged` is published there.
            environ: that servers inherit.
            statuses: returns the status of every server of the panel.
            report: returns what a tier's server said of its load.
            gpus: returns what the sampler saw last.
            binary: returns the tier's engine once it is found.
            elsewhere: returns the tiers that another panel runs; blocking, asked only where no sampler runs.
            demo: cards are simulated.
        """
        self._tune = tune
        self._events = events
        self._shelf = HeaderShelf(lambda: events.publish(OutlookChanged()))
        self.calibrations = Calibrations(paths.data_dir / "calibration.json")
        self.learning = Learning(events, self.calibrations, report, gpus)
        self._lists = DeviceLists(
            lambda: events.publish(OutlookChanged()), lambda: any(status.state.is_active for status in statuses())
        )
        self._report = report
        self.survey = Surveyor(
            tune, self._shelf, self._lists, self.calibrations, statuses, gpus, binary, environ, elsewhere, demo=demo
        )
        self.speeds = Speeds(
            paths.data_dir / "speeds.json", events, self.survey.statuses, self.learning.launched, self.survey.basis
        )
        self._fixes = FixSearches(tune.draft, self.survey.basis)
        self._checks = ExactChecks(tune, self.survey)
        self._kept: dict[str, tuple[tuple[object, Outlook], ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe = events.subscribe(self._receive)

    async def open(self, *, background: bool) -> None:
        """Read what earlier starts have taught; in the `background`, read model files as they are asked for."""
        problem = await self.calibrations.load()
        if problem is not None:
            self._events.publish(NoticeRaised(Severity.WARNING, problem))
        await self.speeds.open(background=background)
        if background:
            await self.calibrations.set_aside()
            for name, work in (("model headers", self._shelf.run()), ("lists of devices", self._lists.run())):
                self._tasks.append(asyncio.create_task(work, name=name))

    async def close(self) -> None:
        """Give up what is under way; what starts have just taught is written down first."""
        self._unsubscribe()
        await self.learning.close()
        await self.speeds.close()
        await self._checks.close()
        await self._fixes.close()
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a task of the forecast ended with an error", exc_info=result)
        self._tasks.clear()

    def _receive(self, event: Event) -> None:
        match event:
            case HostSampled(sample=sample):
                self.survey.host = sample
            case ServerStateChanged(status=status, previous=previous) if previous.is_coming_up and status.state.is_up:
                launched = self.learning.launched(status.role)
                if launched is not None:
                    self.survey.note_addresses(launched.profile, self._report(status.role).devices)
            case _:
                pass

    # ------------------------------------------------------------------------------------------------- outlooks

    def of(self, role: str, overrides: Mapping[str, ParameterValue | None] | None = None) -> Outlook:
        """Return the outlook of the tier's draft with `overrides` on top.

        About a millisecond. Never reads a file: while the model's header is not known, `problem` says that it is being
        read, and `OutlookChanged` follows.

        Raises:
            KeyError: there is no such tier, or no catalog.
        """
        profile = self._tune.draft(role)
        for key, value in (overrides or {}).items():
            profile = profile.with_value(key, value)
        return self.of_profile(profile)

    def of_profile(self, profile: LaunchProfile) -> Outlook:
        """Return the outlook of a profile."""
        role = profile.role
        basis = self.survey.basis(role, profile)
        if isinstance(basis, Message):
            return self._remember(role, basis, lambda: self._without(profile, basis))
        measured = self._measured(role, basis)
        exact = self._checks.of(role, basis)
        host = self.survey.host if not basis.machine.slots else None
        room = self.survey.host.memory_total_mib if self.survey.host is not None else None
        key = (basis, tuple(measured.items()), exact, host, room, self.speeds.state)
        return self._remember(
            role,
            key,
            lambda: compose(
                basis, measured, exact, self.speeds.answer(basis), self.survey.host, self.survey.statuses()
            ),
        )

    def _remember(self, role: str, key: object, make: Callable[[], Outlook]) -> Outlook:
        """Return the very same outlook for the same question: who shows it need not paint it again."""
        kept = self._kept.get(role, ())
        for before, outlook in kept:
            if before == key:
                return outlook
        outlook = make()
        self._kept[role] = ((key, outlook), *kept[: _KEPT - 1])
        return outlook

    def _without(self, profile: LaunchProfile, problem: Message) -> Outlook:
        machine = self.survey.machine(profile.role, profile)
        return Outlook(
            profile.role, None, problem, (), machine.simulated, machine.source, unknown(IN_SHORT.get(problem, problem))
        )

    def _measured(self, role: str, basis: Basis) -> dict[str, float]:
        """Return what the tier's own server holds on each device; nothing while it does not run."""
        gpus = self.survey.gpus()
        own = next((status for status in self.survey.statuses() if status.role == role), None)
        return held_by_name(own, gpus, basis.machine) if own is not None else {}

    # ------------------------------------------------------------------------------------------------- fixes

    async def fixes(self, role: str) -> tuple[Fix, ...]:
        """Return what would make the draft fit, best first; nothing where it fits or nobody knows.

        Takes some tenths of a second in a thread of its own. A draft that changes meanwhile is looked at instead: all
        who wait are given the fixes of the newest.

        Raises:
            KeyError: there is no such tier, or no catalog.
        """
        return await self._fixes.of(role)

    async def fixes_of(self, profile: LaunchProfile) -> tuple[Fix, ...]:
        """Return what would make a profile fit."""
        return await self._fixes.of_profile(profile)

    # ------------------------------------------------------------------------------------------------- exactly

    async def check(self, role: str) -> ExactFigures:
        """Ask llama-server itself what the draft takes; it counts, says so, and ends before it reads any weight.

        Raises:
            CheckError: it could not be asked, gave no answer, or the check was given up.
            KeyError: there is no such tier, or no catalog.
        """
        figures = await self.check_profile(self._tune.draft(role))
        self._events.publish(OutlookChanged(role))
        return figures

    async def check_profile(self, profile: LaunchProfile) -> ExactFigures:
        """Ask llama-server what a profile takes.

        Raises:
            CheckError: as `check`.
        """
        basis = self.survey.basis(profile.role, profile)
        if isinstance(basis, Message):
            raise CheckError(basis)
        return await self._checks.check(profile, basis)

    def cancel_check(self, role: str) -> None:
        """Give up a check that is under way; harmless where none is. On the core's loop."""
        self._checks.cancel(role)

    def choosable(self, role: str) -> tuple[SeenDevice, ...] | None:
        """Return the devices that the tier's llama-server may use, in its own order; None while nobody knows.

        Raises:
            KeyError: there is no such tier, or no catalog.
        """
        return self.survey.devices(role, self._tune.draft(role))

    # ------------------------------------------------------------------------------------------------- together

    def together(self, role: str) -> Together:
        """Return whether the draft fits beside the tiers that run.

        Raises:
            KeyError: there is no such tier, or no catalog.
        """
        return self.together_of(self._tune.draft(role))

    def together_of(self, profile: LaunchProfile) -> Together:
        """Return whether a profile fits beside the tiers that run."""
        outlook = self.of_profile(profile)
        others = [s for s in self.survey.statuses() if s.role != profile.role and s.state.is_active]
        if not others:
            return Together(profile.role, True)
        if outlook.forecast is None:
            return Together(profile.role, None)
        basis = self.survey.basis(profile.role, profile)
        assert isinstance(basis, Basis)
        return beside_running(profile.role, outlook.devices, [self._running(status, basis) for status in others])

    def _running(self, status: ServerStatus, basis: Basis) -> Running:
        """Return what another tier holds; while it comes up, at least what it will hold by its own forecast."""
        held = held_by_name(status, self.survey.gpus(), basis.machine)
        if not status.state.is_up and status.values is not None:
            theirs = self.survey.basis(status.role, LaunchProfile(status.role, status.values))
            expected = theirs.forecast(basis.machine).devices if isinstance(theirs, Basis) else ()
            held.update({one.name: max(held.get(one.name, 0.0), own_mib(one)) for one in expected})
        return Running(status.role, held)

    # ------------------------------------------------------------------------------------------------- a look

    async def look(self, *profiles: LaunchProfile) -> None:
        """Read the model files of `profiles` now, and, where no sampler runs, have one look at this computer."""
        await self.survey.look(profiles)
