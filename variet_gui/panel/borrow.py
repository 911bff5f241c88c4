"""Borrow a tier for one job: use it where it runs already, in whichever panel, else start it and stop it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from variet_gui.client.api import ApiError, Health, LlamaApi
from variet_gui.engine import adopted
from variet_gui.events import ParameterValue, ServerState
from variet_gui.panel.panel import Panel

log = logging.getLogger(__name__)


@asynccontextmanager
async def borrow(
    panel: Panel, role: str, overrides: Mapping[str, ParameterValue | None] | None = None
) -> AsyncIterator[LlamaApi]:
    """Give the API of a tier that is ready.

    With `overrides` a tier that runs elsewhere is not used: it was started with other parameters.

    Raises:
        DataFolderHeld: it has to be started, and another panel holds the data folder.
        StartFailed: it did not come up.
    """
    tier = panel.tune.tier(role)
    if not overrides and await runs_elsewhere(panel, role):
        yield panel.api_of(tier)
        return
    panel.lock.acquire()
    await panel.run.start(role, overrides)
    try:
        yield panel.api_of(tier)
    finally:
        await panel.run.stop(role)


async def state_elsewhere(panel: Panel, role: str) -> ServerState:
    """Return the state of a tier that another panel, or nobody any more, holds: its port is asked, and the records."""
    if await runs_elsewhere(panel, role):
        return ServerState.READY
    record = next((one for one in await asyncio.to_thread(panel.state_file.peek) if one.role == role), None)
    if record is None or await asyncio.to_thread(adopted.find, record) is None:
        return ServerState.STOPPED
    health = await panel.api(record.port).health()
    return {Health.READY: ServerState.READY, Health.LOADING: ServerState.LOADING}.get(health, ServerState.STARTING)


async def runs_elsewhere(panel: Panel, role: str) -> bool:
    """Whether the tier's port is answered by a llama-server that bears the tier's name, or its URL by any."""
    tier = panel.tune.tier(role)
    try:
        props = await panel.api_of(tier).props()
    except ApiError as error:
        log.debug("%s does not run: %s", role, error)
        return False
    return tier.url is not None or props.model_alias == role
