"""How long one token takes, part by part, with the constants that were fitted once.

    t = sum over cards ( bytes read / what the card reaches ) + starts, handovers and drawing + the CPU's part

Cards of one model work one after the other. The constants were fitted to llama-bench of b11434 on one H100 (two models;
two others were held back) and, for cards with GDDR memory, to published figures of one dense model; docs/forecast.md
has the errors. `python -m tests.benchmarks.speed_errors --fit` makes them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from variet_gui.forecast.traffic import Traffic, Work

RULES = 1
"""Version of the constants: what was learned with others does not fit these."""

GIB = 2**30
KERNEL_LIMIT_GIB_S = 1567.0
"""What llama.cpp's kernels for one token reach on an H100, whose memory gives 3122: unpacking the weights, and not the
memory, sets the pace. Published figures of H200 and B300 are hardly faster."""
STACKED_EFFICIENCY = 0.502
"""The same as a share of what HBM gives."""
EFFICIENCY = 0.916
"""Share of the bandwidth that is reached with GDDR memory."""
CONVERTED_BYTES = 2.36
"""What turning one value of a cache that is not F16 into F16 costs, as if so many bytes more were read."""
START_MS = 0.00453
"""Of one operation with a weight."""
ROTATION_MS = 0.0296
"""What an attention layer with a quantised cache takes beside (Hadamard rotation, conversion)."""
HANDOVER_MS = 0.096
"""From one GPU to the next, with pipeline copies."""
HANDOVER_ALONE_MS = 0.233
"""The same without pipeline copies."""
DRAWING_MS = 1.5e-6
"""For each word of the vocabulary, until llama-server has drawn the next token. Measured on a 2.4 GHz core: 0.3 ms for
200,000 words more than llama-bench, which draws nothing."""
HOST_EFFICIENCY = 0.55
"""Share of the measured bandwidth of host memory that the CPU reaches with experts. From two published machines."""
VISIT_MS = 0.1
"""Going over to the CPU and back, once. From the same two machines."""


@dataclass(frozen=True, slots=True)
class SpeedDevice:
    """A device as llama-server would see it."""

    name: str
    """llama.cpp's name: "CUDA0"."""
    bandwidth_gib_s: float | None
    """What its memory gives at best; None: not known."""
    stacked: bool = False
    """HBM."""
    card: str = ""
    """The card's own name, which what was learned belongs to; empty: that of the device."""
    free_mib: float = 1.0
    """Decides the split where the profile has none."""

    @property
    def key(self) -> str:
        """Return under which name things are learned of it."""
        return self.card or self.name


@dataclass(frozen=True, slots=True)
class Parts:
    """One token before anything was learned, ms."""

    reading: tuple[float, ...]
    """Of each device."""
    starting: tuple[float, ...]
    """Of each device: operations started one by one."""
    between: float
    """Handovers, and drawing the token."""
    host: float
    """Everything that the CPU does for the model."""

    @property
    def total(self) -> float:
        """Return the whole time, ms."""
        return sum(self.reading) + sum(self.starting) + self.between + self.host


def reached_gib_s(device: SpeedDevice) -> float | None:
    """Return what is read from a device's memory in a second while a token is made; None: not known."""
    if device.bandwidth_gib_s is None:
        return None
    share = STACKED_EFFICIENCY if device.stacked else EFFICIENCY
    return min(device.bandwidth_gib_s * share, KERNEL_LIMIT_GIB_S)


def parts_of(
    traffic: Traffic,
    devices: Sequence[SpeedDevice],
    host_bandwidth_gib_s: float | None,
    *,
    pipeline: bool,
    drawn: bool = True,
) -> Parts:
    """Return the parts of one token.

    Args:
        traffic: what it needs, of these devices.
        devices: in the order of use; each that has work must have a bandwidth.
        host_bandwidth_gib_s: what the computer's own memory gives; not None where the CPU has work.
        pipeline: inputs exist in four copies, so that handing over needs no waiting.
        drawn: llama-server draws a token from the probabilities; llama-bench does not.
    """
    reading = tuple(_reading(work, device) for work, device in zip(traffic.devices, devices, strict=True))
    starting = tuple(work.tensors * START_MS + work.rotated * ROTATION_MS for work in traffic.devices)
    handover = HANDOVER_MS if pipeline else HANDOVER_ALONE_MS
    between = traffic.handovers * handover + (traffic.words * DRAWING_MS if drawn else 0.0)
    host = 0.0
    if works_on_host(traffic) and host_bandwidth_gib_s:
        bytes_per_ms = host_bandwidth_gib_s * HOST_EFFICIENCY * GIB / 1000
        host = traffic.host.read / bytes_per_ms + traffic.host.tensors * START_MS + traffic.visits * VISIT_MS
    return Parts(reading, starting, between, host)


def works_on_host(traffic: Traffic) -> bool:
    """Whether the CPU does more than to look up the embeddings of a token."""
    return traffic.visits > 0 or traffic.host.tensors > 0


def _reading(work: Work, device: SpeedDevice) -> float:
    reached = reached_gib_s(device)
    if reached is None or not reached:
        return 0.0
    return (work.read + work.converted * CONVERTED_BYTES) / (reached * GIB / 1000)
