"""Printed letters and digits: four outlined faces, one of dots, one of segments.

The outlines come from the DejaVu fonts (Bitstream Vera licence, see `glyph_outlines.LICENCE`): for each letter its
advance and its contours, thousandths of an em, y upwards, curves flattened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from demo_vision.drawing import Canvas, Placement, Rgb, Stamp, stamp_of

FACES = ("sans", "bold", "serif", "mono")
DOTS = "dots"
SEGMENTS = "segments"
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

CAPITAL = 0.73
"""Height of a capital or digit, parts of an em."""
_HALF = 600.0
_MIDDLE = 365.0

_DOT_COLUMNS = {
    **dict(zip("0123456789", (  # noqa: SIM905 - columns to look at
        "3E4141413E 00427F4000 4261514946 2141454B31 1814127F10 2745454539 3C4A494930 0171090503 3649494936 064949291E"
    ).split(), strict=True)),
    **dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (  # noqa: SIM905
        "7E1111117E 7F49494936 3E41414122 7F4141221C 7F49494941 7F09090901 3E4149497A 7F0808087F 00417F4100 2040413F01 "
        "7F08142241 7F40404040 7F020C027F 7F0408107F 3E4141413E 7F09090906 3E4151215E 7F09192946 4649494931 01017F0101 "
        "3F4040403F 1F2040201F 3F4038403F 6314081463 0708700807 6151494543"
    ).split(), strict=True)),
}  # fmt: skip
"""Five columns of seven dots, the lowest bit on top: the font of character displays."""

_LIT = {
    "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc",
    "5": "afgcd", "6": "afgedc", "7": "abc", "8": "abcdefg", "9": "abcdfg",
}  # fmt: skip
_SEGMENT_BOXES = {
    "a": (-0.36, -0.98, 0.36, -0.80), "g": (-0.36, -0.09, 0.36, 0.09), "d": (-0.36, 0.80, 0.36, 0.98),
    "f": (-0.58, -0.88, -0.40, -0.06), "b": (0.40, -0.88, 0.58, -0.06),
    "e": (-0.58, 0.06, -0.40, 0.88), "c": (0.40, 0.06, 0.58, 0.88),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lettering:
    """How a text is printed."""

    face: str
    height: float
    """Of a capital, pixels."""
    stretch: float = 1.0
    weight: float = 0.0
    """Added on every side of a stroke, parts of the height."""
    shear: float = 0.0
    spacing: float = 0.0
    """Between letters beyond their own advance, parts of the height."""


def can_print(face: str, text: str) -> bool:
    """Whether `face` has all letters of `text`."""
    if face == DOTS:
        return all(letter in _DOT_COLUMNS for letter in text)
    return all(letter in (_LIT if face == SEGMENTS else CHARACTERS) for letter in text)


def advances(text: str, how: Lettering) -> list[float]:
    """Return how far each letter moves the pen, pixels."""
    space = how.spacing * how.height
    if how.face == DOTS:
        return [6 * max(1, round(how.height / 7)) + round(space)] * len(text)
    if how.face == SEGMENTS:
        return [how.height * 0.72 * how.stretch + space] * len(text)
    em = how.height / CAPITAL
    return [_outlines()[how.face][letter][0] / 1000 * em * how.stretch + space for letter in text]


def print_text(canvas: Canvas, text: str, left: float, middle: float, how: Lettering, colour: Rgb) -> None:
    """Print `text`; `left` is where the first letter begins, `middle` half the height of a capital."""
    pen = left
    for letter, advance in zip(text, advances(text, how), strict=True):
        if how.face == DOTS:
            _print_dots(canvas, letter, pen, middle, how, colour)
        else:
            half = how.height / 2 if how.face == SEGMENTS else how.height / CAPITAL * _HALF / 1000
            at = Placement(pen + advance / 2, middle, half * how.stretch, half, shear=how.shear)
            canvas.fill(_stamp(how.face, letter), at, colour, how.weight * how.height)
        pen += advance


def _print_dots(canvas: Canvas, letter: str, left: float, middle: float, how: Lettering, colour: Rgb) -> None:
    dot = max(1, round(how.height / 7))
    x0, y0 = round(left), round(middle - 3.5 * dot)
    for column, bits in enumerate(bytes.fromhex(_DOT_COLUMNS[letter])):
        for row in range(7):
            if bits >> row & 1:
                x, y = x0 + column * dot, y0 + row * dot
                canvas.rectangle(x, y, x + dot, y + dot, colour)


@cache
def _outlines() -> dict[str, dict[str, list[object]]]:
    stored: dict[str, dict[str, list[object]]] = json.loads(
        Path(__file__).with_name("glyph_outlines.json").read_text(encoding="utf-8")
    )
    return stored


@cache
def _stamp(face: str, letter: str) -> Stamp:
    if face == SEGMENTS:
        boxes = [_SEGMENT_BOXES[name] for name in _LIT[letter]]
        return stamp_of([np.array([(a, b), (c, b), (c, d), (a, d)], np.float64) for a, b, c, d in boxes])
    advance, *contours = _outlines()[face][letter]
    points = [np.array(contour, np.float64).reshape(-1, 2) for contour in contours]
    return stamp_of([(p - (advance / 2, _MIDDLE)) / (_HALF, -_HALF) for p in points])  # type: ignore[operator]
