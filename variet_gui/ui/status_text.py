"""The sentences of the status line: which engine serves a tier, and where and when the catalog was saved."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from variet_gui.i18n import tr

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


def engine_text(bridge: Bridge, role: str) -> tuple[str, str]:
    """Return what serves `role`, with build and driver, and the path of the program for the tooltip."""
    panel, parts = bridge.panel, []
    engine, capabilities = panel.run.engine(role), panel.tune.capabilities(role)
    if engine.binary is not None and engine.binary.embedded:
        parts.append(tr("embedded engine (CPU)"))
    elif engine.binary is not None:
        build = bridge.status(role).build or (capabilities.label if capabilities else "")
        parts.append(tr("llama-server {build}", build=build).strip())
    elif engine.failure is not None:
        parts.append(str(engine.failure.title))
    sampled = bridge.gpus()
    if sampled is not None and sampled.driver:
        parts.append(tr("driver {version}", version=sampled.driver))
    path = engine.binary.path if engine.binary is not None else None
    return " · ".join(parts), str(path or "")


async def saved_at(path: Path) -> str:
    """Return when `path` was last written, as hours and minutes today or as a date; empty when it cannot be read."""
    try:
        modified = (await asyncio.to_thread(path.stat)).st_mtime
    except OSError:
        return ""
    at = dt.datetime.fromtimestamp(modified).astimezone()
    today = dt.datetime.now().astimezone().date()
    return at.strftime("%H:%M") if at.date() == today else at.strftime("%Y-%m-%d %H:%M")


def short_path(path: Path) -> str:
    """Return `path` with the home folder as "~"."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
