"""What can be known to be wrong before a server is started: files, port. Milliseconds, and no GPU is touched.

llama-server itself notices a wrong projector only after it loaded the whole model, and on Windows does not notice a
port that is taken at all.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.engine.binary import EngineBinary, EngineNotFound
from variet_gui.engine.diagnosis import failure
from variet_gui.engine.diagnosis_texts import CAUSES, NO_REASON
from variet_gui.engine.findings import Finding, blocking_failure, finding
from variet_gui.engine.load_report import LoadReport
from variet_gui.engine.port_check import port_findings
from variet_gui.events import Failure, Severity
from variet_gui.gguf.header import GgufError, GgufHeader, GgufProblem, read_header
from variet_gui.gguf.projector import projector_width
from variet_gui.i18n import Message, msg

__all__ = ["NO_ENGINE", "Finding", "blocking_failure", "check", "compare_devices", "no_engine", "resolve_path"]

NO_ENGINE: Message = CAUSES["engine_not_found"].title

_DEVICE_NUMBER = re.compile(r"\D+(\d+)")


async def check(
    profile: LaunchProfile,
    tier: Tier,
    binary: EngineBinary,
    capabilities: Capabilities | None,
    models_dir: Path,
    panel_pids: Mapping[int, str] | None = None,
) -> tuple[Finding, ...]:
    """Return what is wrong with a start of `profile`, worst first; nothing means that it may be tried.

    Args:
        profile: what is to be started.
        tier: for its port.
        binary: the engine that would run it; its file may have gone since it was resolved.
        capabilities: what the engine can do; None: not known.
        models_dir: where relative model paths start.
        panel_pids: process id -> role of the servers that this panel runs, to name one that holds the port.
    """
    files, port = await asyncio.gather(
        asyncio.to_thread(_file_findings, profile, models_dir),
        port_findings(tier.port, panel_pids or {}),
    )
    found = [*_engine_findings(binary, capabilities), *files, *port]
    order = (Severity.ERROR, Severity.WARNING, Severity.INFO)
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def no_engine(error: EngineNotFound) -> Failure:
    """Return the failure for a tier that has no engine: the operator may name one, or take the CPU on purpose."""
    return failure("engine_not_found", {"reason": error.message})


def compare_devices(tier: Tier, report: LoadReport) -> Finding | None:
    """Return what is wrong with the GPUs that a loaded server really uses, or None when they are as the tier expects.

    A build without GPU support starts without complaint and even reports its layers as "offloaded to GPU"; only the
    devices that hold weights tell the truth.
    """
    if tier.expected_gpus is None:
        return None
    used = report.gpus_in_use
    names = ", ".join(used)
    if len(used) != tier.expected_gpus:
        if not used:
            return finding("gpus_none", expected=tier.expected_gpus)
        if len(used) < tier.expected_gpus:
            return finding("gpus_missing", expected=tier.expected_gpus, found=len(used), names=names)
        return finding("gpus_too_many", Severity.WARNING, expected=tier.expected_gpus, found=len(used), names=names)
    if tier.main_gpu_only is not None and tier.expected_gpus == 1:
        number = _DEVICE_NUMBER.fullmatch(used[0])
        if number is not None and int(number[1]) != tier.main_gpu_only:
            return finding("gpu_other", Severity.WARNING, expected=tier.main_gpu_only, names=names)
    return None


def resolve_path(value: object, models_dir: Path) -> Path | None:
    """Return the file that a path parameter means: relative ones start at `models_dir`. None when it is not set."""
    if not isinstance(value, str) or not value.strip():
        return None
    # Not Path.expanduser: it raises for a user that does not exist.
    return models_dir / os.path.expanduser(value.strip())  # noqa: PTH111


def _engine_findings(binary: EngineBinary, capabilities: Capabilities | None) -> list[Finding]:
    if binary.path is not None and not binary.path.is_file():
        gone = msg("{path} ({source}) does not exist.", path=binary.path, source=binary.source)
        return [finding("engine_not_found", reason=gone)]
    if capabilities is not None and capabilities.flags and not capabilities.knows("--port"):
        other = msg("{path} ({source}) is not a llama-server.", path=binary.path, source=binary.source)
        return [finding("engine_not_found", reason=other)]
    return []


def _file_findings(profile: LaunchProfile, models_dir: Path) -> list[Finding]:
    path = resolve_path(profile.get("model"), models_dir)
    if path is None:
        return [finding("no_model")]
    model, found = _read_model(path)
    projector = resolve_path(profile.get("mmproj"), models_dir)
    if projector is not None:
        found += _projector_findings(projector, model)
    return found


def _read_model(path: Path) -> tuple[GgufHeader | None, list[Finding]]:
    try:
        header = read_header(path)
    except GgufError as error:
        return None, [_model_problem(path, error)]
    if header.is_projector:
        return None, [finding("model_is_projector")]
    if header.missing_bytes:
        return header, [finding("model_damaged", reason=_cut_short(header))]
    return header, []


def _model_problem(path: Path, error: GgufError) -> Finding:
    match error.problem:
        case GgufProblem.UNREADABLE if error.path == path:
            return finding("model_missing", file=path, reason=_reason(error))
        case GgufProblem.NOT_GGUF:
            return finding("model_not_gguf", file=path)
        case GgufProblem.NOT_FIRST_SHARD | GgufProblem.MISSING_SHARD | GgufProblem.WRONG_SHARD:
            return finding("model_shards", reason=error.message)
        case _:
            return finding("model_damaged", reason=error.message)


def _projector_findings(path: Path, model: GgufHeader | None) -> list[Finding]:
    try:
        projector = read_header(path)
    except GgufError as error:
        if error.problem is GgufProblem.UNREADABLE:
            return [finding("projector_missing", file=path, reason=_reason(error))]
        return [finding("projector_unusable", file=path, reason=error.message)]
    if not projector.is_projector:
        return [finding("projector_is_model", file=path)]
    if projector.missing_bytes:
        return [finding("projector_unusable", file=path, reason=_cut_short(projector))]
    width, wanted = projector_width(projector), model.embedding_length if model else None
    if width is not None and wanted is not None and width != wanted:
        return [finding("projector_mismatch", projector=width, model=wanted)]
    return []


def _reason(error: GgufError) -> object:
    cause = error.__cause__
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else NO_REASON


def _cut_short(header: GgufHeader) -> Message:
    for shard in header.shards:
        if shard.missing_bytes:
            return msg(
                "{file} is cut short: {missing} of {whole} MiB are missing. Download it again.",
                file=shard.path.name,
                missing=_mib(shard.missing_bytes),
                whole=_mib(shard.data_end),
            )
    raise ValueError("no part of this model is cut short")


def _mib(size_bytes: int) -> str:
    # One byte short is short: never say that 0 MiB are missing.
    mib = size_bytes / 2**20
    return f"{mib:.0f}" if mib >= 10 else f"{max(mib, 0.01):.2f}"
