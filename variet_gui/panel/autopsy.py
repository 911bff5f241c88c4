"""Autopsy: what the panel adds to a failure that the log alone does not tell, and the next steps for this very tier."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.circumstances import Circumstances, EndedForMemory, ended_for_memory
from variet_gui.engine.diagnosis import explain, load_stopped, trouble
from variet_gui.engine.fleet import Fleet
from variet_gui.events import (
    Event,
    EventStream,
    Failure,
    HostSampled,
    ServerState,
    ServerStateChanged,
    ServerStatus,
)
from variet_gui.forecast.values import Forecast
from variet_gui.panel.autopsy_fixes import fixes_for
from variet_gui.panel.outlook import Outlooks
from variet_gui.panel.tune import Tune
from variet_gui.panel.watch import Watch

log = logging.getLogger(__name__)

LOOK_BACK_S = 20.0
"""Memory that was full so shortly before an end has to do with it."""
_LAST_LINES = 400


class Autopsy:
    """Looks closer at every failed server, and lets its status say so. Everything belongs to the core's event loop."""

    def __init__(
        self,
        events: EventStream,
        fleet: Fleet,
        tune: Tune,
        outlook: Outlooks,
        watch: Watch,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._tune = tune
        self._outlook = outlook
        self._watch = watch
        self._clock = clock
        self._host_total_mib: float | None = None
        self._before: dict[str, EndedForMemory] = {}
        self._started: dict[str, LaunchProfile] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe = events.subscribe(self._receive)

    async def close(self) -> None:
        """Look at nothing more."""
        self._unsubscribe()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def examine(self, role: str, failure: Failure, *, was_ready: bool = False) -> Failure:
        """Return `failure` with what the panel saw around it, and with the next steps for this tier, best first.

        Takes some tenths of a second where the forecast looks for fixes.
        """
        lines = self._fleet.server(role).lines
        profile = self._started.get(role) or self._tune.draft(role)
        circumstances = await asyncio.to_thread(self._circumstances, role, profile)
        found = await asyncio.to_thread(_closer, role, failure, lines, was_ready, circumstances)
        if self._tune.catalog is None or role not in self._tune.catalog.roles:
            return found  # taken over from a catalog that no longer has it: there is nothing to change
        asked = await self._outlook.fixes_of(profile) if _is_of_memory(found) else ()
        return replace(found, fixes=fixes_for(found, profile, asked, ask=self._ask))

    def trouble(self, role: str) -> Failure | None:
        """Return what went wrong last with a request to a server that lives on, by its log; None where nothing did."""
        return trouble(role, self._fleet.server(role).lines[-_LAST_LINES:])

    # ---------------------------------------------------------------------------------------------------- what was seen

    def _receive(self, event: Event) -> None:
        if isinstance(event, HostSampled):
            self._host_total_mib = event.sample.memory_total_mib
        elif isinstance(event, ServerStateChanged) and event.status.state is not event.previous:
            self._note(event.status, event.previous)

    def _note(self, status: ServerStatus, previous: ServerState) -> None:
        if status.state is ServerState.STARTING:
            self._before[status.role] = ended_for_memory()
            if status.values is not None:
                self._started[status.role] = replace(self._draft_like(status), values=status.values)
        elif status.state is ServerState.FAILED and status.failure is not None:
            task = asyncio.create_task(
                self._look(status.role, status.failure, was_ready=previous.is_up), name=f"autopsy of {status.role}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _draft_like(self, status: ServerStatus) -> LaunchProfile:
        try:
            return self._tune.draft(status.role)
        except KeyError:  # a server that was taken over from a catalog that no longer has it
            return LaunchProfile(status.role)

    async def _look(self, role: str, failure: Failure, *, was_ready: bool) -> None:
        found = await self.examine(role, failure, was_ready=was_ready)
        server = self._fleet.server(role)
        # The operator may have started it again meanwhile.
        if server.status.state is ServerState.FAILED and server.status.failure is failure and found != failure:
            server.note(failure=found)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    def _circumstances(self, role: str, profile: LaunchProfile) -> Circumstances:
        before = self._before.get(role)
        used = self._most("host.ram_mib")
        total = self._host_total_mib
        return Circumstances(
            self._gpu_free(role, profile),
            None if used is None or total is None else total - used,
            total,
            0 if before is None else ended_for_memory().since(before),
        )

    def _gpu_free(self, role: str, profile: LaunchProfile) -> Mapping[str, float]:
        """Return the least that was free on each card, by llama.cpp's name; a simulated card tells nothing."""
        gpus = self._watch.gpus
        totals = {
            sample.index: sample.memory_total_mib
            for sample in (gpus.samples if gpus is not None else ())
            if not sample.simulated and sample.memory_total_mib is not None
        }
        free: dict[str, float] = {}
        known = self._tune.catalog is not None and role in self._tune.catalog.roles
        for slot in self._outlook.survey.machine(role, profile).slots if totals and known else ():
            used = self._most(f"gpu{slot.card}.vram_mib") if slot.card in totals else None
            total = totals.get(slot.card) if slot.card is not None else None
            if used is not None and total is not None:
                free[slot.device.name] = max(0.0, total - used)
        return free

    def _most(self, series: str) -> float | None:
        now = self._clock()
        _, values = self._watch.store.window(series, now - LOOK_BACK_S, now)
        known = values[np.isfinite(values)]
        return float(known.max()) if len(known) else None

    def _ask(self, profile: LaunchProfile) -> Forecast | None:
        return self._outlook.of_profile(profile).forecast


def _closer(role: str, failure: Failure, lines: list[str], was_ready: bool, circumstances: Circumstances) -> Failure:
    """Return the failure as it looks with all that is known."""
    if failure.code == "load_timeout":
        return load_stopped(role, failure, lines)
    if failure.exit_code is None and not failure.evidence:
        return failure  # it never ran: the checks before a start say exactly what is wrong
    return explain(
        role=role, exit_code=failure.exit_code, lines=lines, was_ready=was_ready, circumstances=circumstances
    )


def _is_of_memory(failure: Failure) -> bool:
    return failure.code.startswith("out_of_gpu_memory") or failure.code == "gpu_error_unsaid"
