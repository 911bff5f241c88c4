"""The one timer behind all time plots, and the span and the moment that they show together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from variet_gui.ui.widgets.plot_scale import draw_period_s

SPANS_S = (600, 3600, 86400)


class Drawable(Protocol):
    """What the clock drives."""

    def redraw(self) -> None: ...

    def isVisible(self) -> bool: ...

    def wants_drawing(self) -> bool: ...

    def plot_width(self) -> int: ...


class PlotClock(QObject):
    """Tells its plots when to draw, as seldom as a pixel can change and never while none of them can be seen."""

    changed = Signal()
    """Span or pause changed."""

    def __init__(self, now: Callable[[], float] = time.time, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wall_clock = now
        self._plots: list[Drawable] = []
        self._drawn_at: dict[int, float] = {}
        self._paused_at: float | None = None
        self._span_s = SPANS_S[0]
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)

    @property
    def span_s(self) -> int:
        """How much time the plots show, s."""
        return self._span_s

    @property
    def paused_at(self) -> float | None:
        """The moment at which the picture was held, Unix time in s, or None while it follows."""
        return self._paused_at

    def now(self) -> float:
        """Return the moment at the right edge of the plots, Unix time in s."""
        return self._wall_clock() if self._paused_at is None else self._paused_at

    def set_span(self, span_s: int) -> None:
        """Show the last `span_s` seconds from now on."""
        if span_s != self._span_s:
            self._span_s = span_s
            self._announce()

    def set_paused(self, paused: bool) -> None:
        """Hold the picture, or let it follow again. Sampling goes on either way."""
        if paused == (self._paused_at is None):
            self._paused_at = self._wall_clock() if paused else None
            self._announce()

    def add(self, plot: Drawable) -> None:
        """Drive `plot` from now on."""
        self._plots.append(plot)

    def remove(self, plot: Drawable) -> None:
        """Stop driving `plot`."""
        if plot in self._plots:
            self._plots.remove(plot)
            self._drawn_at.pop(id(plot), None)
        self.wake()

    def wake(self) -> None:
        """Start or stop the timer as the plots can be seen or not; call it when a plot was shown, hidden or sized."""
        # Not `wants_drawing`: a window is exposed a moment after its widgets are shown, and comes back from being
        # minimised without telling them. A tick that draws nothing costs microseconds.
        seen = [plot for plot in self._plots if plot.isVisible()]
        if not seen or self._paused_at is not None:
            self._timer.stop()
            return
        period_ms = int(1000 * min(draw_period_s(self._span_s, plot.plot_width()) for plot in seen))
        if not self._timer.isActive() or self._timer.interval() != period_ms:
            self._timer.start(period_ms)

    def is_running(self) -> bool:
        """Whether the timer runs."""
        return self._timer.isActive()

    def _tick(self) -> None:
        tick = time.monotonic()
        for plot in self._plots:
            # A narrow plot moves by a pixel less often than a wide one. Half a timer's period of slack: a tick that
            # comes a little early must not make the plot wait for the next.
            period_s = draw_period_s(self._span_s, plot.plot_width()) - self._timer.interval() / 2000.0
            if tick - self._drawn_at.get(id(plot), -1e9) >= period_s and plot.wants_drawing():
                self._drawn_at[id(plot)] = tick
                plot.redraw()

    def _announce(self) -> None:
        for plot in self._plots:
            if plot.wants_drawing():
                plot.redraw()
        self.wake()
        self.changed.emit()
