"""By which factors this machine differs from the constants: learned from its own measured speeds, with how surely.

Every measured speed is one equation: log(time) = log(sum of part * factor) + what is peculiar to the model + noise. All
factors are expected near 1, as near as the constants were found to be on other machines; a measurement moves the parts
that its time was made of, and hardly the others. Solved by Gauss and Newton's steps for the most likely factors; the
curvature there gives the range (Bayesian linear regression).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

START = "start"
"""The part that starts, hands over and draws; equal for all cards."""
HOST = "host"
"""The part of the CPU and its memory. Every other part is the reading of the card that it is called after."""

RATE_SPREAD = 0.15
"""How far a card's reading was from the estimate on other machines (standard deviation of the logarithm)."""
START_SPREAD = 0.25
"""The same of starting: other clocks, other processors."""
HOST_SPREAD = 0.40
MODEL_SPREAD = 0.08
"""What cards and starts do not explain, of one model."""
NOISE = 0.05
"""From one measurement to the next: a warm card, a busy desktop."""
_SPREADS = {START: START_SPREAD, HOST: HOST_SPREAD}
_MODEL = "model\0"
_STEPS = 12
_LONGEST_STEP = 0.5
"""Of a logarithm: far from the answer the straight line is a poor guide."""


@dataclass(frozen=True, slots=True)
class Equation:
    """One measured time per token beside what had been expected of its parts, ms."""

    parts: tuple[tuple[str, float], ...]
    """(factor, ms), each factor once, none of them 0."""
    model: str
    measured_ms: float


@dataclass(frozen=True, slots=True)
class SpeedRange:
    """A time per token, and how surely."""

    likely_ms: float
    spread: float
    """Standard deviation of the logarithm."""

    def tps(self, deviations: float) -> float:
        """Return the speed so many standard deviations above the likely one (negative: below)."""
        return 1000.0 / self.likely_ms * math.exp(deviations * self.spread)


@dataclass(frozen=True, slots=True)
class Factors:
    """What was learned: logarithms of factors, and their covariance."""

    keys: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()

    def range_of(self, parts: Mapping[str, float], model: str) -> SpeedRange:
        """Return how long a token takes.

        Args:
            parts: ms by factor, as the constants have it; at least one.
            model: as in the equations; empty or another: nothing peculiar is known of it.
        """
        known = dict(zip(self.keys, self.values, strict=True))
        grown = {key: ms * math.exp(known.get(key, 0.0)) for key, ms in parts.items()}
        total = sum(grown.values())
        slope = {key: ms / total for key, ms in grown.items()}
        slope[_MODEL + model] = 1.0
        variance = NOISE**2 + sum((share * _spread(key)) ** 2 for key, share in slope.items() if key not in known)
        pulls = [slope.get(key, 0.0) for key in self.keys]
        for pull, row in zip(pulls, self.covariance, strict=True):
            variance += pull * sum(entry * other for entry, other in zip(row, pulls, strict=True))
        return SpeedRange(total * math.exp(known.get(_MODEL + model, 0.0)), math.sqrt(variance))


def learn(equations: Sequence[Equation]) -> Factors:
    """Return the factors that explain the measured times best, as near to 1 as they can be."""
    keys = tuple(dict.fromkeys(key for one in equations for key in (*dict(one.parts), _MODEL + one.model)))
    if not keys:
        return Factors()
    place = {key: index for index, key in enumerate(keys)}
    values = [0.0] * len(keys)
    inverse: list[list[float]] = []
    for _ in range(_STEPS):
        push = [-value / _spread(key) ** 2 for key, value in zip(keys, values, strict=True)]
        curvature = [[_spread(key) ** -2 if key == other else 0.0 for other in keys] for key in keys]
        for one in equations:
            _add(one, place, values, push, curvature)
        inverse = _inverse(curvature)
        for index, row in enumerate(inverse):
            step = sum(entry * force for entry, force in zip(row, push, strict=True))
            values[index] += max(-_LONGEST_STEP, min(_LONGEST_STEP, step))
    return Factors(keys, tuple(values), tuple(tuple(row) for row in inverse))


def _add(
    one: Equation, place: Mapping[str, int], values: Sequence[float], push: list[float], curvature: list[list[float]]
) -> None:
    """Add what one equation says of the factors at `values`."""
    grown = [(place[key], ms * math.exp(values[place[key]])) for key, ms in one.parts]
    total = sum(ms for _, ms in grown)
    own = place[_MODEL + one.model]
    slope = [(own, 1.0), *((index, ms / total) for index, ms in grown)]
    missing = math.log(one.measured_ms) - math.log(total) - values[own]
    for index, pull in slope:
        push[index] += pull * missing / NOISE**2
        for other, second in slope:
            curvature[index][other] += pull * second / NOISE**2


def _spread(key: str) -> float:
    return MODEL_SPREAD if key.startswith(_MODEL) else _SPREADS.get(key, RATE_SPREAD)


def _inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the inverse of a symmetric positive definite matrix (Gauss and Jordan; such a matrix needs no pivots)."""
    count = len(matrix)
    work = [[*row, *(1.0 if i == j else 0.0 for j in range(count))] for i, row in enumerate(matrix)]
    for i in range(count):
        pivot = work[i][i]
        work[i] = [value / pivot for value in work[i]]
        for j in range(count):
            factor = work[j][i]
            if j != i and factor:
                work[j] = [value - factor * other for value, other in zip(work[j], work[i], strict=True)]
    return [row[count:] for row in work]
