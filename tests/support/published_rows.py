"""Scoring loads that others published: fields of their own, flags in prose, devices' figures or sums of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.row_values import OCTOBER_2026, NotScored, Residual, build_of, header_of, profile_of
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.era import Era
from variet_gui.forecast.vram import Device, Forecast, forecast
from variet_gui.gguf.header import GgufHeader, GgufTensor

_ROOM_MIB = 10**6
_MODELS = (
    (r"gemma.?4.*26b", "gemma26-Q4_K_M"),
    (r"gemma.?4.*31b", "gemma31-Q4_K_M"),
    (r"qwen3\.[568x].*27b", "qwen27-Q4_K_M"),
    (r"qwen3\.[568x].*35b", "qwen35b-Q4_K_M"),
    (r"qwen3\.[568x].*122b", "qwen122-Q4_K_M"),
)
_UNREAD = re.compile(r"not shown|unread|not read|not captured|inferred|unknown|sweep", re.IGNORECASE)
_SLOTS = re.compile(r"(?:-np|np|--parallel) (\d+)|(\d+) (?:slots|seq)")
_CUDA = re.compile(
    r"CUDA|NVIDIA|GeForce|Tesla|Quadro|RTX|GTX|\b[AHLPTV]\d{1,4}\b|\b[345]0[5-9]0\b|\d+GB GPU", re.IGNORECASE
)
"""How NVIDIA cards are called; those of others have other names."""
_OTHER_SPLIT = re.compile(r"(?:-sm|split.mode)[ =]*(?:tensor|row)|tensor.parallel", re.IGNORECASE)
_CACHE_TYPES = frozenset({"f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"})
_JUNE = Era(True, True, False, False, False, False)
_ERAS = {
    "baseline 445b7cef6": replace(_JUNE, narrow_masks=False, few_outputs=False),
    "+ n_outputs cap (#23861)": replace(_JUNE, narrow_masks=False),
    "+ F16 mask (#23764) only": replace(_JUNE, few_outputs=False),
    "both": _JUNE,
}
"""Labels of one published series, which built the two changes one by one."""


def score_published(told: Mapping[str, Any], folder: Path) -> Iterator[Residual | NotScored]:
    """Return the residuals of a load that others published."""
    row = _complete(told)
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
    devices = [Device(f"CUDA{number}", _ROOM_MIB) for number in range(len(row["devices"]))]
    build, era = build_of(row["build"]), _ERAS.get(str(row["build"]))
    result = forecast(header, profile, devices, build=build or OCTOBER_2026, era=era)
    context = dict(row["kv_buffer_mib"])
    for key, value in row["rs_buffer_mib"].items():
        context[key] = context.get(key, 0.0) + value
    if slots is None:
        yield NotScored(row["id"], "context: how many slots is not known")
    elif header.number("ssm.state_size") and context and not row["rs_buffer_mib"]:
        yield NotScored(row["id"], "context: the recurrent state is not told")
    else:
        yield from _compare(row, name, "context", context, result)
    if profile.get("n_cpu_moe") or profile.get("override_tensor") or (profile.get("cpu_moe") and era is None):
        yield NotScored(row["id"], "compute: it holds experts, and the exact file is not known")
    else:
        term = "compute" if build is not None or era is not None else "compute, build assumed"
        yield from _compare(row, name, term, row["compute_buffer_mib"], result)
    yield NotScored(row["id"], "weights: the exact file is not known")


def _complete(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return `row` with every field that is read, empty where it tells nothing."""
    texts = {key: str(row.get(key) or "") for key in ("flags", "notes", "completeness", "granularity")}
    sizes = {
        key: {str(name): float(value) for name, value in (row.get(key) or {}).items() if isinstance(value, int | float)}
        for key in ("kv_buffer_mib", "rs_buffer_mib", "compute_buffer_mib")
    }
    model = row.get("model")
    named = {"name": str(model.get("name") or "")} if isinstance(model, Mapping) else {"name": str(model or "")}
    devices = row.get("devices")
    if isinstance(devices, int):
        devices = [f"CUDA{number}" for number in range(devices)]
    kept = {key: row.get(key) for key in ("id", "build", "fork", "n_ctx", "n_ubatch", "cache_type_k", "cache_type_v")}
    return {**kept, **texts, **sizes, "model": named, "devices": list(devices or [])}


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
    if row["fork"]:
        return f"a fork: {row['fork']}"
    if not row["flags"] or _UNREAD.search(row["flags"] + row["completeness"]):
        return "flags are not known"
    if not isinstance(row["n_ctx"], int) or not isinstance(row["n_ubatch"], int):
        return "flags are not known: context or micro-batch"
    if not row["devices"] or any(not _CUDA.search(str(device)) for device in row["devices"]):
        return "not a CUDA row, or the devices are not told"
    if _OTHER_SPLIT.search(row["flags"]):
        return "a split mode that the forecast does not know"
    if row["cache_type_k"] not in _CACHE_TYPES or row["cache_type_v"] not in _CACHE_TYPES:
        return "cache types are not known"
    if "bench" in row["flags"] or "OOM" in row["completeness"]:
        return "not a server, or it did not load"
    if "without fa_all_quants" in row["flags"].lower():
        return "its attention runs on the CPU, as the forecast says of this build"
    return None


def _model_of(row: Mapping[str, Any]) -> str:
    name = row["model"]["name"].lower()
    return next((model for pattern, model in _MODELS if re.search(pattern, name)), "")


def _published_profile(row: Mapping[str, Any], slots: re.Match[str] | None) -> LaunchProfile:
    """Return the profile that a row's prose tells of."""
    text = row["flags"]
    flags = ["-c", str(row["n_ctx"]), "-ub", str(row["n_ubatch"]), "-b", str(max(2048, row["n_ubatch"]))]
    flags += ["-ctk", row["cache_type_k"], "-ctv", row["cache_type_v"], "-fit", "off"]
    count = next(group for group in slots.groups() if group) if slots is not None else "1"
    flags += ["-np", count] + (["-kvu"] if "unified" in text else [])
    flags += ["-fa", "off" if re.search(r"(-fa|FA|flash-attn) off", text) else "on"]
    layers = re.search(r"-ngl (\d+)|(\d+)/\d+ layers", text)
    flags += ["-ngl", (layers[1] or layers[2]) if layers else "999"]
    for pattern, flag in (
        (r"(?:-ts|--tensor-split) ([\d.,/]+)", "-ts"),
        (r"(?:-ot|--override-tensor) (\S+)", "-ot"),
        (r"(?:-sm|--split-mode) (none|layer)", "-sm"),
        (r"(?:-mg|--main-gpu) (\d+)", "-mg"),
        (r"(?:-dev|--device) (\S+)", "-dev"),
        (r"--n-cpu-moe (\d+)", "--n-cpu-moe"),
        (r"--spec-type (\S+)", "--spec-type"),
        (r"--draft-max (\d+)", "--spec-draft-n-max"),
    ):
        match = re.search(pattern, text)
        flags += [flag, match[1]] if match else []
    for words, flag in (("--cpu-moe", "--cpu-moe"), ("--swa-full", "--swa-full"), ("-nkvo|--no-kv-offload", "-nkvo")):
        flags += [flag] if re.search(words, text) else []
    return profile_of(flags)
