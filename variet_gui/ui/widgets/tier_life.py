"""What a tier's card says of its server's life: the one button, the word for the state, the lines that come and go."""

from __future__ import annotations

import math
from dataclasses import dataclass

from variet_gui.catalog.tiers import Tier
from variet_gui.events import ServerState, ServerStatus
from variet_gui.i18n import ntr, tr
from variet_gui.panel.guard import PAUSES_S

_MINUTE_S = 90.0
"""From here on seconds say nothing more."""


@dataclass(frozen=True, slots=True)
class CardAction:
    """The card's button."""

    text: str
    kind: str
    """Of a `Button`."""
    does: str | None
    """"start", "stop" or "restart"; None: nothing can be done now."""


def is_elsewhere(tier: Tier, status: ServerStatus) -> bool:
    """Whether somebody else runs the server: the running one, or else the one that would be used."""
    return status.attached_to is not None or (tier.url is not None and not status.state.is_active)


def action(tier: Tier, status: ServerStatus) -> CardAction:
    """Return what the card's button does now."""
    state, elsewhere = status.state, is_elsewhere(tier, status)
    if state is ServerState.FAILED and status.retry_at is not None:
        return CardAction(tr("Do not retry"), "plain", "stop")
    if state.is_coming_up:
        return CardAction(tr("Cancel"), "plain", "stop")
    if state.is_up:
        return CardAction(tr("Disconnect"), "plain", "stop") if elsewhere else CardAction(tr("Stop"), "danger", "stop")
    if state is ServerState.STOPPING:
        return CardAction(tr("Disconnect") if elsewhere else tr("Stopping"), "plain", None)
    does = "restart" if state is ServerState.FAILED else "start"
    if elsewhere:
        return CardAction(tr("Connect"), "primary", does)
    return CardAction(tr("Restart") if does == "restart" else tr("Start"), "primary", does)


def word(tier: Tier, status: ServerStatus) -> str | None:
    """Return the word for the state of a server that somebody else runs; None: the usual one."""
    if not is_elsewhere(tier, status):
        return None
    return {
        ServerState.STOPPED: tr("not connected"),
        ServerState.PREFLIGHT: tr("connecting"),
        ServerState.STARTING: tr("connecting"),
        ServerState.READY: tr("connected"),
        ServerState.STOPPING: tr("disconnecting"),
    }.get(status.state)


def coming(tier: Tier, status: ServerStatus, left_s: float | None) -> str:
    """Return what a server that comes up is at, and how long that takes; `left_s` as `LoadCountdown` counts."""
    if is_elsewhere(tier, status):
        waits = status.state is ServerState.LOADING
        return tr("It is still loading its model") if waits else tr("Looking for the server")
    if status.state is ServerState.PREFLIGHT:
        return tr("Checking files and port")
    progress = status.progress if status.state is ServerState.LOADING else None
    percent = None if progress is None else f"{progress * 100:.0f}"
    if left_s is None:
        return tr("Loading") if percent is None else tr("Loading {percent} %", percent=percent)
    if left_s <= -1.0:
        if percent is None:
            return tr("Loading, longer than usual")
        return tr("Loading {percent} %, longer than usual", percent=percent)
    left = duration(max(left_s, 1.0))
    if percent is None:
        return tr("Loading, about {time} left", time=left)
    return tr("Loading {percent} %, about {time} left", percent=percent, time=left)


def duration(seconds: float) -> str:
    """Return a time to wait in the one unit that fits it."""
    if seconds < _MINUTE_S:
        return tr("{count} s", count=math.ceil(seconds))
    return tr("{count} min", count=round(seconds / 60.0))


def retrying(status: ServerStatus, now: float) -> str:
    """Return when a server is started again by itself; empty where it is not. `now` is Unix time."""
    if status.state is not ServerState.FAILED or status.retry_at is None:
        return ""
    seconds = math.ceil(status.retry_at - now)
    if seconds < 1:
        return tr("starting again (attempt {number} of {count})", number=status.retry, count=len(PAUSES_S))
    return tr(
        "starting again in {seconds} s (attempt {number} of {count})",
        seconds=seconds,
        number=status.retry,
        count=len(PAUSES_S),
    )


def stopped(status: ServerStatus) -> tuple[str, str]:
    """Return how long the last stop took, and in full what became of its GPU memory; empty where there was none."""
    if status.state is not ServerState.STOPPED or status.stop_seconds is None:
        return "", ""
    line = tr("stopped in {seconds} s", seconds=f"{status.stop_seconds:.1f}")
    if status.memory_back is None:
        return line, tr("The process is gone and its port is closed.")
    if status.memory_back:
        full = tr("The process is gone, its port is closed, and its GPU memory was seen to be free again.")
        return tr("{stopped}, GPU memory free again", stopped=line), full
    full = tr("The process is gone and its port is closed, but its GPU memory was not seen to be free again.")
    return tr("{stopped}, GPU memory not yet free", stopped=line), full


def differing(status: ServerStatus) -> tuple[str, str]:
    """Return in what a running server is not what the catalog says: the first in short, and all, one a line."""
    if not status.differences:
        return "", ""
    every = [str(each) for each in status.differences]
    more = len(every) - 1
    if not more:
        return every[0], every[0]
    return ntr("{first} ({count} more)", "{first} ({count} more)", more, first=every[0]), "\n".join(every)
