"""Rows of exact or published memory figures, and how far the forecast is from them.

Two kinds: dry runs (`rows`: what llama-server itself counted, MiB per device, cut to whole numbers; with `kind` "load"
a real load's own lines) and published loads (`published_rows`). A row that cannot be scored says why.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.published_rows import score_published
from tests.support.row_values import (
    DATA,
    SHARED,
    NotScored,
    Residual,
    UnreadableRowError,
    build_of,
    header_of,
    model_name,
    profile_of,
    read_rows,
    unpack_headers,
    with_value,
)
from variet_gui.catalog.shell import ShellTextError
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.vram import Device, Forecast, forecast
from variet_gui.gguf.header import GgufHeader

__all__ = [
    "DATA",
    "HOST",
    "ROOM_MIB",
    "SHARED",
    "TERMS",
    "NotScored",
    "Residual",
    "UnreadableRowError",
    "build_of",
    "header_of",
    "model_name",
    "profile_of",
    "read_rows",
    "row_forecast",
    "row_profile",
    "score",
    "summaries",
    "table",
    "unpack_headers",
]

TERMS = ("weights", "context", "compute")
ROOM_MIB = 10**6
"""Capacity of a device that is large enough for anything."""
HOST = "Host"
_FIELDS = {"weights": "model", "context": "context", "compute": "compute"}
_DEVICE = re.compile(r"(\D+)(\d+)")


def score(row: Mapping[str, Any], folder: Path) -> list[Residual | NotScored]:
    """Return the residuals of one row of either kind; what cannot be scored stands there with the reason."""
    name = str(row.get("id", "?"))
    try:
        if "unreadable" in row:
            raise UnreadableRowError(str(row["unreadable"]))
        return list(_score_exact(row, folder) if "rows" in row else score_published(row, folder))
    except (UnreadableRowError, ShellTextError) as error:
        return [NotScored(name, str(error))]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return [NotScored(name, f"the row is not of a known shape: {type(error).__name__}: {error}")]


def row_profile(row: Mapping[str, Any]) -> LaunchProfile:
    """Return the profile of a row with exact figures.

    Raises:
        UnreadableRowError: flags that are not known.
    """
    profile = profile_of(row.get("flags") or ())
    # llama-server's own choice of slots, where the panel's would be one.
    return profile if "parallel" in profile.values else with_value(profile, "parallel", -1)


def row_forecast(row: Mapping[str, Any], header: GgufHeader) -> Forecast:
    """Return our forecast for a row with exact figures."""
    dry_run = row.get("kind") != "load"
    return forecast(header, row_profile(row), _devices(row), build=build_of(row.get("build")), dry_run=dry_run)


def _devices(row: Mapping[str, Any]) -> list[Device]:
    """Return all devices that the server saw, as large as need be; where told, with what was free on them."""
    parts = {str(part.get("name")): part for part in row["rows"] if _DEVICE.fullmatch(str(part.get("name")))}
    kinds = {match[1] for name in parts if (match := _DEVICE.fullmatch(name)) is not None} or {"CUDA"}
    told = row.get("devices")
    highest = max((int(match[2]) for name in parts if (match := _DEVICE.fullmatch(name))), default=-1)
    count = told if isinstance(told, int) else len(told) if isinstance(told, Sequence) else 0
    if len(kinds) > 1:
        return [Device(name, _free(part)) for name, part in parts.items()]
    kind = next(iter(kinds))
    names = [f"{kind}{number}" for number in range(max(count, highest + 1))]
    return [Device(name, _free(parts.get(name, {}))) for name in names]


def _free(part: Mapping[str, Any]) -> float:
    free = part.get("free")
    return float(free) if isinstance(free, int | float) and free > 0 else ROOM_MIB


def _score_exact(row: Mapping[str, Any], folder: Path) -> Iterator[Residual | NotScored]:
    if not row["rows"]:
        yield NotScored(row["id"], "no figures: it did not load")
        return
    header = header_of(row["model"], folder)
    if header is None:
        yield NotScored(row["id"], f"no header of {row['model']}")
        return
    result = row_forecast(row, header)
    model = model_name(row["model"])
    parts: dict[str, Any] = {device.name: device for device in result.devices}
    parts[HOST] = result.host
    reasons = "; ".join(reason.english for reason in result.reasons)
    exact_to = 0.01 if row.get("kind") == "load" else 1.0
    for part in row["rows"]:
        ours = parts.get(part["name"])
        if ours is None:
            if any(part.get(field) for field in _FIELDS.values()):
                yield NotScored(row["id"], f"no forecast for {part['name']}: {reasons or 'not a device in use'}")
            continue
        for term in TERMS:
            truth, found = part.get(_FIELDS[term]), getattr(ours, f"{term}_mib")
            if truth is not None and found is not None:
                yield Residual(row["id"], model, part["name"], term, float(truth), found, exact_to)
            elif truth is not None:
                yield NotScored(row["id"], f"{part['name']} {term}: {reasons}")


@dataclass(frozen=True, slots=True)
class Summary:
    """How one term did."""

    term: str
    count: int
    median: float
    """Of the size of the error, MiB."""
    worst: float
    worst_row: str
    under: float
    """The most by which the forecast was too low."""


def summaries(residuals: Iterable[Residual], *, host: bool = False) -> list[Summary]:
    """Return one summary per term, of the devices or of the host."""
    result = []
    chosen = [residual for residual in residuals if (residual.device == HOST) == host]
    for term in dict.fromkeys(residual.term for residual in chosen):
        own = [residual for residual in chosen if residual.term == term]
        worst = max(own, key=lambda residual: abs(residual.error))
        median = statistics.median(abs(residual.error) for residual in own)
        under = min([0.0, *(residual.error for residual in own)])
        result.append(Summary(term, len(own), median, worst.error, worst.row, under))
    return result


def table(residuals: Iterable[Residual]) -> str:
    """Return the residuals as a table for people, by model and term."""
    kept = list(residuals)
    lines = [f"{'model':18} {'where':6} {'term':22} {'n':>4} {'median':>8} {'worst':>8}  row"]
    for model in dict.fromkeys(residual.model for residual in kept):
        own = [residual for residual in kept if residual.model == model]
        for host in (False, True):
            lines += [
                f"{model:18} {'host' if host else 'device':6} {line.term:22} {line.count:4d} {line.median:8.2f} "
                f"{line.worst:8.2f}  {line.worst_row}"
                for line in summaries(own, host=host)
            ]
    return "\n".join(lines)
