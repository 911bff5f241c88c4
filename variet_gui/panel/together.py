"""Which running tiers another one fits beside, and which would have to stop first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from variet_gui.forecast.values import DeviceForecast, Verdict
from variet_gui.i18n import Message, msg
from variet_gui.panel.outlook_text import amount, left_mib
from variet_gui.panel.outlook_values import DeviceOutlook, Together


@dataclass(frozen=True, slots=True)
class Running:
    """A tier that runs, or is coming up."""

    role: str
    held_mib: Mapping[str, float]
    """What it holds on each device, by llama.cpp's name; while it comes up, what it will hold."""


def beside_running(role: str, devices: Sequence[DeviceOutlook], running: Sequence[Running]) -> Together:
    """Return whether a tier fits beside those that run.

    Args:
        role: the tier that is to be started.
        devices: its own outlook, which counts nothing of any tier of ours as held.
        running: the others.
    """
    if not running:
        return Together(role, True)
    names = tuple(one.role for one in running)
    if not devices or any(device.forecast.verdict is Verdict.UNKNOWN for device in devices):
        return Together(role, None if devices else True, () if devices else names)
    if _fits(devices, running):
        return Together(role, True, names)
    for count in range(1, len(running) + 1):
        for stopping in sorted(combinations(running, count), key=_freed_mib):
            left = [one for one in running if one not in stopping]
            if _fits(devices, left):
                roles = tuple(one.role for one in stopping)
                return Together(role, False, tuple(one.role for one in left), roles, _why(role, devices, running))
    # Alone it does not fit either: that is said elsewhere, and stopping others brings it as near as it gets.
    return Together(role, False, (), names, _why(role, devices, running))


def _fits(devices: Sequence[DeviceOutlook], running: Sequence[Running]) -> bool:
    # Where nothing of the others lies, they are not what is in the way.
    return all(
        not _held_mib(device.forecast.name, running)
        or _with(device.forecast, running).verdict is not Verdict.DOES_NOT_FIT
        for device in devices
    )


def _with(device: DeviceForecast, running: Sequence[Running]) -> DeviceForecast:
    return replace(device, other_mib=device.other_mib + _held_mib(device.name, running))


def _held_mib(name: str, running: Sequence[Running]) -> float:
    return sum(one.held_mib.get(name, 0.0) for one in running)


def _freed_mib(stopping: Sequence[Running]) -> float:
    return sum(sum(one.held_mib.values()) for one in stopping)


def _why(role: str, devices: Sequence[DeviceOutlook], running: Sequence[Running]) -> Message:
    lefts = [(left_mib(_with(device.forecast, running)), index) for index, device in enumerate(devices)]
    left, index = min(lefts)
    return msg(
        "{role} does not fit beside {others}: {amount} too much on {device}.",
        role=role,
        others=", ".join(one.role for one in running),
        amount=amount(-left),
        device=devices[index].label,
    )
