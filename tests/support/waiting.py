"""Wait for a condition, never for time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_async(scenario: Coroutine[Any, Any, T], timeout_s: float = 60.0) -> T:
    """Run `scenario` in an event loop of its own; fail when it takes longer than `timeout_s`."""

    async def bounded() -> T:
        return await asyncio.wait_for(scenario, timeout_s)

    return asyncio.run(bounded())


async def wait_until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], timeout_s: float = 15.0, what: str = "the condition"
) -> None:
    """Return as soon as `condition` holds.

    Raises:
        AssertionError: it did not come true within `timeout_s`; the message names `what`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s:g} s")
        await asyncio.sleep(0.01)
