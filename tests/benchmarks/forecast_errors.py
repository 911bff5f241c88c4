"""How far the forecast is from rows of memory figures, per term and per model.

Run: python tests/benchmarks/forecast_errors.py ROWS.jsonl [MORE.jsonl] [--headers DIR] [--json]
Takes files of exact rows (dry runs or loads of b11434) and of published loads. DIR holds the header-only models;
without it those in tests/unit/data are taken. Beside ours stands the published formula of text-generation-webui, which
gives one figure for all GPUs together: both are compared with the sum of all devices, on the exact rows. Published
loads do not tell all terms of one file, so there is no sum to compare. Every row that is not scored is listed, with
the reason.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.forecast_rows import (
    DATA,
    HOST,
    NotScored,
    Residual,
    UnreadableRowError,
    header_of,
    model_name,
    read_rows,
    row_profile,
    score,
    summaries,
    table,
    unpack_headers,
)
from variet_gui.gguf.header import GgufHeader

_CACHE_BITS = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8, "q5_1": 5, "q5_0": 5, "q4_1": 4, "q4_0": 4}


def webui_mib(header: GgufHeader, context: int, gpu_layers: int, cache_type: str) -> float:
    """Return what text-generation-webui's formula says: all GPUs together, MiB (its modules/models_settings.py)."""
    layers = header.block_count or 1
    heads = header.metadata.get(f"{header.architecture}.attention.head_count_kv", 1)
    kv_heads = max(int(entry) for entry in heads) if isinstance(heads, tuple) else int(str(heads))
    bits = _CACHE_BITS.get(cache_type, 16)
    size_per_layer = sum(tensor.n_bytes for tensor in header.tensors) / 2**20 / layers
    per_context = (header.embedding_length or 0) / context
    offset = math.floor(50.77817218646521 * per_context) + 9.987899908205632
    return (size_per_layer - 17.99552795246051 + 3.148552680382576e-05 * kv_heads * bits * context) * (
        min(gpu_layers, layers) + max(0.9690636483914102, bits - offset)
    ) + 1516.522943869404


@dataclass(frozen=True, slots=True)
class Beside:
    """The sum of all devices of one row, by both formulas. MiB off; positive: too much."""

    row: str
    model: str
    ours: float | None
    """None where we say that we do not know."""
    theirs: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the rows and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+", metavar="ROWS.jsonl")
    parser.add_argument("--headers", type=Path, metavar="DIR", help="folder with the header-only models")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    for path in options.rows:
        if not path.is_file():
            parser.error(f"{path} is not a file")
    if options.headers is not None and not options.headers.is_dir():
        parser.error(f"{options.headers} is not a folder")
    with tempfile.TemporaryDirectory() as folder:
        headers = options.headers or unpack_headers(DATA / "forecast_headers.tar.gz", Path(folder))
        rows = [row for path in options.rows for row in read_rows(path)]
        found = [entry for row in rows for entry in score(row, headers)]
        residuals = [entry for entry in found if isinstance(entry, Residual)]
        beside = list(_beside(rows, residuals, headers))
    skipped = [entry for entry in found if isinstance(entry, NotScored)]
    if options.json:
        print(json.dumps(_document(rows, residuals, skipped, beside), indent=1))
    else:
        _print(rows, residuals, skipped, beside)
    return 0


def _beside(rows: Sequence[Mapping[str, Any]], residuals: Sequence[Residual], headers: Path) -> Iterator[Beside]:
    """Yield both errors on the sum of all devices, for exact rows."""
    ours: dict[str, float] = {}
    figures: dict[str, int] = {}
    for one in residuals:
        if one.device != HOST:
            # A figure that was cut stands for half a MiB more, on average.
            ours[one.row] = ours.get(one.row, 0.0) + one.ours - one.truth - one.exact_to / 2
            figures[one.row] = figures.get(one.row, 0) + 1
    for row in rows:
        if not row.get("rows"):
            continue
        try:
            header = header_of(row.get("model"), headers)
            profile = row_profile(row)
            parts = [part for part in row["rows"] if part["name"] != HOST]
            truth = sum(part["model"] + part["context"] + part["compute"] for part in parts)
        except (UnreadableRowError, LookupError, TypeError):
            continue  # listed among those that are not scored
        if header is None:
            continue
        values = profile.values
        layers, context = values.get("n_gpu_layers"), values.get("ctx_size") or header.context_length or 1
        count = layers if isinstance(layers, int) and layers >= 0 else 10**6
        guess = webui_mib(header, int(str(context)), count, str(values.get("cache_type_k", "f16")))
        known = figures.get(row["id"], 0) == 3 * len(parts)
        yield Beside(row["id"], model_name(row["model"]), ours.get(row["id"], 0.0) if known else None, guess - truth)


