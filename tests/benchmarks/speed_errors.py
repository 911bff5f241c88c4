"""How far the speed estimate is from measured tokens per second: rows of one H100, and published rows of other cards.

Run: python -m tests.benchmarks.speed_errors [H100.jsonl] [--published ROWS.jsonl] [--headers DIR] [--fit] [--json]
Without files those in tests/unit/data are taken. H100.jsonl holds llama-bench rows (model, n_devices, flags, n_gen,
n_depth, avg); rows that say the same setting are averaged. The constants of `forecast.speed_rates` were fitted to the
rows of two models; the others were held back. `--fit` fits them again and prints what comes out. "Inside" is the share
of rows within the range that would be shown. "Learned" says what the published rows come to once every other model of
the same machine was measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.forecast_rows import DATA, header_of, profile_of, read_rows, unpack_headers
from variet_gui.forecast import speed_rates as rates
from variet_gui.forecast.contexts import Contexts
from variet_gui.forecast.plan import plan_of
from variet_gui.forecast.settings import settings_of
from variet_gui.forecast.shape import model_shape
from variet_gui.forecast.speed import FOUR_OF_FIVE
from variet_gui.forecast.speed_calibration import UNMEASURED, SpeedCalibration, observation
from variet_gui.forecast.speed_rates import Parts, SpeedDevice, parts_of
from variet_gui.forecast.traffic import Traffic, traffic

FITTED = frozenset({"gemma26", "qwen27"})
"""The models whose H100 rows the constants come from."""
H100 = SpeedDevice("H100", 3352e9 / 2**30, stacked=True)
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Scored:
    """One measured speed beside the estimate."""

    row: str
    group: str
    """"H100, fitted", "H100, held back", …"""
    model: str
    measured_tps: float
    estimated_tps: float
    traffic: Traffic
    pipeline: bool
    cards: tuple[SpeedDevice, ...]
    parts: Parts
    machine: str

    @property
    def error(self) -> float:
        """Return by which share the estimate is above (positive) or below the measured speed."""
        return self.estimated_tps / self.measured_tps - 1.0

    def inside(self, calibration: SpeedCalibration = UNMEASURED) -> bool:
        """Return whether the measured speed lies within the range."""
        found = calibration.apply(self.parts, self.cards, self.model)
        return found.tps(-FOUR_OF_FIVE) <= self.measured_tps <= found.tps(FOUR_OF_FIVE)


def bench_rows(rows: Iterable[Mapping[str, Any]], headers: Path) -> list[Scored]:
    """Return the generation rows of llama-bench on one H100, shown as one or two devices."""
    grouped: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if row["n_gen"]:
            key = (row["model"], row["n_devices"], tuple(row["flags"]), row["n_depth"], row["n_gen"])
            grouped.setdefault(key, []).append(row["avg"])
    result = []
    for (model, devices, flags, depth, generated), speeds in grouped.items():
        # llama-bench makes the context as large as the test, and half of what it generates is there on average.
        args = [*_server_flags(flags), "-c", str(depth + generated), "-ngl", "99", "-fa", "on"]
        made = _traffic(f"{model}-Q4_K_M", args, devices, depth + generated // 2, headers)
        if made is None:
            continue
        needed, pipeline = made
        cards = (H100,) * devices
        parts = parts_of(needed, cards, None, pipeline=pipeline, drawn=False)
        group = "H100, fitted" if model in FITTED else "H100, held back"
        name = f"{model} {devices} {' '.join(_server_flags(flags))} d{depth}"
        speed = statistics.mean(speeds)
        result.append(Scored(name, group, model, speed, 1000 / parts.total, needed, pipeline, cards, parts, "H100"))
    return result


def published_rows(rows: Iterable[Mapping[str, Any]], headers: Path) -> list[Scored]:
    """Return published speeds of other cards; their model files are a little larger or smaller than ours."""
    result = []
    for row in rows:
        cards = tuple(SpeedDevice(c["name"], c["gb_s"] * 1e9 / _GIB, stacked=c["stacked"]) for c in row["cards"])
        args = ["-ngl", "99", "-fa", "on", *row["flags"].split()]
        made = _traffic(row["model"], args, len(cards), row["depth"], headers)
        if made is None:
            continue
        needed, pipeline = made
        scaled = tuple(replace(work, weights=round(work.weights * row["scale"])) for work in needed.devices)
        needed = replace(needed, devices=scaled)
        parts = parts_of(needed, cards, None, pipeline=pipeline, drawn=row["sampled"])
        kind = "HBM cards, not fitted" if cards[0].stacked else "GDDR cards, "
        if not cards[0].stacked:
            kind += "fitted" if row["part"] == "fit" else "held back"
        machine = f"{row['source']}: {', '.join(card.name for card in cards)}"
        made_of = (row["tps"], 1000 / parts.total, needed, pipeline, cards, parts, machine)
        result.append(Scored(row["id"], kind, row["model"], *made_of))
    return result


def learned(scored: Sequence[Scored]) -> list[tuple[Scored, float, bool]]:
    """Return (row, error, inside) of every row whose machine has measured another model, once it has learned those."""
    result = []
    for entry in scored:
        others = [one for one in scored if one.machine == entry.machine and one.model != entry.model]
        if not others:
            continue
        seen = (observation(one.parts, one.cards, one.measured_tps, model=one.model, at=0.0) for one in others)
        calibration = UNMEASURED.with_observations(seen)
        found = calibration.apply(entry.parts, entry.cards, entry.model)
        result.append((entry, found.tps(0.0) / entry.measured_tps - 1.0, entry.inside(calibration)))
    return result


def _server_flags(flags: Sequence[str]) -> list[str]:
    """Return llama-bench's flags as llama-server has them: its splits have slashes, its tests are none of ours."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return [part.replace("/", ",") for pair in pairs if pair[0] not in ("-p", "-n", "-d") for part in pair]


