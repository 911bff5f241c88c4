"""The model and its projector as files: there, whole, and made for each other. Nothing but headers is read."""

from __future__ import annotations

import os
from pathlib import Path

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.diagnosis_texts import NO_REASON
from variet_gui.engine.findings import Finding, finding
from variet_gui.gguf.header import GgufError, GgufHeader, GgufProblem, read_header
from variet_gui.gguf.projector import projector_width
from variet_gui.i18n import Message, msg


def read_files(profile: LaunchProfile, models_dir: Path) -> tuple[GgufHeader | None, GgufHeader | None, list[Finding]]:
    """Return the headers of the model and of the projector, None where there is none that can be used, and findings."""
    path = resolve_path(profile.get("model"), models_dir)
    if path is None:
        return None, None, [finding("no_model")]
    model, found = _read_model(path)
    named = resolve_path(profile.get("mmproj"), models_dir)
    if named is None:
        return model, None, found
    projector, problems = _read_projector(named, model)
    return model, projector, found + problems


def resolve_path(value: object, models_dir: Path) -> Path | None:
    """Return the file that a path parameter means: relative ones start at `models_dir`. None when it is not set."""
    if not isinstance(value, str) or not value.strip():
        return None
    # Not Path.expanduser: it raises for a user that does not exist.
    return models_dir / os.path.expanduser(value.strip())  # noqa: PTH111


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


def _read_projector(path: Path, model: GgufHeader | None) -> tuple[GgufHeader | None, list[Finding]]:
    try:
        projector = read_header(path)
    except GgufError as error:
        if error.problem is GgufProblem.UNREADABLE:
            return None, [finding("projector_missing", file=path, reason=_reason(error))]
        return None, [finding("projector_unusable", file=path, reason=error.message)]
    if not projector.is_projector:
        return None, [finding("projector_is_model", file=path)]
    if projector.missing_bytes:
        return None, [finding("projector_unusable", file=path, reason=_cut_short(projector))]
    width, wanted = projector_width(projector), model.embedding_length if model else None
    if width is not None and wanted is not None and width != wanted:
        return None, [finding("projector_mismatch", projector=width, model=wanted)]
    return projector, []


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
