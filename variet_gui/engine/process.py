"""One server process, held through its lifeline (`engine.lifeline`): spawn, wait, end.

The panel never signals a server by its number while the lifeline lives: the lifeline is the server's parent and
cannot hit a stranger. Where the lifeline is lost, the number counts only together with the creation time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from variet_gui.helpers import Helper, helper_command
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

GRACE_S = 10.0
"""How long llama-server gets to finish its running batch and free its memory (the router's own default)."""
_SECOND_GRACE_S = 2.0
_POLL_S = 0.05
KILLED = -9
"""What the system gives as exit code of a process that was killed (SIGKILL)."""


class SpawnError(Exception):
    """The server could not be started at all; `message` names the program and what to do."""

    def __init__(self, message: Message, code: str = "engine_not_started") -> None:
        super().__init__(message.english)
        self.message = message
        self.code = code
        """A stable word: "engine_not_found", "engine_not_executable", "engine_wrong_format", "log_not_writable"..."""


class ServerProcess:
    """A running server under its lifeline. Make one with `spawn`."""

    def __init__(self, lifeline: asyncio.subprocess.Process, pid: int, started_at: float, keep_running: bool) -> None:
        self._lifeline = lifeline
        self._released = False
        self.pid = pid
        """Of the server itself."""
        self.started_at = started_at
        """Unix time, s."""
        self.keep_running = keep_running
        self.created_at: float | None = None
        """Creation time as the system keeps it: with the pid it names this process and no later one."""
        self.exit_code: int | None = None
        """Once it has ended; negative: killed by that signal. None: it runs, or nobody saw it end."""
        try:
            self._identity: psutil.Process | None = psutil.Process(pid)
            self.created_at = self._identity.create_time()
        except psutil.NoSuchProcess:
            self._identity = None  # it has ended already; the lifeline tells how
        self._following = asyncio.get_running_loop().create_task(self._follow(), name=f"follow process {pid}")

    @classmethod
    async def spawn(
        cls, argv: Sequence[str], environment: Mapping[str, str], log_path: Path, *, keep_running: bool = False
    ) -> ServerProcess:
        """Start `argv` with exactly `environment`; its output is appended to `log_path`.

        With `keep_running` the server survives the panel, however that ends; without, it never does. A cancelled
        spawn leaves nothing behind.

        Raises:
            SpawnError: there is no such program, it cannot be run, or the log file cannot be written.
        """
        # In a task of its own: a cancellation must wait until it is known what there is to clean up.
        spawning = asyncio.ensure_future(cls._spawn(argv, environment, log_path, keep_running))
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            with contextlib.suppress(SpawnError):
                await (await spawning).terminate(grace_s=0.0)
            raise

    @classmethod
    async def _spawn(
        cls, argv: Sequence[str], environment: Mapping[str, str], log_path: Path, keep_running: bool
    ) -> ServerProcess:
        keep = ["--keep"] if keep_running else []
        command = helper_command(Helper.LIFELINE, "--log", str(log_path), *keep, "--", *argv)
        try:
            with log_path.open("ab") as log_file:  # where the lifeline's own last words go, should it have any
                lifeline = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log_file,
                    env=dict(environment),
                    **_apart_from_the_panel(),
                )
        except OSError as error:
            raise _spawn_error(error, argv[0], log_path) from error
        assert lifeline.stdout is not None
        line = await lifeline.stdout.readline()
        said = _decoded(line)
        if "pid" in said:
            return cls(lifeline, said["pid"], said["started"], keep_running)
        await _let_go(lifeline)
        if "failed" in said:
            where = str(log_path) if said["failed"] == "log" else argv[0]
            raise _spawn_error(OSError(said["errno"], "", where), argv[0], log_path)
        raise SpawnError(
            msg(
                "The small process that guards a server could not be started (exit code {code}). "
                "The end of {log} says why; installing Variet again usually helps.",
                code=lifeline.returncode,
                log=log_path,
            ),
            "lifeline_not_started",
        )

    async def wait(self) -> int | None:
        """Wait until the server has ended and return its exit code.

        Negative: killed by that signal. None: it was released, or it outlived its lifeline and nobody saw how it ended.
        """
        return await asyncio.shield(self._following)

    async def terminate(self, grace_s: float = GRACE_S) -> int | None:
        """End the server and all it started: TERM, `grace_s`, TERM again (at once for llama-server), KILL.

        Returns its exit code when it is gone. Does nothing more when it has ended by itself.
        """
        for word, patience_s in (("term", grace_s), ("term", min(grace_s, _SECOND_GRACE_S)), ("kill", _SECOND_GRACE_S)):
            if await self._ended_within(patience_s if self._tell(word) else 0.0):
                return self.exit_code
        if not self._runs() and await self._ended_within(_SECOND_GRACE_S):
            return self.exit_code  # it ended by itself a moment ago, and its lifeline was just leaving
        log.warning("server process %s did not end through its lifeline; killing its group", self.pid)
        self.kill_group()
        with contextlib.suppress(ProcessLookupError):
            self._lifeline.kill()
        return await self.wait()

    def kill_group(self) -> None:
        """Kill the server and its group at once, past the lifeline. Only what is certainly ours is hit."""
        if sys.platform != "win32" and self._is_ours(self._identity):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            return
        for process in self._remains():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    async def release(self) -> None:
        """Let a server go that was started with `keep_running`: it runs on, and this object knows no more of it."""
        assert self.keep_running, "a server that was not started to keep running would be ended by its lifeline"
        self._released = True
        await _let_go(self._lifeline)
        await self.wait()

    async def _follow(self) -> int | None:
        """Wait for the lifeline's last line; stand in for it when it is lost."""
        assert self._lifeline.stdout is not None
        try:
            said = _decoded(await self._lifeline.stdout.readline())
        finally:
            await _let_go(self._lifeline)  # also when the event loop ends: then so does a server that is not to be kept
        if self._released:
            return None
        if "exit" in said:
            self.exit_code = int(said["exit"])
            return self.exit_code
        log.warning("the lifeline of server process %s is gone (%s)", self.pid, self._lifeline.returncode)
        if not self.keep_running:
            self.kill_group()
        while self._runs():  # noqa: ASYNC110 - not our child: nothing but its absence tells
            await asyncio.sleep(_POLL_S)
        self.exit_code = None if self.keep_running else KILLED  # the kernel killed it with its lifeline
        return self.exit_code

    async def _ended_within(self, patience_s: float) -> bool:
        done, _ = await asyncio.wait({self._following}, timeout=patience_s)
        return bool(done)

    def _tell(self, word: str) -> bool:
        """Hand a command to the lifeline; False when it is no longer there to obey."""
        assert self._lifeline.stdin is not None
        if self._lifeline.returncode is not None or self._lifeline.stdin.is_closing():
            return False
        self._lifeline.stdin.write(word.encode("ascii") + b"\n")
        return True

    def _runs(self) -> bool:
        try:
            identity = self._identity
            return identity is not None and identity.is_running() and identity.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @staticmethod
    def _is_ours(identity: psutil.Process | None) -> bool:
        return identity is not None and identity.is_running()  # compares the creation time too

    def _remains(self) -> Iterable[psutil.Process]:
        """Yield what is left of the group when its leader is gone: members of its session that are no older.

        As long as one is left, the system does not give the leader's number to anybody else; so where somebody has
        it, none is left.
        """
        if self.created_at is None:
            return
        if sys.platform == "win32":
            if self._is_ours(self._identity) and self._identity is not None:
                yield from (*self._identity.children(recursive=True), self._identity)
        elif not psutil.pid_exists(self.pid):
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                    if os.getsid(process.pid) == self.pid and process.create_time() >= self.created_at:
                        yield process


