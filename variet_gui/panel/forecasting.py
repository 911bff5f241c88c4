"""`variet forecast`: the forecast and its fixes as the JSON that the terminal prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.forecast.calibration import UNCALIBRATED, Calibration
from variet_gui.forecast.fixes import Fix, fixes_for
from variet_gui.forecast.speed import SpeedEstimate
from variet_gui.forecast.values import Device, Forecast
from variet_gui.forecast.vram import forecast
from variet_gui.gguf.header import GgufHeader

JSON_SCHEMA = 1


class DeviceShape(BaseModel):
    """One device in use. MiB; null: not known, see `reasons`."""

    name: str
    capacity_mib: float | None
    weights_mib: float
    context_mib: float | None
    """KV cache, sliding window and recurrent state together."""
    compute_mib: float | None
    projector_mib: float | None
    overhead_mib: float
    other_mib: float
    total_mib: float | None
    free_mib: float | None
    """May be negative."""
    uncertainty_mib: float
    verdict: Literal["fits", "tight", "does_not_fit", "unknown"]


class HostShape(BaseModel):
    """The computer's own memory. MiB."""

    weights_mib: float
    context_mib: float | None
    compute_mib: float | None
    projector_mib: float
    prompt_cache_mib: float
    """At most."""
    checkpoints_mib: float
    """At most."""


class FixShape(BaseModel):
    """Something that would help."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    text: str
    values: dict[str, Any] = Field(alias="set")
    """Parameters to set, by key; null: unset."""
    saves_mib: float
    """On the device that is tightest now."""
    cost: str | None
    verdict: Literal["fits", "tight", "does_not_fit", "unknown"]
    free_mib: float | None
    """On the device that is then the tightest."""


class ExactDeviceShape(BaseModel):
    """One device as llama-server itself counted it, beside our forecast counted the same way. MiB."""

    name: str
    weights_mib: float
    context_mib: float
    compute_mib: float
    total_mib: float
    forecast_mib: float | None
    """The same three together by the forecast; null: not known."""
    difference_mib: float | None
    """By how much llama-server's figure is larger."""


class ExactShape(BaseModel):
    """`variet forecast --exact`: what llama-server itself said, without loading anything."""

    build: int | None
    devices: list[ExactDeviceShape]
    """GPUs and RPC devices; projector, and what CUDA takes for itself, are not in these figures."""
    host: ExactDeviceShape | None
    """The computer's own memory."""
    agrees: bool
    """Every difference is smaller than what the figures were rounded to."""
    seconds: float
    """How long it took to ask."""
    notes: list[str]
    """What these figures leave out."""


class SpeedDeviceShape(BaseModel):
    """The part of one device in one token, before anything was learned."""

    name: str
    """llama.cpp's name; "CPU" for the computer's own memory."""
    read_mib: float
    """Weights, caches and states that a token makes it read."""
    ms: float


class SpeedShape(BaseModel):
    """How fast an answer will likely be written: an estimate, never a measured figure. Tokens per second."""

    low_tps: float
    likely_tps: float
    high_tps: float
    basis: str
    """What the estimate was made of."""
    depth_tokens: int
    """So much of the context is taken to be in use."""
    measurements: int
    """How many of this computer's own measurements went into it."""
    devices: list[SpeedDeviceShape]


class ForecastShape(BaseModel):
    """`variet forecast`."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_version: int = Field(JSON_SCHEMA, alias="schema")
    verdict: Literal["fits", "tight", "does_not_fit", "unknown"]
    devices: list[DeviceShape]
    """Those in use, in llama.cpp's order and names."""
    host: HostShape
    fixes: list[FixShape]
    build: int | None
    reasons: list[str]
    """Why something is not known."""
    notes: list[str]
    role: str | None = None
    """The tier; null: a file was named instead."""
    summary: str | None = None
    """One line for people."""
    source: str | None = None
    """Where the capacities come from."""
    simulated: bool = False
    """The cards do not exist (--demo)."""
    exact: ExactShape | None = None
    """With --exact; else null."""
    speed: SpeedShape | None = None
    """Null: it cannot be estimated, see `speed_reasons`."""
    speed_reasons: list[str] = []


