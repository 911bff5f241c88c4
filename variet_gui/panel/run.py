"""Run: start, stop and restart tiers. Everything between the button and the server's own life."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from variet_gui.catalog.command import child_environment
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine import load_check, preflight
from variet_gui.engine.binary import EngineBinary, EngineNotFound, embedded_engine, resolve
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.launch import Launch, StartFailed, attachment
from variet_gui.engine.port_check import port_findings
from variet_gui.engine.probe import ProbeError, probe
from variet_gui.engine.readiness import model_argument
from variet_gui.engine.server import Server
from variet_gui.events import (
    Event,
    EventStream,
    Failure,
    GpusSampled,
    NoticeRaised,
    ParameterValue,
    ServerState,
    ServerStateChanged,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import msg
from variet_gui.panel.free_settings import free_differences
from variet_gui.panel.guard import Guard
from variet_gui.panel.load_times import LoadTimes
from variet_gui.panel.paths import Paths
from variet_gui.panel.tune import Tune

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine of one tier, or why there is none."""

    binary: EngineBinary | None = None
    failure: Failure | None = None


class Foresee(Protocol):
    """What the forecast has against a start."""

    async def __call__(self, profile: LaunchProfile, *, ask: bool) -> Sequence[preflight.Finding]:
        """Return findings; with `ask` one of them may be a question, which is an error until it is answered."""


