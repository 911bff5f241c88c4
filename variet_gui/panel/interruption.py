"""SIGINT and SIGTERM in the terminal: told to the command, which ends what it began in order."""

from __future__ import annotations

import asyncio
import signal
from typing import Any


class Interrupted(Exception):  # noqa: N818 - what is the case, as everywhere in this house
    """SIGINT or SIGTERM came before what was asked for was done."""


def quit_signal() -> asyncio.Future[int]:
    """Return a future that SIGINT or SIGTERM completes."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()

    def ask(number: int) -> None:
        if not asked.done():
            asked.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, ask, number)
        except NotImplementedError:  # Windows: the loop knows no signals, a plain handler is called in time there
            signal.signal(number, lambda got, _frame: loop.call_soon_threadsafe(ask, got))
    return asked


async def first_of(*futures: asyncio.Future[Any]) -> None:
    """Wait until one of `futures` is done; what it raises is for its owner to ask."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
