"""Servers that run on this computer and that this panel did not start: named, with what they hold, and left alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import psutil

from variet_gui.engine.adopted import AdoptedProcess
from variet_gui.engine.readiness import model_argument

log = logging.getLogger(__name__)

_PROGRAMS = frozenset({"llama-server", "llama-swap", "ollama", "ollama_llama_server", "ik_llama-server", "llamafile"})
_EMBEDDED = "variet_gui.engine.embedded"
_HELPER = "_lifeline"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A model server that somebody runs. None: the system, or its command line, does not tell."""

    pid: int
    created_at: float
    """Unix time as the system keeps it; with the pid it names this process and no later one."""
    name: str
    """Of the program: "llama-server"."""
    port: int | None
    model: str | None
    """The file's name, or what follows -hf."""
    alias: str | None
    memory_mib: float | None
    """Of the computer's own memory, resident."""
    own_user: bool
    """Whether it belongs to who runs the panel: nobody else's can be ended."""


def find_servers(ours: Collection[int] = ()) -> tuple[FoundServer, ...]:
    """Return every model server that runs, but for the processes `ours` and what they started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid in ours or process.pid == os.getpid():
                continue
            argv = process.cmdline()
            name = _server_name(argv)
            if name is None or process.status() == psutil.STATUS_ZOMBIE or _descends(process, ours):
                continue
            found.append(_described(process, name, argv))
    return tuple(found)


async def end(found: FoundServer, grace_s: float = 10.0) -> bool:
    """End a found server because the operator said so; return False when it is not that process any more.

    Raises:
        PermissionError: it belongs to somebody else.
    """
    try:
        process = psutil.Process(found.pid)
        if process.create_time() != found.created_at:
            return False
        await AdoptedProcess(process).terminate(grace_s)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied as error:
        raise PermissionError(f"process {found.pid} belongs to somebody else") from error
    return True


async def find(ours: Collection[int] = ()) -> tuple[FoundServer, ...]:
    """Return `find_servers` without holding up the event loop: a process table takes some tens of milliseconds."""
    return await asyncio.to_thread(find_servers, ours)


def _server_name(argv: Sequence[str]) -> str | None:
    """Return the program's name if `argv` is a model server's command line."""
    if not argv or _HELPER in argv:
        return None
    if _EMBEDDED in argv:
        return "llama-server (embedded)"
    for word in argv[:2]:  # a script's interpreter may stand in front
        name = PurePath(word.replace("\\", "/")).name.removesuffix(".exe")
        if name in _PROGRAMS:
            return name
        if name == "llama" and "serve" in argv[:3]:
            return "llama serve"
    return None


def _described(process: psutil.Process, name: str, argv: Sequence[str]) -> FoundServer:
    model = model_argument(argv) or _following(argv, ("-hf", "-hfr", "--hf-repo"))
    memory: float | None = None
    own = False
    with contextlib.suppress(psutil.Error):
        memory = process.memory_info().rss / _MIB
    with contextlib.suppress(psutil.Error, AttributeError):
        own = process.username() == psutil.Process().username()
    return FoundServer(
        process.pid,
        process.create_time(),
        name,
        _port(process, argv),
        PurePath(model.replace("\\", "/")).name if model else None,
        _following(argv, ("-a", "--alias")),
        memory,
        own,
    )


def _port(process: psutil.Process, argv: Sequence[str]) -> int | None:
    """Return the port it listens on, by the system or else by its own command line."""
    with contextlib.suppress(psutil.Error):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return int(connection.laddr.port)
    said = _following(argv, ("--port",))
    return int(said) if said and said.isdecimal() else None


def _following(argv: Sequence[str], flags: Iterable[str]) -> str | None:
    wanted = tuple(flags)
    return next((value for flag, value in itertools.pairwise(argv) if flag in wanted), None)


def _descends(process: psutil.Process, ours: Collection[int]) -> bool:
    return bool(ours) and any(parent.pid in ours for parent in process.parents())
