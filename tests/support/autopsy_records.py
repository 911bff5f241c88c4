"""Recorded failures: logs with what they should be called, and whether the autopsy calls them so.

A folder holds an `index.json`, a list of entries, one for each log beside it:

    {"file": "cuda-kv.txt", "code": "out_of_gpu_memory", "exit_code": 1, "was_ready": false,
     "source": "recorded with b11434", "device": "CUDA1", "part": "context",
     "alive": true, "circumstances": {"gpu_free_mib": {"CUDA0": 3}, "processes_ended": 1}}

`device` and `part` are compared where they are given. `alive`: the server lives, and a request went wrong.
`exit_code`: null where nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variet_gui.engine.circumstances import NOTHING_KNOWN, Circumstances
from variet_gui.engine.diagnosis import explain, trouble
from variet_gui.events import Failure

RECORDS = Path(__file__).resolve().parents[1] / "unit" / "autopsy_logs"


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded failure."""

    path: Path
    code: str
    exit_code: int | None = None
    was_ready: bool = False
    alive: bool = False
    source: str = ""
    device: str | None = None
    part: str | None = None
    circumstances: Circumstances = NOTHING_KNOWN

    @property
    def lines(self) -> list[str]:
        """The log."""
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the autopsy says of a record."""

    record: Record
    failure: Failure | None

    @property
    def named(self) -> str:
        """The code that was given; empty where nothing was found."""
        return self.failure.code if self.failure is not None else ""

    @property
    def right(self) -> bool:
        """Whether cause, and device and part where they are known, are named rightly."""
        if self.failure is None or self.failure.code != self.record.code:
            return False
        return self.record.device in (None, self.failure.device) and self.record.part in (None, self.failure.part)


def read_records(folder: Path) -> list[Record]:
    """Return the entries of the folder's index.

    Raises:
        OSError: there is no index.
        KeyError: an entry lacks its file or code.
    """
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return [
        Record(
            folder / entry["file"],
            entry["code"],
            entry.get("exit_code"),
            bool(entry.get("was_ready", False)),
            bool(entry.get("alive", False)),
            entry.get("source", ""),
            entry.get("device"),
            entry.get("part"),
            Circumstances(**entry.get("circumstances", {})),
        )
        for entry in found
    ]


def judge(record: Record) -> Verdict:
    """Hand the record to the autopsy, as the panel does."""
    if record.alive:
        return Verdict(record, trouble("fast", record.lines))
    failure = explain(
        role="fast",
        exit_code=record.exit_code,
        lines=record.lines,
        was_ready=record.was_ready,
        circumstances=record.circumstances,
    )
    return Verdict(record, failure)


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the share that is named rightly, by code and in total, and every one that is not."""
    rows = []
    for code in sorted({verdict.record.code for verdict in verdicts}):
        of_code = [verdict for verdict in verdicts if verdict.record.code == code]
        rows.append((code, sum(verdict.right for verdict in of_code), len(of_code)))
    right = sum(row[1] for row in rows)
    width = max((len(row[0]) for row in rows), default=0)
    lines = [f"{code:{width}}  {good:3} of {count:3}" for code, good, count in rows]
    lines += [_wrong(verdict) for verdict in verdicts if not verdict.right]
    share = 100 * right / len(verdicts) if verdicts else 0.0
    return "\n".join([*lines, f"named rightly: {right} of {len(verdicts)} recorded failures ({share:.1f} %)"])


def share(verdicts: Iterable[Verdict]) -> float:
    """Return the part that is named rightly, 0..1; 1 where there is none."""
    found = [verdict.right for verdict in verdicts]
    return sum(found) / len(found) if found else 1.0


def _wrong(verdict: Verdict) -> str:
    record, failure = verdict.record, verdict.failure
    wanted = " ".join(word for word in (record.code, record.device, record.part) if word)
    if failure is None:
        return f"  wrong: {record.path.name}: is {wanted}; nothing was found"
    said = " ".join(word for word in (failure.code, failure.device, failure.part) if word)
    return f"  wrong: {record.path.name}: is {wanted}; was called {said}: {failure.title.english}"