def _document(
    rows: Sequence[Mapping[str, Any]],
    residuals: Sequence[Residual],
    skipped: Sequence[NotScored],
    beside: Sequence[Beside],
) -> dict[str, Any]:
    models = dict.fromkeys(residual.model for residual in residuals)
    return {
        "schema": 1,
        "rows": len(rows),
        "rows_scored": len({residual.row for residual in residuals}),
        "devices": _lines(residuals, host=False),
        "host": _lines(residuals, host=True),
        "models": {
            model: {
                "devices": _lines([one for one in residuals if one.model == model], host=False),
                "host": _lines([one for one in residuals if one.model == model], host=True),
            }
            for model in models
        },
        "device_sums": _device_sums(residuals),
        "not_scored": [{"row": entry.row, "reason": entry.reason} for entry in skipped],
        "all_gpus_together": {
            "ours": _sizes(one.ours for one in beside if one.ours is not None),
            "text_generation_webui": _sizes(one.theirs for one in beside),
            "models": {
                model: {
                    "ours": _sizes(one.ours for one in beside if one.model == model and one.ours is not None),
                    "text_generation_webui": _sizes(one.theirs for one in beside if one.model == model),
                }
                for model in dict.fromkeys(one.model for one in beside)
            },
        },
    }


def _lines(chosen: Sequence[Residual], *, host: bool) -> dict[str, Any]:
    return {
        line.term: {
            "figures": line.count,
            "median_mib": round(line.median, 3),
            "worst_mib": round(line.worst, 3),
            "worst_row": line.worst_row,
            "most_under_mib": round(line.under, 3),
        }
        for line in summaries(chosen, host=host)
    }


def _sizes(errors: Iterable[float]) -> dict[str, Any]:
    sizes = [abs(error) for error in errors]
    if not sizes:
        return {"rows": 0, "median_mib": None, "worst_mib": None}
    return {
        "rows": len(sizes),
        "median_mib": round(statistics.median(sizes), 1),
        "worst_mib": round(max(sizes), 1),
    }


def _device_sums(residuals: Sequence[Residual]) -> dict[str, Any]:
    sums: dict[tuple[str, str], float] = {}
    for residual in residuals:
        if residual.device != HOST:
            key = (residual.row, residual.device)
            sums[key] = sums.get(key, 0.0) + residual.error
    compute = [one for one in residuals if one.term == "compute" and one.device != HOST]
    inside = [one for one in compute if abs(one.error) <= max(16.0, 0.02 * abs(one.truth))]
    return {
        "devices": len(sums),
        "most_under_mib": round(min(sums.values(), default=0.0), 3),
        "most_over_mib": round(max(sums.values(), default=0.0), 3),
        "compute_within_16_mib_or_2_percent": round(len(inside) / len(compute), 4) if compute else None,
    }


def _print(
    rows: Sequence[Mapping[str, Any]],
    residuals: Sequence[Residual],
    skipped: Sequence[NotScored],
    beside: Sequence[Beside],
) -> None:
    scored = len({residual.row for residual in residuals})
    print(f"{len(rows)} rows, {scored} scored; error in MiB, 0 where the figure may stand for the forecast")
    print(table(residuals))
    for key, value in _device_sums(residuals).items():
        print(f"{key.replace('_', ' ')}: {value}")
    if beside:
        print("\nall GPUs together, MiB off    rows  ours: median    worst  text-generation-webui: median    worst")
        for model in (*dict.fromkeys(one.model for one in beside), None):
            chosen = [one for one in beside if model is None or one.model == model]
            ours = _sizes(one.ours for one in chosen if one.ours is not None)
            theirs = _sizes(one.theirs for one in chosen)
            print(
                f"{model or 'all of them':28} {theirs['rows']:5d} {_figure(ours['median_mib']):>13} "
                f"{_figure(ours['worst_mib']):>8} {_figure(theirs['median_mib']):>30} {_figure(theirs['worst_mib']):>8}"
            )
        print()
    for entry in skipped:
        print(f"not scored: {entry.row}: {entry.reason}")


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
