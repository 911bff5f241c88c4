"""A server that an earlier panel started and left running: found again, watched and ended without being its parent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys

import psutil

from variet_gui.engine.process import GRACE_S
from variet_gui.engine.records import ServerRecord

log = logging.getLogger(__name__)

_SECOND_GRACE_S = 2.0
_POLL_S = 0.1
_CLOCK_SLACK_S = 1.0
"""A process's creation time is kept in ticks since the boot: compared with the wall clock it is a little off."""
_SAME_S = 0.02


def find(record: ServerRecord) -> psutil.Process | None:
    """Return the process of `record` if it still runs; never a later one that was given the same number."""
    if record.pid is not None and record.created_at is not None:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(record.pid)
            if abs(process.create_time() - record.created_at) < _SAME_S and _lives(process):
                return process
        return None
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if (
                process.create_time() >= record.at - _CLOCK_SLACK_S
                and tuple(process.cmdline()) == record.argv
                and _lives(process)
            ):
                return process
    return None


class AdoptedProcess:
    """A running server that is not our child, with the manners of `engine.process.ServerProcess`."""

    keep_running = True

    def __init__(self, identity: psutil.Process) -> None:
        self._identity = identity
        self.pid = identity.pid
        self.created_at: float | None = identity.create_time()
        self.started_at = self.created_at
        self.exit_code: int | None = None
        """Never known: only a parent is told."""
        self._gone = asyncio.get_running_loop().create_future()
        self._following = asyncio.get_running_loop().create_task(self._follow(), name=f"follow process {self.pid}")

    async def wait(self) -> int | None:
        """Wait until it has ended, or was let go; the exit code is not known."""
        await asyncio.shield(self._following)
        return self.exit_code

    async def terminate(self, grace_s: float = GRACE_S) -> int | None:
        """End the server and all it started: TERM, `grace_s`, TERM again (at once for llama-server), KILL."""
        for number, patience_s in (
            (signal.SIGTERM, grace_s),
            (signal.SIGTERM, min(grace_s, _SECOND_GRACE_S)),
        ):
            self._signal(number)
            done, _ = await asyncio.wait({self._following}, timeout=patience_s)
            if done:
                return self.exit_code
        self.kill_group()
        return await self.wait()

    def kill_group(self) -> None:
        """Kill the server and its group at once."""
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    async def release(self) -> None:
        """Let it go: it runs on, and this object knows no more of it."""
        if not self._gone.done():
            self._gone.set_result(None)
        await self.wait()

    async def _follow(self) -> None:
        pidfd = _pidfd(self.pid)
        loop = asyncio.get_running_loop()
        try:
            if pidfd is not None and self._runs():
                loop.add_reader(pidfd, self._note_end)
                await self._gone
            else:
                while self._runs() and not self._gone.done():
                    await asyncio.wait({self._gone}, timeout=_POLL_S)
        finally:
            if pidfd is not None:
                loop.remove_reader(pidfd)
                os.close(pidfd)

    def _note_end(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    def _runs(self) -> bool:
        return self._identity.is_running() and _lives(self._identity)  # compares the creation time

    def _signal(self, number: int) -> None:
        """Signal it, and its group if it leads one, as every server of ours does; nobody else is ever hit."""
        if not self._runs():
            return
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if sys.platform != "win32" and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                self._identity.send_signal(number)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends (Linux), or None where there is no such thing."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        log.debug("process %s is asked for in intervals: %s", pid, error)
        return None
