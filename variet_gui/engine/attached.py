"""A server that somebody else runs, perhaps on another computer: watched and talked to, never started or stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from variet_gui.client.api import ApiError, Health, Props
from variet_gui.engine.launch import StartFailed
from variet_gui.engine.readiness import AskableServer
from variet_gui.events import Failure, Fix
from variet_gui.i18n import msg

ANSWER_LIMIT_S = 10.0
"""A server that has not answered for so long is not there. One that says that it loads may take as long as it likes."""
POLL_S = 2.0
_FIRST_POLL_S = 0.2
LOST_AFTER = 3
"""Looks in a row at which nobody was there; one that is only slow to answer is not lost."""

_AGAIN = Fix(msg("Try again"), action="restart")


async def until_answering(
    api: AskableServer, url: str, on_loading: Callable[[], None], *, limit_s: float = ANSWER_LIMIT_S
) -> Props:
    """Wait until the server at `url` is ready, and return what it says of itself.

    Raises:
        StartFailed: nobody answers, it wants a key that there is none of, or it is no llama-server.
    """
    deadline = time.monotonic() + limit_s
    while True:
        health = await api.health()
        if health is Health.READY:
            try:
                return await api.props()
            except ApiError as error:
                if error.status in (401, 403):
                    raise StartFailed(_refused(url)) from error
                if error.status is not None:
                    raise StartFailed(_no_llama_server(url)) from error
        elif health is Health.LOADING:
            on_loading()
            deadline = time.monotonic() + limit_s
        if time.monotonic() >= deadline:
            raise StartFailed(_nobody(url))
        await asyncio.sleep(_FIRST_POLL_S)


async def until_lost(api: AskableServer, url: str, *, poll_s: float = POLL_S) -> Failure:
    """Wait until the server is gone, and return that as a failure."""
    missed = 0
    while missed < LOST_AFTER:
        await asyncio.sleep(poll_s)
        missed = missed + 1 if await api.health() is Health.DOWN else 0
    return Failure(
        "attached_lost",
        msg("{url} does not answer any more.", url=url),
        msg("The server there was ended, or the network is down. This panel does not start it."),
        (_AGAIN,),
    )


def _nobody(url: str) -> Failure:
    return Failure(
        "attached_unreachable",
        msg("Nobody answers at {url}.", url=url),
        msg("Start the server there, and check the address and that computer's firewall."),
        (_AGAIN,),
    )


def _refused(url: str) -> Failure:
    return Failure(
        "attached_wants_key",
        msg("The server at {url} asks for an API key, or refuses the one that it was given.", url=url),
        msg("Put the key into the tier's key file; `variet key` says which file that is."),
        (_AGAIN,),
    )


def _no_llama_server(url: str) -> Failure:
    return Failure(
        "attached_no_llama_server",
        msg("Something answers at {url}, and it is no llama-server.", url=url),
        msg("Check the address and the port."),
        (_AGAIN,),
    )
