from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.outlook_kit import USABLE_MIB, device
from variet_gui.forecast.values import Verdict
from variet_gui.panel.outlook_values import DeviceOutlook
from variet_gui.ui import theme
from variet_gui.ui.widgets.bar_legend import BarLegend
from variet_gui.ui.widgets.forecast_text import PARTS, bar_values
from variet_gui.ui.widgets.memory_bar import BAR_PX, MOST_STRETCH, MemoryBar
from variet_gui.ui.widgets.verdict_line import COLOURS, TEXT_COLOURS, WORDS, VerdictLine


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


def bar(qtbot: QtBot, shown: DeviceOutlook, stretch: float = 1.0, width: int = 400) -> MemoryBar:
    made = MemoryBar()
    qtbot.addWidget(made)
    made.resize(width, made.sizeHint().height())
    made.set_values(bar_values(shown), stretch)
    made.show()
    return made


def picture(shown: MemoryBar | VerdictLine | BarLegend) -> QImage:
    return shown.grab().toImage()


def colours_between(image: QImage, left: int, right: int) -> set[str]:
    """Return the colours of the middle line of the bar from `left` to `right`."""
    y = image.height() - 2 - BAR_PX // 2 + 3
    return {QColor(image.pixel(x, y)).name() for x in range(left, right)}


def test_that_the_parts_stand_beside_each_other_in_their_colours(qtbot: QtBot) -> None:
    shown = bar(qtbot, device(other=700.0))
    image = picture(shown)
    edges = [0.0]
    for part in shown.values.parts:
        edges.append(edges[-1] + part.mib)
    for part, start, end in zip(shown.values.parts, edges, edges[1:], strict=False):
        middle = round((shown.x_of(start) + shown.x_of(end)) / 2)
        if not part.hatched and shown.x_of(end) - shown.x_of(start) > 12:
            assert theme.colour(part.colour).name() in colours_between(image, middle - 3, middle + 3), part
    assert shown.x_of(USABLE_MIB) == pytest.approx(400)


def test_that_other_programs_differ_in_more_than_their_colour(qtbot: QtBot) -> None:
    shown = bar(qtbot, device(weights=100.0, context=0.0, compute=0.0, other=6000.0))
    found = colours_between(picture(shown), 60, 180)
    assert {theme.colour("other").name(), theme.colour("idle").name()} <= found


def test_that_what_does_not_fit_is_drawn_beyond_a_marked_limit(qtbot: QtBot) -> None:
    values = bar_values(device(weights=11000.0))
    shown = bar(qtbot, device(weights=11000.0), values.total_mib / USABLE_MIB)
    limit = shown.limit_x()
    assert limit is not None
    assert limit == pytest.approx(400 * USABLE_MIB / values.total_mib)
    failure = theme.colour("failure").name()
    image = picture(shown)
    assert failure in colours_between(image, round(limit) + 3, 400)
    assert failure not in colours_between(image, 0, round(limit) - 4)
    above = round(shown.fontMetrics().height() + 2)
    assert QColor(image.pixel(round(limit) - 1, above)).name() == failure
    assert shown.values.verdict is Verdict.DOES_NOT_FIT


def test_that_a_bar_that_fits_has_no_limit_inside_it(qtbot: QtBot) -> None:
    shown = bar(qtbot, device())
    assert shown.limit_x() is None
    assert theme.colour("failure").name() not in colours_between(picture(shown), 0, 400)


def test_that_far_too_much_is_cut_off_and_an_arrow_says_so(qtbot: QtBot) -> None:
    shown = bar(qtbot, device(weights=70000.0), 6.0)
    assert shown.limit_x() == pytest.approx(400 / MOST_STRETCH)
    assert shown.x_of(shown.values.total_mib) == 400
    assert theme.colour("strong").name() in colours_between(picture(shown), 390, 400)


def test_that_a_capacity_that_nobody_knows_is_no_limit(qtbot: QtBot) -> None:
    shown = bar(qtbot, device(capacity=None))
    assert shown.limit_x() is None
    assert shown.values.words == "10.3 GiB"
    assert shown.values.verdict is Verdict.UNKNOWN
    assert shown.x_of(shown.values.total_mib) == pytest.approx(400)


