"""Every real start is compared with the forecast that was made for it; what it teaches is kept for the next."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.load_report import LoadReport
from variet_gui.events import (
    Event,
    EventStream,
    Failure,
    GpuSample,
    GpusSampled,
    NoticeRaised,
    OutlookChanged,
    ServerState,
    ServerStateChanged,
    ServerStatus,
    Severity,
)
from variet_gui.forecast.calibration import Observation, observations
from variet_gui.forecast.values import Forecast, Verdict
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import msg
from variet_gui.panel.calibrations import Calibrations
from variet_gui.panel.driver import ask_driver
from variet_gui.panel.fingerprints import fingerprint_of
from variet_gui.panel.outlook_machine import Machine

log = logging.getLogger(__name__)

SETTLED_S = 1.5
"""The driver's list of processes is read once a second: what it says so long after a start belongs to that start."""
PATIENCE_S = 10.0
_MOST_OVERHEAD_MIB = 2000.0
"""What a card holds more than before is not all this server's, where it is more than its buffers and so much."""
_CUDA = "CUDA"
_COMPONENTS: Mapping[str, str] = {
    "weights": "weights",
    "context": "context",
    "recurrent": "context",
    "compute": "compute",
    "warm_up": "compute",
    "projector": "projector",
    "picture": "projector",
}
"""What a failure says had no room -> the component of the forecast."""


@dataclass(frozen=True, slots=True)
class Launched:
    """One start with the forecast that was made for it."""

    role: str
    profile: LaunchProfile
    forecast: Forecast
    machine: Machine
    model: GgufHeader
    projector: GgufHeader | None
    capabilities: Capabilities | None
    environment: Mapping[str, str]
    gpus: GpusSampled | None
    """The cards just before."""


