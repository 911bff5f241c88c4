"""What NVML is asked about one card, and how often: a table that the sampler's helper process reads.

Kept apart from the helper so that it imports nothing but the standard library, as the helper does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Reader: TypeAlias = Callable[[Any, Any], dict[str, Any]]
"""Reads some fields of `GpuSample` through the module pynvml from a handle; a field that cannot be had is left out."""

_NOT_AVAILABLE = frozenset({0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})
"""What some drivers return for a figure they do not have, with a result of "success"."""
_MIB = 1024 * 1024


def _memory(nvml: Any, handle: Any) -> dict[str, float]:
    # Version 1 of this call on purpose: used + free = total on every driver, and free is what decides whether a model
    # fits. Version 2 (nvidia-smi) reports what the driver reserved for itself apart.
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    if memory.total in _NOT_AVAILABLE or memory.used in _NOT_AVAILABLE or not memory.total:
        return {}
    return {"memory_used_mib": round(memory.used / _MIB, 2), "memory_total_mib": round(memory.total / _MIB, 2)}


def _reserved(nvml: Any, handle: Any) -> dict[str, float]:
    """Return what the driver keeps for itself; it is part of both total and used."""
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    return {} if memory.reserved in _NOT_AVAILABLE else {"memory_reserved_mib": round(memory.reserved / _MIB, 2)}


def _utilisation(nvml: Any, handle: Any) -> dict[str, float]:
    percent = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
    return {} if percent in _NOT_AVAILABLE else {"utilisation_percent": percent}


def _processes(nvml: Any, handle: Any) -> dict[str, list[list[float | None]]]:
    """Return who holds memory of this card: [pid, MiB or None], in the order of the pids."""
    held: dict[int, float | None] = {}
    for kind in ("Compute", "Graphics"):  # one that does both is in both lists, with the same figure
        for process in getattr(nvml, f"nvmlDeviceGet{kind}RunningProcesses")(handle):
            used = process.usedGpuMemory  # None on Windows, where the system and not the driver keeps the accounts
            held[process.pid] = None if used is None or used in _NOT_AVAILABLE else round(used / _MIB, 2)
    return {"processes": [[pid, held[pid]] for pid in sorted(held)]}


def _number(field: str, function: str, *arguments: int, divisor: int = 1) -> Reader:
    def read(nvml: Any, handle: Any) -> dict[str, float]:
        raw = getattr(nvml, function)(handle, *arguments)
        if raw in _NOT_AVAILABLE:
            return {}
        return {field: raw if divisor == 1 else round(raw / divisor, 2)}

    return read


METRICS: tuple[tuple[str, float, Reader], ...] = (
    ("memory", 0, _memory),
    ("reserved", 30, _reserved),
    ("utilisation", 0, _utilisation),
    ("processes", 1, _processes),
    ("temperature", 1, _number("temperature_c", "nvmlDeviceGetTemperature", 0)),  # 0: NVML_TEMPERATURE_GPU
    ("power", 1, _number("power_w", "nvmlDeviceGetPowerUsage", divisor=1000)),  # mW
    ("generation", 5, _number("pcie_generation", "nvmlDeviceGetCurrPcieLinkGeneration")),
    ("width", 5, _number("pcie_width", "nvmlDeviceGetCurrPcieLinkWidth")),
    ("generation_max", 5, _number("pcie_generation_max", "nvmlDeviceGetMaxPcieLinkGeneration")),
    ("width_max", 5, _number("pcie_width_max", "nvmlDeviceGetMaxPcieLinkWidth")),
    # These two never change, and say how fast its memory can be read. 2: NVML_CLOCK_MEM
    ("memory clock", 300, _number("memory_clock_max_mhz", "nvmlDeviceGetMaxClockInfo", 2)),
    ("memory bus", 300, _number("memory_bus_bits", "nvmlDeviceGetMemoryBusWidth")),
    # Blocks for 20 ms, over which the driver counts bytes. 1: NVML_PCIE_UTIL_RX_BYTES; KB/s
    ("receive", 4, _number("pcie_receive_mib_s", "nvmlDeviceGetPcieThroughput", 1, divisor=1024)),
)
"""Name, seconds between two readings (0: every tick; the last value stands in between), how it is read."""
