"""Rows of exact or published memory figures, and how far the forecast is from them.

Two kinds: dry runs (`rows`: what llama-server itself counted, MiB per device, cut to whole numbers; with `kind` "load"
a real load's own lines) and published loads (fields of their own, flags in prose).
"""

from __future__ import annotations

import json
import re
import statistics
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from variet_gui.catalog.importing import import_command
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.era import Era
from variet_gui.forecast.vram import Device, Forecast, forecast
from variet_gui.gguf.header import GgufHeader, GgufTensor, read_header

DATA = Path(__file__).resolve().parents[1] / "unit" / "data"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases"
"""Beside the repository, where it is at hand."""
TERMS = ("weights", "context", "compute")
ROOM_MIB = 10**6
"""Capacity of a device that is large enough for anything."""
_FIELDS = {"weights": "model", "context": "context", "compute": "compute"}
_MODELS = (
    (r"gemma.?4.*26b", "gemma26-Q4_K_M"),
    (r"gemma.?4.*31b", "gemma31-Q4_K_M"),
    (r"qwen3\.[568x].*27b", "qwen27-Q4_K_M"),
    (r"qwen3\.[568x].*35b", "qwen35b-Q4_K_M"),
    (r"qwen3\.[568x].*122b", "qwen122-Q4_K_M"),
)
_UNREAD = re.compile(r"not shown|unread|not read|not captured|inferred|unknown|sweep", re.IGNORECASE)
_SLOTS = re.compile(r"(?:-np|np|--parallel) (\d+)|(\d+) (?:slots|seq)")
_CACHE_TYPES = frozenset({"f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"})
_JUNE = Era(True, True, False, False, False, False)
_ERAS = {
    "baseline 445b7cef6": replace(_JUNE, narrow_masks=False, few_outputs=False),
    "+ n_outputs cap (#23861)": replace(_JUNE, narrow_masks=False),
    "+ F16 mask (#23764) only": replace(_JUNE, few_outputs=False),
    "both": _JUNE,
}
"""Labels of one published series, which built the two changes one by one."""
_OCTOBER_2026 = 11258
"""What the label v0.5.0 of a published corpus stands for."""


@dataclass(frozen=True, slots=True)
class Residual:
    """One figure beside the forecast, MiB."""

    row: str
    model: str
    device: str
    term: str
    truth: float
    ours: float
    exact_to: float
    """The truth is somewhere between itself and so much more (figures that were cut), or rounded by so much."""

    @property
    def error(self) -> float:
        """Return how far the forecast is above (positive) or below what the figure may stand for."""
        if self.ours > self.truth + self.exact_to:
            return self.ours - self.truth - self.exact_to
        return min(0.0, self.ours - self.truth)


@dataclass(frozen=True, slots=True)
class NotScored:
    """A row, or a term of it, that says too little."""

    row: str
    reason: str


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def unpack_headers(archive: Path, folder: Path) -> Path:
    """Unpack header-only models (sparse files stay sparse) and return the folder."""
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder


def header_of(model: str, folder: Path) -> GgufHeader | None:
    """Return the header of a model by its name in the rows; None where it is not at hand."""
    path = folder / f"{model}.gguf"
    return read_header(path) if path.exists() else None


def build_of(text: str | None) -> int | None:
    """Return the build number in a label such as "b11434 CUDA 13.0"."""
    match = re.search(r"\bb(\d{4,5})\b", text or "")
    if match is not None:
        return int(match[1])
    return _OCTOBER_2026 if (text or "").startswith("v0.5.0") else None


def profile_of(flags: Iterable[str]) -> LaunchProfile:
    """Return the launch profile of llama-server's own flags."""
    return import_command(["llama-server", *flags]).profile("fast")


def row_forecast(row: Mapping[str, Any], header: GgufHeader) -> Forecast:
    """Return our forecast for a row with exact figures."""
    devices = [Device(f"CUDA{number}", ROOM_MIB) for number in range(row["devices"])]
    dry_run = row.get("kind") != "load"
    return forecast(header, profile_of(row["flags"]), devices, build=build_of(row.get("build")), dry_run=dry_run)


