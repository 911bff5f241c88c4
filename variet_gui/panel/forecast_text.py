"""A forecast as text: a line that says whether it fits, a bar per device, every figure, and what would help."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from variet_gui.forecast.values import Verdict
from variet_gui.i18n import Message, msg, tr
from variet_gui.panel.forecasting import DeviceShape, ExactShape, FixShape, ForecastShape, SpeedShape
from variet_gui.panel.outlook_machine import label_of
from variet_gui.panel.terminal_text import table

VERDICTS: dict[Verdict, Message] = {
    Verdict.FITS: msg("fits"),
    Verdict.TIGHT: msg("tight"),
    Verdict.DOES_NOT_FIT: msg("does not fit"),
    Verdict.UNKNOWN: msg("unknown"),
}
_WIDTH = 48
"""Columns of a bar that is filled to its capacity."""
_LONGEST = 72
_PARTS: tuple[tuple[str, Message, str], ...] = (
    ("weights_mib", msg("weights"), "█"),
    ("context_mib", msg("KV cache"), "▓"),
    ("compute_mib", msg("compute"), "▒"),
    ("projector_mib", msg("projector"), "▚"),
    ("overhead_mib", msg("overhead"), "░"),
    ("other_mib", msg("other programs"), "╱"),
)
"""Field of a device, what it is called, and what fills its part of the bar."""


def forecast(shape: ForecastShape, name: str) -> str:
    """Return the forecast of `name` for people."""
    summary = shape.summary or str(VERDICTS[Verdict(shape.verdict)])
    lines = [tr("{name}: {summary}", name=name, summary=summary)]
    if shape.devices:
        lines += ["", *map(_bar, shape.devices), _legend(shape.devices), "", _figures(shape.devices)]
    if shape.devices or not shape.reasons:
        lines.append(_host(shape))
    if shape.speed is not None:
        lines.append(_speed(shape.speed))
    elif shape.speed_reasons:
        lines.append(tr("Speed: not estimated. {reason}", reason=shape.speed_reasons[0]))
    if shape.source:
        lines.append(shape.source)
    lines += [f"# {text}" for text in (*shape.reasons, *shape.notes)]
    if shape.exact is not None:
        lines += ["", _exact(shape.exact)]
    if shape.fixes:
        lines += ["", tr("What would help:")]
        lines += [_fix(number, fix) for number, fix in enumerate(shape.fixes, 1)]
    return "\n".join(lines)


def _bar(device: DeviceShape) -> str:
    total = _known(device)
    capacity = device.capacity_mib
    scale = _WIDTH / (capacity or total or 1.0)
    drawn, filled = "", 0.0
    for key, _, fill in _PARTS:
        # Ends are rounded, not lengths: the bar is as long as its sum.
        filled += getattr(device, key) or 0.0
        drawn += fill * max(0, round(filled * scale) - len(drawn))
    if len(drawn) > _LONGEST:
        drawn = drawn[: _LONGEST - 1] + "…"
    if capacity is not None:
        drawn = drawn[:_WIDTH].ljust(_WIDTH, "·") + "|" + drawn[_WIDTH:]
    room = "?" if capacity is None else _gib(capacity)
    held = _gib(total) if device.total_mib is not None else tr("at least {gib}", gib=_gib(total))
    return tr(
        "{device}  {bar}  {held} of {room} GiB",
        device=str(label_of(device.name)).ljust(7),
        bar=drawn,
        held=held,
        room=room,
    )


def _legend(devices: Sequence[DeviceShape]) -> str:
    present = [f"{fill} {name}" for key, name, fill in _PARTS if any(getattr(device, key) for device in devices)]
    return "         " + "  ".join(present)


def _figures(devices: Sequence[DeviceShape]) -> str:
    head = [tr("MiB"), *(str(name) for _, name, _ in _PARTS), tr("in all"), tr("usable"), tr("left"), "±", ""]
    rows = [
        [
            device.name,
            *(_mib(getattr(device, key)) for key, _, _ in _PARTS),
            _mib(device.total_mib),
            _mib(device.capacity_mib),
            _mib(device.free_mib),
            _mib(device.uncertainty_mib),
            str(VERDICTS[Verdict(device.verdict)]),
        ]
        for device in devices
    ]
    return table([head, *rows])


def _host(shape: ForecastShape) -> str:
    host = shape.host
    parts = (
        (msg("weights"), host.weights_mib),
        (msg("KV cache"), host.context_mib),
        (msg("compute"), host.compute_mib),
        (msg("projector"), host.projector_mib),
        (msg("prompt cache, at most"), host.prompt_cache_mib),
        (msg("checkpoints, at most"), host.checkpoints_mib),
    )
    said = " · ".join(f"{name} {_mib(mib)}" for name, mib in parts if mib is None or mib)
    return tr("Main memory, MiB: {parts}", parts=said or "0")


def _speed(speed: SpeedShape) -> str:
    likely = tr(
        "Speed: likely {low} to {high} t/s with {depth} tokens of the context in use.",
        low=_speed_figure(speed.low_tps),
        high=_speed_figure(speed.high_tps),
        depth=speed.depth_tokens,
    )
    return f"{likely} {speed.basis}"


def _speed_figure(tps: float) -> str:
    """Return a speed as exactly as an estimate deserves."""
    return f"{tps:.1f}" if tps < 10 else f"{tps:.0f}"


def _exact(exact: ExactShape) -> str:
    head = [
        tr("llama-server's own figures, MiB"),
        tr("weights"),
        tr("KV cache"),
        tr("compute"),
        tr("in all"),
        tr("forecast"),
        tr("difference"),
    ]
    rows = [
        [
            device.name,
            _mib(device.weights_mib),
            _mib(device.context_mib),
            _mib(device.compute_mib),
            _mib(device.total_mib),
            _mib(device.forecast_mib),
            "?" if device.difference_mib is None else f"{device.difference_mib:+.0f}",
        ]
        for device in (*exact.devices, *([exact.host] if exact.host is not None else []))
    ]
    return "\n".join([table([head, *rows]), *(f"# {note}" for note in exact.notes)])


def _fix(number: int, fix: FixShape) -> str:
    verdict = Verdict(fix.verdict)
    after = tr("then: {verdict}", verdict=VERDICTS[verdict])
    if fix.free_mib is not None and verdict in (Verdict.FITS, Verdict.TIGHT):
        after = tr("then: {verdict}, {mib} MiB left", verdict=VERDICTS[verdict], mib=_mib(fix.free_mib))
    lines = [f"  {number}. {fix.text} ({after})"]
    if fix.cost:
        lines.append("     " + tr("costs: {cost}", cost=fix.cost))
    if fix.values:
        lines.append("     " + " ".join(f"--set {key}={_value(value)}" for key, value in fix.values.items()))
    return "\n".join(lines)


def _value(value: Any) -> str:
    """Return a parameter's value as `--set` takes it back."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(f"{part:g}" for part in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value)
    return text if text.isalnum() else json.dumps(text) if " " in text else text


def _known(device: DeviceShape) -> float:
    return sum(getattr(device, key) or 0.0 for key, _, _ in _PARTS)


def _gib(mib: float) -> str:
    return f"{mib / 1024:.1f}"


def _mib(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"
