"""The computer's own memory as if it were a device, for a tier that puts nothing on a GPU."""

from __future__ import annotations

import psutil

from variet_gui.events import HostSample, ServerStatus
from variet_gui.forecast.calibration import Calibration
from variet_gui.forecast.values import DeviceForecast, HostForecast
from variet_gui.panel.outlook_machine import label_of
from variet_gui.panel.outlook_values import DeviceOutlook

CPU = "CPU"
_MAPPED = "_Mapped"
_MIB = 2**20


def host_now() -> HostSample:
    """Return the computer's memory as it is now. Blocking, well under a millisecond."""
    memory = psutil.virtual_memory()
    return HostSample((memory.total - memory.available) / _MIB, memory.total / _MIB, 0.0)


def processor(
    host: HostForecast, calibration: Calibration, sample: HostSample | None, own: ServerStatus | None
) -> DeviceOutlook:
    """Return the outlook of the computer's own memory.

    Args:
        host: what the start takes of it.
        calibration: what this machine has taught.
        sample: the memory as it was seen last; None: its size is not known.
        own: the tier's own server, which does not count against itself.
    """
    buffers = own.buffers if own is not None and own.state.is_active else ()
    # What is mapped from the file the system counts as free: it can be dropped at any time.
    counted = sum(part.total_mib for part in buffers if not part.device.endswith(_MAPPED))
    device = DeviceForecast(
        name=CPU,
        weights_mib=host.weights_mib,
        context_mib=host.context_mib,
        compute_mib=host.compute_mib,
        projector_mib=host.projector_mib,
        overhead_mib=0.0,
        other_mib=max(0.0, sample.memory_used_mib - counted) if sample is not None else 0.0,
        capacity_mib=sample.memory_total_mib if sample is not None else None,
        uncertainty_mib=calibration.device(CPU).uncertainty_mib(host.compute_mib or 0.0, measured=False),
    )
    return DeviceOutlook(device, label_of(CPU), sum(part.total_mib for part in buffers) if buffers else None)
