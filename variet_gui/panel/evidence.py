"""Save what is known of a server that misbehaves, for whoever looks into it later."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from variet_gui.client.api import ApiError, LlamaApi
from variet_gui.engine.server import Server
from variet_gui.events import GpusSampled

log = logging.getLogger(__name__)

_ANSWER_S = 3.0
_LINES = 500
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x1b]")


async def save(server: Server, api: LlamaApi | None, gpus: GpusSampled | None, folder: Path) -> Path:
    """Write status, slots, GPUs and the end of the log into a new file in `folder`, and return its path.

    Args:
        server: which one.
        api: to ask it for its slots; None where it cannot be asked.
        gpus: what the sampler saw last.
        folder: made where it is missing.

    Raises:
        OSError: it cannot be written.
    """
    status = server.status
    document = {
        "role": status.role,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "state": status.state.value,
        "pid": status.pid,
        "port": status.port,
        "build": status.build,
        "argv": list(status.argv),
        "values": dict(status.values or {}),
        "buffers": [asdict(part) for part in status.buffers],
        "slots": await _slots(api),
        "gpus": [asdict(sample) for sample in gpus.samples] if gpus else [],
        "driver": gpus.driver if gpus else None,
    }
    lines = [_CONTROL.sub("", line) for line in server.lines[-_LINES:]]
    path = folder / f"evidence-{status.role}-{time.strftime('%Y%m%d-%H%M%S')}.txt"
    await asyncio.to_thread(_write, path, document, lines)
    return path


async def _slots(api: LlamaApi | None) -> Any:
    if api is None:
        return None
    try:
        async with asyncio.timeout(_ANSWER_S):
            return [asdict(slot) for slot in await api.slots()]
    except (ApiError, TimeoutError) as error:
        return f"no answer: {error!r}"


def _write(path: Path, document: dict[str, Any], lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False, default=str)
    path.write_text(text + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
