"""What a plot costs, as ratios measured in one run.

Thirteen series with a day of history at 1 Hz. "Plain" is what pyqtgraph's examples do: `plot()` with all points and
`setData` for every curve, on a moving range with a grid. "Ours" pulls min and max of what a pixel shows from the store.
Run: python -m tests.benchmarks.bench_time_plot
Times are CPU time of this process (update and synchronous paint); a plain Python loop of three million additions is the
yardstick for the speed of this machine.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from variet_gui.telemetry.store import MetricStore
from variet_gui.ui import theme
from variet_gui.ui.widgets.plot_clock import PlotClock
from variet_gui.ui.widgets.plot_model import Curve
from variet_gui.ui.widgets.time_plot import TimePlot

NOW = 1_800_000_000.0
DAY_S = 86_400
SERIES = 13
SIZE = (1200, 400)


def fixed_loop() -> float:
    """Return the CPU time of the yardstick, s."""
    began = time.process_time()
    total = 0
    for number in range(3_000_000):
        total += number
    return time.process_time() - began


def median_cost(action: Callable[[], None], runs: int) -> float:
    """Return the median CPU time of `action` and of the repaint it asks for, s."""
    costs = []
    for _ in range(runs):
        began = time.process_time()
        action()
        QApplication.processEvents()
        costs.append(time.process_time() - began)
    return statistics.median(costs)


def day(seed: int) -> np.ndarray:
    """Return a day of a made-up series at 1 Hz with gaps, from a seeded generator."""
    random = np.random.default_rng(seed)
    values = 5000.0 + np.cumsum(random.normal(0, 3, DAY_S))
    for start in random.integers(0, DAY_S - 600, 5):
        values[start : start + 600] = np.nan
    return values


def ours(data: list[np.ndarray]) -> tuple[QWidget, PlotClock, TimePlot]:
    """Return a window with our plot on a store that holds `data`."""
    store = MetricStore()
    for number, values in enumerate(data):
        for second, value in enumerate(values):
            store.record(NOW - DAY_S + second, f"s{number}", None if np.isnan(value) else float(value))
    clock = PlotClock(now=lambda: NOW)
    plot = TimePlot("bench", store, clock)
    plot.set_content([Curve(f"s{n}", f"s{n}", theme.SERIES[n % len(theme.SERIES)]) for n in range(SERIES)])
    return in_window(plot), clock, plot


def plain(data: list[np.ndarray]) -> tuple[QWidget, Callable[[], None]]:
    """Return a window with pyqtgraph as its examples use it, and the update of all its curves."""
    plot = pg.PlotWidget()
    plot.showGrid(x=True, y=True, alpha=0.2)
    curves = [plot.plot(connect="finite", pen=pg.mkPen(theme.series_colour(n), width=1)) for n in range(SERIES)]
    times = np.arange(DAY_S, dtype=float)
    shift = 0

    def update() -> None:
        nonlocal shift
        shift += 1
        for curve, values in zip(curves, data, strict=True):
            curve.setData(times + shift, values)

    return in_window(plot), update


def in_window(widget: QWidget) -> QWidget:
    """Show `widget` alone in a window of `SIZE`."""
    window = QWidget()
    QVBoxLayout(window).addWidget(widget)
    window.resize(*SIZE)
    window.show()
    QApplication.processEvents()
    return window


def main() -> None:
    """Measure and print."""
    app = QApplication.instance() or QApplication([])
    theme.apply(app, "dark")
    data = [day(seed) for seed in range(SERIES)]
    yardstick = statistics.median(fixed_loop() for _ in range(5))
    our_window, clock, plot = ours(data)
    clock.set_paused(True)  # only what is measured draws
    plain_window, update_plain = plain(data)
    print(f"{SERIES} curves, {DAY_S} samples each, {SIZE[0]} x {SIZE[1]}; fixed loop {yardstick * 1000:.0f} ms")
    plain_cost = median_cost(update_plain, 3)
    print(f"plain setData, 24 h         {plain_cost / yardstick:8.4f} of the fixed loop")
    median_cost(plot.redraw, 5)  # the first frames build fonts and caches
    for span_s, name in ((600, "10 min"), (3600, "1 h"), (86400, "24 h")):
        clock.set_span(span_s)
        cost = median_cost(plot.redraw, 15)
        print(
            f"ours, {name:<8}              {cost / yardstick:8.4f} of the fixed loop, {cost / plain_cost:7.4f} of plain"
        )
    our_window.hide()
    hidden = median_cost(clock.wake, 15)
    print(f"ours, hidden                {hidden / yardstick:8.4f} of the fixed loop")
    plain_window.close()
    our_window.close()


if __name__ == "__main__":
    main()
