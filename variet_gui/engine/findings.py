"""A finding: one thing that stands in the way of a start, or that the operator should know about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from variet_gui.engine.diagnosis import failure
from variet_gui.events import Failure, Fix, Severity
from variet_gui.i18n import Message


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding, in words, with the next steps."""

    severity: Severity
    """ERROR: the start would fail or do harm; it is not tried."""
    code: str
    """The cause, as in `engine.diagnosis_texts`."""
    text: Message
    fixes: tuple[Fix, ...] = ()
    detail: Message | None = None
    """What it means and what to do."""


def finding(
    code: str, severity: Severity = Severity.ERROR, *, fixes: tuple[Fix, ...] | None = None, **parameters: object
) -> Finding:
    """Return the finding of the cause `code`, with its text filled; `fixes` where they depend on the case."""
    known = failure(code, parameters)
    return Finding(severity, code, known.title, known.fixes if fixes is None else fixes, known.detail)


def blocking_failure(findings: Iterable[Finding]) -> Failure | None:
    """Return the first finding that forbids the start as a failure, or None when it may be tried."""
    for found in findings:
        if found.severity is Severity.ERROR:
            return Failure(found.code, found.text, found.detail, found.fixes)
    return None
