"""The rate of a counter that grows in steps and is looked at now and then. Pure arithmetic."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_S, WINDOW_TOKENS, WINDOW_LONGEST_S = 1.0, 8, 4.0
"""A rate is taken over this time at least, over as many tokens, and over no more than the last, s."""


@dataclass(frozen=True, slots=True)
class _Point:
    at: float
    count: int
    error_s: float
    """The counter may have changed this much before `at`."""


class Rate:
    """Tokens per second of a counter that grows in steps and is looked at now and then.

    Only moments at which the counter was seen to have changed are used: a prompt counter stands still for the seconds
    that a batch takes and then jumps by hundreds. A rate is told when the span is at least twice as long as the doubt
    about its two ends.
    """

    def __init__(self, step: int | None) -> None:
        """`step`: tokens that the counter grows by at a time; None: by batches of unknown size."""
        self._step = step
        self._points: deque[_Point] = deque()
        self._seen: tuple[float, int] | None = None

    def feed(self, at: float, count: int, gap_s: float) -> float | None:
        """Take the counter's value at the monotonic time `at`, s; return the rate, or None while it is not known.

        `gap_s`: time since the previous look at the server, before which nothing of this was there.
        """
        before = self._seen[1] if self._seen else 0
        if self._seen:
            gap_s = at - self._seen[0]
        begins = self._seen is None and count <= (self._step or 0)
        if begins or (self._seen and count > before):
            steps = 1 if self._step is None else max(1, (count - before) // self._step)
            self._points.append(_Point(at, count, gap_s / steps))
        self._seen = (at, count)
        self._trim()
        return self._value(at)

    def _trim(self) -> None:
        points = self._points
        while len(points) > 2:
            span, tokens = points[-1].at - points[1].at, points[-1].count - points[1].count
            enough = span >= WINDOW_S and tokens >= WINDOW_TOKENS
            if not enough and points[-1].at - points[0].at <= WINDOW_LONGEST_S:
                return
            points.popleft()

    def _value(self, at: float) -> float | None:
        if len(self._points) < 2:
            return None
        first, last = self._points[0], self._points[-1]
        span = last.at - first.at
        if span <= 0 or span < 2 * (first.error_s + last.error_s):
            return None
        step_s = span / (len(self._points) - 1)
        if at - last.at > 2 * step_s + WINDOW_S:
            return None  # overdue: it has stopped, or become so slow that this figure is history
        return (last.count - first.count) / span
