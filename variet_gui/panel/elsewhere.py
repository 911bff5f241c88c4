"""Tiers of this data folder that run although this panel did not start them, by what was written down of them."""

from __future__ import annotations

from variet_gui.engine import adopted
from variet_gui.engine.records import StateFile
from variet_gui.events import ServerState, ServerStatus


def running_elsewhere(state_file: StateFile) -> tuple[ServerStatus, ...]:
    """Return them with their processes. Blocking: looks through the processes. Reads, and changes nothing."""
    found = []
    for record in state_file.peek():
        process = adopted.find(record)
        if process is not None:
            found.append(
                ServerStatus(
                    record.role,
                    ServerState.READY,
                    pid=process.pid,
                    port=record.port,
                    values=record.values,
                    argv=record.argv,
                    embedded=record.embedded,
                    adopted=True,
                )
            )
    return tuple(found)
