"""How far the forecast is from rows of memory figures, per term and per model.

Run: python -m tests.benchmarks.forecast_errors ROWS.jsonl [--headers DIR] [--json]
Takes files of exact rows (dry runs or loads of b11434) and of published loads. DIR holds the header-only models;
without it those in tests/unit/data are taken. Beside ours stands the published formula of text-generation-webui, which
gives one figure for all GPUs together.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.forecast_rows import (
    DATA,
    NotScored,
    Residual,
    header_of,
    profile_of,
    read_rows,
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the rows and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+")
    parser.add_argument("--headers", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        headers = options.headers or unpack_headers(DATA / "forecast_headers.tar.gz", Path(folder))
        rows = [row for path in options.rows for row in read_rows(path)]
        found = [entry for row in rows for entry in score(row, headers)]
        others = list(_webui_errors(rows, headers))
    residuals = [entry for entry in found if isinstance(entry, Residual)]
    skipped = [entry for entry in found if isinstance(entry, NotScored)]
    if options.json:
        print(json.dumps(_document(rows, residuals, skipped, others), indent=1))
    else:
        _print(rows, residuals, skipped, others)
    return 0


def _webui_errors(rows: Sequence[Mapping[str, Any]], headers: Path) -> Iterator[tuple[str, float]]:
    """Return by how much the other formula is off on the sum of all devices, for exact rows."""
    for row in rows:
        header = header_of(row["model"], headers) if "rows" in row else None
        if header is None:
            continue
        values = profile_of(row["flags"]).values
        layers = values.get("n_gpu_layers")
        count = layers if isinstance(layers, int) and layers >= 0 else 10**6
        guess = webui_mib(header, int(str(values["ctx_size"])), count, str(values.get("cache_type_k", "f16")))
        truth = sum(part["model"] + part["context"] + part["compute"] for part in row["rows"] if part["name"] != "Host")
        yield row["id"], guess - truth


def _document(
    rows: Sequence[Mapping[str, Any]],
    residuals: Sequence[Residual],
    skipped: Sequence[NotScored],
    others: Sequence[tuple[str, float]],
) -> dict[str, Any]:
    def lines(chosen: Sequence[Residual], *, host: bool) -> dict[str, Any]:
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

    models = dict.fromkeys(residual.model for residual in residuals)
    sizes = [abs(error) for _, error in others]
    return {
        "schema": 1,
        "rows": len(rows),
        "devices": lines(residuals, host=False),
        "host": lines(residuals, host=True),
        "models": {
            model: lines([residual for residual in residuals if residual.model == model], host=False)
            for model in models
        },
        "device_sums": _device_sums(residuals),
        "not_scored": [{"row": entry.row, "reason": entry.reason} for entry in skipped],
        "text_generation_webui": {
            "rows": len(sizes),
            "median_mib": round(statistics.median(sizes), 1) if sizes else None,
            "worst_mib": round(max(sizes), 1) if sizes else None,
        },
    }


def _device_sums(residuals: Sequence[Residual]) -> dict[str, Any]:
    sums: dict[tuple[str, str], float] = {}
    for residual in residuals:
        if residual.device != "Host":
            key = (residual.row, residual.device)
            sums[key] = sums.get(key, 0.0) + residual.error
    compute = [one for one in residuals if one.term == "compute" and one.device != "Host"]
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
    others: Sequence[tuple[str, float]],
) -> None:
    print(f"{len(rows)} rows; error in MiB, 0 where the figure may stand for the forecast")
    print(table(residuals))
    for key, value in _device_sums(residuals).items():
        print(f"{key.replace('_', ' ')}: {value}")
    if others:
        sizes = [abs(error) for _, error in others]
        print(
            f"text-generation-webui's formula, all GPUs together: median {statistics.median(sizes):.0f} MiB, "
            f"worst {max(sizes):.0f} MiB, on {len(sizes)} rows"
        )
    for entry in skipped:
        print(f"not scored: {entry.row}: {entry.reason}")


if __name__ == "__main__":
    sys.exit(main())
