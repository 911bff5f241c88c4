"""What a time plot is made of, as plain values: its source, its curves, its limit lines. Free of pyqtgraph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from variet_gui.events import MarkAdded
from variet_gui.ui.widgets.figures import figure


class PlotSource(Protocol):
    """Where a plot pulls its data from: `telemetry.store.MetricStore`, or a stand-in."""

    def window(
        self, name: str, since: float, until: float, max_points: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...

    def last(self, name: str) -> float | None: ...

    def marks(self, since: float) -> Sequence[MarkAdded]: ...


@dataclass(frozen=True, slots=True)
class Curve:
    """One series of a plot."""

    name: str
    """In the store, such as "gpu0.vram_mib"."""
    label: str
    """For people, such as "GPU 0"."""
    colour: str
    """A token of the theme."""
    factor: float = 1.0
    """From the store's unit to the plot's."""
    show: Callable[[float | None], str] = figure
    """The figure of this moment as text; it is given the value in the plot's unit."""
    filled: bool = False
    """With a faint area below it."""
    right: bool = False
    """On a scale of its own, written at the right edge (prefill is ten times as fast as generation)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A dashed line to compare with: a capacity, a target."""

    value: float
    """In the plot's unit."""
    label: str
    colour: str
    """A token of the theme."""


@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal line of the plot at `value` on the left scale. `colour` "" means a quiet grid line."""

    value: float
    label: str
    colour: str = ""
    label_right: str = ""
    colour_right: str = "faint"


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at `age_s` (negative: before now)."""

    age_s: float
    label: str
    colour: str = "quiet"
