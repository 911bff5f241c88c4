"""The words of a speed estimate, told apart from measured speeds wherever they stand."""

from __future__ import annotations

from variet_gui.forecast.speed import SpeedEstimate
from variet_gui.i18n import tr
from variet_gui.ui.widgets import figures

_WHOLE_FROM = 9.95
"""An estimate has no decimals worth telling from here on."""


def speed_words(speed: SpeedEstimate | None, *, fits: bool = True) -> str:
    """Return the estimate in one line, that it is one included; empty where there is none."""
    if speed is None:
        return ""
    low, high = (_figure(tps) for tps in (speed.low_tps, speed.high_tps))
    likely = tr("{low} to {high} t/s", low=low, high=high) if low != high else tr("{speed} t/s", speed=low)
    if not fits:
        return tr("If it fitted: likely {speed}, an estimate", speed=likely)
    return tr("Likely {speed}, an estimate", speed=likely)


def speed_lines(speed: SpeedEstimate | None) -> list[str]:
    """Return what the estimate was made of, one thing a line."""
    if speed is None:
        return []
    lines = [
        tr(
            "most likely {speed} t/s, with {depth} tokens of the context in use",
            speed=_figure(speed.likely_tps),
            depth=figures.figure(speed.depth_tokens),
        ),
        str(speed.basis),
    ]
    lines += [
        tr(
            "{device}: {mib} MiB read for a token, {ms} ms",
            device=device.name,
            mib=figures.figure(device.read_mib),
            ms=figures.figure(device.ms, 1),
        )
        for device in speed.devices
    ]
    return lines


def _figure(tps: float) -> str:
    return figures.figure(tps, 0 if tps >= _WHOLE_FROM else 1)
