"""Speeds that were measured on this machine, each beside what had been expected; kept as one JSON document."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from variet_gui.forecast.speed_learning import HOST, START, Equation, Factors, SpeedRange, learn
from variet_gui.forecast.speed_rates import RULES, Parts, SpeedDevice

SCHEMA = 1
MOST_OBSERVATIONS = 60


@dataclass(frozen=True, slots=True)
class SpeedObservation:
    """One measured speed beside the parts of the time that had been expected."""

    at: float
    """Unix time."""
    tps: float
    """Generation, tokens per second, one answer at a time."""
    model: str
    """What tells the model from others."""
    parts: tuple[tuple[str, float], ...]
    """(factor, ms) before anything was learned: a card's name, `START`, `HOST`."""
    rules: int = RULES
    """Version of the constants that the parts come from."""
    fingerprint: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class SpeedCalibration:
    """What was measured on this machine."""

    observations: tuple[SpeedObservation, ...] = ()
    """Oldest first."""

    @property
    def usable(self) -> tuple[SpeedObservation, ...]:
        """Return the observations that today's constants can be compared with."""
        return tuple(one for one in self.observations if one.rules == RULES)

    def with_observations(self, new: Iterable[SpeedObservation]) -> SpeedCalibration:
        """Return a calibration that has learned these too; the oldest go first."""
        return SpeedCalibration((*self.observations, *new)[-MOST_OBSERVATIONS:])

    def bearing_on(self, parts: Parts, devices: Sequence[SpeedDevice], model: str) -> int:
        """Return how many measurements say something of these cards, or of this model on the CPU."""
        factors = set(by_factor(parts, devices)) - {START}
        return sum(one.model == model or not factors.isdisjoint(dict(one.parts)) for one in self.usable)

    def apply(self, parts: Parts, devices: Sequence[SpeedDevice], model: str) -> SpeedRange:
        """Return how long a token takes by everything that is known.

        Args:
            parts: of the estimate.
            devices: those in use, in the order of the parts.
            model: as in the observations; empty: not known.
        """
        return self._factors.range_of(by_factor(parts, devices), model)

    @cached_property
    def _factors(self) -> Factors:
        return learn(tuple(Equation(one.parts, one.model, 1000.0 / one.tps) for one in self.usable))

    def as_json(self) -> str:
        """Return it as a document."""
        return json.dumps({"schema": SCHEMA, "observations": [_plain(one) for one in self.observations]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> SpeedCalibration:
        """Return what `as_json` wrote.

        Raises:
            ValueError: it is no such document, or one of a newer schema.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
            raise ValueError("not a document of measured speeds")
        if document["schema"] > SCHEMA:
            raise ValueError(f"schema {document['schema']} is newer than {SCHEMA}")
        return cls(tuple(_observation(entry) for entry in document.get("observations", ())))


UNMEASURED = SpeedCalibration()
"""Nothing was measured yet."""


def by_factor(parts: Parts, devices: Sequence[SpeedDevice]) -> dict[str, float]:
    """Return ms by the factor that they belong to, without those of 0; equal cards share one."""
    result = {START: sum(parts.starting) + parts.between, HOST: parts.host}
    for device, ms in zip(devices, parts.reading, strict=True):
        result[device.key] = result.get(device.key, 0.0) + ms
    return {key: ms for key, ms in result.items() if ms > 0.0}


def observation(
    parts: Parts,
    devices: Sequence[SpeedDevice],
    tps: float,
    *,
    model: str,
    at: float,
    fingerprint: Mapping[str, Any] | None = None,
) -> SpeedObservation:
    """Return what a measured speed teaches.

    Args:
        parts: expected of exactly these settings, at the depth at which it was measured.
        devices: those in use, in the order of the parts.
        tps: what was measured.
        model: what tells the model from others.
        at: Unix time.
        fingerprint: what it depended on, as JSON values.
    """
    return SpeedObservation(
        at, tps, model, tuple(by_factor(parts, devices).items()), fingerprint=dict(fingerprint or {})
    )


def _plain(one: SpeedObservation) -> dict[str, Any]:
    return {
        "at": one.at,
        "tps": one.tps,
        "model": one.model,
        "parts_ms": dict(one.parts),
        "rules": one.rules,
        "fingerprint": dict(one.fingerprint),
    }


def _observation(entry: object) -> SpeedObservation:
    if not isinstance(entry, dict) or not isinstance(entry.get("parts_ms"), dict):
        raise ValueError("an observation is no object, or has no parts")
    try:
        parts = tuple((str(key), float(ms)) for key, ms in entry["parts_ms"].items())
        at, tps = float(entry["at"]), float(entry["tps"])
        model, rules = str(entry["model"]), int(entry["rules"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"an observation lacks {error}") from error
    if not parts or not all(0.0 < number < math.inf for number in (tps, *(ms for _, ms in parts))):
        raise ValueError("an observation has a speed or a time that cannot be")
    return SpeedObservation(at, tps, model, parts, rules, dict(entry.get("fingerprint") or {}))
