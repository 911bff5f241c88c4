"""llama-server's own figures beside the forecast that counts the same way."""

from __future__ import annotations

from collections.abc import Iterable

from variet_gui.engine.breakdown import MeasuredDevice
from variet_gui.engine.dry_run import DryRun
from variet_gui.forecast.values import NO_HOST, DeviceForecast, Forecast, HostForecast
from variet_gui.i18n import Message, msg
from variet_gui.panel.outlook_machine import Machine, label_of
from variet_gui.panel.outlook_text import amount
from variet_gui.panel.outlook_values import ExactDevice, ExactFigures

_CUT_MIB = 3.0
"""Each of the three figures of a device is cut to a whole MiB: the truth is up to so much above their sum."""
_SLACK_MIB = 0.5
_HOST_LABEL = msg("main memory")
_CPU = "CPU"


def compared(run: DryRun, forecast: Forecast, machine: Machine, *, expected: Machine, at: float) -> ExactFigures:
    """Return what llama-server said beside what we say.

    Args:
        run: what it said.
        forecast: ours, for the devices as it saw them, counted as it counts (`dry_run`).
        machine: those devices, for their names.
        expected: those that the outlook is about.
        at: Unix time.
    """
    ours = {device.name: device for device in forecast.devices}
    devices = tuple(
        _device(device, slot.label if (slot := machine.slot(device.name)) is not None else label_of(device.name), own)
        for device in run.devices
        if (own := ours.get(device.name)) is not None or device.buffers_mib
    )
    host = _host(run, forecast.host)
    known = [device.difference_mib for device in devices]
    agrees = all(difference is not None and _is_rounding(difference) for difference in known)
    # Cards that are simulated or assumed, or that the engine was not built for: it cannot speak of those.
    sees_none = not run.devices and bool(expected.slots)
    if sees_none:
        agrees = False
    elif not devices:
        agrees = host.difference_mib is not None and _is_rounding(host.difference_mib)
    return ExactFigures(
        at,
        run.build,
        devices,
        host,
        run.seconds,
        agrees,
        _on_host(host) if sees_none else _summary(devices or (host,), agrees=agrees),
        (*run.notes, *_second(run)),
    )


def _is_rounding(difference_mib: float) -> bool:
    return -_CUT_MIB - _SLACK_MIB <= difference_mib <= _SLACK_MIB


def _device(measured: MeasuredDevice, label: Message, own: DeviceForecast | None) -> ExactDevice:
    parts = None if own is None else (own.weights_mib, own.context_mib, own.compute_mib)
    return ExactDevice(
        measured.name,
        label,
        float(measured.weights_mib),
        float(measured.context_mib),
        float(measured.compute_mib),
        _sum(parts),
    )


def _host(run: DryRun, own: HostForecast) -> ExactDevice:
    # Weights that are packed anew for the CPU lie in a buffer of another kind, and in the same memory.
    rows = (run.host, *(row for row in run.others if row.name.startswith(_CPU)))
    return ExactDevice(
        run.host.name,
        _HOST_LABEL,
        float(sum(row.weights_mib for row in rows)),
        float(sum(row.context_mib for row in rows)),
        float(sum(row.compute_mib for row in rows)),
        None if own is NO_HOST else _sum((own.weights_mib, own.context_mib, own.compute_mib)),
    )


def _sum(parts: Iterable[float | None] | None) -> float | None:
    known = [] if parts is None else [part for part in parts if part is not None]
    return sum(known) if len(known) == 3 else None


def _second(run: DryRun) -> list[Message]:
    if run.second is None:
        return []
    mib = sum(device.buffers_mib for device in run.second.devices)
    return [msg("A second context of {amount} comes on top, by llama-server's own figures.", amount=amount(mib))]


def _on_host(host: ExactDevice) -> Message:
    return msg(
        "This llama-server sees no GPU: it would put everything into main memory, {amount} by its own figures.",
        amount=amount(host.total_mib),
    )


def _summary(devices: Iterable[ExactDevice], *, agrees: bool) -> Message:
    if agrees:
        return msg("llama-server itself says the same.")
    unknown = [device for device in devices if device.difference_mib is None]
    if unknown:
        largest = max(unknown, key=lambda device: device.total_mib)
        return msg(
            "llama-server itself counts {amount} on {device}; the forecast does not know.",
            amount=amount(largest.total_mib),
            device=largest.label,
        )
    worst = max(devices, key=lambda device: abs(device.difference_mib or 0.0))
    difference = worst.difference_mib or 0.0
    if difference > 0:
        return msg(
            "llama-server itself counts {amount} more on {device} than the forecast.",
            amount=amount(difference),
            device=worst.label,
        )
    return msg(
        "llama-server itself counts {amount} less on {device} than the forecast.",
        amount=amount(-difference),
        device=worst.label,
    )
