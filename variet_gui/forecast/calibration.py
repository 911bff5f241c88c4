"""What this machine's own starts have taught: what CUDA takes beside the buffers, and how far the forecast was off.

Each start leaves one observation per device: the forecast, what the server's own lines said, and what NVML saw. Kept as
JSON lines' worth of one document, newest last, with the fingerprint that it depended on.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from variet_gui.events import DeviceBuffers
from variet_gui.forecast.values import Forecast

SCHEMA = 1
MOST_OBSERVATIONS = 200
COMPONENTS = ("weights", "context", "compute", "projector")

OVERHEAD_MIB = 330.0
"""CUDA context and libraries where nothing was measured. Published: 113 to 153 on idle cards, 330 with cuBLAS, 500 to
560 on an A4000."""
OVERHEAD_SPREAD_MIB = 230.0
EXACT_MIB = 2.0
"""Weights and context are sums over the header."""
COMPUTE_MIB = 16.0
COMPUTE_SHARE = 0.02
"""The compute buffer was within 16 MiB or 2 % of every figure it was compared with."""
_FEWEST_MIB = 8.0
_SPREADS = 2.0
_OOM_MIB = 128.0
"""What an out-of-memory on a forecast that fits widens the margin by, each time."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One device of one start. MiB; None where it was not seen."""

    device: str
    at: float
    """Unix time."""
    forecast_mib: Mapping[str, float]
    """By component: "weights", "context", "compute", "projector"."""
    server_mib: Mapping[str, float]
    """The same components by the server's own lines."""
    used_mib: float | None = None
    """What the process holds by NVML, once ready."""
    out_of_memory: bool = False
    """It ran out although the forecast said that it fits."""
    ran_out_in: str | None = None
    """The component that had no room, where the server said which."""
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    @property
    def overhead_mib(self) -> float | None:
        """Return what the process holds beside its buffers."""
        if self.used_mib is None or not self.server_mib:
            return None
        return self.used_mib - sum(self.server_mib.values())

    def residual_mib(self, component: str) -> float | None:
        """Return by how much the server took more than forecast."""
        if component not in self.forecast_mib or component not in self.server_mib:
            return None
        return self.server_mib[component] - self.forecast_mib[component]


@dataclass(frozen=True, slots=True)
class DeviceCalibration:
    """What is known of one device."""

    overhead_mib: float = OVERHEAD_MIB
    overhead_spread_mib: float = OVERHEAD_SPREAD_MIB
    residual_mib: float | None = None
    """Worst difference between forecast and server over all components together; None: no start was compared."""
    margin_mib: float = 0.0
    """Added after an out-of-memory that was not foreseen."""

    def uncertainty_mib(self, compute_mib: float, *, measured: bool = True) -> float:
        """Return by how much the sum for this device may be off.

        Args:
            compute_mib: its compute buffer.
            measured: there is an overhead beside the buffers at all.
        """
        buffers = self.residual_mib
        if buffers is None:
            buffers = 2 * EXACT_MIB + max(COMPUTE_MIB, COMPUTE_SHARE * compute_mib)
        spread = self.overhead_spread_mib if measured else 0.0
        return math.hypot(max(buffers, _FEWEST_MIB), spread) + self.margin_mib


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was seen on this machine."""

    observations: tuple[Observation, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the overhead of a device was measured."""
        return any(observation.overhead_mib is not None for observation in self.observations)

    def device(self, name: str) -> DeviceCalibration:
        """Return what is known of a device; of one that was never seen, what the others have in common."""
        own = [observation for observation in self.observations if observation.device == name]
        seen = own or list(self.observations)
        overheads = [value for one in seen if (value := one.overhead_mib) is not None]
        residuals = [value for one in own if (value := _worst(one)) is not None]
        overhead, spread = OVERHEAD_MIB, OVERHEAD_SPREAD_MIB
        if overheads:
            overhead = statistics.median(overheads)
            spread = max(_SPREADS * statistics.pstdev(overheads), _FEWEST_MIB)
        return DeviceCalibration(
            overhead, spread, max(residuals, default=None), _OOM_MIB * sum(one.out_of_memory for one in own)
        )

    def with_observations(self, new: Iterable[Observation]) -> Calibration:
        """Return a calibration that has learned these too; the oldest go first."""
        return Calibration((*self.observations, *new)[-MOST_OBSERVATIONS:])

    def residuals(self, component: str) -> tuple[float, ...]:
        """Return all differences between server and forecast of one component, oldest first, MiB."""
        found = (observation.residual_mib(component) for observation in self.observations)
        return tuple(value for value in found if value is not None)

    def as_json(self) -> str:
        """Return it as a document."""
        return json.dumps(
            {"schema": SCHEMA, "observations": [_plain(observation) for observation in self.observations]}, indent=1
        )

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Return what `as_json` wrote.

        Raises:
            ValueError: it is no such document, or one of a newer schema.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
            raise ValueError("not a calibration document")
        if document["schema"] > SCHEMA:
            raise ValueError(f"schema {document['schema']} is newer than {SCHEMA}")
        return cls(tuple(_observation(entry) for entry in document.get("observations", ())))


