"""What is in a picture, chosen by chance: things of one shape and colour, a number, a word, a bar chart, or nothing.

All lengths are parts of the picture: `x`, `y` of its width and height, sizes of its shorter side. So the same scene can
be drawn at any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo_vision.drawing import SHAPES, Rgb
from demo_vision.glyphs import DOTS, FACES, SEGMENTS, Lettering, advances, can_print
from demo_vision.palette import COLOURS, rgb, shifted
from demo_vision.words import WORDS

KINDS = ("one", "several", "alike", "number", "word", "chart", "empty", "labelled")
"""One thing; up to six that differ; one to six that are alike; a printed number; a word or letter; a bar chart;
nothing; one thing beside a number or word."""
_SHARES = (0.15, 0.19, 0.12, 0.18, 0.15, 0.07, 0.03, 0.11)
ROWS = ("top", "centre", "bottom")
COLUMNS = ("left", "centre", "right")
BIG, SMALL = 0.38, 0.22
"""From where on a thing is big, and up to where small; in between nobody is asked."""
_LONG_SIDES = (256, 320, 384, 400, 480, 512, 600, 640, 800)
_INK_CONTRAST = 110.0


@dataclass(frozen=True, slots=True)
class Thing:
    """One form of one colour."""

    shape: str
    colour: str
    ink: Rgb
    x: float
    y: float
    size: float
    angle: float
    """Radians, clockwise."""
    style: str
    """"filled", "outlined" or "bordered"."""


@dataclass(frozen=True, slots=True)
class Print:
    """A printed number, word or letter; its lettering is in parts of the shorter side."""

    text: str
    colour: str
    ink: Rgb
    x: float
    y: float
    lettering: Lettering


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart."""

    colour: str
    ink: Rgb
    value: float
    """Of the highest that fits, 0..1."""
    label: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture, before it is drawn."""

    kind: str
    width: int
    height: int
    background: Rgb
    background_to: Rgb
    """What the background runs into, from top to bottom; mostly the same."""
    things: tuple[Thing, ...] = ()
    prints: tuple[Print, ...] = ()
    bars: tuple[Bar, ...] = ()
    noise: float = 0.0
    lines: bool = False
    """Ruled paper."""
    background_name: str | None = None


def cell_of(x: float, y: float) -> str | None:
    """Return the name of the ninth of the picture that a point lies in; None near a border between two."""
    column, row = _third(x), _third(y)
    if column is None or row is None:
        return None
    names = [name for name in (ROWS[row], COLUMNS[column]) if name != "centre"]
    return " ".join(names) or "centre"


def _third(value: float) -> int | None:
    if min(abs(value - 1 / 3), abs(value - 2 / 3)) < 0.045:
        return None
    return min(2, int(value * 3))


class SceneMaker:
    """Makes scenes from one random generator: the same seed, the same scenes."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def scene(self, kind: str | None = None) -> Scene:
        """Return a new scene of `kind`, or of any."""
        random = self._random
        kind = kind or str(random.choice(KINDS, p=_SHARES))
        width, height = self._canvas()
        background, name = self._background(width == height)
        to = background
        if random.random() < 0.08:
            to = shifted(random, background, 28)
        frame = (kind, width, height, background, to)
        noise = float(random.uniform(1, 7)) if random.random() < 0.15 else 0.0
        more = {"noise": noise, "lines": bool(random.random() < 0.05), "background_name": name}
        if kind == "empty":
            return Scene(*frame, **{**more, "lines": False})
        if kind == "number":
            return Scene(*frame, prints=(self._print(self._number(), frame, "alone"),), **more)
        if kind == "word":
            return Scene(*frame, prints=(self._print(self._word(), frame, "alone"),), **more)
        if kind == "chart":
            return Scene(*frame, bars=self._bars(background), **more)
        if kind == "labelled":
            upper = bool(random.random() < 0.5)
            text = self._number() if random.random() < 0.6 else self._word()
            printed = self._print(text, frame, "upper" if upper else "lower")
            (thing,) = self._things(frame, 1, band="lower" if upper else "upper")
            return Scene(*frame, things=(thing,), prints=(printed,), **more)
        if kind == "one":
            return Scene(*frame, things=self._things(frame, 1), **more)
        count = int(random.integers(2, 7) if kind == "several" else random.integers(1, 7))
        return Scene(*frame, things=self._things(frame, count, alike=kind == "alike"), **more)

    def _canvas(self) -> tuple[int, int]:
        random = self._random
        chance = random.random()
        if chance < 0.3:
            return 640, 480
        long = int(random.choice(_LONG_SIDES))
        if chance < 0.55:
            return long, long
        short = round(long * float(random.uniform(0.55, 1.0)))
        return (long, short) if random.random() < 0.7 else (short, long)

    def _background(self, square: bool) -> tuple[Rgb, str | None]:
        random = self._random
        chance = random.random()
        if chance < 0.45:
            return (255, 255, 255), "white"
        if chance < 0.7:
            light = random.integers(205, 256, 3)
            return rgb(light), None
        if chance < 0.85 or not square:
            # Black bars are put around a picture that is not square: on black nobody could tell where it ends.
            name = str(random.choice([name for name in COLOURS if name != "black"]))
            return self._shade(name), name
        if chance < 0.93:
            return (0, 0, 0), "black"
        return rgb(random.integers(25, 75, 3)), None

    def _shade(self, name: str) -> Rgb:
        shades = COLOURS[name]
        return shifted(self._random, shades[int(self._random.integers(len(shades)))], 8)

    def _ink(self, background: Rgb, apart_from: tuple[str, ...] = ()) -> tuple[str, Rgb]:
        """Choose a colour that stands out from the background."""
        while True:
            name = str(self._random.choice([name for name in COLOURS if name not in apart_from]))
            ink = self._shade(name)
            if np.linalg.norm(np.subtract(ink, background)) > _INK_CONTRAST:
                return name, ink

    def _things(
        self, frame: tuple[str, int, int, Rgb, Rgb], count: int, *, alike: bool = False, band: str | None = None
    ) -> tuple[Thing, ...]:
        random = self._random
        _, width, height, background, _ = frame
        aspect = np.array([width, height]) / min(width, height)
        shape = str(random.choice(SHAPES))
        colour, ink = self._ink(background)
        palette = [(colour, ink)] if random.random() < 0.15 else [self._ink(background) for _ in range(4)]
        forms = [shape] if random.random() < 0.15 else [str(name) for name in random.choice(SHAPES, 4)]
        style = str(random.choice(("filled", "outlined", "bordered"), p=(0.74, 0.15, 0.11)))
        most = {1: 0.62, 2: 0.44, 3: 0.36, 4: 0.32}.get(count, 0.28) if band is None else 0.36
        same_size = float(random.uniform(0.11, most))
        placed: list[tuple[float, float, float]] = []
        things: list[Thing] = []
        attempts = 0
        while len(things) < count:
            attempts += 1
            shrink = 0.96 ** (attempts // 12)
            varied = same_size * float(random.uniform(0.8, 1.2)) if alike else float(random.uniform(0.11, most))
            size = max(0.075, varied * shrink)
            where = self._place(size, aspect, band, centred=count == 1)
            if any(np.hypot(*((where - (x, y)) * aspect)) < (size + other) * 0.56 + 0.03 for x, y, other in placed):
                continue
            placed.append((float(where[0]), float(where[1]), size))
            if not alike:
                shape = forms[int(random.integers(len(forms)))]
                colour, ink = palette[int(random.integers(len(palette)))]
            things.append(Thing(shape, colour, ink, float(where[0]), float(where[1]), size, self._angle(shape), style))
        return tuple(things)

    def _place(self, size: float, aspect: np.ndarray, band: str | None, *, centred: bool) -> np.ndarray:
        """Choose a centre so that the whole thing is inside; for a single one each ninth is as likely."""
        random = self._random
        margin = np.minimum(size * 0.52 / aspect + 0.01, 0.5)
        if centred and band is None:
            cell = random.integers(0, 3, 2)
            chosen = (cell + 0.5 + random.uniform(-0.36, 0.36, 2)) / 3
            return np.clip(chosen, margin, 1 - margin)
        low, high = margin, 1 - margin
        if band is not None:
            half = 0.5 if band == "lower" else 0.0
            low, high = low.copy(), high.copy()
            low[1], high[1] = half + min(margin[1], 0.25), half + 0.5 - min(margin[1], 0.25)
        return random.uniform(low, np.maximum(high, low))

    def _angle(self, shape: str) -> float:
        random = self._random
        if random.random() < 0.4:
            degrees = 0.0
        else:
            most = {"star": 36, "hexagon": 30, "triangle": 22, "square": 10, "diamond": 8}.get(shape, 14)
            degrees = float(random.uniform(-most, most))
        if shape in ("rectangle", "oval") and random.random() < 0.4:
            degrees += 90.0
        return float(np.deg2rad(degrees))

    def _number(self) -> str:
        digits = int(self._random.choice((1, 2, 3, 4), p=(0.5, 0.28, 0.14, 0.08)))
        first = str(self._random.integers(0 if digits == 1 else 1, 10))
        return first + "".join(str(self._random.integers(10)) for _ in range(digits - 1))

    def _word(self) -> str:
        random = self._random
        if random.random() < 0.2:
            return str(random.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")))
        word = str(random.choice(WORDS))
        return str(random.choice((word, word.upper(), word.capitalize()), p=(0.35, 0.4, 0.25)))

    def _print(self, text: str, frame: tuple[str, int, int, Rgb, Rgb], where: str) -> Print:
        random = self._random
        _, width, height, background, _ = frame
        faces = [face for face in (*FACES, DOTS, SEGMENTS) if can_print(face, text)]
        weights = np.array([{DOTS: 0.5, SEGMENTS: 0.4}.get(face, 1.0) for face in faces])
        face = str(random.choice(faces, p=weights / weights.sum()))
        stretch = float(random.uniform(0.85, 1.2))
        bold = float(random.uniform(-0.01, 0.03)) if random.random() < 0.3 and face in FACES else 0.0
        shear = float(random.uniform(0, 0.25)) if random.random() < 0.2 and face in FACES else 0.0
        spacing = float(random.uniform(0, 0.15)) if random.random() < 0.4 else 0.0
        short = min(width, height)
        largest = 0.62 if where == "alone" else 0.34
        widest = 0.9 * width / short
        unit = sum(advances(text, Lettering(face, 100.0, stretch, spacing=spacing))) / 100
        height_part = min(float(random.uniform(0.13, largest)), widest / unit)
        lettering = Lettering(face, height_part, stretch, bold, shear, spacing)
        half = np.array([unit * height_part * short / width / 2, height_part * short / height * 0.8])
        low, high = np.minimum(half + 0.01, 0.5), np.maximum(1 - half - 0.01, 0.5)
        if where != "alone":
            start = 0.0 if where == "upper" else 0.5
            low[1], high[1] = start + min(half[1], 0.25), start + 0.5 - min(half[1], 0.25)
        x, y = random.uniform(low, np.maximum(low, high)) if random.random() < 0.7 else (low + high) / 2
        colour, ink = ("black", (0, 0, 0)) if sum(background) > 600 and random.random() < 0.4 else self._ink(background)
        return Print(text, colour, ink, float(x), float(y), lettering)

    def _bars(self, background: Rgb) -> tuple[Bar, ...]:
        random = self._random
        count = int(random.integers(2, 7))
        values = self._values(count)
        labels = list("ABCDEF"[:count])
        if random.random() < 0.3:
            colour, ink = self._ink(background)
            return tuple(Bar(colour, ink, value, label) for value, label in zip(values, labels, strict=True))
        bars: list[Bar] = []
        labelled = random.random() < 0.5
        for value, label in zip(values, labels, strict=True):
            colour, ink = self._ink(background, tuple(bar.colour for bar in bars))
            bars.append(Bar(colour, ink, value, label if labelled else ""))
        return tuple(bars)

    def _values(self, count: int) -> list[float]:
        """Return heights of which the largest and the smallest stand out."""
        while True:
            values = self._random.uniform(0.12, 1.0, count)
            ordered = np.sort(values)
            if ordered[1] - ordered[0] > 0.08 and ordered[-1] - ordered[-2] > 0.08:
                return [float(value) for value in values]
