"""What a forecast says: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from variet_gui.i18n import Message

RESERVE_MIB = 200.0
"""What should stay free beside the forecast: matrix libraries and pools take it after the first long prompt. With less
than about 250 MiB left, prefill was seen to collapse."""


class Verdict(Enum):
    """Whether a start will fit."""

    FITS = "fits"
    TIGHT = "tight"
    """It may or may not: what is left is less than what cannot be known."""
    DOES_NOT_FIT = "does_not_fit"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Device:
    """A device as llama-server would see it. Memory in MiB; None where it is not known."""

    name: str
    """llama.cpp's name: "CUDA0", "RPC1"."""
    capacity_mib: float | None = None
    """Usable: what the driver reports, less what it keeps for itself."""
    used_mib: float = 0.0
    """What other programs hold now."""


@dataclass(frozen=True)
class DeviceForecast:
    """What one device will hold, MiB. None: not known, and the reason is among the forecast's notes."""

    name: str
    weights_mib: float
    context_mib: float | None
    """KV cache, sliding cache and recurrent state together."""
    compute_mib: float | None
    projector_mib: float | None
    """Weights and encode buffer."""
    overhead_mib: float
    """CUDA context and libraries of this process; in older builds also what flash attention takes as it runs."""
    other_mib: float
    """Other programs."""
    capacity_mib: float | None
    uncertainty_mib: float
    """The forecast may be off by so much, either way."""

    @cached_property
    def known_mib(self) -> float:
        """Return the sum of what is known, other programs included."""
        own = (self.weights_mib, self.context_mib, self.compute_mib, self.projector_mib)
        return sum(part or 0.0 for part in own) + self.overhead_mib + self.other_mib

    @property
    def complete(self) -> bool:
        """Whether nothing is missing from the sum."""
        return None not in (self.context_mib, self.compute_mib, self.projector_mib)

    @property
    def total_mib(self) -> float | None:
        """Return the sum, other programs included; None when a part is not known."""
        return self.known_mib if self.complete else None

    @property
    def spare_mib(self) -> float | None:
        """Return what is left, negative when it does not fit; None when capacity or a part is not known."""
        return self.capacity_mib - self.known_mib if self.complete and self.capacity_mib is not None else None

    @cached_property
    def verdict(self) -> Verdict:
        """Return whether this device is large enough."""
        if self.capacity_mib is None:
            return Verdict.UNKNOWN
        left = self.capacity_mib - self.known_mib
        if left < -self.uncertainty_mib:
            # What is known is too much already.
            return Verdict.DOES_NOT_FIT
        if not self.complete:
            return Verdict.UNKNOWN
        return Verdict.FITS if left >= max(self.uncertainty_mib, RESERVE_MIB) else Verdict.TIGHT


@dataclass(frozen=True, slots=True)
class HostForecast:
    """What the process will hold in the computer's own memory, MiB."""

    weights_mib: float
    """Mapped from the file where that is possible: then they need not all be in memory at once."""
    context_mib: float | None
    compute_mib: float | None
    """Pinned."""
    projector_mib: float
    prompt_cache_mib: float
    """At most (`--cache-ram`); 0: off."""
    checkpoints_mib: float
    """At most, all slots."""


NO_HOST = HostForecast(0.0, None, None, 0.0, 0.0, 0.0)
"""Where nothing could be forecast."""


@dataclass(frozen=True)
class Forecast:
    """What a start will take, before it is started."""

    devices: tuple[DeviceForecast, ...]
    """Those in use, in llama.cpp's order."""
    host: HostForecast
    build: int | None
    reasons: tuple[Message, ...] = ()
    """Why something is not known; each makes the verdict at best "unknown"."""
    notes: tuple[Message, ...] = ()
    """What to keep in mind; changes no verdict."""

    @cached_property
    def verdict(self) -> Verdict:
        """Return the worst of all devices."""
        verdicts = {device.verdict for device in self.devices}
        for worst in (Verdict.DOES_NOT_FIT, Verdict.UNKNOWN, Verdict.TIGHT):
            if worst in verdicts or (worst is Verdict.UNKNOWN and self.reasons):
                return worst
        return Verdict.FITS

    @property
    def spare_mib(self) -> tuple[float | None, ...]:
        """Return what is left on each device."""
        return tuple(device.spare_mib for device in self.devices)

    @property
    def uncertainty_mib(self) -> float:
        """Return the largest uncertainty of a device."""
        return max((device.uncertainty_mib for device in self.devices), default=0.0)

    @property
    def tightest(self) -> DeviceForecast | None:
        """Return the device with the least to spare; None when that is known of none."""
        known = [(device.spare_mib, index) for index, device in enumerate(self.devices) if device.spare_mib is not None]
        return self.devices[min(known)[1]] if known else None