UNCALIBRATED = Calibration()
"""Nothing was seen yet."""


def load(path: Path) -> Calibration:
    """Return the calibration kept at `path`; an empty one when there is none.

    Raises:
        OSError: the file is there and cannot be read.
        ValueError: it holds something else.
    """
    try:
        return Calibration.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return UNCALIBRATED


def save(path: Path, calibration: Calibration) -> None:
    """Keep the calibration at `path`, all or nothing.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(calibration.as_json(), encoding="utf-8")
    temporary.replace(path)


def observations(
    forecast: Forecast,
    buffers: Iterable[DeviceBuffers],
    used_mib: Mapping[str, float],
    *,
    at: float,
    fingerprint: Mapping[str, Any] | None = None,
    out_of_memory: bool = False,
    ran_out_in: str | None = None,
) -> tuple[Observation, ...]:
    """Return what a start teaches, one observation for each device of the forecast that the server spoke of.

    Args:
        forecast: what was expected.
        buffers: what the server's own log says that it allocated.
        used_mib: what its process holds on each device by NVML, once ready; missing where that was not seen.
        at: Unix time.
        fingerprint: what it depended on, as JSON values.
        out_of_memory: the start ran out of memory although the forecast said that it fits.
        ran_out_in: the component that had no room.
    """
    said = {part.device: part for part in buffers}
    result = []
    for device in forecast.devices:
        part = said.get(device.name)
        if part is None and not out_of_memory:
            continue
        expected = _known(device.weights_mib, device.context_mib, device.compute_mib, device.projector_mib)
        server = (
            _known(part.weights_mib, part.context_mib, part.compute_mib, part.projector_mib) if part is not None else {}
        )
        result.append(
            Observation(
                device.name,
                at,
                expected,
                server,
                used_mib.get(device.name),
                out_of_memory,
                ran_out_in,
                dict(fingerprint or {}),
            )
        )
    return tuple(result)


def _known(*parts: float | None) -> dict[str, float]:
    return {name: part for name, part in zip(COMPONENTS, parts, strict=True) if part is not None}


def _plain(observation: Observation) -> dict[str, Any]:
    return {
        "device": observation.device,
        "at": observation.at,
        "forecast_mib": dict(observation.forecast_mib),
        "server_mib": dict(observation.server_mib),
        "used_mib": observation.used_mib,
        "out_of_memory": observation.out_of_memory,
        "ran_out_in": observation.ran_out_in,
        "fingerprint": dict(observation.fingerprint),
    }


def _worst(observation: Observation) -> float | None:
    parts: Sequence[float | None] = [observation.residual_mib(name) for name in observation.server_mib]
    known = [abs(value) for value in parts if value is not None]
    return sum(known) if known else None


def _observation(entry: object) -> Observation:
    if not isinstance(entry, dict):
        raise ValueError("an observation is no object")
    try:
        return Observation(
            device=str(entry["device"]),
            at=float(entry["at"]),
            forecast_mib=_numbers(entry["forecast_mib"]),
            server_mib=_numbers(entry["server_mib"]),
            used_mib=None if entry.get("used_mib") is None else float(entry["used_mib"]),
            out_of_memory=entry.get("out_of_memory") is True,
            ran_out_in=None if entry.get("ran_out_in") is None else str(entry["ran_out_in"]),
            fingerprint=dict(entry.get("fingerprint") or {}),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"an observation lacks {error}") from error


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError("components are no object")
    return {str(key): float(number) for key, number in value.items()}
