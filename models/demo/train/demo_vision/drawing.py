"""A canvas of pixels and what can be stamped on it. Needs numpy only.

Everything drawn is a *stamp*: the signed distance to the edge of an outline, measured once on a grid. From it follow
the filled form, its outline and its border at any size and angle, with soft edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Contour = NDArray[np.float64]
"""(points, 2): x to the right, y downwards; closed, the last point joins the first."""
Rgb = tuple[int, int, int]

REACH = 1.3
"""A stamp's grid spans -REACH..REACH in both directions; its outline lies within -1..1."""
GRID = 112


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """Distances to an outline on a GRID x GRID grid, in units of half the stamp's size; negative inside."""

    distances: Floats


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how large: the centre and the half sizes in pixels, and the angle in radians, clockwise."""

    x: float
    y: float
    half_width: float
    half_height: float
    angle: float = 0.0
    shear: float = 0.0


def stamp_of(contours: list[Contour]) -> Stamp:
    """Measure the distance of each point of the grid to `contours`; inside is where they wind around it."""
    axis = np.linspace(-REACH, REACH, GRID)
    x, y = np.meshgrid(axis, axis)
    nearest = np.full(x.shape, np.inf)
    winding = np.zeros(x.shape, np.int32)
    for contour in contours:
        for (ax, ay), (bx, by) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
            dx, dy = bx - ax, by - ay
            length = dx * dx + dy * dy
            if length == 0:
                continue
            along = np.clip(((x - ax) * dx + (y - ay) * dy) / length, 0, 1)
            nearest = np.minimum(nearest, np.square(x - ax - along * dx) + np.square(y - ay - along * dy))
            side = dx * (y - ay) - dy * (x - ax)
            winding += ((ay <= y) & (by > y) & (side > 0)).astype(np.int32)
            winding -= ((ay > y) & (by <= y) & (side < 0)).astype(np.int32)
    return Stamp((np.sqrt(nearest) * np.where(winding != 0, -1, 1)).astype(np.float32))


class Canvas:
    """A picture in the making: 8-bit RGB, (height, width, 3)."""

    def __init__(self, width: int, height: int, colour: Rgb) -> None:
        self.pixels: Pixels = np.empty((height, width, 3), np.uint8)
        self.pixels[0] = colour
        self.pixels[1:] = self.pixels[0]

    @property
    def width(self) -> int:
        """Return the width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Return the height in pixels."""
        return int(self.pixels.shape[0])

    def fill(self, stamp: Stamp, at: Placement, colour: Rgb, grow: float = 0.0) -> None:
        """Fill a form; `grow` pixels are added around it (less than 0: taken off)."""
        self._blend(at, colour, stamp, lambda distance: 0.5 + grow - distance, abs(grow) + 1)

    def outline(self, stamp: Stamp, at: Placement, colour: Rgb, width: float) -> None:
        """Draw the edge of a form, `width` pixels wide, inside it."""
        half = width / 2
        self._blend(at, colour, stamp, lambda distance: half + 0.5 - np.abs(distance + half), 1.0)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Rgb) -> None:
        """Fill an upright rectangle with hard edges; what lies outside the picture is left out."""
        x0, x1 = max(0, round(left)), max(0, round(right))
        y0, y1 = max(0, round(top)), max(0, round(bottom))
        self.pixels[y0:y1, x0:x1] = colour

    def _blend(self, at: Placement, colour: Rgb, stamp: Stamp, alpha_of: object, margin: float) -> None:
        reach = float(np.hypot(at.half_width, at.half_height) * 1.02 + abs(at.shear) * at.half_height + margin)
        if at.angle == 0.0:
            reach_x = at.half_width + abs(at.shear) * at.half_height + margin
            reach_y = at.half_height + margin
        else:
            reach_x = reach_y = reach
        x0, x1 = max(0, int(at.x - reach_x)), min(self.width, int(at.x + reach_x) + 2)
        y0, y1 = max(0, int(at.y - reach_y)), min(self.height, int(at.y + reach_y) + 2)
        if x0 >= x1 or y0 >= y1:
            return
        dx = (np.arange(x0, x1, dtype=np.float32) + 0.5 - at.x)[None, :]
        dy = (np.arange(y0, y1, dtype=np.float32) + 0.5 - at.y)[:, None]
        cos, sin = np.float32(np.cos(at.angle)), np.float32(np.sin(at.angle))
        v = (dy * cos - dx * sin) / at.half_height
        u = (dx * cos + dy * sin) / at.half_width + np.float32(at.shear) * v
        distance = _sampled(stamp.distances, u, v) * np.float32(np.sqrt(at.half_width * at.half_height))
        alpha = np.clip(alpha_of(distance), 0, 1)[..., None]  # type: ignore[operator]
        region = self.pixels[y0:y1, x0:x1]
        ink = np.asarray(colour, np.float32)
        region[:] = (region + (ink - region) * alpha + 0.5).astype(np.uint8)


def _sampled(grid: Floats, u: Floats, v: Floats) -> Floats:
    """Read the grid between its points (bilinear); outside it the last value counts."""
    scale = np.float32((GRID - 1) / (2 * REACH))
    gx = np.clip((u + np.float32(REACH)) * scale, 0, GRID - 1.001)
    gy = np.clip((v + np.float32(REACH)) * scale, 0, GRID - 1.001)
    column, row = gx.astype(np.int32), gy.astype(np.int32)
    fx, fy = gx - column, gy - row
    flat, at = grid.ravel(), row * GRID + column
    upper = flat[at] * (1 - fx) + flat[at + 1] * fx
    lower = flat[at + GRID] * (1 - fx) + flat[at + GRID + 1] * fx
    return upper * (1 - fy) + lower * fy


SHAPES = ("circle", "square", "triangle", "rectangle", "oval", "star", "diamond", "cross", "heart", "hexagon")


@cache
def shape_stamp(shape: str) -> Stamp:
    """Return the stamp of one of SHAPES."""
    return stamp_of([_OUTLINES[shape]])


def _ring(count: int, turn: float = 0.0, inner: float | None = None) -> Contour:
    """Return the corners of a regular polygon, or of a star when every other corner lies at `inner`."""
    angles = np.arange(count) * 2 * np.pi / count + turn
    radius = np.where(np.arange(count) % 2 == 0, 1.0, inner if inner is not None else 1.0)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _box(half_width: float, half_height: float) -> Contour:
    w, h = half_width, half_height
    return np.array([(-w, -h), (w, -h), (w, h), (-w, h)], np.float64)


def _heart() -> Contour:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x / 17, (y - 2.5) / 16], axis=1)


def _cross(arm: float = 0.34) -> Contour:
    a = arm
    return np.array(
        [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)],
        np.float64,
    )


_OUTLINES: dict[str, Contour] = {
    "circle": _ring(64),
    "square": _box(0.88, 0.88),
    "triangle": np.array([(0, -0.95), (1, 0.8), (-1, 0.8)], np.float64),
    "rectangle": _box(1.0, 0.52),
    "oval": _ring(64) * np.array([1.0, 0.56]),
    "star": _ring(10, -np.pi / 2, 0.42),
    "diamond": _ring(4, -np.pi / 2) * np.array([0.62, 1.0]),
    "cross": _cross(),
    "heart": _heart(),
    "hexagon": _ring(6),
}