def score(row: Mapping[str, Any], folder: Path) -> Iterator[Residual | NotScored]:
    """Return the residuals of one row of either kind."""
    if "rows" in row:
        yield from _score_exact(row, folder)
    else:
        yield from _score_published(row, folder)


def _score_exact(row: Mapping[str, Any], folder: Path) -> Iterator[Residual | NotScored]:
    header = header_of(row["model"], folder)
    if header is None:
        yield NotScored(row["id"], f"no header of {row['model']}")
        return
    result = row_forecast(row, header)
    parts: dict[str, Any] = {device.name: device for device in result.devices}
    parts["Host"] = result.host
    exact_to = 0.01 if row.get("kind") == "load" else 1.0
    for part in row["rows"]:
        ours = parts.get(part["name"])
        if ours is None:
            yield NotScored(row["id"], f"no forecast for {part['name']}")
            continue
        for term in TERMS:
            truth, found = part.get(_FIELDS[term]), getattr(ours, f"{term}_mib")
            if truth is not None and found is not None:
                yield Residual(row["id"], row["model"], part["name"], term, float(truth), found, exact_to)
            elif truth is not None:
                reasons = "; ".join(reason.english for reason in result.reasons)
                yield NotScored(row["id"], f"{part['name']} {term}: {reasons}")


def _score_published(row: Mapping[str, Any], folder: Path) -> Iterator[Residual | NotScored]:
    problem = _unusable(row)
    name = _model_of(row)
    header = header_of(name, folder) if name else None
    if problem is None and header is None:
        problem = "the architecture is none of the five, or its header is not at hand"
    if problem is not None or header is None:
        yield NotScored(row["id"], problem or "no header")
        return
    if "mtp" in (row["model"]["name"] + row["notes"]).lower():
        header = with_prediction_layer(header)
    slots = _SLOTS.search(row["flags"])
    profile = _published_profile(row, slots)
    devices = [Device(f"CUDA{number}", ROOM_MIB) for number in range(len(row["devices"]))]
    build, era = build_of(row.get("build")), _ERAS.get(row.get("build") or "")
    result = forecast(header, profile, devices, build=build or _OCTOBER_2026, era=era)
    context = dict(row["kv_buffer_mib"])
    for key, value in (row.get("rs_buffer_mib") or {}).items():
        context[key] = context.get(key, 0.0) + value
    if slots is None:
        yield NotScored(row["id"], "context: how many slots is not known")
    elif header.number("ssm.state_size") and context and not row.get("rs_buffer_mib"):
        yield NotScored(row["id"], "context: the recurrent state is not told")
    else:
        yield from _compare(row, name, "context", context, result)
    if profile.get("n_cpu_moe") or (profile.get("cpu_moe") and era is None):
        yield NotScored(row["id"], "compute: it holds experts, and the exact file is not known")
    else:
        term = "compute" if build is not None or era is not None else "compute, build assumed"
        yield from _compare(row, name, term, row["compute_buffer_mib"], result)
    yield NotScored(row["id"], "weights: the exact file is not known")


