"""The likely speed on the forecast card: said to be an estimate, and not there where there is none."""

from __future__ import annotations

import dataclasses

import pytest
from pytestqt.qtbot import QtBot

from tests.gui.outlook_kit import device, plain_outlook
from variet_gui.forecast.speed import DeviceTime, SpeedEstimate
from variet_gui.i18n import msg
from variet_gui.ui.widgets.forecast_card import ForecastCard
from variet_gui.ui.widgets.speed_text import speed_lines, speed_words

LIKELY = SpeedEstimate(
    59.6, 67.2, 75.4, msg("An estimate from what a token reads."), 4096, 0, (DeviceTime("CUDA0", 1234.5, 5.25),)
)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (59.6, 75.4, "Likely 60 to 75 t/s, an estimate"),
        (7.24, 10.4, "Likely 7.2 to 10 t/s, an estimate"),
        (15.8, 16.4, "Likely 16 t/s, an estimate"),
    ],
)
def test_that_an_estimate_is_told_as_exactly_as_it_deserves(low: float, high: float, words: str) -> None:
    assert speed_words(dataclasses.replace(LIKELY, low_tps=low, high_tps=high)) == words


def test_that_what_does_not_fit_has_its_speed_under_that_condition() -> None:
    assert speed_words(LIKELY, fits=False) == "If it fitted: likely 60 to 75 t/s, an estimate"


def test_that_the_details_say_what_it_was_made_of() -> None:
    assert speed_lines(LIKELY) == [
        "most likely 67 t/s, with 4\u2009096 tokens of the context in use",
        "An estimate from what a token reads.",
        "CUDA0: 1\u2009234 MiB read for a token, 5.2 ms",
    ]
    assert (speed_words(None), speed_lines(None)) == ("", [])


def test_that_the_card_shows_the_speed_and_leaves_the_line_out_where_there_is_none(qtbot: QtBot) -> None:
    card = ForecastCard()
    qtbot.addWidget(card)
    card.resize(460, 500)
    card.show()
    outlook = plain_outlook(device(0), device(1))
    card.set_outlook(outlook)
    assert card.speed_text() == ""
    assert card._speed.isHidden()
    card.set_outlook(dataclasses.replace(outlook, speed=LIKELY))
    assert card.speed_text() == "Likely 60 to 75 t/s, an estimate"
    assert not card._speed.isHidden()
    assert card._speed.accessibleName() == card.speed_text()
