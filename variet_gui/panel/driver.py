"""One look at the GPUs, for the terminal: it has no sampler that runs all the time."""

from __future__ import annotations

import asyncio

from variet_gui.events import Event, EventStream, GpusSampled
from variet_gui.telemetry.gpu import GpuSampler

DRIVER_ANSWER_S = 10.0


async def ask_driver(limit_s: float = DRIVER_ANSWER_S) -> GpusSampled | None:
    """Return the first word of a GPU sampler of its own, or None when it says nothing in time."""
    answer: asyncio.Future[GpusSampled] = asyncio.get_running_loop().create_future()
    events = EventStream()

    def receive(event: Event) -> None:
        if isinstance(event, GpusSampled) and not answer.done():
            answer.set_result(event)

    events.subscribe(receive)
    sampler = asyncio.create_task(GpuSampler(events).run(), name="one look at the GPUs")
    try:
        async with asyncio.timeout(limit_s):
            return await answer
    except TimeoutError:
        return None
    finally:
        sampler.cancel()
        await asyncio.gather(sampler, return_exceptions=True)