def with_prediction_layer(header: GgufHeader) -> GgufHeader:
    """Return the header of the same model with a layer for multi-token prediction: a full one, and what joins it."""
    name, count, width = header.architecture, header.block_count or 0, header.embedding_length or 0
    full = [tensor for tensor in header.tensors if tensor.name.startswith("blk.3.")]
    more = [replace(tensor, name=f"blk.{count}.{tensor.name.removeprefix('blk.3.')}") for tensor in full]
    more.append(
        GgufTensor(f"blk.{count}.nextn.eh_proj.weight", (2 * width, width), "q8_0", 0, 2 * width * width * 34 // 32)
    )
    more += [
        GgufTensor(f"blk.{count}.nextn.{part}.weight", (width,), "f32", 0, 4 * width)
        for part in ("enorm", "hnorm", "shared_head_norm")
    ]
    metadata = {**header.metadata, f"{name}.block_count": count + 1, f"{name}.nextn_predict_layers": 1}
    return replace(header, metadata=metadata, tensors=(*header.tensors, *more))


def _compare(
    row: Mapping[str, Any], model: str, term: str, truth: Mapping[str, float], result: Forecast
) -> Iterator[Residual | NotScored]:
    rounded = 5.2 if "rounded" in row["granularity"] else 0.5
    attribute = f"{term.partition(',')[0]}_mib"
    for name, value in truth.items():
        if name in ("CUDA_Host", "Host", "CPU"):
            parts = [getattr(result.host, attribute)]
        elif name == "ALL_GPUS":
            parts = [getattr(device, attribute) for device in result.devices]
        else:
            parts = [getattr(device, attribute) for device in result.devices if device.name == name]
        if not parts or None in parts:
            yield NotScored(row["id"], f"{term} of {name}: not known to the forecast")
            continue
        device = "Host" if name in ("CUDA_Host", "Host", "CPU") else name
        yield Residual(row["id"], model, device, term, value - rounded, sum(parts), 2 * rounded)


def _unusable(row: Mapping[str, Any]) -> str | None:
    if row.get("fork"):
        return f"a fork: {row['fork']}"
    if _UNREAD.search(row["flags"] + row["completeness"]) or row.get("n_ctx") is None or row.get("n_ubatch") is None:
        return "flags are not known"
    if any(not re.match(r"CUDA\d|RTX|GTX|H100|A4000|V100|\d+GB GPU", str(device)) for device in row["devices"]):
        return "not a CUDA row, or the devices are not told"
    if "tensor" in row["flags"]:
        return "a split mode that the forecast does not know"
    if row.get("cache_type_k") not in _CACHE_TYPES or row.get("cache_type_v") not in _CACHE_TYPES:
        return "cache types are not known"
    if "bench" in row["flags"] or "OOM" in row["completeness"]:
        return "not a server, or it did not load"
    if "Without FA_ALL_QUANTS".lower() in row["flags"].lower():
        return "its attention runs on the CPU, as the forecast says of this build"
    return None


def _model_of(row: Mapping[str, Any]) -> str:
    name = row["model"]["name"].lower()
    return next((model for pattern, model in _MODELS if re.search(pattern, name)), "")


def _published_profile(row: Mapping[str, Any], slots: re.Match[str] | None) -> LaunchProfile:
    text = row["flags"]
    flags = ["-c", str(row["n_ctx"]), "-ub", str(row["n_ubatch"]), "-b", str(max(2048, row["n_ubatch"]))]
    flags += ["-ctk", row["cache_type_k"], "-ctv", row["cache_type_v"], "-fit", "off"]
    count = next(group for group in slots.groups() if group) if slots is not None else "1"
    flags += ["-np", count] + (["-kvu"] if "unified" in text else [])
    flags += ["-fa", "off" if re.search(r"(-fa|FA|flash-attn) off", text) else "on"]
    layers = re.search(r"-ngl (\d+)|(\d+)/\d+ layers", text)
    flags += ["-ngl", (layers[1] or layers[2]) if layers else "999"]
    for pattern, flag in (
        (r"-ts ([\d.,]+)", "-ts"),
        (r"--n-cpu-moe (\d+)", "--n-cpu-moe"),
        (r"--spec-type (\S+)", "--spec-type"),
        (r"--draft-max (\d+)", "--spec-draft-n-max"),
    ):
        match = re.search(pattern, text)
        flags += [flag, match[1]] if match else []
    flags += ["--cpu-moe"] if "--cpu-moe" in text else []
    return profile_of(flags)


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
    chosen = [residual for residual in residuals if (residual.device == "Host") == host]
    for term in dict.fromkeys(residual.term for residual in chosen):
        own = [residual for residual in chosen if residual.term == term]
        if own:
            worst = max(own, key=lambda residual: abs(residual.error))
            result.append(
                Summary(
                    term,
                    len(own),
                    statistics.median(abs(residual.error) for residual in own),
                    worst.error,
                    worst.row,
                    min(0.0, *(residual.error for residual in own)) if len(own) > 1 else min(0.0, own[0].error),
                )
            )
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
