"""One outlook put together: the forecast with names for its devices, what is measured, and the likely speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from variet_gui.events import HostSample, ServerStatus
from variet_gui.forecast.speed import SpeedAnswer, SpeedEstimate
from variet_gui.forecast.values import NO_HOST, HostForecast
from variet_gui.i18n import Message, msg
from variet_gui.panel.outlook_basis import Basis
from variet_gui.panel.outlook_host import processor
from variet_gui.panel.outlook_machine import ON_CPU, label_of
from variet_gui.panel.outlook_text import summary_of
from variet_gui.panel.outlook_values import DeviceOutlook, ExactFigures, Outlook, worst_of

_FROM_DISK = msg(
    "The weights on the processor are larger than this computer's memory. From a disk they are much slower."
)


def compose(
    basis: Basis,
    measured: Mapping[str, float],
    exact: ExactFigures | None,
    speed: SpeedAnswer,
    host: HostSample | None,
    statuses: Sequence[ServerStatus],
) -> Outlook:
    """Return the outlook of one basis.

    Args:
        basis: what the forecast is made from.
        measured: what the tier's own server holds, MiB by llama.cpp's name of the device.
        exact: what llama-server itself said of exactly this.
        speed: how fast it will likely answer, or why that cannot be said.
        host: the computer's own memory as it was seen last.
        statuses: of every server.
    """
    forecast = basis.forecast()
    machine = basis.machine
    devices = tuple(
        DeviceOutlook(
            device,
            slot.label if (slot := machine.slot(device.name)) is not None else label_of(device.name),
            measured.get(device.name),
        )
        for device in forecast.devices
    )
    source = machine.source
    if not devices and forecast.host is not NO_HOST:
        own = next((status for status in statuses if status.role == basis.profile.role), None)
        devices, source = (processor(forecast.host, basis.calibration, host, own),), ON_CPU
    return Outlook(
        basis.profile.role,
        forecast,
        None,
        devices,
        machine.simulated,
        source,
        summary_of(forecast, devices, worst_of(forecast, devices)),
        exact,
        *_speed(speed, forecast.host, host),
    )


def _speed(
    speed: SpeedAnswer, taken: HostForecast, host: HostSample | None
) -> tuple[SpeedEstimate | None, tuple[Message, ...]]:
    """Return the estimate; none where weights would have to come from the disk again and again."""
    room_mib = host.memory_total_mib if host is not None else float("inf")
    if speed.estimate is not None and speed.needs_host and taken.weights_mib > room_mib:
        return None, (_FROM_DISK,)
    return speed.estimate, speed.reasons
