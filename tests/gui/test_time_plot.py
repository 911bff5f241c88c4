"""The plot card: what is not known stays a gap, what cannot be seen costs nothing, and words do not overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from variet_gui.events import MarkAdded, MarkKind
from variet_gui.i18n import msg
from variet_gui.telemetry.store import MetricStore
from variet_gui.ui import theme
from variet_gui.ui.widgets.figures import UNKNOWN, figure, gibibytes, rate, seconds
from variet_gui.ui.widgets.plot_clock import PlotClock
from variet_gui.ui.widgets.plot_model import Curve, Limit
from variet_gui.ui.widgets.plot_scale import (
    capacity_scale,
    draw_period_s,
    following_scale,
    highest_of,
    place_labels,
    round_scale,
    runs_of,
    with_visible_runs,
)
from variet_gui.ui.widgets.time_plot import TimePlot

NOW = 1_800_000_000.0


class CountingStore(MetricStore):
    """A real store that counts how often a plot asked it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def window(self, name, since, until, max_points=None):
        self.asked += 1
        return super().window(name, since, until, max_points)


class Bench:
    """A window with one plot, its store, and a clock that stands still unless it is moved."""

    def __init__(self, qtbot: QtBot) -> None:
        self.at = NOW
        self.store = CountingStore()
        self.clock = PlotClock(now=lambda: self.at)
        self.window = QWidget()
        qtbot.addWidget(self.window)
        box = QVBoxLayout(self.window)
        self.plot = TimePlot("Tokens per second", self.store, self.clock)
        box.addWidget(self.plot)
        self.window.resize(900, 260)

    def show(self, qtbot: QtBot) -> None:
        self.window.show()
        qtbot.waitExposed(self.window)
        QApplication.processEvents()

    def record(self, name: str, values: dict[float, float | None]) -> None:
        for age, value in values.items():
            self.store.record(NOW + age, name, value)


@pytest.fixture
def bench(qtbot: QtBot, qapp: QApplication) -> Iterator[Bench]:
    theme.apply(qapp, "dark")
    made = Bench(qtbot)
    yield made
    made.window.close()


CURVE = Curve("fast.generation_tps", "generation", "compute", show=rate)


# ------------------------------------------------------------------------------------------------- scales and places


@pytest.mark.parametrize(("highest", "top"), [(0.0, 4.0), (71.9, 80.0), (70.0, 80.0), (1010.0, 1200.0), (9.9, 12.0)])
def test_that_a_scale_is_round_and_holds_its_highest_value(highest: float, top: float) -> None:
    scale = round_scale(highest)
    assert scale.top == pytest.approx(top)
    assert scale.top >= highest
    assert len(scale.ticks) == 4


@given(st.floats(0.001, 1e9))
def test_that_every_scale_holds_its_value_in_four_equal_steps(highest: float) -> None:
    scale = round_scale(highest, least=0.001)
    assert highest <= scale.top <= highest * 1.05 * 2.01
    assert np.allclose(np.diff((0.0, *scale.ticks)), scale.top / 4)


def test_that_a_scale_grows_at_once_and_shrinks_late() -> None:
    scale = round_scale(70.0)
    assert following_scale(scale, 75.0) is scale
    assert following_scale(scale, 40.0) is scale
    assert following_scale(scale, 20.0).top < scale.top
    assert following_scale(scale, 81.0).top > scale.top


@pytest.mark.parametrize(
    ("capacity", "ticks"), [(12.0, (3, 6, 9)), (24.0, (6, 12, 18)), (100.0, (25, 50, 75)), (62.5, (15, 30, 45))]
)
def test_that_a_capacity_is_divided_the_way_people_divide_it(capacity: float, ticks: tuple[float, ...]) -> None:
    assert capacity_scale(capacity).ticks == pytest.approx(ticks)
    assert capacity_scale(capacity).top == capacity


def test_that_runs_end_at_gaps() -> None:
    starts, ends = runs_of(np.array([math.nan, 1.0, 2.0, math.nan, 3.0]))
    assert list(zip(starts, ends, strict=True)) == [(1, 2), (4, 4)]
    assert all(found.size == 0 for found in runs_of(np.array([math.nan])))


def test_that_a_lone_sample_gets_a_dash_and_its_gaps_stay() -> None:
    x, y = with_visible_runs(np.arange(5.0), np.array([1.0, math.nan, 5.0, math.nan, 2.0]), dash=0.5)
    assert y.tolist()[3:5] == [5.0, 5.0]
    assert x.tolist()[3:5] == [2.0, 2.5]
    assert np.isnan(y).sum() == 2


def test_that_nothing_known_has_no_highest_value() -> None:
    assert highest_of([np.array([math.nan]), np.array([])]) is None
    assert highest_of([np.array([math.nan, 3.0]), np.array([2.0])]) == 3.0


