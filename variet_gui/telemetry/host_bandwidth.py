"""How fast this computer's own memory can be read: measured, since no system tells it.

All cores look for a byte that is not there, each in memory of its own: the C library's search reads as fast as memory
gives, and ctypes lets go of Python's lock meanwhile. Blocking, some tenths of a second; best while nothing else works.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
from typing import Any

import psutil

log = logging.getLogger(__name__)

_GIB = 2**30
_MIB = 2**20
WHOLE_MIB = 512
"""Read in one round: more than caches hold."""
_LEAST_MIB = 32
"""Of one core."""
_MOST_CORES = 32
_ROUNDS = 3
_FREE_FACTOR = 4
"""So many times what is taken must be free."""
_PRESENT, _ABSENT = 1, 2


def measure_host_bandwidth(whole_mib: int = WHOLE_MIB) -> float | None:
    """Return GiB per second, the best of three rounds; None where too little memory is free, or none can be had.

    Args:
        whole_mib: how much is read in one round, all cores together.
    """
    search = _search()
    cores = min(psutil.cpu_count(logical=False) or psutil.cpu_count() or 1, _MOST_CORES)
    size = max(_LEAST_MIB, whole_mib // cores) * _MIB
    if search is None or psutil.virtual_memory().available < _FREE_FACTOR * cores * size:
        return None
    try:
        # Written once: memory that was never written is one and the same page of zeros.
        parts = [ctypes.create_string_buffer(size) for _ in range(cores)]
        for part in parts:
            ctypes.memset(part, _PRESENT, size)
        best = min(_round(search, parts, size) for _ in range(_ROUNDS))
    except (MemoryError, RuntimeError) as error:
        log.info("the speed of the computer's own memory could not be measured: %s", error)
        return None
    return cores * size / _GIB / best


def _round(search: Any, parts: list[Any], size: int) -> float:
    """Return the seconds that all cores together need."""
    begin = threading.Barrier(len(parts) + 1)

    def read(part: Any) -> None:
        begin.wait()
        search(part, _ABSENT, size)

    readers = [threading.Thread(target=read, args=(part,), name="reading memory") for part in parts]
    for reader in readers:
        reader.start()
    begin.wait()
    started = time.perf_counter()
    for reader in readers:
        reader.join()
    return max(time.perf_counter() - started, 1e-9)


def _search() -> Any:
    """Return the C library's memchr, or None where there is none."""
    try:
        library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
        search = library.memchr
    except (OSError, AttributeError) as error:
        log.info("the C library has no memchr: %s", error)
        return None
    search.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    search.restype = ctypes.c_void_p
    return search
