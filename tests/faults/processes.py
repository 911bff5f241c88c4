"""What the tests of this folder ask about processes, and how they start the stub server."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil

from tests.support.spawned import free_port

__all__ = ["free_port", "is_gone", "kill", "stub"]

REPOSITORY = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("stub_server.py")


def stub(*options: str, port: int | None = None) -> list[str]:
    """Return the argv of a stub server."""
    return [sys.executable, str(STUB), "--port", str(port or free_port()), "-m", "stub.gguf", *options]


def is_gone(pid: int) -> bool:
    """Whether no such process runs any more (one that only waits to be reaped does not)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(*pids: int) -> None:
    """Clear away what a failed test would leave behind."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def stub_child(log: str) -> int | None:
    """Return the pid of the stub's own child, once its log names it."""
    for line in log.splitlines():
        if "stub child " in line:
            return int(line.rsplit(" ", 1)[1])
    return None
