"""What the panel itself knows of the moment a server ended: memory of GPUs and computer, and what the system ended.

A process that asks for more memory than there is, the system ends with SIGKILL, and nothing in its log tells. Linux
counts these: `oom_kill` in /proc/vmstat, and in `memory.events` (cgroup v2) or `memory.oom_control` (v1) of the group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from variet_gui.engine.failure_lines import device_text
from variet_gui.i18n import Message, msg

LOW_GPU_MIB = 300.0
"""Less than this is soon gone: a CUDA context, a handle of cuBLAS and a growing pool take tens to hundreds of MiB."""
LOW_HOST_PART = 0.03
"""Part of the computer's memory under which the system begins to end processes."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What was seen around the end of one server. Empty: nothing was."""

    gpu_free_mib: Mapping[str, float] = field(default_factory=dict)
    """The least that was free on each GPU shortly before the end, by llama.cpp's name."""
    host_available_mib: float | None = None
    """The least of the computer's memory that was available shortly before the end."""
    host_total_mib: float | None = None
    processes_ended: int = 0
    """Processes that the system ended for lack of memory while the server ran."""

    @property
    def full_gpus(self) -> tuple[str, ...]:
        """Return the GPUs that had almost nothing left."""
        return tuple(name for name, free in self.gpu_free_mib.items() if free < LOW_GPU_MIB)

    @property
    def host_was_full(self) -> bool:
        """Whether the computer had almost nothing left."""
        if self.host_available_mib is None or not self.host_total_mib:
            return False
        return self.host_available_mib < LOW_HOST_PART * self.host_total_mib

    def observations(self) -> tuple[Message, ...]:
        """Return what speaks for a lack of memory, in words."""
        found: list[Message] = []
        if self.processes_ended == 1:
            found.append(msg("While it ran, the system ended a process for lack of memory."))
        elif self.processes_ended:
            text = msg(
                "While it ran, the system ended {count} processes for lack of memory.", count=self.processes_ended
            )
            found.append(text)
        if self.host_was_full and self.host_available_mib is not None:
            found.append(
                msg(
                    "Shortly before, the computer had only {mib} MiB of memory available.",
                    mib=f"{self.host_available_mib:.0f}",
                )
            )
        found += [
            msg(
                "Shortly before, {device} had only {mib} MiB free.",
                device=device_text(name),
                mib=f"{self.gpu_free_mib[name]:.0f}",
            )
            for name in self.full_gpus
        ]
        return tuple(found)


NOTHING_KNOWN = Circumstances()


@dataclass(frozen=True, slots=True)
class EndedForMemory:
    """Counters of processes that the system ended for lack of memory, since it was started."""

    system: int | None
    group: int | None
    """Of the control group that the panel, and with it its servers, belong to."""

    def since(self, before: EndedForMemory) -> int:
        """Return how many were ended since `before`; 0 where nobody counts."""
        pairs = ((before.group, self.group), (before.system, self.system))
        return max((now - then for then, now in pairs if then is not None and now is not None), default=0)


def ended_for_memory(root: Path = Path("/")) -> EndedForMemory:
    """Read the counters. Tens of microseconds; both None where the platform has none."""
    return EndedForMemory(_count(root / "proc" / "vmstat"), _count(_group_file(root)))


def _group_file(root: Path) -> Path | None:
    try:
        groups = (root / "proc" / "self" / "cgroup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    base = root / "sys" / "fs" / "cgroup"
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            file = base / path.lstrip("/") / "memory.events"
        elif "memory" in controllers.split(","):
            file = base / "memory" / path.lstrip("/") / "memory.oom_control"
        else:
            continue
        if file.is_file():
            return file
    return None


def _count(file: Path | None) -> int | None:
    if file is None:
        return None
    try:
        text = file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    match = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(match[1]) if match else None
