"""The words of an outlook: one line that says whether it fits, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from variet_gui.forecast.values import DeviceForecast, Forecast, Verdict
from variet_gui.i18n import Message, msg
from variet_gui.panel.outlook_values import DeviceOutlook

_IN_MIB_BELOW = 100.0
_SURE = 4.0
"""The uncertainty is told where it is more than so large a part (1/4) of what is left or missing."""


def amount(mib: float) -> Message:
    """Return a size as people say it: "0.4 GiB", below 100 MiB in MiB."""
    if abs(mib) < _IN_MIB_BELOW:
        return msg("{mib} MiB", mib=f"{mib:.0f}")
    return msg("{gib} GiB", gib=f"{mib / 1024:.1f}")


def summary_of(forecast: Forecast, devices: Sequence[DeviceOutlook], verdict: Verdict) -> Message:
    """Return the one line of a forecast; its verdict is that of the whole outlook."""
    worst = tightest(devices)
    if verdict is Verdict.UNKNOWN or worst is None:
        return _unknown(forecast, devices) if verdict is not Verdict.FITS else msg("fits")
    left = left_mib(worst.forecast)
    uncertainty = worst.forecast.uncertainty_mib
    if verdict is Verdict.DOES_NOT_FIT:
        line = msg("does not fit · {amount} too much on {device}", amount=amount(-left), device=worst.label)
    elif verdict is Verdict.TIGHT and left < 0:
        line = msg("tight · {amount} too much on {device}", amount=amount(-left), device=worst.label)
    elif verdict is Verdict.TIGHT:
        line = msg("tight · {amount} to spare on {device}", amount=amount(left), device=worst.label)
    else:
        line = msg("fits · {amount} to spare on {device}", amount=amount(left), device=worst.label)
    if verdict is Verdict.TIGHT or uncertainty * _SURE > abs(left):
        return msg("{verdict}, ± {amount}", verdict=line, amount=amount(uncertainty))
    return line


def unknown(why: Message) -> Message:
    """Return the one line where there is no forecast."""
    return msg("unknown: {why}", why=why)


def tightest(devices: Sequence[DeviceOutlook]) -> DeviceOutlook | None:
    """Return the device with the least left, by what is known; None where no capacity is."""
    known = [device for device in devices if device.forecast.capacity_mib is not None]
    return min(known, key=lambda device: left_mib(device.forecast), default=None)


def left_mib(device: DeviceForecast) -> float:
    """Return what is left on a device of known capacity once everything is there that is known, MiB."""
    return (device.capacity_mib or 0.0) - device.known_mib


def own_mib(device: DeviceForecast) -> float:
    """Return what a start takes on a device, other programs not counted, MiB."""
    return device.known_mib - device.other_mib


def _unknown(forecast: Forecast, devices: Sequence[DeviceOutlook]) -> Message:
    if forecast.reasons:
        return unknown(forecast.reasons[0])
    nameless = next((device for device in devices if device.forecast.capacity_mib is None), None)
    if nameless is not None:
        return unknown(msg("The memory of {device} is not known.", device=nameless.label))
    return unknown(msg("A part of it cannot be said."))
