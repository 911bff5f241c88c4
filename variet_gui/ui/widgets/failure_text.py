"""A failure in words: how sure it is, where it happened, and all of it as text to pass on."""

from __future__ import annotations

from variet_gui.engine.failure_lines import device_text
from variet_gui.events import Certainty, Failure
from variet_gui.i18n import Message, msg, tr

_MEANING: dict[Certainty, Message] = {
    Certainty.CERTAIN: msg("The server or the system says so itself."),
    Certainty.LIKELY: msg("What was seen points to it; nothing says it in so many words."),
    Certainty.GUESS: msg("Nothing says why. This is what it is most often."),
}
_SHAPES: dict[Certainty, str] = {Certainty.CERTAIN: "●", Certainty.LIKELY: "◐", Certainty.GUESS: "○"}


def certainty_line(failure: Failure) -> str:
    """Return how sure it is and where it happened, for a card: "◐ Likely · GPU 1"."""
    parts = [f"{_SHAPES[failure.certainty]} {failure.certainty.text}"]
    if failure.device is not None:
        parts.append(str(device_text(failure.device)))
    return " · ".join(parts)


def certainty_meaning(failure: Failure) -> str:
    """Return what the word for how sure it is means."""
    return str(_MEANING[failure.certainty])


def places(failure: Failure) -> list[tuple[str, str]]:
    """Return where it happened, as pairs of a word and what it is."""
    found = []
    if failure.device is not None:
        found.append((tr("Device"), str(device_text(failure.device))))
    if failure.file is not None:
        found.append((tr("File"), failure.file))
    if failure.exit_code is not None:
        code = failure.exit_code
        found.append((tr("Exit code"), f"0x{code:08X}" if code > 0xFFFF else str(code)))
    return found


def as_text(role: str, failure: Failure) -> str:
    """Return everything that is known, as text for a report or a colleague."""
    lines = [tr("{role}: {title}", role=role, title=failure.title)]
    if failure.detail is not None:
        lines.append(str(failure.detail))
    lines.append(f"{failure.certainty.text}: {certainty_meaning(failure)}")
    lines += [tr("{what}: {value}", what=what, value=value) for what, value in places(failure)]
    lines += [str(seen) for seen in failure.observed]
    if failure.evidence:
        lines += ["", tr("From the log:"), *(f"> {line}" for line in failure.evidence)]
    fixes = [fix for fix in failure.fixes if fix.changes_settings]
    if fixes:
        lines += ["", tr("What would help:")]
        lines += [f"- {fix.text}" if fix.gain is None else f"- {fix.text} ({fix.gain})" for fix in fixes]
    return "\n".join(lines)
