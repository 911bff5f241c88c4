"""The colours that have names."""

from __future__ import annotations

import numpy as np

from demo_vision.drawing import Rgb

COLOURS: dict[str, tuple[Rgb, ...]] = {
    "red": ((255, 0, 0), (220, 20, 50), (200, 30, 30), (230, 50, 60)),
    "green": ((0, 255, 0), (0, 128, 0), (46, 139, 80), (60, 180, 75), (120, 190, 60)),
    "blue": ((0, 0, 255), (30, 80, 220), (30, 130, 250), (0, 0, 150), (65, 105, 225)),
    "yellow": ((255, 255, 0), (255, 220, 0), (245, 220, 60), (250, 230, 90)),
    "orange": ((255, 160, 0), (255, 140, 0), (245, 130, 40), (255, 120, 20)),
    "purple": ((128, 0, 128), (145, 30, 180), (148, 0, 211), (106, 60, 170)),
    "pink": ((255, 192, 203), (255, 105, 180), (255, 150, 200), (240, 128, 170)),
    "brown": ((139, 69, 19), (160, 82, 45), (110, 65, 30), (150, 85, 40)),
    "black": ((0, 0, 0), (25, 25, 25)),
    "white": ((255, 255, 255), (245, 245, 245)),
    "grey": ((128, 128, 128), (155, 155, 155), (105, 105, 105)),
}
"""Shades that most people would call by that name; in between is nothing."""


def shifted(random: np.random.Generator, colour: Rgb, most: int) -> Rgb:
    """Return a colour up to `most` away in each part."""
    return rgb(np.clip(np.array(colour) + random.integers(-most, most + 1, 3), 0, 255))


def rgb(values: np.ndarray) -> Rgb:
    """Return three numbers as a colour."""
    red, green, blue = (int(value) for value in values)
    return red, green, blue
