"""The JSON that `variet --json` prints, as pydantic models. Described for people in docs/operating.md."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JSON_SCHEMA = 1
"""Raised when a field changes its meaning or goes; new fields do not raise it."""


class _Shape(BaseModel):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_version: int = Field(JSON_SCHEMA, alias="schema")


class FitShape(BaseModel):
    """Whether a tier would fit, by its forecast alone; `variet forecast ROLE` says more."""

    verdict: Literal["fits", "tight", "does_not_fit", "unknown"]
    free_mib: float | None
    """On the device with the least left; negative where it does not fit."""
    device: str | None
    """That device, by llama.cpp's name."""
    summary: str
    """One line for people."""


class TierRow(BaseModel):
    """One tier of `variet tiers`."""

    role: str
    model_name: str
    quantisation: str | None
    state: str
    port: int
    url: str
    vision: bool
    """Whether a projector is set."""
    target_tps: float | None
    vram_limit_mib: int | None
    last_tps: float | None
    """From history; null when none is recorded."""
    last_measured: str | None
    has_fingerprint: bool
    """False: the figure is history and never a PASS."""
    not_recorded: list[str]
    """Essential parameters that the catalog does not tell."""
    fit: FitShape | None = None


class TiersShape(_Shape):
    """`variet tiers`."""

    catalog: str
    demo: bool
    tiers: list[TierRow]


class CommandShape(_Shape):
    """`variet command ROLE`."""

    role: str
    argv: list[str]
    env: dict[str, str]
    """Set on top of the inherited environment."""
    env_removed: list[str]
    env_inherited: dict[str, str]
    """CUDA_* and GGML_* variables that the server inherits and that can alter the launch."""
    notes: list[str]


class StartShape(_Shape):
    """`variet start ROLE`, printed once the tier is ready."""

    role: str
    state: str
    pid: int | None
    port: int | None
    url: str | None
    vision: bool | None
    context_size: int | None
    build: str | None
    load_seconds: float | None
    log: str | None


class StoppedShape(BaseModel):
    """One server that was ended."""

    role: str
    pid: int
    seconds: float
    """From the request to the closed port."""


class StopShape(_Shape):
    """`variet stop`: the servers that were ended; those that did not run are left out."""

    stopped: list[StoppedShape]


class KeyShape(_Shape):
    """`variet key`: where the key of a tier is, and the key itself when it was made just now."""

    role: str
    file: str
    key: str | None
    """None: there was one already, and it is not shown again."""
    open_to_the_network: bool
    """Whether the tier listens beyond this computer; else the key is not used."""


class TimingsShape(BaseModel):
    """What was measured of one answer."""

    generated_tokens: int
    generation_tps: float | None
    prompt_tokens: int
    prefill_tps: float | None
    cached_tokens: int
    time_to_first_token_ms: float | None
    image_tokens: int | None
    image_ms: float | None


class ChatShape(_Shape):
    """`variet chat ROLE PROMPT`."""

    role: str
    answer: str
    reasoning: str
    timings: TimingsShape


class FindingShape(BaseModel):
    """One line of `variet doctor`."""

    severity: Literal["ok", "info", "warning", "error"]
    code: str
    text: str
    fix: str | None = None


class DoctorShape(_Shape):
    """`variet doctor`."""

    version: str
    catalog: str
    data_dir: str
    findings: list[FindingShape]
    gpus: list[dict[str, Any]]


class ChangeShape(BaseModel):
    """One setting that an import changes; null: not set."""

    key: str
    before: Any
    after: Any


class ImportShape(_Shape):
    """`variet import-command LINE --as ROLE`."""

    role: str
    saved: bool
    """False: --dry-run."""
    parameters: dict[str, Any]
    """Every launch parameter of the tier from now on, by key."""
    extra_arguments: list[str]
    environment: dict[str, str]
    changes: list[ChangeShape]
    notes: list[str]
    """What was translated, left out or kept apart, and why."""
    argv: list[str]
    """The command that starts the tier with them."""


class ExportShape(_Shape):
    """`variet export ROLE --format FORMAT`."""

    roles: list[str]
    format: Literal["sh", "bat", "llama-swap", "preset"]
    text: str
    file: str | None
    """Where it was written (--output)."""
    notes: list[str]
    """What was left out, and why."""


class ErrorShape(_Shape):
    """What any command prints with --json when it failed."""

    error: str
    code: str
    detail: str | None = None
    evidence: list[str] = []