def test_that_what_is_not_known_is_left_open_and_never_drawn_as_nothing(qtbot: QtBot) -> None:
    shown = bar(qtbot, device(compute=None))
    assert shown.values.words == "at least 9.2 of 11.6 GiB"
    assert "compute not known" in shown.accessibleName()
    whole = bar(qtbot, replace(device(compute=0.0)))
    start = round(shown.x_of(shown.values.total_mib)) + 4
    assert colours_between(picture(shown), start, 396) != colours_between(picture(whole), start, 396)


def test_that_the_measured_tick_stands_where_the_card_is_filled_to_now(qtbot: QtBot) -> None:
    shown = bar(qtbot, device(measured=5000.0, other=1000.0))
    at = round(shown.x_of(6000.0))
    image = picture(shown)
    assert theme.colour("strong").name() in colours_between(image, at - 1, at + 2)
    assert shown.values.words.endswith("(measured 5.9)")


def test_that_the_tooltip_tells_every_part_to_the_megabyte(qtbot: QtBot) -> None:
    shown = bar(qtbot, device(weights=6701.4, measured=5000.0))
    lines = shown.values.details().replace("\u2009", " ").splitlines()
    assert lines[0] == "GPU 0"
    assert "weights: 6 701 MiB" in lines
    assert "in all: 10 531 MiB, give or take 64 MiB" in lines
    assert "usable: 11 906 MiB" in lines
    assert "measured of this tier: 5 000 MiB" in lines


def test_that_a_screen_reader_is_told_the_figures(qtbot: QtBot) -> None:
    spoken = bar(qtbot, device(other=500.0)).accessibleName()
    assert spoken.startswith("GPU 0: 10.8 of 11.6 GiB, fits. weights 6.5, KV cache 2.3, compute 1.1")
    assert spoken.endswith("other programs 0.5")


def test_that_a_change_of_theme_reaches_the_bar(qtbot: QtBot, qapp: QApplication) -> None:
    shown = bar(qtbot, device())
    before = picture(shown)
    theme.apply(qapp, "light")
    after = picture(shown)
    theme.apply(qapp, "dark")
    assert before != after


def test_that_a_change_of_figures_lays_nothing_out_anew(qtbot: QtBot) -> None:
    shown = bar(qtbot, device())
    before = shown.sizeHint()
    shown.set_values(bar_values(device(weights=30000.0)), 1.6)
    assert shown.sizeHint() == before
    shown.set_thin(True)
    assert shown.sizeHint().height() < before.height()


def test_that_every_verdict_has_a_word_a_colour_and_a_shape_of_its_own(qtbot: QtBot) -> None:
    assert set(WORDS) == set(COLOURS) == set(TEXT_COLOURS) == set(Verdict)
    assert len({str(word) for word in WORDS.values()}) == len(Verdict)
    shapes = set()
    for verdict in Verdict:
        line = VerdictLine()
        qtbot.addWidget(line)
        line.resize(100, 16)
        line.show_verdict(verdict, " ")
        image = picture(line)
        background = image.pixelColor(99, 0)
        shapes.add(tuple(image.pixelColor(x, y) != background for x in range(13) for y in range(16)))
    assert len(shapes) == len(Verdict)


def test_that_words_that_do_not_fit_are_cut_and_the_line_asks_for_more_room(qtbot: QtBot) -> None:
    line = VerdictLine()
    qtbot.addWidget(line)
    line.resize(80, 16)
    line.show_verdict(Verdict.FITS, "fits · 0.4 GiB to spare on GPU 1")
    assert line.room_needed() > 80
    assert line.accessibleName() == "fits · 0.4 GiB to spare on GPU 1"


def test_that_the_legend_takes_as_many_lines_as_it_needs(qtbot: QtBot) -> None:
    legend = BarLegend()
    qtbot.addWidget(legend)
    legend.set_kinds(PARTS)
    one, three = legend.heightForWidth(1000), legend.heightForWidth(200)
    assert three > 2 * one
    assert legend.accessibleName() == "weights, KV cache, compute, vision, overhead, other programs"
    legend.set_kinds(PARTS[:1])
    assert legend.heightForWidth(200) == one
