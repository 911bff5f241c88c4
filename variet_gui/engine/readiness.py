"""When is a server up? When it says so itself, and it is ours that says it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import psutil

from variet_gui.client.api import ApiError, Health, Props

FASTEST_POLL_S = 0.03
SLOWEST_POLL_S = 0.25
_CONNECT_LIMIT_S = 1.0
_PORT_CLOSES_WITHIN_S = 5.0


class AskableServer(Protocol):
    """What readiness needs of `client.api.LlamaApi`."""

    async def health(self) -> Health:
        """Ask /health."""

    async def props(self) -> Props:
        """Ask /props."""


class AnotherServerAnswersError(Exception):
    """A server with another model answers on our port; `model_path` is what it says it runs."""

    def __init__(self, model_path: str) -> None:
        super().__init__(model_path)
        self.model_path = model_path


ApiFactory: TypeAlias = Callable[[str], AskableServer]
"""Makes the client for a base URL such as "http://127.0.0.1:18181"."""


async def until_ready(
    api: AskableServer, *, pid: int, port: int, model: str | None, on_loading: Callable[[], None]
) -> Props:
    """Ask until the server answers, and return what it says of itself; for ever, if it never does.

    Ready means: /health says so, process `pid` (or one that it started) is the one that listens, and /props names
    `model`. `on_loading` is called whenever it says that it is loading.

    Raises:
        AnotherServerAnswersError: our process listens as well (Windows allows two), but another one is answering.
    """
    pause_s = FASTEST_POLL_S
    while True:
        # A question that fails says nothing: the server is half up, or swamped. What it says later counts.
        with contextlib.suppress(ApiError):
            health = await api.health()
            if health is Health.LOADING:
                on_loading()
            elif health is Health.READY and await asyncio.to_thread(listens, pid, port):
                props = await api.props()
                if not same_model(model, props.model_path):
                    raise AnotherServerAnswersError(props.model_path or "")
                return props
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.2, SLOWEST_POLL_S)


def listens(pid: int, port: int) -> bool:
    """Whether process `pid`, or one below it, listens on `port`. True where the system does not tell."""
    try:
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            for connection in member.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
    return False


def same_model(asked: str | None, answered: str | None) -> bool:
    """Whether both name the same file; True when one of them is not known."""
    if not asked or not answered:
        return True
    return os.path.realpath(asked) == os.path.realpath(answered)


def model_argument(argv: Sequence[str]) -> str | None:
    """Return the model file that a command line names, or None when it names none (-hf, --model-url).

    The last one counts, as with llama-server; the first may belong to a `python -m` in front.
    """
    named = [value for flag, value in itertools.pairwise(argv) if flag in ("-m", "--model")]
    return named[-1] if named else None


async def until_port_closed(port: int) -> bool:
    """Wait until nobody answers on 127.0.0.1:`port` any more; False when somebody still does after 5 s."""
    try:
        async with asyncio.timeout(_PORT_CLOSES_WITHIN_S):
            while await _is_open(port):  # noqa: ASYNC110 - a port tells nobody that it closes
                await asyncio.sleep(FASTEST_POLL_S)
    except TimeoutError:
        return False
    return True


async def _is_open(port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_LIMIT_S):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
