"""What measured speeds teach: the parts they are made of, with a range that narrows, and the file that keeps it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variet_gui.forecast.speed_calibration import (
    MOST_OBSERVATIONS,
    UNMEASURED,
    SpeedCalibration,
    SpeedObservation,
    by_factor,
    observation,
)
from variet_gui.forecast.speed_learning import HOST, START
from variet_gui.forecast.speed_rates import Parts, SpeedDevice

CARD = SpeedDevice("CUDA0", 335.0, card="RTX 3060")
OTHER = SpeedDevice("CUDA1", 900.0, card="RTX 3090")
DENSE = Parts((50.0,), (3.5,), 0.4, 0.0)
MIXTURE = Parts((7.0,), (3.5,), 0.4, 0.0)


def measured(parts: Parts, factor: float, model: str = "a", *devices: SpeedDevice) -> SpeedObservation:
    return observation(parts, devices or (CARD,), 1000.0 / (parts.total * factor), model=model, at=1.0)


def learned(*seen: SpeedObservation) -> SpeedCalibration:
    return UNMEASURED.with_observations(seen)


def test_that_without_measurements_the_constants_stand_with_a_wide_range() -> None:
    found = UNMEASURED.apply(DENSE, (CARD,), "a")
    assert found.likely_ms == pytest.approx(DENSE.total)
    assert found.tps(1) / found.tps(-1) > 1.3
    assert UNMEASURED.bearing_on(DENSE, (CARD,), "a") == 0


def test_that_equal_cards_learn_together_and_parts_of_nothing_are_left_out() -> None:
    twin = SpeedDevice("CUDA1", 335.0, card="RTX 3060")
    assert by_factor(Parts((3.0, 4.0), (1.0, 1.0), 0.5, 0.0), (CARD, twin)) == {START: 2.5, "RTX 3060": 7.0}
    assert by_factor(Parts((3.0, 0.0), (1.0, 0.0), 0.0, 2.0), (CARD, OTHER)) == {START: 1.0, HOST: 2.0, "RTX 3060": 3.0}


def test_that_a_dense_model_teaches_about_reading_and_little_about_starting() -> None:
    calibration = learned(measured(DENSE, 1.3, "dense"), measured(DENSE, 1.3, "dense"))
    other_dense = calibration.apply(Parts((60.0,), (3.5,), 0.4, 0.0), (CARD,), "another")
    only_starting = calibration.apply(Parts((0.001,), (10.0,), 0.0, 0.0), (CARD,), "another")
    assert other_dense.likely_ms / 63.9 == pytest.approx(1.25, abs=0.06)
    assert only_starting.likely_ms / 10.0 == pytest.approx(1.0, abs=0.06)
    assert other_dense.spread < UNMEASURED.apply(DENSE, (CARD,), "").spread
    assert only_starting.spread > other_dense.spread


def test_that_another_card_learns_nothing_of_this_one() -> None:
    calibration = learned(*[measured(DENSE, 1.4, "dense")] * 3)
    parts = Parts((50.0,), (0.001,), 0.0, 0.0)
    assert calibration.apply(parts, (OTHER,), "new").likely_ms == pytest.approx(parts.total, rel=0.01)
    assert calibration.bearing_on(parts, (OTHER,), "new") == 0
    assert calibration.bearing_on(parts, (OTHER,), "dense") == 3


def test_that_the_same_model_again_is_known_best() -> None:
    calibration = learned(*[measured(MIXTURE, 1.35, "mixture")] * 4)
    again = calibration.apply(MIXTURE, (CARD,), "mixture")
    assert again.likely_ms == pytest.approx(MIXTURE.total * 1.35, rel=0.01)
    assert again.spread < calibration.apply(MIXTURE, (CARD,), "another").spread
    assert again.spread < 0.06


def test_that_what_the_cpu_does_is_learned_apart() -> None:
    halves = Parts((5.0,), (2.0,), 0.3, 90.0)
    calibration = learned(*[measured(halves, 2.0, "big")] * 3)
    found = calibration.apply(Parts((5.0,), (2.0,), 0.3, 45.0), (CARD,), "big")
    assert found.likely_ms == pytest.approx(52.3 * 2.0, rel=0.12)


@settings(max_examples=80, deadline=None)
@given(
    factors=st.lists(st.floats(0.2, 5.0), min_size=1, max_size=8),
    reading=st.floats(0.1, 200.0),
    starting=st.floats(0.1, 20.0),
    host=st.sampled_from([0.0, 1.0, 300.0]),
)
def test_that_whatever_was_measured_the_range_holds_its_likely_value(
    factors: list[float], reading: float, starting: float, host: float
) -> None:
    parts = Parts((reading,), (starting,), 0.1, host)
    calibration = learned(*(measured(parts, factor, f"m{index % 3}") for index, factor in enumerate(factors)))
    found = calibration.apply(parts, (CARD,), "m0")
    assert 0 < found.tps(-1.28) < found.tps(0) < found.tps(1.28)
    # Between what was expected and the furthest that was measured, whatever the mixture.
    assert min(1.0, *factors) * 0.8 <= found.likely_ms / parts.total <= max(1.0, *factors) * 1.25


def test_that_the_document_says_it_all_and_the_oldest_go_first() -> None:
    many = [measured(DENSE, 1.0 + index / 1000, f"m{index}") for index in range(MOST_OBSERVATIONS + 5)]
    calibration = learned(*many)
    assert [one.model for one in calibration.observations][:1] == ["m5"]
    again = SpeedCalibration.from_json(calibration.as_json())
    assert again == calibration
    assert again.apply(DENSE, (CARD,), "m9") == calibration.apply(DENSE, (CARD,), "m9")


def test_that_measurements_of_other_constants_are_kept_and_not_used() -> None:
    document = json.loads(learned(measured(DENSE, 1.4)).as_json())
    document["observations"][0]["rules"] = 0
    calibration = SpeedCalibration.from_json(json.dumps(document))
    assert calibration.apply(DENSE, (CARD,), "a") == UNMEASURED.apply(DENSE, (CARD,), "a")
    assert len(calibration.observations) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"tps": 0},
        {"tps": "fast"},
        {"tps": None},
        {"parts_ms": {}},
        {"parts_ms": {"card": -1}},
        {"parts_ms": [1]},
        {"model": None, "rules": "x"},
    ],
)
def test_that_a_damaged_document_is_refused(change: dict[str, object]) -> None:
    document = json.loads(learned(measured(DENSE, 1.0)).as_json())
    document["observations"][0].update(change)
    with pytest.raises(ValueError):  # noqa: PT011 - every kind of damage has its own words
        SpeedCalibration.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 99, "observations": []}', '{"schema": 1, "observations": [3]}']
)
def test_that_another_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        SpeedCalibration.from_json(text)
