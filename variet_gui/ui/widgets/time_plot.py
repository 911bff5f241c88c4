"""A card with live curves over the last minutes: title, figures of this moment, limit lines, event marks, age axis."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QHelpEvent, QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from variet_gui.events import MarkKind
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.figures import figure
from variet_gui.ui.widgets.plot_canvas import PlotCanvas
from variet_gui.ui.widgets.plot_clock import PlotClock
from variet_gui.ui.widgets.plot_model import Curve, Limit, Line, Mark, PlotSource
from variet_gui.ui.widgets.plot_scale import (
    FloatArray,
    Scale,
    capacity_scale,
    following_scale,
    highest_of,
    with_visible_runs,
)

_FRESH_S = 5.0
_TEXT_TOKENS = {"gpu0": "accent", "gpu1": "good_text", "compute": "caution_text", "failure": "failure_text"}
"""Words need more contrast than lines; these tokens are the same hue made for words."""


class TimePlot(QFrame):
    """Draws by pull, when its clock says so and only while it can be seen."""

    def __init__(
        self, title: str, source: PlotSource, clock: PlotClock, parent: QWidget | None = None, *, height: int = 190
    ) -> None:
        super().__init__(parent)
        theme.mark(self, look="panel")
        self._source, self._clock = source, clock
        self._curves: tuple[Curve, ...] = ()
        self._limits: tuple[Limit, ...] = ()
        self._capacity: float | None = None
        self._unit = ""
        self._empty_text = ""
        self._left_scale: Scale | None = None
        self._right_scale: Scale | None = None
        self._build(title, height)
        clock.add(self)
        clock.changed.connect(self._axis_changed)
        theme.manager().changed.connect(self._theme_changed)
        self._axis_changed()

    def _build(self, title: str, height: int) -> None:
        self._title = ElidedLabel(title, "heading")
        self._note = QLabel()
        theme.mark(self._note, look="caution")
        self._note.hide()
        self._figures = QLabel()
        theme.mark(self._figures, look="small")
        self._figures.setTextFormat(Qt.TextFormat.RichText)
        header = QHBoxLayout()
        header.setSpacing(8)
        header.addWidget(self._title)
        header.addWidget(self._note)
        header.addStretch(1)
        header.addWidget(self._figures)
        self._canvas = PlotCanvas()
        self._canvas.setMinimumHeight(min(height, round(height * 0.6) + 20))
        self._canvas.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._canvas.viewport().installEventFilter(self)
        self._ticks = [QLabel(), QLabel(), QLabel()]
        axis = QHBoxLayout()
        for tick in self._ticks:
            theme.mark(tick, look="faint")
        axis.addWidget(self._ticks[0])
        axis.addStretch(1)
        axis.addWidget(self._ticks[1])
        axis.addStretch(1)
        axis.addWidget(self._ticks[2])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.setSpacing(4)
        layout.addLayout(header)
        layout.addWidget(self._canvas, 1)
        layout.addLayout(axis)
        self.setAccessibleName(title)

    # ------------------------------------------------------------------------------------------------ what is shown

    def set_title(self, title: str) -> None:
        """Change the words at the top left."""
        self._title.setText(title)
        self.setAccessibleName(title)

    def set_note(self, note: str) -> None:
        """Show a word beside the title, such as "simulated"; "" takes it away."""
        self._note.setText(note)
        self._note.setVisible(bool(note))

    def set_content(
        self,
        curves: Sequence[Curve],
        *,
        unit: str = "",
        limits: Sequence[Limit] = (),
        capacity: float | None = None,
        empty_text: str = "",
        mark_labels: bool = True,
    ) -> None:
        """Show these curves.

        Args:
            curves: what to draw, first at the bottom.
            unit: written behind the figures.
            limits: lines to compare with, in the plot's unit.
            capacity: a fixed end of the scale; None: the scale follows the curves.
            empty_text: what to say while nothing at all is known.
            mark_labels: whether event marks get their names written, or only their lines.
        """
        self._curves, self._limits, self._capacity = tuple(curves), tuple(limits), capacity
        self._unit, self._empty_text = unit, empty_text
        self._left_scale = self._right_scale = None
        self._canvas.show_mark_labels(mark_labels)
        self._theme_changed()

    @property
    def canvas(self) -> PlotCanvas:
        """The drawing surface."""
        return self._canvas

    def figures_text(self) -> str:
        """Return the figures of this moment as plain text, as a screen reader hears them."""
        return self.accessibleDescription()

    # -------------------------------------------------------------------------------------------------------- drawing

    def wants_drawing(self) -> bool:
        """Whether anybody can see this plot."""
        window = self.window()
        handle = window.windowHandle()
        # A minimised window still says that it is exposed on some platforms, hence the third question.
        return self.isVisible() and handle is not None and handle.isExposed() and not window.isMinimized()

    def plot_width(self) -> int:
        """Return the width of the drawing surface, px."""
        return int(self._canvas.width())

    def redraw(self) -> None:
        """Pull what the store has for the span and draw it."""
        now, span_s = self._clock.now(), float(self._clock.span_s)
        pixels = max(self._canvas.width(), 16)
        points = [self._pull(curve, now, span_s, pixels) for curve in self._curves]
        left = [values for curve, (_, values) in zip(self._curves, points, strict=True) if not curve.right]
        right = [values for curve, (_, values) in zip(self._curves, points, strict=True) if curve.right]
        known_left, known_right = highest_of(left), highest_of(right)
        self._choose_scales(known_left, known_right)
        assert self._left_scale is not None
        shrink = self._left_scale.top / self._right_scale.top if self._right_scale else 1.0
        for index, (curve, (ages, values)) in enumerate(zip(self._curves, points, strict=True)):
            self._canvas.set_curve(index, ages, values * shrink if curve.right else values)
        self._canvas.empty_text = self._empty_text if known_left is None and known_right is None else ""
        self._canvas.set_frame(span_s, self._left_scale.top, self._lines(), self._marks(now, span_s))
        self._show_figures([self._now_value(*pair) for pair in zip(self._curves, points, strict=True)])

    def _now_value(self, curve: Curve, points: tuple[FloatArray, FloatArray]) -> float | None:
        """Return the value at the right edge, or None when it is not known (also when nobody samples any more)."""
        ages, values = points
        pixel_s = self._clock.span_s / max(self._canvas.width(), 16)
        if not ages.size or -ages[-1] > _FRESH_S + 2 * pixel_s:
            return None
        if self._clock.paused_at is not None:
            return float(values[-1])
        last = self._source.last(curve.name)
        return None if last is None else last * curve.factor

    def _pull(self, curve: Curve, now: float, span_s: float, pixels: int) -> tuple[FloatArray, FloatArray]:
        times, values = self._source.window(curve.name, now - span_s, now, 2 * pixels)
        return with_visible_runs(times - now, values.astype(np.float64) * curve.factor, dash=1.5 * span_s / pixels)

    def _choose_scales(self, known_left: float | None, known_right: float | None) -> None:
        if self._capacity is not None:
            self._left_scale = self._left_scale or capacity_scale(self._capacity)
        else:
            limits = max((limit.value for limit in self._limits), default=0.0)
            self._left_scale = following_scale(self._left_scale, max(known_left or 0.0, limits))
        if known_right is not None:
            self._right_scale = following_scale(self._right_scale, known_right)
        elif not any(curve.right for curve in self._curves):
            self._right_scale = None

    def _lines(self) -> tuple[Line, ...]:
        assert self._left_scale is not None
        left, right = self._left_scale, self._right_scale
        right_colour = next((_TEXT_TOKENS.get(c.colour, c.colour) for c in self._curves if c.right), "faint")
        lines = []
        for tick in left.ticks:
            words = ("", "") if self._has_no_room(tick, left) else (_tick_text(tick), "")
            if right is not None and words[0]:
                words = (words[0], _tick_text(tick / left.top * right.top))
            lines.append(Line(tick, words[0], label_right=words[1], colour_right=right_colour))
        lines += [Line(limit.value, limit.label, limit.colour) for limit in self._limits]
        return tuple(lines)

    def _has_no_room(self, tick: float, scale: Scale) -> bool:
        """Whether the words of a grid line would lie on those of a limit (which matters more) or of the next line."""
        per_px = scale.top / max(self._canvas.height() - 30, 30)
        crowded = scale.ticks[0] < 14.0 * per_px and tick != scale.ticks[-1]
        return crowded or any(abs(limit.value - tick) < 18.0 * per_px for limit in self._limits)

    def _marks(self, now: float, span_s: float) -> tuple[Mark, ...]:
        # Rounded to half a pixel: what does not move on the screen is not drawn again.
        grid = span_s / max(self._canvas.width(), 16) / 2.0
        return tuple(
            Mark(round((mark.at - now) / grid) * grid, str(mark.text), _mark_colour(mark.kind))
            for mark in self._source.marks(now - span_s)
            if mark.at <= now
        )

    def _show_figures(self, values: Sequence[float | None]) -> None:
        plain, rich = [], []
        for curve, value in zip(self._curves, values, strict=True):
            words = " ".join(part for part in (curve.label, curve.show(value)) if part)
            plain.append(words)
            rich.append(f'<span style="color:{_text_colour(curve.colour)}">{html.escape(words)}</span>')
        text = " · ".join(rich) + (f" {html.escape(self._unit)}" if self._unit and rich else "")
        if text != self._figures.text():
            self._figures.setText(text)
            self.setAccessibleDescription(" · ".join(plain) + (f" {self._unit}" if self._unit else ""))

    # --------------------------------------------------------------------------------------------------------- events

    def _axis_changed(self) -> None:
        minutes = self._clock.span_s // 60
        if minutes < 60:
            words = (tr("−{count} min", count=minutes), f"−{minutes // 2}")
        elif minutes == 60:
            words = (tr("−{count} h", count=1), tr("−{count} min", count=30))
        else:
            words = (tr("−{count} h", count=minutes // 60), f"−{minutes // 120}")
        paused = self._clock.paused_at
        now = tr("now") if paused is None else time.strftime("%H:%M:%S", time.localtime(paused))
        for label, text in zip(self._ticks, (*words, now), strict=True):
            label.setText(text)

    def _theme_changed(self) -> None:
        self._canvas.apply_theme()
        self._canvas.set_curves([theme.colour(c.colour) for c in self._curves], [c.filled for c in self._curves])
        self._figures.clear()
        if self.wants_drawing():
            self.redraw()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.redraw()
        self._clock.wake()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._clock.wake()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._clock.wake()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Name the marks under the pointer, also those that found no room for their words."""
        if event.type() is QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            texts = self._canvas.mark_texts_near(event.pos().x())
            if texts:
                QToolTip.showText(event.globalPos(), "\n".join(texts), self._canvas)
            else:
                QToolTip.hideText()
            return True
        return super().eventFilter(watched, event)


def _mark_colour(kind: MarkKind) -> str:
    return "failure_text" if kind is MarkKind.CRASH else "quiet"


def _text_colour(name: str) -> str:
    return theme.colour(_TEXT_TOKENS.get(name, name)).name()


def _tick_text(value: float) -> str:
    return figure(value, 0 if value == int(value) else 1)
