"""Scenes become pixels: drawing, and what happens to a picture on its way (noise, ruled paper)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from demo_vision.drawing import Canvas, Pixels, Placement, Rgb, shape_stamp
from demo_vision.glyphs import Lettering, advances, print_text
from demo_vision.scenes import Bar, Print, Scene, Thing

_CHART_LEFT, _CHART_RIGHT, _CHART_TOP, _CHART_FLOOR = 0.1, 0.95, 0.06, 0.86


def paint(scene: Scene, random: np.random.Generator) -> Pixels:
    """Return the picture of `scene`: (height, width, 3), 8-bit RGB. `random` makes only the noise."""
    canvas = Canvas(scene.width, scene.height, scene.background)
    if scene.background_to != scene.background:
        steps = np.linspace(0, 1, scene.height)[:, None, None]
        start, end = np.array(scene.background), np.array(scene.background_to)
        canvas.pixels[:] = (start + (end - start) * steps + 0.5).astype(np.uint8)
    if scene.lines:
        _rule(canvas)
    for thing in scene.things:
        _paint_thing(canvas, thing)
    for printed in scene.prints:
        _paint_print(canvas, printed)
    if scene.bars:
        _paint_chart(canvas, scene.bars)
    if scene.noise:
        noise = random.normal(0, scene.noise, canvas.pixels.shape[:2]).astype(np.float32)[..., None]
        canvas.pixels[:] = np.clip(canvas.pixels + noise, 0, 255).astype(np.uint8)
    return canvas.pixels


def print_places(printed: Print, width: int, height: int) -> list[tuple[str, float, float]]:
    """Return each letter with its centre, parts of the picture's width and height."""
    how = _in_pixels(printed.lettering, min(width, height))
    widths = advances(printed.text, how)
    pen = printed.x * width - sum(widths) / 2
    places: list[tuple[str, float, float]] = []
    for letter, advance in zip(printed.text, widths, strict=True):
        places.append((letter, (pen + advance / 2) / width, printed.y))
        pen += advance
    return places


def bar_places(bars: tuple[Bar, ...]) -> list[tuple[float, float, float, float]]:
    """Return left, top, right, bottom of each bar, parts of the picture."""
    step = (_CHART_RIGHT - _CHART_LEFT) / len(bars)
    return [
        (
            _CHART_LEFT + step * (i + 0.18),
            _CHART_FLOOR - bar.value * (_CHART_FLOOR - _CHART_TOP),
            _CHART_LEFT + step * (i + 0.82),
            _CHART_FLOOR,
        )
        for i, bar in enumerate(bars)
    ]


def _paint_thing(canvas: Canvas, thing: Thing) -> None:
    short = min(canvas.width, canvas.height)
    half = thing.size * short / 2
    at = Placement(thing.x * canvas.width, thing.y * canvas.height, half, half, thing.angle)
    stamp = shape_stamp(thing.shape)
    if thing.style == "outlined":
        canvas.outline(stamp, at, thing.ink, max(3.0, half * 0.16))
        return
    canvas.fill(stamp, at, thing.ink)
    if thing.style == "bordered":
        canvas.outline(stamp, at, _contrary(thing.ink), max(1.5, half * 0.06))


def _contrary(ink: Rgb) -> Rgb:
    return (0, 0, 0) if sum(ink) > 200 else (90, 90, 90)


def _paint_print(canvas: Canvas, printed: Print) -> None:
    how = _in_pixels(printed.lettering, min(canvas.width, canvas.height))
    left = printed.x * canvas.width - sum(advances(printed.text, how)) / 2
    print_text(canvas, printed.text, left, printed.y * canvas.height, how, printed.ink)


def _in_pixels(lettering: Lettering, short: int) -> Lettering:
    return replace(lettering, height=lettering.height * short)


def _paint_chart(canvas: Canvas, bars: tuple[Bar, ...]) -> None:
    width, height = canvas.width, canvas.height
    dark = int(canvas.pixels[0, 0].sum()) < 330
    axis: Rgb = (225, 225, 225) if dark else (40, 40, 40)
    line = max(1, round(min(width, height) / 160))
    for bar, (left, top, right, bottom) in zip(bars, bar_places(bars), strict=True):
        canvas.rectangle(left * width, top * height, right * width, bottom * height, bar.ink)
        if bar.label:
            how = Lettering("sans", 0.07 * min(width, height))
            middle = (left + right) / 2 * width - sum(advances(bar.label, how)) / 2
            print_text(canvas, bar.label, middle, 0.93 * height, how, axis)
    left, floor = _CHART_LEFT * width, _CHART_FLOOR * height
    canvas.rectangle(left, floor, _CHART_RIGHT * width, floor + line, axis)
    canvas.rectangle(left - line, _CHART_TOP * height, left, floor, axis)


def _rule(canvas: Canvas) -> None:
    base = canvas.pixels[0, 0].astype(int)
    ink = np.clip(base + (-30 if base.sum() > 300 else 30), 0, 255).astype(np.uint8)
    step = max(8, canvas.height // 12)
    canvas.pixels[step::step] = ink
