"""A panel without a window that starts one server and says what becomes of it, until somebody kills it.

`stand_in_fleet.py DATA keep|end STATE PORT ARGV...` prints one JSON line a change of state: {"state", "pid"}; in READY
it goes on to the state that is asked for (`busy`, `stopping`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.faults.watching import launch_of
from variet_gui.client.api import Http, LlamaApi
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.launch import Launch
from variet_gui.engine.records import StateFile
from variet_gui.engine.server import Surroundings
from variet_gui.events import Event, EventStream, ServerState, ServerStateChanged


def say(event: Event) -> None:
    """Print a change of state."""
    if isinstance(event, ServerStateChanged):
        print(json.dumps({"state": event.status.state.value, "pid": event.status.pid}), flush=True)


async def main() -> None:
    """Start the server, bring it to the state asked for, and wait for the end."""
    data, keep, state, port, *argv = sys.argv[1:]
    folder = Path(data)
    events = EventStream()
    events.subscribe(say)
    async with Http() as http:
        around = Surroundings(
            events, lambda url: LlamaApi(http, url), folder / "logs", StateFile(folder / "state.json")
        )
        server = Fleet(around).server("fast")

        async def prepared() -> Launch:
            if state == ServerState.PREFLIGHT.value:
                await asyncio.Event().wait()
            return launch_of(argv, int(port), keep_running=keep == "keep")

        await server.start_with(prepared)
        server.mark_busy(state == ServerState.BUSY.value)
        if state == ServerState.STOPPING.value:
            await server.stop()
        await asyncio.Event().wait()


os.environ["PYTHONUNBUFFERED"] = "1"
asyncio.run(main())