def test_that_a_plot_is_drawn_as_often_as_a_pixel_moves_within_bounds() -> None:
    assert draw_period_s(600, 1000) == pytest.approx(0.3)
    assert draw_period_s(60, 1000) == 0.2
    assert draw_period_s(86400, 1000) == 2.0


@given(
    st.lists(st.tuples(st.floats(-20, 900), st.floats(1, 160)), max_size=30),
    st.integers(1, 3),
)
def test_that_labels_never_overlap_and_never_leave_the_plot(labels: list[tuple[float, float]], rows: int) -> None:
    labels = sorted(labels)
    places = place_labels([x for x, _ in labels], [w for _, w in labels], 900.0, rows)
    taken = [(place, width) for place, (_, width) in zip(places, labels, strict=True) if place is not None]
    for (left, row), width in taken:
        assert 0 <= row < rows
        assert left >= 0
        assert left + width <= 900.0 + 1e-9
    for index, ((left, row), width) in enumerate(taken):
        for (other_left, other_row), other_width in taken[index + 1 :]:
            assert row != other_row or left + width <= other_left or other_left + other_width <= left


def test_that_the_newest_label_wins_where_there_is_room_for_one() -> None:
    places = place_labels([100.0, 105.0, 110.0], [80.0, 80.0, 80.0], 900.0, rows=1)
    assert places == [None, None, (110.0, 0)]


def test_that_figures_are_written_with_thin_spaces_and_the_unknown_as_a_dash() -> None:
    assert figure(262144) == "262\u2009144"
    assert figure(None) == figure(math.nan) == UNKNOWN
    assert figure(-3.5, 1) == "−3.5"
    assert gibibytes(9728) == "9.5"
    assert (rate(71.94), rate(1010.2), rate(None)) == ("71.9", "1\u2009010", UNKNOWN)
    assert (seconds(1314), seconds(12_300), seconds(160_000)) == ("1.31 s", "12.3 s", "160 s")


# ---------------------------------------------------------------------------------------------------------- the card


def test_that_the_unknown_is_a_gap_and_never_zero(bench: Bench, qtbot: QtBot) -> None:
    bench.record(CURVE.name, {-10.0: 70.0, -9.0: 71.0, -8.0: None, -7.0: None, -6.0: 72.0, -5.0: 72.0})
    bench.plot.set_content([CURVE])
    bench.show(qtbot)
    _, values = bench.plot.canvas.curve_data(0)
    assert np.isnan(values).any()
    assert np.nanmin(values) >= 70.0


def test_that_the_figures_at_the_right_are_those_of_this_moment(bench: Bench, qtbot: QtBot) -> None:
    bench.record(CURVE.name, {-2.0: 70.0, -1.0: 71.9})
    bench.plot.set_content([CURVE], unit="t/s")
    bench.show(qtbot)
    assert bench.plot.figures_text() == "generation 71.9 t/s"
    bench.store.record(NOW, CURVE.name, None)
    bench.plot.redraw()
    assert bench.plot.figures_text() == f"generation {UNKNOWN} t/s"


def test_that_a_figure_which_nobody_renews_becomes_unknown(bench: Bench, qtbot: QtBot) -> None:
    bench.record(CURVE.name, {-1.0: 71.9})
    bench.plot.set_content([CURVE])
    bench.show(qtbot)
    assert "71.9" in bench.plot.figures_text()
    bench.at = NOW + 60
    bench.plot.redraw()
    assert bench.plot.figures_text() == f"generation {UNKNOWN}"


def test_that_a_hidden_plot_asks_for_nothing(bench: Bench, qtbot: QtBot) -> None:
    bench.plot.set_content([CURVE])
    assert bench.store.asked == 0
    bench.show(qtbot)
    assert bench.clock.is_running()
    bench.window.hide()
    assert not bench.clock.is_running()
    asked = bench.store.asked
    bench.plot.set_content([CURVE])
    bench.clock.set_span(3600)
    assert bench.store.asked == asked


def test_that_a_minimised_window_is_not_drawn(bench: Bench, qtbot: QtBot) -> None:
    bench.show(qtbot)
    assert bench.plot.wants_drawing()
    bench.window.showMinimized()
    qtbot.waitUntil(lambda: not bench.plot.wants_drawing())


def test_that_the_shared_timer_draws_at_most_five_times_a_second(bench: Bench, qtbot: QtBot) -> None:
    bench.plot.set_content([CURVE])
    bench.show(qtbot)
    assert 200 <= bench.clock._timer.interval() <= 2000
    bench.clock.set_span(86400)
    assert bench.clock._timer.interval() == 2000
    asked = bench.store.asked
    bench.clock.set_span(600)
    qtbot.waitUntil(lambda: bench.store.asked >= asked + 3, timeout=5000)


