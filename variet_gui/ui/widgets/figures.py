"""Figures as people read them: thin spaces between thousands, a true minus, units apart, a dash for the unknown."""

from __future__ import annotations

import math

from variet_gui.i18n import tr

THIN_SPACE = "\u2009"
UNKNOWN = "–"
MIB_PER_GIB = 1024.0


def figure(value: float | None, digits: int = 0) -> str:
    """Return `value` with `digits` decimals and thin spaces between thousands; a dash when it is not known."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.{digits}f}".replace(",", THIN_SPACE)
    return text.replace("-", "−")


def gibibytes(mib: float | None) -> str:
    """Return an amount of memory given in MiB as GiB with one decimal, without its unit."""
    return figure(None if mib is None else mib / MIB_PER_GIB, 1)


def rate(tokens_per_s: float | None) -> str:
    """Return a speed in tokens per second without its unit: one decimal below 100, none above."""
    if tokens_per_s is None or not math.isfinite(tokens_per_s):
        return UNKNOWN
    return figure(tokens_per_s, 1 if abs(tokens_per_s) < 99.95 else 0)


def seconds(milliseconds: float) -> str:
    """Return a duration given in ms as seconds with its unit: two decimals below 10 s, one below 100 s."""
    value = milliseconds / 1000.0
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return tr("{seconds} s", seconds=figure(value, digits))
