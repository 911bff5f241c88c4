"""What a tier can take right now, in the operator's words: whether it answers, and whether it sees pictures."""

from __future__ import annotations

from dataclasses import dataclass

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ServerState, ServerStatus
from variet_gui.i18n import tr


@dataclass(frozen=True, slots=True)
class Situation:
    """What stands in the way of a message, if anything."""

    state: ServerState
    """Shown as a shape in front of `obstacle`."""
    obstacle: str = ""
    """Why nothing can be sent; "" when it can."""
    start_text: str = ""
    """What the button that helps says; "" for none."""
    no_pictures: str = ""
    """Why no picture can be sent; "" when it can."""
    answering: bool = False
    """An answer is coming: Stop stands in the place of Send."""


def situation_of(status: ServerStatus, draft: LaunchProfile | None, *, answering: bool) -> Situation:
    """Return what the tier of `status` can take; `draft` is what Start would start (None: there is no catalog)."""
    obstacle, start_text = _obstacle(status)
    return Situation(status.state, obstacle, start_text, _no_pictures(status, draft), answering)


def _obstacle(status: ServerStatus) -> tuple[str, str]:
    role, state = status.role, status.state
    if state.is_up:
        return "", ""
    if state.is_coming_up:
        if status.progress is not None:
            percent = round(status.progress * 100)
            return tr("{role} is loading: {percent} %. You can already write.", role=role, percent=percent), ""
        return tr("{role} is starting. You can already write.", role=role), ""
    if state is ServerState.STOPPING:
        return tr("{role} is stopping. What you write stays here.", role=role), ""
    if state is ServerState.FAILED:
        title = status.failure.title if status.failure else tr("it ended without a reason")
        return tr("{role} failed: {reason} What you write stays here.", role=role, reason=title), tr("Start again")
    return (
        tr("{role} is not running. What you write stays here until it is.", role=role),
        tr("Start {role}", role=role),
    )


def _no_pictures(status: ServerStatus, draft: LaunchProfile | None) -> str:
    if status.state.is_up and status.vision:
        return ""
    running = status.values if status.state.is_active else None
    in_draft = draft is not None and bool(draft.get("mmproj"))
    if running is not None and not running.get("mmproj") and in_draft:
        return tr("The running server was started without its projector; restart it and it can see pictures.")
    if not (running.get("mmproj") if running is not None else in_draft):
        return tr("This tier has no projector (--mmproj is not set), so it cannot see pictures.")
    if status.state.is_up and status.vision is False:
        return tr("The server says that it cannot see pictures, although a projector is set; its log says why.")
    return ""