class _Waiting:
    """Waits for a round of the sampler that is not older than a point in time."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._come = asyncio.Event()
        self._round: GpusSampled | None = None

    def take(self, sampled: GpusSampled) -> None:
        """Look at a round; the first that is late enough is kept."""
        if self._round is None and sampled.at >= self._since:
            self._round = sampled
            self._come.set()

    async def wait(self) -> GpusSampled | None:
        """Return that round, once it has come."""
        await self._come.wait()
        return self._round


class Learning:
    """Listens to the servers of one panel. Everything belongs to the core's loop."""

    def __init__(
        self,
        events: EventStream,
        calibrations: Calibrations,
        report: Callable[[str], LoadReport],
        sampled: Callable[[], GpusSampled | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin to listen.

        Args:
            events: of the panel.
            calibrations: where observations go.
            report: returns what a server said of its load.
            sampled: returns what the sampler of the panel saw last; None where none runs.
            clock: Unix time.
        """
        self._events = events
        self._calibrations = calibrations
        self._report = report
        self._sampled = sampled
        self._clock = clock
        self._launched: dict[str, Launched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: list[_Waiting] = []
        self._closing = asyncio.Event()
        self._unsubscribe = events.subscribe(self._receive)

    def expect(self, launched: Launched) -> None:
        """Remember what the next start of a tier, and those that repeat it, are to be compared with."""
        self._launched[launched.role] = launched

    def launched(self, role: str) -> Launched | None:
        """Return the last start of a tier that had a forecast."""
        return self._launched.get(role)

    def forget(self, role: str) -> None:
        """The next start of a tier has no forecast."""
        self._launched.pop(role, None)

    async def close(self) -> None:
        """Write down what is known of starts that were just made, and listen no longer."""
        self._unsubscribe()
        self._closing.set()
        await asyncio.gather(*tuple(self._tasks), return_exceptions=True)

    def _receive(self, event: Event) -> None:
        match event:
            case ServerStateChanged(status=status, previous=previous):
                launched = self._launched.get(status.role)
                if launched is None or launched.machine.simulated or status.adopted:
                    return
                if status.state is ServerState.READY and previous.is_coming_up:
                    round_after = _Waiting(status.since + SETTLED_S)
                    self._waiting.append(round_after)  # at once: the very next round may be the one
                    self._spawn(self._learn_from(launched, status, round_after))
                elif status.state is ServerState.FAILED and status.failure is not None and previous.is_active:
                    self._failed(launched, status.failure)
            case GpusSampled():
                for waiting in self._waiting:
                    waiting.take(event)
            case _:
                pass

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="learning from a start")
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("nothing was learned from a start", exc_info=error)

    # ------------------------------------------------------------------------------------------------- a good start

    async def _learn_from(self, launched: Launched, status: ServerStatus, round_after: _Waiting) -> None:
        try:
            gpus = await self._figures(round_after) if launched.forecast.devices else None
        finally:
            self._waiting.remove(round_after)
        used = _used(launched, status, gpus)
        found = observations(launched.forecast, status.buffers, used, at=self._clock())
        if found:
            await self._keep(launched, gpus, found)

    async def _figures(self, round_after: _Waiting) -> GpusSampled | None:
        """Return the first round of the sampler that knows of the whole server; None where none comes in time."""
        # The terminal has no sampler, and looks once.
        answer = asyncio.create_task(ask_driver() if self._sampled() is None else round_after.wait())
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait({answer, closing}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            closing.cancel()
            await asyncio.gather(answer, closing, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------- out of memory

    def _failed(self, launched: Launched, failure: Failure) -> None:
        """A start that ran out of memory although it was to fit makes the margin of that device wider."""
        if not failure.code.startswith("out_of_gpu_memory"):
            return
        named = {one.name: one for one in launched.forecast.devices}
        device = named.get(failure.device or "", launched.forecast.tightest)
        if device is None or device.verdict is not Verdict.FITS:
            return
        # What had been allocated until then was forecast too, and is no evidence of what did not come any more.
        found = observations(
            replace(launched.forecast, devices=(device,)),
            self._report(launched.role).buffers,
            {},
            at=self._clock(),
            out_of_memory=True,
            ran_out_in=_COMPONENTS.get(failure.part or ""),
        )
        slot = launched.machine.slot(device.name)
        text = msg(
            "{role} ran out of memory on {device} although the forecast said that it fits. The forecast keeps more "
            "free there from now on.",
            role=launched.role,
            device=slot.label if slot is not None else device.name,
        )
        self._events.publish(NoticeRaised(Severity.INFO, text))
        self._spawn(self._keep(launched, None, found))

    async def _keep(self, launched: Launched, gpus: GpusSampled | None, found: Iterable[Observation]) -> None:
        gpus = gpus or launched.gpus
        cards = _cuda_cards(launched.machine, gpus.samples if gpus is not None else ())
        fingerprint = await asyncio.to_thread(
            fingerprint_of,
            launched.profile,
            model=launched.model,
            projector=launched.projector,
            capabilities=launched.capabilities,
            driver=gpus.driver if gpus is not None else None,
            cards=cards,
            environment=launched.environment,
        )
        stored = json.loads(fingerprint.as_json())
        await self._calibrations.learn(replace(one, fingerprint=stored) for one in found)
        self._events.publish(OutlookChanged())


def _used(launched: Launched, status: ServerStatus, gpus: GpusSampled | None) -> dict[str, float]:
    """Return what the server holds on each device by NVML, MiB: by process, else by what the card holds more.

    A card that is shown as several devices tells nothing of any of them.
    """
    samples = {sample.index: sample for sample in gpus.samples} if gpus is not None else {}
    cards = [slot.card for slot in launched.machine.slots]
    used: dict[str, float] = {}
    for slot in launched.machine.slots:
        sample = samples.get(slot.card) if slot.card is not None else None
        if sample is None or cards.count(slot.card) != 1:
            continue
        told = next((one.memory_mib for one in sample.processes or () if one.pid == status.pid), None)
        if told is None and not sample.processes:  # a driver that keeps no accounts: Windows, WSL
            told = _risen(sample, launched, status, slot.device.name)
        if told is not None:
            used[slot.device.name] = told
    return used


def _risen(sample: GpuSample, launched: Launched, status: ServerStatus, name: str) -> float | None:
    earlier = launched.gpus.samples if launched.gpus is not None else ()
    before = next((one.memory_used_mib for one in earlier if one.index == sample.index), None)
    buffers = next((part.total_mib for part in status.buffers if part.device == name), 0.0)
    if before is None or sample.memory_used_mib is None or not buffers:
        return None
    risen = sample.memory_used_mib - before
    return risen if buffers <= risen <= buffers + _MOST_OVERHEAD_MIB else None


def _cuda_cards(machine: Machine, samples: Iterable[GpuSample]) -> list[GpuSample | None]:
    by_index = {sample.index: sample for sample in samples}
    return [
        by_index.get(slot.card) if slot.card is not None else None
        for slot in machine.slots
        if slot.device.name.startswith(_CUDA)
    ]
