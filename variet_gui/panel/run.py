"""Run: start, stop and restart tiers. Everything between the button and the server's own life."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from variet_gui.catalog.command import child_environment
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine import preflight
from variet_gui.engine.binary import EngineBinary, EngineNotFound, embedded_engine, resolve
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.launch import Launch, StartFailed
from variet_gui.engine.probe import ProbeError, probe
from variet_gui.engine.server import Server
from variet_gui.events import (
    EventStream,
    Failure,
    GpusSampled,
    NoticeRaised,
    ParameterValue,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import msg
from variet_gui.panel.paths import Paths
from variet_gui.panel.tune import Tune

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine of one tier, or why there is none."""

    binary: EngineBinary | None = None
    failure: Failure | None = None


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
    ) -> None:
        """Start the tier with its draft (and `overrides` on top). Returns when it is ready.

        With `fewer_gpus_will_do` it starts with the GPUs that are there, this once.

        Raises:
            StartFailed: it did not come up; the failure is in the error and in the server's status.
            KeyError: there is no such tier.
        """
        self._tune.tier(role)  # a role that does not exist is told before anything changes its state
        await self._fleet.server(role).start_with(lambda: self._prepare(role, overrides or {}, fewer_gpus_will_do))
        self._compare_devices(role)

    def _compare_devices(self, role: str) -> None:
        """Say so when the process does not use the GPUs that the catalog expects: that once went unnoticed for days."""
        found = preflight.compare_devices(self._tune.tier(role), self._fleet.server(role).report)
        if found is not None:
            self._events.publish(NoticeRaised(found.severity, msg("{role}: {problem}", role=role, problem=found.text)))

    async def _prepare(
        self, role: str, overrides: Mapping[str, ParameterValue | None], fewer_gpus_will_do: bool
    ) -> Launch:
        """Check everything that can be checked without touching a GPU, and put the launch together."""
        tier = self._tune.tier(role)
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
        failure = preflight.blocking_failure(findings)
        if failure is not None:
            raise StartFailed(failure)
        self._warn(role, findings)
        return Launch(
            command,
            child_environment(self._environ, command),
            engine.binary,
            profile.values,
            tier.port,
            tier.keep_running,
        )

    def _warn(self, role: str, findings: Iterable[preflight.Finding]) -> None:
        """Tell what a start is tried in spite of."""
        for found in findings:
            if found.severity is Severity.WARNING:
                text = msg("{role}: {problem}", role=role, problem=found.text)
                details = str(found.detail) if found.detail else ""
                self._events.publish(NoticeRaised(found.severity, text, details, role, found.fixes))

    async def stop(self, role: str) -> None:
        """Stop the tier, or cancel its start. Returns when the process is gone."""
        await self._fleet.server(role).stop()

    async def restart(self, role: str, overrides: Mapping[str, ParameterValue | None] | None = None) -> None:
        """Stop the tier and start it with its draft."""
        await self.stop(role)
        await self.start(role, overrides)

    async def stop_all(self) -> None:
        """Stop every tier at once."""
        await self._fleet.stop_all()

    def running_differences(self, role: str) -> tuple[str, ...]:
        """Return the keys in which the draft differs from what runs; nothing when it does not run."""
        values = self._fleet.server(role).status.values
        if values is None:
            return ()
        return self._tune.draft(role).changed_keys(LaunchProfile(role, values))
