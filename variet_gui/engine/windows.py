"""The lifeline on Windows: a Job Object in place of a process group.

NOT RUN YET: type-checked for win32, and written after Microsoft's documentation of Job Objects
(JOBOBJECT_EXTENDED_LIMIT_INFORMATION, AssignProcessToJobObject). The lifeline puts itself into a job that ends all
its members when the last handle to it closes; the server and whatever it starts inherit the membership, so nothing
can slip out between start and assignment, and the end of the lifeline is the end of them all.
"""

from __future__ import annotations

import ctypes
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from ctypes import wintypes

assert sys.platform == "win32", "variet_gui.engine.windows is for Windows only"

KILL_ON_JOB_CLOSE = 0x2000
_EXTENDED_LIMIT_INFORMATION = 9


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
        ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
        ("LimitFlags", wintypes.DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", wintypes.DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", wintypes.DWORD),
        ("SchedulingClass", wintypes.DWORD),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_ulonglong * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


def enter_job() -> int:
    """Put this process into a new job that dies with it, and return the job's handle (kept open until we end).

    Raises:
        OSError: Windows refused, with its own error code.
    """
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.restype = wintypes.HANDLE
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.SetInformationJobObject.argtypes = (wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD)
    kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    job: int | None = kernel.CreateJobObjectW(None, None)
    limits = _ExtendedLimits()
    limits.BasicLimitInformation.LimitFlags = KILL_ON_JOB_CLOSE
    if (
        not job
        or not kernel.SetInformationJobObject(
            job, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        or not kernel.AssignProcessToJobObject(job, kernel.GetCurrentProcess())
    ):
        raise ctypes.WinError(ctypes.get_last_error())
    return job


def hold(log_path: str, command: list[str], *, keep: bool, say: Callable[[str], None]) -> int:
    """Do on Windows what `lifeline.Lifeline.run` does on Linux, with the same lines in and out (`say` writes one).

    llama-server handles only Ctrl+C there, which a process without a console does not get: "term" ends it at once.
    It has nothing to save.
    """
    if not keep:
        enter_job()
    try:
        log = open(log_path, "ab")  # noqa: SIM115, PTH123 - the server keeps it for its whole life
    except OSError as error:
        say(f'{{"failed":"log","errno":{error.errno or 0}}}')
        return 0
    try:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
    except OSError as error:
        say(f'{{"failed":"exec","errno":{error.errno or 0}}}')
        return 0
    say(f'{{"pid":{server.pid},"started":{time.time():.3f}}}')
    happened: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_commands, args=(happened,), daemon=True).start()
    threading.Thread(target=_await_end, args=(server, happened), daemon=True).start()
    while (word := happened.get()) != "ended":
        if word == "gone" and keep:
            return 0
        server.kill()  # no harm when it has ended meanwhile; "ended" follows either way
    say(f'{{"exit":{server.returncode}}}')
    return 0


def _read_commands(happened: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        happened.put(line.strip())
    happened.put("gone")


def _await_end(server: subprocess.Popen[bytes], happened: queue.SimpleQueue[str]) -> None:
    server.wait()
    happened.put("ended")
