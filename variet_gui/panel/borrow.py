"""Borrow a tier for one job: use it where it runs already, in whichever panel, else start it and stop it again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from variet_gui.client.api import ApiError, LlamaApi
from variet_gui.events import ParameterValue
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
    port = panel.tune.tier(role).port
    if not overrides and await runs_elsewhere(panel, role):
        yield panel.api(port)
        return
    panel.lock.acquire()
    await panel.run.start(role, overrides)
    try:
        yield panel.api(port)
    finally:
        await panel.run.stop(role)


async def runs_elsewhere(panel: Panel, role: str) -> bool:
    """Whether the tier's port is answered by a llama-server that bears the tier's name."""
    try:
        props = await panel.api(panel.tune.tier(role).port).props()
    except ApiError as error:
        log.debug("%s does not run: %s", role, error)
        return False
    return props.model_alias == role
