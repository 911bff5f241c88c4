"""What llama-server says of its memory before it loads anything: `fit_memory_breakdown`, or the table of older builds.

Source: `common/fit.cpp` common_memory_breakdown_print and common_params_fit_impl, b11434; the table is the same in
b9093 and was called `llama_memory_breakdown_print` before. `--fit` makes model and context without allocating, prints
what they would take, and, with a draft model or multi-token prediction, does the same for the second context.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from variet_gui.engine import log_facts as facts
from variet_gui.engine.log_parser import parse

_LEVELS = {"error": "E", "warn": "W", "info": "I", "debug": "D", "trace": "T"}
_HEADING = ": | memory breakdown [MiB] "
_ROW = "memory_breakdown_print: |   - "
_SECOND = "getting device memory data for the extra model"
_NO_SECOND = "failed to measure the memory of the extra model"
_FIT_ENDED = re.compile(
    r"(?:common|llama)_(?:params_fit|fit_params): "
    r"(?:successfully fit|failed to fit|encountered an error|fitting params)"
)


@dataclass(frozen=True, slots=True)
class MeasuredDevice:
    """What one device is asked for, each figure cut to a whole MiB by llama-server."""

    name: str
    """llama.cpp's name: "CUDA0", "RPC1"; "Host" for the CPU's memory; a buffer type such as "CPU_REPACK"."""
    description: str
    total_mib: int | None
    """None for the host and for buffer types."""
    free_mib: int | None
    """When it was asked, with llama-server's own context on the device."""
    weights_mib: int
    context_mib: int
    """KV cache, sliding window and recurrent state together."""
    compute_mib: int

    @property
    def buffers_mib(self) -> int:
        """Return the three together."""
        return self.weights_mib + self.context_mib + self.compute_mib


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One breakdown: the devices in llama.cpp's order, the host, and what lies in buffers of another kind."""

    devices: tuple[MeasuredDevice, ...]
    host: MeasuredDevice
    others: tuple[MeasuredDevice, ...] = ()


class BreakdownReader:
    """Reads a server's output, log and events mixed, line by line, until it has said what there is to know."""

    def __init__(self) -> None:
        self.first: Breakdown | None = None
        """For the parameters as given."""
        self.second: Breakdown | None = None
        """Of the second context, where there is one."""
        self.projector_mib: float | None = None
        """The most that the projector may need, as estimated by the server."""
        self.is_loading = False
        """The trial is over: what follows is a real load."""
        self.lines: list[str] = []
        """The log so far, in the form that people read; events left out."""
        self._rows: list[MeasuredDevice] | None = None
        self._second_follows = False

    def add(self, line: str) -> None:
        """Take in one line."""
        event = _event(line)
        if event is not None and event.get("type") == "fit_memory_breakdown":
            rows = _rows(event)
            if rows is not None:
                self._keep(rows)
            return
        text = line if event is None else _plain(event)
        for part in text.split("\n"):
            self.lines.append(part)
            self._read(part, from_log=event is None)

    def finish(self) -> None:
        """Take the last table as complete: nothing follows."""
        if self._rows:
            self._keep(self._rows)
        self._rows = None

    def _read(self, text: str, *, from_log: bool) -> None:
        if from_log:
            if _HEADING in text:
                self._rows = []
                return
            if self._rows is not None:
                fact = parse(text) if _ROW in text else None
                if isinstance(fact, facts.MemoryRow):
                    self._rows.append(_of_table(fact))
                    return
                self.finish()
        if _SECOND in text:
            self._second_follows = _NO_SECOND not in text
        elif _FIT_ENDED.search(text):
            self.is_loading = True
        else:
            match parse(text):
                case facts.LoadBegun(real=True):
                    self.is_loading = True
                case facts.ProjectorMemory(mib):
                    self.projector_mib = mib

    def _keep(self, rows: list[MeasuredDevice]) -> None:
        host = next((row for row in rows if row.name == "Host"), MeasuredDevice("Host", "", None, None, 0, 0, 0))
        devices = tuple(row for row in rows if row.total_mib is not None)
        others = tuple(row for row in rows if row.total_mib is None and row.name != "Host")
        found = Breakdown(devices, host, others)
        if self.first is None:
            self.first = found
        elif self._second_follows and self.second is None:
            self.second = found


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "type" in event else None


def _plain(event: dict[str, Any]) -> str:
    """Return a line of the log as it looks without `--log-jsonl`."""
    said = str(event.get("msg", "")).rstrip("\n")
    level = _LEVELS.get(str(event.get("level")))
    return said if level is None else f"{level} {said}"


def _rows(event: dict[str, Any]) -> list[MeasuredDevice] | None:
    try:
        return [_row(row) for row in event["data"]["rows"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # of a build to come: the caller says that there were no figures


def _row(row: dict[str, Any]) -> MeasuredDevice:
    total, free = row.get("total"), row.get("free")
    return MeasuredDevice(
        str(row["name"]),
        str(row.get("description", "")),
        None if total is None else int(total),
        None if free is None else int(free),
        int(row["model"]),
        int(row["context"]),
        int(row["compute"]),
    )


def _of_table(fact: facts.MemoryRow) -> MeasuredDevice:
    return MeasuredDevice(
        fact.device,
        fact.description,
        fact.total_mib,
        fact.free_mib,
        fact.weights_mib,
        fact.context_mib,
        fact.compute_mib,
    )
