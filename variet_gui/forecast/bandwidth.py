"""How fast a card can read its memory at best: by its memory clock and bus, or by its name.

The driver tells the clock of the memory in MHz; memory of every kind in use (GDDR5 to GDDR7, HBM2 to HBM3e) moves two
bits per line and tick of the clock as NVML counts it: RTX 3060, 7501 MHz on 192 lines: 360 GB/s; H100 SXM, 2619 MHz on
5120 lines: 3352 GB/s. Both are the makers' figures. The table by name holds those too, from the data sheets.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from variet_gui.i18n import Message, msg

_GB = 10**9
_GIB = 2**30
_STACKED_BUS_BITS = 1024
"""One stack of HBM has so many lines; no card with chips beside the processor has."""

BY_DRIVER = msg("memory clock and bus width by the NVIDIA driver")
BY_NAME = msg("the maker's data sheet for a card of this name")

_GDDR: Mapping[str, int] = {
    "RTX 5090": 1792,
    "RTX 5080": 960,
    "RTX 5070 Ti": 896,
    "RTX 5070": 672,
    "RTX 5060 Ti": 448,
    "RTX 5060": 448,
    "RTX 4090": 1008,
    "RTX 4080 SUPER": 736,
    "RTX 4080": 717,
    "RTX 4070 Ti SUPER": 672,
    "RTX 4070 Ti": 504,
    "RTX 4070 SUPER": 504,
    "RTX 4070": 504,
    "RTX 4060 Ti": 288,
    "RTX 4060": 272,
    "RTX 3090 Ti": 1008,
    "RTX 3090": 936,
    "RTX 3080 Ti": 912,
    "RTX 3070 Ti": 608,
    "RTX 3070": 448,
    "RTX 3060 Ti": 448,
    "RTX 2080 Ti": 616,
    "RTX 2080 SUPER": 496,
    "RTX 2080": 448,
    "RTX 2070": 448,
    "GTX 1080 Ti": 484,
    "GTX 1080": 320,
    "RTX PRO 6000 Blackwell": 1792,
    "RTX 6000 Ada": 960,
    "RTX 5000 Ada": 576,
    "RTX 4500 Ada": 432,
    "RTX 4000 Ada": 360,
    "RTX A6000": 768,
    "RTX A5000": 768,
    "RTX A4000": 448,
    "RTX A2000": 288,
    "L40S": 864,
    "L40": 864,
    "L4": 300,
    "A40": 696,
    "A10": 600,
    "T4": 320,
    "P40": 347,
}
"""GB/s."""

_GDDR_BY_SIZE: Mapping[str, tuple[tuple[int, int], ...]] = {
    "RTX 3080": ((11500, 912), (9500, 760)),
    "RTX 3060": ((11500, 360), (7500, 240)),
}
"""Cards of one name with different memory: (at least so many MiB, GB/s), the largest first."""

_HBM: Mapping[str, int] = {
    "H200": 4800,
    "H100 80GB HBM3": 3352,
    "H100 PCIe": 2039,
    "A100-SXM4-80GB": 2039,
    "A100 80GB PCIe": 1935,
    "A100-SXM4-40GB": 1555,
    "A100-PCIE-40GB": 1555,
    "A30": 933,
    "V100": 900,
    "P100-PCIE-16GB": 732,
}

_LAPTOP = re.compile(r"laptop|mobile|max-q", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """What a card's memory gives at best."""

    gib_s: float
    stacked: bool
    """HBM: so wide that kernels, and not the memory, set the pace."""
    source: Message


@functools.lru_cache(maxsize=64)
def card_bandwidth(
    name: str,
    *,
    memory_clock_mhz: float | None = None,
    bus_width_bits: int | None = None,
    memory_mib: float | None = None,
) -> Bandwidth | None:
    """Return the bandwidth of a card, or None where it cannot be known.

    Args:
        name: as the driver tells it: "NVIDIA GeForce RTX 3060".
        memory_clock_mhz: the highest clock of its memory, by NVML; None or 0: not told.
        bus_width_bits: lines to its memory, by NVML; None or 0: not told.
        memory_mib: its size, which tells cards of one name apart.
    """
    if memory_clock_mhz and bus_width_bits:
        bytes_s = 2 * memory_clock_mhz * 1e6 * bus_width_bits / 8
        return Bandwidth(bytes_s / _GIB, bus_width_bits >= _STACKED_BUS_BITS, BY_DRIVER)
    if _LAPTOP.search(name):
        # They share names with other cards and have slower memory.
        return None
    for table, stacked in ((_HBM, True), (_GDDR, False)):
        found = max((known for known in table if _names(known, name)), key=len, default=None)
        if found is not None:
            return Bandwidth(table[found] * _GB / _GIB, stacked, BY_NAME)
    sizes = next((sizes for known, sizes in _GDDR_BY_SIZE.items() if _names(known, name)), ())
    fitting = next((speed for least, speed in sizes if memory_mib is not None and memory_mib >= least), None)
    return None if fitting is None else Bandwidth(fitting * _GB / _GIB, False, BY_NAME)


def _names(known: str, name: str) -> bool:
    """Whether `known` stands in `name` as whole words, and no other model's suffix follows it."""
    return re.search(rf"(?<![\w-]){re.escape(known)}(?! ?(?:Ti|SUPER|D\b))(?!\w)", name) is not None