def test_that_a_pause_holds_the_picture_and_sampling_goes_on(bench: Bench, qtbot: QtBot) -> None:
    bench.record(CURVE.name, {-1.0: 70.0})
    bench.plot.set_content([CURVE])
    bench.show(qtbot)
    bench.clock.set_paused(True)
    assert not bench.clock.is_running()
    bench.at = NOW + 3
    bench.record(CURVE.name, {1.0: 90.0, 2.0: 90.0})
    bench.plot.redraw()
    _, values = bench.plot.canvas.curve_data(0)
    assert np.nanmax(values) == 70.0
    assert "70.0" in bench.plot.figures_text()
    bench.clock.set_paused(False)
    bench.plot.redraw()
    _, values = bench.plot.canvas.curve_data(0)
    assert np.nanmax(values) == 90.0


def test_that_a_day_is_reduced_to_what_the_screen_can_show(bench: Bench, qtbot: QtBot) -> None:
    for second in range(0, 86400, 2):
        bench.store.record(NOW - 86400 + second, CURVE.name, 50.0 + second % 7)
    bench.store.record(NOW - 40000.5, "other", 1.0)
    bench.plot.set_content([CURVE])
    bench.clock.set_span(86400)
    bench.show(qtbot)
    ages, values = bench.plot.canvas.curve_data(0)
    assert 0 < len(values) <= 2 * bench.plot.plot_width() + 4
    assert np.nanmax(values) == 56.0
    assert np.nanmin(values) == 50.0
    assert ages[0] >= -86400 - 200


def test_that_marks_are_drawn_with_words_that_do_not_overlap(bench: Bench, qtbot: QtBot) -> None:
    kinds = list(MarkKind)
    for index in range(12):
        age = -300 + index * 4
        bench.store.add_mark(MarkAdded(NOW + age, kinds[index % 4], "fast", msg("mark {n}", n=index)))
    bench.plot.set_content([CURVE])
    bench.show(qtbot)
    shown = bench.plot.canvas.visible_labels()
    assert 2 <= len(shown) < 12
    for index, (_, rect) in enumerate(shown):
        assert not any(rect.intersects(other) for _, other in shown[index + 1 :])
    assert "mark 11" in [text for text, _ in shown]
    # A mark without room for its words is still named under the pointer.
    assert bench.plot.canvas.mark_texts_near(bench.plot.canvas._x_px(-300.0)) == ["mark 0", "mark 1"]


def test_that_prefill_has_a_scale_of_its_own(bench: Bench, qtbot: QtBot) -> None:
    bench.record(CURVE.name, {-3.0: 71.0, -2.0: 71.0})
    bench.record("fast.prefill_tps", {-6.0: 1000.0, -5.0: 1000.0})
    prefill = Curve("fast.prefill_tps", "prefill", "context", show=rate, right=True)
    bench.plot.set_content([prefill, CURVE], limits=[Limit(70.0, "target 70", "good_text")])
    bench.show(qtbot)
    _, shrunk = bench.plot.canvas.curve_data(0)
    assert 40 < np.nanmax(shrunk) < 80
    lines = bench.plot.canvas._line_values
    assert any(line.label == "target 70" for line in lines)
    assert "1\u2009200" in [line.label_right for line in lines]


def test_that_an_empty_plot_says_so(bench: Bench, qtbot: QtBot) -> None:
    bench.plot.set_content([CURVE], empty_text="Nothing yet")
    bench.show(qtbot)
    assert bench.plot.canvas.empty_text == "Nothing yet"
    bench.record(CURVE.name, {-1.0: 70.0})
    bench.plot.redraw()
    assert bench.plot.canvas.empty_text == ""


def test_that_a_change_of_theme_reaches_the_plot(bench: Bench, qtbot: QtBot, qapp: QApplication) -> None:
    bench.record(CURVE.name, {-1.0: 70.0})
    bench.plot.set_content([CURVE])
    bench.show(qtbot)
    dark = bench.plot.canvas.grab().toImage().pixelColor(450, 60)
    theme.apply(qapp, "light")
    QApplication.processEvents()
    light = bench.plot.canvas.grab().toImage().pixelColor(450, 60)
    assert light.lightness() > 200 > 60 > dark.lightness()
    theme.apply(qapp, "dark")


@pytest.mark.parametrize(
    ("span_s", "words"),
    [(600, ("−10 min", "−5", "now")), (3600, ("−1 h", "−30 min", "now")), (86400, ("−24 h", "−12", "now"))],
)
def test_that_the_axis_says_how_far_back_it_reaches(bench: Bench, span_s: int, words: tuple[str, ...]) -> None:
    bench.clock.set_span(span_s)
    assert tuple(tick.text() for tick in bench.plot._ticks) == words
