"""From a slider's positions to values and back: even steps, or powers of two."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MAX_POSITIONS = 4096


@dataclass(frozen=True, slots=True)
class SliderScale:
    """A scale from `minimum` to `maximum`; `step` is between two positions of an even scale.

    With `powers_of_two` the positions are the minimum, every power of two above it, the maximum, and the quarters
    between two powers where they are multiples of `step` (128K, 160K, 192K, 224K, 256K).
    """

    minimum: float
    maximum: float
    step: float = 1.0
    powers_of_two: bool = False

    @property
    def positions(self) -> int:
        """Return how many steps lie between the ends (the slider's maximum)."""
        if self.maximum <= self.minimum:
            return 0
        if self.powers_of_two:
            return len(self._stops()) - 1
        return min(_MAX_POSITIONS, math.ceil((self.maximum - self.minimum) / self._even_step() - 1e-9))

    def value(self, position: int) -> float:
        """Return the value at a position of the slider."""
        if position >= self.positions:
            return self.maximum
        if self.powers_of_two:
            return self._stops()[max(0, position)]
        # Steps are counted from zero, so that 256-token steps are multiples of 256 whatever the minimum is.
        step = self._even_step()
        first = math.floor(self.minimum / step + 1e-9) * step
        return max(self.minimum, round(first + position * step, 9))

    def position(self, value: float) -> int:
        """Return the position nearest to `value`."""
        if self.powers_of_two:
            stops = self._stops()
            return min(range(len(stops)), key=lambda index: abs(self._log(stops[index]) - self._log(value)))
        step = self._even_step()
        first = math.floor(self.minimum / step + 1e-9) * step
        guess = math.floor((value - first) / step + 1e-9)
        near = [min(self.positions, max(0, candidate)) for candidate in (guess, guess + 1)]
        return min(near, key=lambda candidate: abs(self.value(candidate) - value))

    def fraction(self, value: float) -> float:
        """Return where `value` lies between the ends, 0..1, also between two positions."""
        if self.maximum <= self.minimum:
            return 0.0
        if self.powers_of_two:
            low, high = self._log(self.minimum), self._log(self.maximum)
            part = (self._log(value) - low) / (high - low)
        else:
            part = (value - self.minimum) / (self.maximum - self.minimum)
        return min(1.0, max(0.0, part))

    def _even_step(self) -> float:
        # A range of millions in steps of one would give positions finer than any hand or screen: take a round step.
        finest = (self.maximum - self.minimum) / _MAX_POSITIONS
        if self.step >= finest:
            return self.step
        magnitude = 10.0 ** math.floor(math.log10(finest))
        return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= finest)

    def _stops(self) -> list[float]:
        stops = [self.minimum]
        power = 1.0
        while power < self.maximum:
            quarter = power / 4
            fine = self.step > 1 and quarter % self.step == 0
            between = [power + part * quarter for part in range(4)] if fine else [power]
            stops += [stop for stop in between if self.minimum < stop < self.maximum]
            power *= 2
        return [*stops, self.maximum]

    @staticmethod
    def _log(value: float) -> float:
        # Zero and below (0 = off, -1 = automatic) take the place of one half, left of 1.
        return math.log2(value) if value > 0.5 else -1.0