def _traffic(model: str, flags: Sequence[str], devices: int, depth: int, headers: Path) -> tuple[Traffic, bool] | None:
    header = header_of(model, headers)
    shape = None if header is None else model_shape(header)
    if shape is None:
        return None
    settings = settings_of(profile_of(flags), shape.trained_context)
    names = [f"CUDA{number}" for number in range(devices)]
    plan = plan_of(shape, settings, names, [1.0] * devices, offload=True)
    pipeline = Contexts(shape, settings, plan, ["CUDA"] * devices, flash=True, dry_run=False).pipeline
    return traffic(shape, settings, plan, devices, depth), pipeline


# ----------------------------------------------------------------------------------------------------------- fitting


def fit_h100(scored: Sequence[Scored]) -> dict[str, float]:
    """Return the constants that have the smallest squared relative error on these rows, none of them negative."""
    lines, ones = [], []
    for entry in scored:
        works, seconds = entry.traffic.devices, 1000 / entry.measured_tps
        features = (
            sum(work.read for work in works) / _GIB,
            sum(work.converted for work in works) / _GIB,
            sum(work.tensors for work in works) / 1000,
            sum(work.rotated for work in works) / 1000,
            float(entry.traffic.handovers if entry.pipeline else 0),
            float(0 if entry.pipeline else entry.traffic.handovers),
        )
        lines.append([feature / seconds for feature in features])
        ones.append(1.0)
    per_gib, converted, start, rotation, handover, alone = _non_negative(lines, ones)
    return {
        "KERNEL_LIMIT_GIB_S": 1000 / per_gib,
        "STACKED_EFFICIENCY": 1000 / per_gib / (H100.bandwidth_gib_s or 1.0),
        "CONVERTED_BYTES": converted / per_gib,
        "START_MS": start / 1000,
        "ROTATION_MS": rotation / 1000,
        "HANDOVER_MS": handover,
        "HANDOVER_ALONE_MS": alone,
    }


def fit_efficiency(scored: Sequence[Scored]) -> float:
    """Return the median share of the bandwidth that explains these rows, everything else as it is."""
    shares = []
    for entry in scored:
        reading = 1000 / entry.estimated_tps
        whole = 1000 / entry.measured_tps
        # Of the estimate, only the reading depends on the share.
        fixed = sum(w.tensors * rates.START_MS + w.rotated * rates.ROTATION_MS for w in entry.traffic.devices)
        reading -= fixed
        shares.append(rates.EFFICIENCY * reading / (whole - fixed))
    return statistics.median(shares)