class Run:
    """Starts and stops tiers. One start or stop of a role at a time; the newest wish wins."""

    def __init__(
        self,
        fleet: Fleet,
        tune: Tune,
        paths: Paths,
        events: EventStream,
        environ: Mapping[str, str],
        gpus: Callable[[], GpusSampled | None],
    ) -> None:
        """`gpus` returns what the GPU sampler saw last, None while it has seen nothing."""
        self._fleet = fleet
        self._tune = tune
        self._paths = paths
        self._events = events
        self._environ = environ
        self._gpus = gpus
        self._engines: dict[str, Engine] = {}
        self._on_cpu: set[str] = set()
        self.foresee: Foresee | None = None
        """Says what a forecast has against a start; set once the panel has one."""
        self._launched: dict[str, Launch] = {}
        self.load_times = LoadTimes(paths.data_dir / "history" / "load_times.json")
        self._unsubscribe = events.subscribe(self._receive)
        self.guard = Guard(fleet, events, self.load_times, self.start_again)

    def server(self, role: str) -> Server:
        """Return the server of `role`, running or not."""
        return self._fleet.server(role)

    def statuses(self) -> tuple[ServerStatus, ...]:
        """Return the status of every tier of the catalog, in its order."""
        catalog = self._tune.catalog
        roles = catalog.roles if catalog else ()
        return tuple(self._fleet.server(role).status for role in roles)

    def engine(self, role: str) -> Engine:
        """Return what `find_engine` found last."""
        return self._engines.get(role, Engine())

    async def find_engine(self, role: str) -> Engine:
        """Find and probe the tier's llama-server, and let the command preview know how it spells its flags."""
        catalog = self._tune.catalog
        if catalog is None:
            return Engine()
        try:
            if role in self._on_cpu:
                binary = embedded_engine()
            else:
                binary = resolve(self._tune.tier(role), catalog, self._environ)
            capabilities = await probe(binary, cache_dir=self._paths.cache_dir)
        except EngineNotFound as error:
            engine = Engine(failure=preflight.no_engine(error))
        except ProbeError as error:
            engine = Engine(failure=Failure("engine_unusable", error.message))
        else:
            self._tune.note_engine(role, binary.program, capabilities)
            engine = Engine(binary)
        self._engines[role] = engine
        return engine

    def allow_cpu(self, role: str) -> None:
        """Use the embedded engine for `role` until the panel closes: the operator said "start on the CPU anyway"."""
        self._on_cpu.add(role)

    async def start(
        self,
        role: str,
        overrides: Mapping[str, ParameterValue | None] | None = None,
        *,
        fewer_gpus_will_do: bool = False,
        ask: bool = False,
    ) -> None:
        """Start the tier with its draft (and `overrides` on top). Returns when it is ready.

        With `fewer_gpus_will_do` it starts with the GPUs that are there, this once. With `ask` it is not started where
        it does not fit beside the tiers that run: the failure asks what to do. Else that is only told.

        Raises:
            StartFailed: it did not come up; the failure is in the error and in the server's status.
            KeyError: there is no such tier.
        """
        self._tune.tier(role)  # a role that does not exist is told before anything changes its state
        self.guard.give_up(role)
        await self._fleet.server(role).start_with(
            lambda: self._prepare(role, overrides or {}, fewer_gpus_will_do, ask=ask)
        )

    def start_in_background(self, role: str) -> None:
        """Start the tier without waiting for it; its card says how that went."""
        self.guard.spawn(self._start_quietly(role), f"start {role}")

    async def _start_quietly(self, role: str) -> None:
        try:
            await self.start(role)
        except StartFailed as error:
            log.info("%s did not start: %s", role, error)

    async def close(self) -> None:
        """Give up what would be started later."""
        self._unsubscribe()
        await self.guard.close()

    async def start_again(self, role: str) -> None:
        """Start the tier exactly as it was started last, whatever was edited meanwhile.

        Raises:
            StartFailed: it did not come up.
            KeyError: it was not started since the panel was opened.
        """
        launch = self._launched[role]

        async def prepared() -> Launch:
            pids = {status.pid: status.role for status in self._fleet.statuses() if status.pid is not None}
            failure = preflight.blocking_failure(await port_findings(launch.port, pids))
            if failure is not None:
                raise StartFailed(failure)
            return launch

        await self._fleet.server(role).start_with(prepared)

    async def switch(self, role: str, stopping: Iterable[str]) -> None:
        """Stop the tiers `stopping`, wait until their memory is free, and start `role`.

        Raises:
            StartFailed: it did not come up.
        """
        async with asyncio.TaskGroup() as group:
            for other in stopping:
                group.create_task(self.stop(other))
        await self.start(role)

    def _receive(self, event: Event) -> None:
        """Compare every server that has become ready with what it was started as."""
        if not isinstance(event, ServerStateChanged) or event.status.state is not ServerState.READY:
            return
        status, catalog = event.status, self._tune.catalog
        if event.previous.is_up or status.attached_to or catalog is None or status.role not in catalog.roles:
            return
        server = self._fleet.server(status.role)
        found = load_check.differences(catalog.tier(status.role), status, server.report)
        server.note(differences=tuple(one.text for one in found))
        for one in found:
            text = msg("{role}: {problem}", role=status.role, problem=one.text)
            self._events.publish(NoticeRaised(one.severity, text, role=status.role, fixes=one.fixes))

    async def _prepare(
        self, role: str, overrides: Mapping[str, ParameterValue | None], fewer_gpus_will_do: bool, *, ask: bool
    ) -> Launch:
        """Check everything that can be checked without touching a GPU, and put the launch together."""
        tier = self._tune.tier(role)
        if tier.url is not None:
            return attachment(tier.url, tier.port)
        engine = await self.find_engine(role)
        if engine.binary is None:
            raise StartFailed(engine.failure or Failure("no_engine", preflight.NO_ENGINE))
        profile = self._tune.draft(role)
        for key, value in overrides.items():
            profile = profile.with_value(key, value)
        command = self._tune.command(role, overrides)  # of the same draft: it may be edited during the checks
        findings = await preflight.check(
            profile,
            tier,
            engine.binary,
            self._tune.capabilities(role),
            self._tune.models_dir,
            {status.pid: status.role for status in self._fleet.statuses() if status.pid is not None},
            gpus=gpus.samples if (gpus := self._gpus()) else None,
            environ=self._environ,
            fewer_gpus_will_do=fewer_gpus_will_do,
        )
        if preflight.blocking_failure(findings) is None and self.foresee is not None:
            findings = (*findings, *await self.foresee(profile, ask=ask))
        failure = preflight.blocking_failure(findings)
        if failure is not None:
            raise StartFailed(failure)
        self._warn(role, findings)
        if tier.is_open_to_the_network:
            await asyncio.to_thread(self._tune.keys.ensure, role)
        launch = Launch(
            command,
            child_environment(self._environ, command),
            engine.binary,
            profile.values,
            tier.port,
            tier.keep_running,
            await asyncio.to_thread(self.load_times.expected, role, model_argument(command.argv)),
        )
        self._launched[role] = launch
        return launch

    def _warn(self, role: str, findings: Iterable[preflight.Finding]) -> None:
        """Tell what a start is tried in spite of."""
        for found in findings:
            if found.severity is Severity.WARNING:
                text = msg("{role}: {problem}", role=role, problem=found.text)
                details = str(found.detail) if found.detail else ""
                self._events.publish(NoticeRaised(found.severity, text, details, role, found.fixes))

    async def stop(self, role: str) -> None:
        """Stop the tier, cancel its start, or give up trying again. Returns when the process is gone."""
        self.guard.give_up(role)
        await self._fleet.server(role).stop()

    async def restart(
        self, role: str, overrides: Mapping[str, ParameterValue | None] | None = None, *, ask: bool = False
    ) -> None:
        """Stop the tier and start it with its draft; `ask` as for `start`."""
        await self.stop(role)
        await self.start(role, overrides, ask=ask)

    async def stop_all(self) -> None:
        """Stop every tier at once."""
        for status in self._fleet.statuses():
            self.guard.give_up(status.role)
        await self._fleet.stop_all()

    def running_differences(self, role: str) -> tuple[str, ...]:
        """Return the keys in which the draft differs from what runs; nothing when it does not run."""
        values = self._fleet.server(role).status.values
        if values is None:
            return ()
        changed = self._tune.draft(role).changed_keys(LaunchProfile(role, values))
        launch = self._launched.get(role)  # None: it was taken over, and nobody knows what else it was given
        return changed if launch is None else (*changed, *free_differences(launch.command, self._tune.command(role)))