async def _let_go(lifeline: asyncio.subprocess.Process) -> None:
    """Close the pipe to the lifeline (it then ends its server, or leaves it) and wait until it is gone."""
    assert lifeline.stdin is not None
    lifeline.stdin.close()
    await lifeline.wait()


def _decoded(line: bytes) -> dict[str, Any]:
    """Return one line of the lifeline; empty when it ended without one."""
    try:
        said = json.loads(line) if line.endswith(b"\n") else {}
    except ValueError:
        log.warning("the lifeline said something unexpected: %r", line[:200])
        return {}
    return said if isinstance(said, dict) else {}


def _apart_from_the_panel() -> dict[str, Any]:
    """Return the options that keep a Ctrl-C in the panel's terminal, and a console window, from the server."""
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NO_WINDOW
    else:
        options["start_new_session"] = True
    return options


def _spawn_error(error: OSError, program: str, log_path: Path) -> SpawnError:
    """Name what could not be done and how to mend it."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.filename == str(log_path):
        return SpawnError(
            msg("The log file {path} cannot be written ({reason}).", path=log_path, reason=reason), "log_not_writable"
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if shutil.which(program) is None and not Path(program).exists():
            return SpawnError(
                msg("The program {program} was not found. Choose another llama-server.", program=program),
                "engine_not_found",
            )
        return SpawnError(
            msg(
                "{program} is there, but the loader or interpreter that it asks for is not. It was made for another "
                "system: choose a llama-server made for this one.",
                program=program,
            ),
            "engine_wrong_format",
        )
    if Path(program).is_dir():
        return SpawnError(msg("{program} is a folder, not a program.", program=program), "engine_not_executable")
    if error.errno == errno.EACCES:
        return SpawnError(
            msg("{program} may not be run. Make the file executable (chmod +x), or choose another.", program=program),
            "engine_not_executable",
        )
    if error.errno == errno.ENOEXEC:
        return SpawnError(
            msg(
                "{program} is not a program that this computer can run ({reason}): it was made for another kind of "
                "processor, or the file is damaged. Choose a llama-server made for this one.",
                program=program,
                reason=reason,
            ),
            "engine_wrong_format",
        )
    return SpawnError(msg("{program} could not be started: {reason}.", program=program, reason=reason))
