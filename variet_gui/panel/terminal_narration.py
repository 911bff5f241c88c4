"""What the terminal says on standard error while something goes on: states, notices, the server's own log."""

from __future__ import annotations

import sys
from collections.abc import Callable

from variet_gui.events import Event, LogAppended, NoticeRaised, ServerState, ServerStateChanged, Severity
from variet_gui.panel import terminal_text


def say(text: str) -> None:
    """Write `text` to standard error."""
    print(text, file=sys.stderr, flush=True)


def warn(event: Event) -> None:
    """Say what the window would show as a notice."""
    if isinstance(event, NoticeRaised) and event.severity is not Severity.INFO:
        say(terminal_text.notice(event))


def narrator(role: str, *, show_log: bool) -> Callable[[Event], None]:
    """Return what tells the states of one tier, and with `show_log` its log."""

    def narrate(event: Event) -> None:
        if isinstance(event, ServerStateChanged) and event.status.role == role:
            if event.status.state is not event.previous and event.status.state is not ServerState.FAILED:
                say(terminal_text.state(event.status))
        elif show_log and isinstance(event, LogAppended) and event.role == role:
            say("\n".join(event.lines))

    return narrate
