"""The terminal's words: each shape as text for people."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence

from variet_gui.catalog.command import shell_text
from variet_gui.events import Failure, NoticeRaised, ServerState, ServerStatus
from variet_gui.i18n import Message, msg, ntr, tr
from variet_gui.panel.shapes import (
    CommandShape,
    DoctorShape,
    ErrorShape,
    ImportShape,
    KeyShape,
    StartShape,
    StopShape,
    TiersShape,
    TimingsShape,
)

STATE_WORDS: dict[ServerState, Message] = {
    ServerState.STOPPED: msg("stopped"),
    ServerState.PREFLIGHT: msg("checking"),
    ServerState.STARTING: msg("starting"),
    ServerState.LOADING: msg("loading"),
    ServerState.READY: msg("ready"),
    ServerState.BUSY: msg("busy"),
    ServerState.STOPPING: msg("stopping"),
    ServerState.FAILED: msg("failed"),
}
"""The one word for each state, in window and terminal."""

_MARKS = {"ok": "✓", "info": "·", "warning": "▲", "error": "✕"}


def tiers(shape: TiersShape) -> str:
    """Return the tiers as a table."""
    rows = [[tr("tier"), tr("state"), tr("model"), tr("fit"), tr("t/s"), tr("target"), tr("URL")]]
    for tier in shape.tiers:
        last = tr("not recorded") if tier.last_tps is None else f"{tier.last_tps:g}"
        if tier.last_tps is not None and not tier.has_fingerprint:
            last = tr("{figure} ({date}, history)", figure=last, date=tier.last_measured)
        target = "-" if tier.target_tps is None else f"≥ {tier.target_tps:g}"
        model = f"{tier.model_name} {tier.quantisation or ''}".strip()
        state = str(STATE_WORDS[ServerState(tier.state)])
        fit = tier.fit.summary if tier.fit is not None else "?"
        rows.append([tier.role, state, model, fit, last, target, tier.url])
    return f"{table(rows)}\n{shape.catalog}"


def command(shape: CommandShape) -> str:
    """Return the command as it can be pasted into a shell."""
    lines = [f"{name}={value} \\" for name, value in shape.env.items()]
    lines.append(shell_text(shape.argv))
    lines += [f"# {name}={value}" for name, value in shape.env_inherited.items()]
    if shape.env_removed:
        lines.append("# " + tr("taken out of the environment: {names}", names=", ".join(shape.env_removed)))
    lines += [f"# {note}" for note in shape.notes]
    return "\n".join(lines)


def start(shape: StartShape) -> str:
    """Return the good news."""
    return tr(
        "{role} is ready after {seconds} s: {url} (pid {pid}). Ctrl-C stops it.",
        role=shape.role,
        seconds="?" if shape.load_seconds is None else f"{shape.load_seconds:.1f}",
        url=shape.url,
        pid=shape.pid,
    )


def stop(shape: StopShape) -> str:
    """Return what was ended."""
    if not shape.stopped:
        return tr("Nothing was left running.")
    return "\n".join(
        tr("{role} stopped after {seconds} s (pid {pid}).", role=one.role, seconds=f"{one.seconds:.1f}", pid=one.pid)
        for one in shape.stopped
    )


def key(shape: KeyShape) -> str:
    """Return the key, the only time that it is shown, or where it is kept."""
    lines = [
        tr("{role} has a key already. It is in {file}; --renew makes a new one.", role=shape.role, file=shape.file)
        if shape.key is None
        else shape.key
    ]
    if not shape.open_to_the_network:
        lines.append(
            tr(
                '{role} serves this computer alone and asks for no key. "listen": "0.0.0.0" in the catalog opens it.',
                role=shape.role,
            )
        )
    return "\n".join(lines)


def state(status: ServerStatus) -> str:
    """Return one line for a change of state."""
    word = str(STATE_WORDS[status.state])
    return f"{status.role}: {word}" if status.progress is None else f"{status.role}: {word} {status.progress:.0%}"


def failure(value: Failure) -> str:
    """Return why a server is not running, with the evidence."""
    lines = [str(value.title)]
    if value.detail is not None:
        lines.append(str(value.detail))
    lines += [f"  - {fix.text}" for fix in value.fixes]
    lines += [f"  | {line}" for line in value.evidence]
    return "\n".join(lines)


def notice(event: NoticeRaised) -> str:
    """Return a notice with what can be done about it."""
    lines = [f"{_MARKS[event.severity.value]} {event.text}"]
    lines += [f"    {line}" for line in event.details.splitlines()]
    return "\n".join([*lines, *(f"    → {fix.text}" for fix in event.fixes)])


def imported(shape: ImportShape) -> str:
    """Return what an import changed, or would change, and what has to be said of it."""
    if not shape.changes:
        head = tr("{role} is that already.", role=shape.role)
    elif shape.saved:
        head = tr("{role} was changed:", role=shape.role)
    else:
        head = tr("{role} would be changed:", role=shape.role)
    unset = tr("not set")
    lines = [head]
    for change in shape.changes:
        before, after = (unset if value is None else _plain(value) for value in (change.before, change.after))
        lines.append(f"  {change.key}: {before} → {after}")
    return "\n".join([*lines, *(f"# {note}" for note in shape.notes)])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def error(shape: ErrorShape) -> str:
    """Return an error of any command."""
    lines = [f"variet: {shape.error}"]
    if shape.detail:
        lines.append(shape.detail)
    lines += [f"  | {line}" for line in shape.evidence]
    return "\n".join(lines)


def doctor(shape: DoctorShape) -> str:
    """Return the findings, one a line."""
    lines = []
    for finding in shape.findings:
        lines.append(f"{_MARKS[finding.severity]} {finding.text}")
        if finding.fix:
            lines.append(f"    → {finding.fix}")
    return "\n".join(lines)


def timings(shape: TimingsShape) -> str:
    """Return the figures of one answer in one line."""
    parts = []
    if shape.generation_tps is not None:
        parts.append(tr("{speed} t/s", speed=f"{shape.generation_tps:.1f}"))
    parts.append(ntr("{number} token", "{number} tokens", shape.generated_tokens, number=shape.generated_tokens))
    if shape.time_to_first_token_ms is not None:
        parts.append(tr("first token {seconds} s", seconds=f"{shape.time_to_first_token_ms / 1000:.2f}"))
    if shape.prefill_tps is not None:
        parts.append(tr("prefill {speed} t/s", speed=f"{shape.prefill_tps:.0f}"))
    if shape.image_tokens is not None:
        parts.append(tr("image {count} tokens", count=shape.image_tokens))
    return " · ".join(parts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells in columns."""
    widths = [max(_columns(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes: Korean letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
