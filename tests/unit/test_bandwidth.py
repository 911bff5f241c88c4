"""How fast a card can read its memory: by what the driver tells, else by its name, else not known."""

from __future__ import annotations

import pytest

from variet_gui.forecast.bandwidth import BY_DRIVER, BY_NAME, card_bandwidth


@pytest.mark.parametrize(
    ("clock_mhz", "bits", "gigabytes"),
    [
        (7501, 192, 360),
        (9751, 384, 936),
        (10501, 384, 1008),
        (14001, 512, 1792),
        (2619, 5120, 3352),
        (1215, 5120, 1555),
    ],
)
def test_that_clock_and_bus_give_the_makers_figure(clock_mhz: int, bits: int, gigabytes: int) -> None:
    found = card_bandwidth("Any card", memory_clock_mhz=clock_mhz, bus_width_bits=bits)
    assert found is not None
    assert found.gib_s * 2**30 / 1e9 == pytest.approx(gigabytes, rel=0.002)
    assert found.source is BY_DRIVER
    assert found.stacked == (bits > 1024)


@pytest.mark.parametrize(
    ("name", "gigabytes", "stacked"),
    [
        ("NVIDIA GeForce RTX 4090", 1008, False),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 672, False),
        ("NVIDIA GeForce RTX 4070 Ti", 504, False),
        ("NVIDIA GeForce RTX 3060 Ti", 448, False),
        ("NVIDIA RTX 6000 Ada Generation", 960, False),
        ("NVIDIA L4", 300, False),
        ("NVIDIA L40S", 864, False),
        ("Tesla T4", 320, False),
        ("NVIDIA H100 80GB HBM3", 3352, True),
        ("Tesla V100-SXM2-32GB", 900, True),
    ],
)
def test_that_a_well_known_name_stands_in(name: str, gigabytes: int, stacked: bool) -> None:
    found = card_bandwidth(name)
    assert found is not None
    assert (round(found.gib_s * 2**30 / 1e9), found.stacked, found.source) == (gigabytes, stacked, BY_NAME)


@pytest.mark.parametrize(
    "name",
    [
        "Simulated GPU 0",
        "",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3080 Ti Laptop GPU",
        "NVIDIA A10G",
        "NVIDIA GeForce RTX 9999",
        "NVIDIA GeForce RTX 3060",
        "Quadro RTX 4000",
    ],
)
def test_that_a_card_of_another_name_is_not_guessed_at(name: str) -> None:
    assert card_bandwidth(name) is None


@pytest.mark.parametrize(
    ("name", "memory_mib", "gigabytes"),
    [
        ("NVIDIA GeForce RTX 3060", 12288, 360),
        ("NVIDIA GeForce RTX 3060", 8192, 240),
        ("NVIDIA GeForce RTX 3080", 10240, 760),
        ("NVIDIA GeForce RTX 3080", 12288, 912),
    ],
)
def test_that_cards_of_one_name_are_told_apart_by_their_memory(name: str, memory_mib: float, gigabytes: int) -> None:
    found = card_bandwidth(name, memory_mib=memory_mib)
    assert found is not None
    assert round(found.gib_s * 2**30 / 1e9) == gigabytes


def test_that_zeros_of_a_driver_are_no_figures() -> None:
    assert card_bandwidth("Any card", memory_clock_mhz=0, bus_width_bits=192) is None
    assert card_bandwidth("Any card", memory_clock_mhz=7501, bus_width_bits=0) is None
