"""Draw the pictures of the vision checks, and write what is asked about them.

python models/demo/train/draw_checks.py

Needs numpy only. The checks that the demo's small model was made for come first; the others show what a large model is
for, and are marked.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from demo_vision.asking import ROOT
from demo_vision.drawing import Canvas, Pixels, Placement, Rgb, shape_stamp
from demo_vision.glyphs import Lettering, advances, print_text
from demo_vision.painting import paint
from demo_vision.palette import COLOURS
from demo_vision.picture_files import png
from demo_vision.scenes import Bar, Print, Scene, Thing

FOLDER = ROOT / "resources" / "vision_checks"
_WHITE: Rgb = (255, 255, 255)
_BLACK: Rgb = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Check:
    """One question with a known answer."""

    id: str
    picture: str
    """File beside `checks.json`."""
    question: str
    accepted: tuple[str, ...]
    """One of these must stand in the answer as whole words, whatever its case."""
    beyond_demo: bool
    """Too hard for the demo's small model; a fair question for a large one."""


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in _pictures().items():
        (folder / name).write_bytes(png(picture))
    stored = {"schema": 1, "checks": [asdict(check) for check in CHECKS]}
    (folder / "checks.json").write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


CHECKS = (
    Check("shape", "red-circle.png", "What shape is this?", ("circle",), beyond_demo=False),
    Check("colour", "red-circle.png", "What colour is it?", ("red",), beyond_demo=False),
    Check("position", "green-star.png", "Where is the star?", ("top right", "upper right"), beyond_demo=False),
    Check("count", "four-squares.png", "How many squares are there?", ("4", "four"), beyond_demo=False),
    Check("digit", "seven.png", "What number is this?", ("7", "seven"), beyond_demo=False),
    Check("word", "stop.png", "What does it say?", ("stop",), beyond_demo=False),
    Check("relation", "pair.png", "Which shape is on the left?", ("blue triangle", "triangle"), beyond_demo=False),
    Check("size", "small-heart.png", "Is the heart big or small?", ("small",), beyond_demo=False),
    Check("chart", "chart.png", "What colour is the tallest bar?", ("green",), beyond_demo=False),
    Check("empty", "empty.png", "Is the picture empty?", ("yes",), beyond_demo=False),
    Check("many", "fourteen-circles.png", "How many circles are there?", ("14", "fourteen"), beyond_demo=True),
    Check(
        "sentence", "sentence.png", "Read the text.",
        ("the train leaves at nine from platform four",), beyond_demo=True,
    ),
    Check("sum", "sum.png", "What is the result of this sum?", ("85", "eighty five", "eighty-five"), beyond_demo=True),
    Check("clock", "clock.png", "What time does the clock show?", ("3:00", "3 o'clock", "three"), beyond_demo=True),
    Check("table", "table.png", "What is the price of tea?", ("4.50", "4,50"), beyond_demo=True),
)  # fmt: skip


def _pictures() -> dict[str, Pixels]:
    squares = ((0.2, 0.3), (0.45, 0.7), (0.62, 0.28), (0.82, 0.66))
    circles = [(0.14 + 0.18 * (i % 5), 0.2 + 0.3 * (i // 5)) for i in range(14)]
    values = (("red", 0.45), ("blue", 0.62), ("green", 0.93), ("orange", 0.28))
    bars = tuple(
        Bar(name, COLOURS[name][-1], value, letter) for (name, value), letter in zip(values, "ABCD", strict=True)
    )
    return {
        "red-circle.png": _drawn(_thing("circle", "red", 0.5, 0.5, 0.5)),
        "green-star.png": _drawn(_thing("star", "green", 0.83, 0.2, 0.3)),
        "four-squares.png": _drawn(*(_thing("square", "blue", x, y, 0.2) for x, y in squares)),
        "seven.png": _printed("7", 0.5),
        "stop.png": _printed("STOP", 0.28),
        "pair.png": _drawn(_thing("triangle", "blue", 0.25, 0.5, 0.34), _thing("circle", "orange", 0.75, 0.5, 0.34)),
        "small-heart.png": _drawn(_thing("heart", "pink", 0.5, 0.5, 0.15)),
        "chart.png": paint(_scene("chart", bars=bars), _no_chance()),
        "empty.png": _drawn(),
        "fourteen-circles.png": _drawn(*(_thing("circle", "purple", x, y, 0.11) for x, y in circles)),
        "sentence.png": _lines(("The train leaves", "at nine from", "platform four")),
        "sum.png": _lines(("47", "+ 38")),
        "clock.png": _clock(),
        "table.png": _lines(("Coffee  5.20", "Tea     4.50", "Cake    6.80")),
    }


def _no_chance() -> np.random.Generator:
    return np.random.default_rng(0)


def _scene(kind: str, **parts: object) -> Scene:
    return Scene(kind, 640, 480, _WHITE, _WHITE, **parts)  # type: ignore[arg-type]


def _drawn(*things: Thing) -> Pixels:
    return paint(_scene("several", things=things), _no_chance())


def _thing(shape: str, colour: str, x: float, y: float, size: float) -> Thing:
    return Thing(shape, colour, COLOURS[colour][1], x, y, size, 0.0, "filled")


def _printed(text: str, height: float) -> Pixels:
    printed = Print(text, "black", _BLACK, 0.5, 0.5, Lettering("sans", height))
    return paint(_scene("word", prints=(printed,)), _no_chance())


def _lines(lines: tuple[str, ...]) -> Pixels:
    canvas = Canvas(640, 480, _WHITE)
    how = Lettering("mono", 36.0)
    cell = advances("m", how)[0]
    for number, line in enumerate(lines):
        y = 240 + (number - (len(lines) - 1) / 2) * 80
        for column, letter in enumerate(line):
            x = 70 + column * cell
            if letter.isalnum():
                print_text(canvas, letter, x, y, how, _BLACK)
            elif letter == ".":
                canvas.rectangle(x + cell / 2 - 4, y + 11, x + cell / 2 + 4, y + 19, _BLACK)
            elif letter == "+":
                canvas.fill(shape_stamp("cross"), Placement(x + cell / 2, y, 14, 14), _BLACK, -2)
    return canvas.pixels


def _clock() -> Pixels:
    canvas = Canvas(640, 480, _WHITE)
    canvas.outline(shape_stamp("circle"), Placement(320, 240, 200, 200), _BLACK, 8)
    for hour in range(1, 13):
        angle = hour * np.pi / 6
        text = str(hour)
        how = Lettering("sans", 28.0)
        left = 320 + 165 * np.sin(angle) - sum(advances(text, how)) / 2
        print_text(canvas, text, float(left), float(240 - 165 * np.cos(angle)), how, _BLACK)
    canvas.rectangle(317, 110, 323, 243, _BLACK)
    canvas.rectangle(317, 235, 410, 245, _BLACK)
    return canvas.pixels


if __name__ == "__main__":
    main()