def _non_negative(lines: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Return the least squares solution without negative entries, by going down one coordinate after the other."""
    count = len(lines[0])
    gram = [[sum(line[i] * line[j] for line in lines) for j in range(count)] for i in range(count)]
    right = [sum(line[i] * value for line, value in zip(lines, wanted, strict=True)) for i in range(count)]
    found = [0.0] * count
    for _ in range(20_000):
        for i in range(count):
            if gram[i][i]:
                slope = sum(gram[i][j] * found[j] for j in range(count)) - right[i]
                found[i] = max(0.0, found[i] - slope / gram[i][i])
    return found


# ---------------------------------------------------------------------------------------------------------- printing


def summary(scored: Iterable[Scored]) -> dict[str, dict[str, Any]]:
    """Return median and worst error of every group, as shares."""
    groups: dict[str, list[Scored]] = {}
    for entry in scored:
        groups.setdefault(entry.group, []).append(entry)
    result = {}
    for group, entries in groups.items():
        worst = max(entries, key=lambda entry: abs(entry.error))
        result[group] = {
            "rows": len(entries),
            "median": statistics.median(abs(entry.error) for entry in entries),
            "worst": worst.error,
            "worst_row": worst.row,
            "mean": statistics.mean(entry.error for entry in entries),
            "inside": statistics.mean(entry.inside() for entry in entries),
        }
    return result


def learned_summary(scored: Sequence[Scored]) -> dict[str, Any]:
    """Return the same of all rows that could learn, before and after."""
    found = learned(scored)
    if not found:
        return {}
    worst = max(found, key=lambda line: abs(line[1]))
    return {
        "rows": len(found),
        "median_before": statistics.median(abs(entry.error) for entry, _, _ in found),
        "inside_before": statistics.mean(entry.inside() for entry, _, _ in found),
        "median": statistics.median(abs(error) for _, error, _ in found),
        "worst": worst[1],
        "worst_row": worst[0].row,
        "inside": statistics.mean(inside for _, _, inside in found),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the rows and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="?", default=DATA / "h100_speeds.jsonl")
    parser.add_argument("--published", type=Path, default=DATA / "published_speeds.jsonl")
    parser.add_argument("--headers", type=Path)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        headers = options.headers or unpack_headers(DATA / "forecast_headers.tar.gz", Path(folder))
        scored = bench_rows(read_rows(options.rows), headers)
        scored += published_rows(read_rows(options.published), headers)
    # The constants know the H100 already: there is nothing to learn of it.
    groups, after = summary(scored), learned_summary([entry for entry in scored if entry.machine != "H100"])
    fitted = {}
    if options.fit:
        fitted = fit_h100([entry for entry in scored if entry.group == "H100, fitted"])
        fitted["EFFICIENCY"] = fit_efficiency([entry for entry in scored if entry.group == "GDDR cards, fitted"])
    if options.json:
        entries = [
            {"row": e.row, "group": e.group, "measured_tps": e.measured_tps, "estimated_tps": round(e.estimated_tps, 2)}
            for e in scored
        ]
        print(json.dumps({"schema": 1, "groups": groups, "learned": after, "rows": entries, "fit": fitted}, indent=1))
        return 0
    for entry in scored:
        print(
            f"{entry.group:24} {entry.row:62} measured {entry.measured_tps:7.2f}  "
            f"estimated {entry.estimated_tps:7.2f}  {100 * entry.error:+6.1f} %"
        )
    for group, line in groups.items():
        print(
            f"{group}: {line['rows']} rows, median {100 * line['median']:.1f} %, "
            f"worst {100 * line['worst']:+.1f} % ({line['worst_row']}), mean {100 * line['mean']:+.1f} %, "
            f"inside {100 * line['inside']:.0f} %"
        )
    if after:
        print(
            f"learned from other models: {after['rows']} rows, median {100 * after['median_before']:.1f} -> "
            f"{100 * after['median']:.1f} %, worst {100 * after['worst']:+.1f} % ({after['worst_row']}), "
            f"inside {100 * after['inside_before']:.0f} -> {100 * after['inside']:.0f} %"
        )
    for name, value in fitted.items():
        print(f"{name} = {value:.5g} (now {getattr(rates, name)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
