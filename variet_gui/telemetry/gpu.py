"""GPU figures from NVML: keeps the sampler process alive and turns its lines into events."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from variet_gui.events import EventStream, GpuProcess, GpuSample, GpusSampled
from variet_gui.helpers import Helper, helper_command
from variet_gui.i18n import Message, msg
from variet_gui.telemetry.gpu_sampler import CODE_NO_BINDING, CODE_NO_GPU, EXIT_FRESH_PROCESS

log = logging.getLogger(__name__)

RESPAWN_S = (1.0, 30.0)
"""First and longest pause before a sampler that died is started again; it doubles in between."""
SETTLED_S = 60.0
"""A sampler that lived this long starts with the short pause again."""
SILENCE_S = 15.0
"""A sampler that says nothing for this long hangs in the driver."""

_TEXT_FIELDS = frozenset({"name", "uuid", "pci_bus_id"})
_FIELDS = frozenset(field.name for field in fields(GpuSample)) - {"simulated"}


class GpuSampler:
    """Publishes GpusSampled once per interval from real cards, or the reason why there are no figures.

    A round can have both samples and a problem: one card is lost, the others go on.
    """

    def __init__(
        self,
        events: EventStream,
        interval_s: float = 1.0,
        *,
        command: Sequence[str] | None = None,
        respawn_s: tuple[float, float] = RESPAWN_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        """`command` replaces the sampler process; only tests hand one in."""
        self._events = events
        self._command = command or helper_command(Helper.GPU_SAMPLER, "--interval", str(interval_s))
        self._respawn_s = respawn_s
        self._silence_s = max(silence_s, 5 * interval_s)
        self._driver: str | None = None
        self._stuck: Process | None = None
        self.latest: GpusSampled | None = None
        """The newest round; None before the first."""

    async def run(self) -> None:
        """Sample until cancelled. The sampler process never outlives this call."""
        pause_s, longest_s = self._respawn_s
        problem: Message | None = None
        while True:
            started = time.monotonic()
            try:
                # One that cannot even be killed is not given company.
                if self._stuck is None or self._stuck.returncode is not None:
                    problem = await self._run_helper()
            except OSError as error:
                log.warning("the GPU sampler could not be started: %s", error)
                problem = msg("The GPU sampler could not be started: {reason}", reason=error.strerror or str(error))
            if problem is not None:
                self._publish((), problem)
            if time.monotonic() - started > SETTLED_S:
                pause_s = self._respawn_s[0]
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, longest_s)

    async def _run_helper(self) -> Message | None:
        """Run one sampler process to its end; return why it ended, or None when it said so itself."""
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, **_own_group()
        )
        complaints: deque[str] = deque(maxlen=20)
        drain = asyncio.create_task(_drain(process, complaints))
        try:
            answered = await self._read_lines(process)
            if not answered:
                return msg("The NVIDIA driver has not answered for {seconds} s.", seconds=round(self._silence_s))
            code = await process.wait()
            await drain
        finally:
            drain.cancel()
            self._stuck = None if await _ended(process) else process
        if code == EXIT_FRESH_PROCESS:
            return None
        log.warning("the GPU sampler ended with exit code %s: %s", code, "\n".join(complaints))
        return msg("The GPU sampler ended (exit code {code}) and is started again.", code=code)

    async def _read_lines(self, process: Process) -> bool:
        """Publish what the sampler says until its output ends; return False when it fell silent instead."""
        assert process.stdout is not None
        patience_s = self._silence_s
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    raw = await process.stdout.readline()
            except TimeoutError:
                return False
            except ValueError:
                log.warning("the GPU sampler wrote a line beyond all measure; it is left out")
                continue
            if not raw:
                return True
            try:
                line = json.loads(raw)
                patience_s = self._silence_s + self._accept(line)
            except (ValueError, TypeError, KeyError, AttributeError):
                log.warning("the GPU sampler wrote %r, which is not one of its lines; it is left out", raw[:200])

    def _accept(self, line: Mapping[str, Any]) -> float:
        """Publish one line; return for how long the sampler announced to be silent, s."""
        if "driver" in line:
            self._driver = line["driver"]
            return 0.0
        problem = line.get("problem")
        if "gpus" in line:
            samples = tuple(_sample(figures) for figures in line["gpus"])
            self._publish(samples, None if problem is None else _explain(problem), float(line["at"]))
            return 0.0
        if problem is None:
            raise KeyError("problem")
        self._driver = None
        self._publish((), _explain(problem))
        return float(problem["retry_s"])

    def _publish(self, samples: tuple[GpuSample, ...], problem: Message | None, at: float | None = None) -> None:
        self.latest = GpusSampled(time.time() if at is None else at, samples, self._driver, problem)
        self._events.publish(self.latest)


def _sample(figures: Mapping[str, Any]) -> GpuSample:
    processes = figures.get("processes")
    for name, value in figures.items():
        if name == "processes":
            continue
        expected = str if name in _TEXT_FIELDS else (int, float)
        if name not in _FIELDS or not (value is None or isinstance(value, expected)):
            raise ValueError(name)
    held = None if processes is None else tuple(GpuProcess(int(pid), _mib(mib)) for pid, mib in processes)
    return GpuSample(**{"memory_used_mib": None, "memory_total_mib": None, **figures, "processes": held})


def _mib(value: float | None) -> float | None:
    return None if value is None else float(value)


def _explain(problem: Mapping[str, Any]) -> Message:
    """Return an NVML error code in plain words: what it is, and what to do about it."""
    code, gpu = problem["code"], problem.get("gpu")
    if gpu is not None:
        return msg(
            "GPU {index} has stopped answering the NVIDIA driver ({reason}). It is looked for again and again; "
            "if it stays away, restart the computer.",
            index=gpu,
            reason=problem["text"],
        )
    if code in _PROBLEMS:
        return _PROBLEMS[code]
    return msg(
        "The NVIDIA driver reported an error ({reason}); GPU figures are not available. "
        "Host memory and CPU are shown instead.",
        reason=problem["text"],
    )


_PROBLEMS: Mapping[int, Message] = {
    CODE_NO_BINDING: msg(
        "The Python package nvidia-ml-py is not installed; GPU figures are not available. "
        "Host memory and CPU are shown instead."
    ),
    CODE_NO_GPU: msg(
        "The NVIDIA driver reports no GPU; GPU figures are not available. Host memory and CPU are shown instead."
    ),
    4: msg(
        "This user may not ask the NVIDIA driver; GPU figures are not available. "
        "Check the permissions of /dev/nvidiactl."
    ),
    9: msg(
        "The NVIDIA driver is installed but not loaded; GPU figures are not available. "
        "Host memory and CPU are shown instead. Restarting the computer loads it."
    ),
    12: msg("No NVIDIA driver was found; GPU figures are not available. Host memory and CPU are shown instead."),
    18: msg(
        "The NVIDIA driver was updated while it was running; GPU figures come back after the computer is restarted."
    ),
}


async def _drain(process: Process, complaints: deque[str]) -> None:
    """Keep the last lines of stderr: a full pipe would stop the sampler."""
    assert process.stderr is not None
    while chunk := await process.stderr.read(4096):
        complaints.extend(chunk.decode(errors="replace").splitlines())


async def _ended(process: Process) -> bool:
    """Kill the sampler, which has nothing to tidy up, and wait for its end; return whether it came."""
    if process.returncode is None:
        process.kill()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            log.warning("the GPU sampler (process %s) cannot be ended: it is stuck inside the driver", process.pid)
            return False
    return True


def _own_group() -> dict[str, Any]:
    """Keep Ctrl-C in a terminal away from the sampler: it is for the panel, which then ends the sampler."""
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        options = {"process_group": 0}
    return options