def forecast_for(
    header: GgufHeader,
    projector: GgufHeader | None,
    profile: LaunchProfile,
    capacities_mib: Sequence[float | None],
    used_mib: Sequence[float] = (),
    build: int | None = None,
    *,
    names: Sequence[str] = (),
    calibration: Calibration = UNCALIBRATED,
    with_fixes: bool = True,
) -> ForecastShape:
    """Return the forecast of `profile` with fixes.

    Args:
        header: of the model.
        projector: of the projector, or None.
        profile: the parameters.
        capacities_mib: usable memory of all devices that llama-server would see; None where not known.
        used_mib: what other programs hold on each; missing entries are 0.
        build: of llama-server.
        names: llama.cpp's names of the devices; CUDA0, CUDA1, … where there are none.
        calibration: what this machine has taught.
        with_fixes: look for fixes, which takes some tenths of a second where something does not fit.
    """
    devices = devices_of(capacities_mib, used_mib, names)
    result = forecast(header, profile, devices, projector=projector, build=build, calibration=calibration)
    fixes = (
        fixes_for(header, profile, devices, projector=projector, build=build, calibration=calibration)
        if with_fixes
        else ()
    )
    return shape_of(result, fixes)


def devices_of(
    capacities_mib: Sequence[float | None], used_mib: Sequence[float] = (), names: Sequence[str] = ()
) -> tuple[Device, ...]:
    """Return devices of these capacities."""
    used = [*used_mib, *[0.0] * len(capacities_mib)]
    return tuple(
        Device(names[index] if index < len(names) else f"CUDA{index}", capacity, used[index])
        for index, capacity in enumerate(capacities_mib)
    )


def shape_of(result: Forecast, fixes: Sequence[Fix] = ()) -> ForecastShape:
    """Return a forecast as JSON; texts in the current language."""
    return ForecastShape(
        verdict=result.verdict.value,
        devices=[
            DeviceShape(
                name=device.name,
                capacity_mib=_rounded(device.capacity_mib),
                weights_mib=round(device.weights_mib, 2),
                context_mib=_rounded(device.context_mib),
                compute_mib=_rounded(device.compute_mib),
                projector_mib=_rounded(device.projector_mib),
                overhead_mib=round(device.overhead_mib, 2),
                other_mib=round(device.other_mib, 2),
                total_mib=_rounded(device.total_mib),
                free_mib=_rounded(device.spare_mib),
                uncertainty_mib=round(device.uncertainty_mib, 2),
                verdict=device.verdict.value,
            )
            for device in result.devices
        ],
        host=HostShape(
            weights_mib=round(result.host.weights_mib, 2),
            context_mib=_rounded(result.host.context_mib),
            compute_mib=_rounded(result.host.compute_mib),
            projector_mib=round(result.host.projector_mib, 2),
            prompt_cache_mib=result.host.prompt_cache_mib,
            checkpoints_mib=round(result.host.checkpoints_mib, 2),
        ),
        fixes=[
            FixShape(
                text=str(fix.text),
                values=_plain(fix.set_values),
                saves_mib=round(fix.saves_mib, 2),
                cost=None if fix.cost is None else str(fix.cost),
                verdict=fix.verdict.value,
                free_mib=_rounded(fix.spare_mib),
            )
            for fix in fixes
        ],
        build=result.build,
        reasons=[str(reason) for reason in result.reasons],
        notes=[str(note) for note in result.notes],
    )


def speed_shape(speed: SpeedEstimate) -> SpeedShape:
    """Return an estimate as JSON; texts in the current language."""
    return SpeedShape(
        low_tps=round(speed.low_tps, 2),
        likely_tps=round(speed.likely_tps, 2),
        high_tps=round(speed.high_tps, 2),
        basis=str(speed.basis),
        depth_tokens=speed.depth_tokens,
        measurements=speed.measurements,
        devices=[
            SpeedDeviceShape(name=device.name, read_mib=round(device.read_mib, 2), ms=round(device.ms, 3))
            for device in speed.devices
        ],
    )


def _plain(values: Mapping[str, ParameterValue | None]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
