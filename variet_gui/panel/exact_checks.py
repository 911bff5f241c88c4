"""The exact check: llama-server itself says what a set of values takes, without loading anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from variet_gui.catalog import command
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.dry_run import DryRun, DryRunError, may_run, measure
from variet_gui.events import ParameterValue
from variet_gui.forecast.values import Device
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg
from variet_gui.panel.exact_comparison import compared
from variet_gui.panel.outlook_basis import Basis
from variet_gui.panel.outlook_machine import Machine, Slot, label_of
from variet_gui.panel.outlook_survey import Surveyor
from variet_gui.panel.outlook_values import CheckError, ExactFigures
from variet_gui.panel.tune import Tune

GIVEN_UP = msg("The check was given up.")
_NO_ENGINE = msg("No llama-server was found that could be asked.")
_KEPT = 16
"""Checks that are remembered per tier."""
_RPC = "RPC"


@dataclass(frozen=True, slots=True)
class _Question:
    """Exactly what was asked."""

    profile: LaunchProfile
    model: GgufHeader
    projector: GgufHeader | None
    engine: str | None
    devices: tuple[str, ...]


class ExactChecks:
    """The checks of one panel; one at a time, and of each tier the newest. Everything belongs to the core's loop."""

    def __init__(self, tune: Tune, survey: Surveyor, clock: Callable[[], float] = time.time) -> None:
        self._tune = tune
        self._survey = survey
        self._clock = clock
        self._running: dict[str, asyncio.Task[DryRun]] = {}
        self._done: dict[str, tuple[tuple[_Question, ExactFigures], ...]] = {}
        self._one_at_a_time = asyncio.Lock()

    def of(self, role: str, basis: Basis) -> ExactFigures | None:
        """Return the last check of exactly these values on exactly this engine. Any thread."""
        done = self._done.get(role, ())
        if not done:
            return None
        question = self._question(role, basis)
        return next((figures for asked, figures in done if asked == question), None)

    async def check(self, profile: LaunchProfile, basis: Basis) -> ExactFigures:
        """Ask llama-server; an earlier check of the tier that is under way is given up.

        Raises:
            CheckError: it could not be asked, gave no answer, or the check was given up.
        """
        role = profile.role
        question = self._question(role, basis)
        while (earlier := self._running.get(role)) is not None:
            earlier.cancel()
            await asyncio.wait({earlier})
        asking = asyncio.create_task(self._ask(profile, basis.machine), name=f"exact check of {role}")
        self._running[role] = asking
        asking.add_done_callback(lambda _: self._running.pop(role, None))
        try:
            await asyncio.wait({asking})
        except asyncio.CancelledError:
            asking.cancel()
            await asyncio.wait({asking})
            raise
        if asking.cancelled():
            raise CheckError(GIVEN_UP)
        try:
            run = asking.result()
        except DryRunError as error:
            raise CheckError(error.message) from error
        seen = self._machine_of(run, basis.machine)
        figures = compared(run, basis.forecast(seen, dry_run=True), seen, expected=basis.machine, at=self._clock())
        self._done[role] = ((question, figures), *self._done.get(role, ())[: _KEPT - 1])
        return figures

    def cancel(self, role: str) -> None:
        """Give up a check that is under way."""
        asking = self._running.get(role)
        if asking is not None:
            asking.cancel()

    async def close(self) -> None:
        """Give up every check, and wait until no process of them is left."""
        checks = tuple(self._running.values())
        for asking in checks:
            asking.cancel()
        if checks:
            await asyncio.wait(checks)

    async def _ask(self, profile: LaunchProfile, machine: Machine) -> DryRun:
        role = profile.role
        binary = self._survey.engine_of(role)
        if binary is None:
            raise CheckError(_NO_ENGINE)
        capabilities = self._tune.capabilities(role)
        environment = self._survey.environment(profile)
        built = command.build(
            profile,
            program=binary.program,
            capabilities=capabilities,
            port=1,  # replaced: the check takes a port of its own
            alias=role or "exact-check",
            models_dir=self._tune.models_dir,
            environ=environment,
        )
        async with self._one_at_a_time:
            refusal = self._refusal(profile, machine)
            if refusal is not None:
                raise CheckError(refusal)
            return await measure(built, command.child_environment(environment, built), binary, capabilities)

    def _refusal(self, profile: LaunchProfile, machine: Machine) -> Message | None:
        """Return why asking now could disturb what runs; its own context takes memory of every card for a moment."""
        active = [status for status in self._survey.statuses() if status.state.is_active and status.pid is not None]
        workers = _workers(profile.values)
        sharing = next((status for status in active if workers & _workers(status.values or {})), None)
        if sharing is not None:  # a worker serves one program at a time
            return msg("{role} uses the same RPC workers; ask again once it is stopped.", role=sharing.role)
        if machine.simulated or machine.assumed:
            return None
        cards = [slot for slot in machine.slots if not slot.device.name.startswith(_RPC)]
        coming = next((status for status in active if status.state.is_coming_up), None)
        if cards and coming is not None:
            return msg("{role} is being loaded and needs the memory; ask again once it is up.", role=coming.role)
        if active and any(slot.card is None for slot in cards):
            return msg(
                "How much memory is free beside {role} is not known here; ask again once it is stopped.",
                role=active[0].role,
            )
        return may_run(self._free(cards), self._overhead_mib(cards))

    def _free(self, slots: Iterable[Slot]) -> list[tuple[object, float | None]]:
        gpus = self._survey.gpus()
        samples = {sample.index: sample for sample in gpus.samples} if gpus is not None else {}
        free: list[tuple[object, float | None]] = []
        for slot in slots:
            sample = samples.get(slot.card) if slot.card is not None else None
            known = sample is not None and None not in (sample.memory_total_mib, sample.memory_used_mib)
            if sample is not None and known:
                free.append((slot.label, (sample.memory_total_mib or 0.0) - (sample.memory_used_mib or 0.0)))
            else:
                free.append((slot.label, None))
        return free

    def _overhead_mib(self, slots: Iterable[Slot]) -> float:
        known = self._survey.calibrations.all
        return max((known.device(slot.device.name).overhead_mib for slot in slots), default=0.0)

    def _question(self, role: str, basis: Basis) -> _Question:
        capabilities, binary = self._tune.capabilities(role), self._survey.engine_of(role)
        engine = capabilities.sha256 if capabilities is not None else None
        if engine is None and binary is not None:
            engine = " ".join(binary.program)
        names = tuple(device.name for device in basis.machine.devices)
        return _Question(basis.profile, basis.model, basis.projector, engine, names)

    def _machine_of(self, run: DryRun, machine: Machine) -> Machine:
        """Return the devices as llama-server saw them: what was free then decides how it splits layers by itself."""
        slots = []
        for device in run.devices:
            slot = machine.slot(device.name) or Slot(Device(device.name), label_of(device.name))
            used = (device.total_mib or 0) - (device.free_mib or 0)
            slots.append(replace(slot, device=Device(device.name, device.total_mib, max(0.0, float(used)))))
        return replace(machine, slots=tuple(slots))


def _workers(values: Mapping[str, ParameterValue]) -> set[str]:
    named = values.get("rpc")
    return {part.strip() for part in named.split(",") if part.strip()} if isinstance(named, str) else set()
