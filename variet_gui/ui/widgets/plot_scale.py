"""The arithmetic of a time plot, without Qt: round scales, ticks of the age axis, places for labels, lone samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_SHRINK_BELOW = 0.4


@dataclass(frozen=True, slots=True)
class Scale:
    """A vertical scale from 0 to `top`, with grid lines at `ticks` (0 and `top` are not among them)."""

    top: float
    ticks: tuple[float, ...]


def round_scale(highest: float, least: float = 4.0) -> Scale:
    """Return four round steps (such as 20, 40, 60, 80) that hold `highest` with a little air.

    `least` is the smallest top, so that noise near zero does not fill the plot.
    """
    wanted = max(highest * 1.05, least) / 4.0
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(candidate * power for candidate in _STEPS if candidate * power >= wanted * (1 - 1e-9))
    return Scale(4 * step, (step, 2 * step, 3 * step, 4 * step))


def following_scale(current: Scale | None, highest: float, least: float = 4.0) -> Scale:
    """Return the scale for `highest`, but keep `current` while it fits: a scale that breathes cannot be read.

    It grows at once and shrinks only when less than 40 % of it is in use.
    """
    if current is not None and highest <= current.top and highest > current.top * _SHRINK_BELOW:
        return current
    return round_scale(highest, least)


def capacity_scale(capacity: float) -> Scale:
    """Return a scale that ends at `capacity` (which gets a line of its own) with round grid lines below it."""
    wanted = capacity / 4.0
    power = 10.0 ** math.floor(math.log10(wanted))
    step = max(candidate * power for candidate in _STEPS if candidate * power <= wanted * (1 + 1e-9))
    ticks = tuple(step * count for count in range(1, int(capacity / step) + 1) if step * count < capacity * 0.92)
    return Scale(capacity, ticks)


def highest_of(arrays: Sequence[FloatArray]) -> float | None:
    """Return the highest finite value in `arrays`, or None when nothing is known."""
    peaks = [float(np.max(known)) for values in arrays if (known := values[np.isfinite(values)]).size]
    return max(peaks) if peaks else None


def runs_of(y: FloatArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first and the last index of every unbroken run of finite values."""
    edges = np.diff(np.concatenate(([False], np.isfinite(y), [False])).astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def with_visible_runs(x: FloatArray, y: FloatArray, dash: float) -> tuple[FloatArray, FloatArray]:
    """Stretch every run of finite values that is shorter than `dash` (in units of x) to that length.

    A lone sample between two gaps has no line to draw and would be invisible; a dash of a pixel or two shows it
    without claiming anything about its neighbours.
    """
    starts, ends = runs_of(y)
    short = (x[ends] - x[starts]) < dash
    if not short.any():
        return x, y
    starts, ends = starts[short], ends[short]
    return np.insert(x, ends + 1, x[starts] + dash), np.insert(y, ends + 1, y[ends])


def draw_period_s(span_s: float, width_px: int, shortest_s: float = 0.2, longest_s: float = 2.0) -> float:
    """Return how often a plot has to be drawn, s: when the curve has moved half a pixel, within the two bounds."""
    return min(max(span_s / max(width_px, 1) / 2.0, shortest_s), longest_s)


def place_labels(
    positions: Sequence[float],
    widths: Sequence[float],
    available: float,
    rows: int,
    gap: float = 8.0,
    flip: float = 5.0,
) -> list[tuple[float, int] | None]:
    """Give every label a left edge and a row so that none overlaps another or leaves the plot.

    Args:
        positions: where each label wants its left edge, px, ascending.
        widths: width of each label, px.
        available: width of the plot, px.
        rows: how many rows there are.
        gap: least distance between two labels of one row, px.
        flip: distance between a label and its line, px.

    Returns:
        For each label (left edge, row from 0), or None when there is no room. The newest labels (the last) win.
    """
    placed: list[tuple[float, int] | None] = [None] * len(positions)
    free_until = [available + gap] * rows
    for index in range(len(positions) - 1, -1, -1):
        width = widths[index]
        left = positions[index]
        if left + width > available:  # no room at the right of its line: at the left, then
            left -= width + 2 * flip
        left = max(left, 0.0)
        for row in range(rows):
            if left + width + gap <= free_until[row]:
                placed[index] = (left, row)
                free_until[row] = left
                break
    return placed
