"""The speed of a profile before it was ever measured: likely tokens per second of an answer, with a range.

What a token makes every device read (`traffic`), how fast that is read (`speed_rates`, `bandwidth`), and what this
machine's own measurements have taught (`speed_calibration`). An estimate is one and is never mixed with measured
figures. How fast a prompt is read is not estimated: that depends on what the card can compute, which no driver tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.contexts import Contexts
from variet_gui.forecast.era import era_of
from variet_gui.forecast.overrides import OverrideError
from variet_gui.forecast.plan import SMALLEST_OFFLOADED_BATCH, Plan, plan_of
from variet_gui.forecast.selection import chosen_devices
from variet_gui.forecast.settings import Settings, settings_of
from variet_gui.forecast.shape import ModelShape, model_shape
from variet_gui.forecast.speed_calibration import UNMEASURED, SpeedCalibration
from variet_gui.forecast.speed_rates import Parts, SpeedDevice, parts_of, works_on_host
from variet_gui.forecast.traffic import Traffic, names_other_devices, traffic
from variet_gui.forecast.unknowns import CUDA, flash_attention, kind_of
from variet_gui.forecast.values import Device
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg

__all__ = ["DEPTH_TOKENS", "DeviceTime", "SpeedAnswer", "SpeedDevice", "SpeedEstimate", "assess", "estimate"]

DEPTH_TOKENS = 4096
"""So much of the context is taken to be in use where nobody says otherwise: a conversation, not a whole book."""
FOUR_OF_FIVE = 1.2816
"""So many standard deviations to either side hold four of five cases."""
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """The part of one device in one token."""

    name: str
    """llama.cpp's name; "CPU" for the computer's own memory."""
    read_mib: float
    """Weights, caches and states that are read."""
    ms: float
    """Before anything was learned."""


@dataclass(frozen=True, slots=True)
class SpeedEstimate:
    """Tokens per second of an answer, one at a time. Four of five published figures lie within such ranges."""

    low_tps: float
    likely_tps: float
    high_tps: float
    basis: Message
    """What it was made of."""
    depth_tokens: int
    """So much of the context is in use."""
    measurements: int
    """How many of this machine's own went into it."""
    devices: tuple[DeviceTime, ...]


@dataclass(frozen=True, slots=True)
class SpeedAnswer:
    """An estimate, or why there is none."""

    estimate: SpeedEstimate | None
    reasons: tuple[Message, ...] = ()
    parts: Parts | None = None
    """What `speed_calibration.observation` wants, with `used`."""
    used: tuple[SpeedDevice, ...] = ()
    """The devices in use, in the order of use."""
    needs_host: bool = False
    """The CPU has work, so that the computer's own memory matters."""


def estimate(
    header: GgufHeader,
    profile: LaunchProfile,
    devices: Sequence[SpeedDevice],
    host_bandwidth_gib_s: float | None,
    *,
    depth_tokens: int = DEPTH_TOKENS,
    build: int | None = None,
    calibration: SpeedCalibration = UNMEASURED,
    model: str = "",
) -> SpeedEstimate | None:
    """Return the estimate of `assess`, or None where it has none."""
    return assess(
        header,
        profile,
        devices,
        host_bandwidth_gib_s,
        depth_tokens=depth_tokens,
        build=build,
        calibration=calibration,
        model=model,
    ).estimate


def assess(
    header: GgufHeader,
    profile: LaunchProfile,
    devices: Sequence[SpeedDevice],
    host_bandwidth_gib_s: float | None,
    *,
    depth_tokens: int = DEPTH_TOKENS,
    build: int | None = None,
    calibration: SpeedCalibration = UNMEASURED,
    model: str = "",
) -> SpeedAnswer:
    """Return how fast `profile` will likely answer, or why that cannot be said.

    Args:
        header: of the model.
        profile: the parameters; the paths in it are not looked at.
        devices: all that llama-server would see, in its order. The profile may choose and reorder among them.
        host_bandwidth_gib_s: what the computer's own memory gives, as measured; None: not known.
        depth_tokens: how much of the context is in use.
        build: number of the llama-server build; None: unofficial, taken for the newest that is known here.
        calibration: what was measured on this machine.
        model: the name under which this model stands there; empty: none.
    """
    shape = model_shape(header)
    if shape is None:
        return _none(msg("The model file does not say how many layers it has or how wide they are."))
    try:
        settings = settings_of(profile, shape.trained_context)
    except OverrideError as error:
        return _none(error.message)
    used = chosen_devices(settings, devices)
    if isinstance(used, Message):
        return _none(used)
    problem = _unknown(shape, settings, used, build)
    if problem is not None:
        return _none(problem)
    plan = _plan(shape, settings, used)
    needed = traffic(shape, settings, plan, len(used), depth_tokens)
    reasons = tuple(
        msg("The memory bandwidth of {device} is not known.", device=device.name)
        for device, work in zip(used, needed.devices, strict=True)
        if work.read and not device.bandwidth_gib_s
    )
    needs_host = works_on_host(needed)
    if needs_host and not host_bandwidth_gib_s:
        reasons += (msg("How fast this computer's own memory can be read is not known."),)
    if reasons:
        return SpeedAnswer(None, reasons, None, used, needs_host)
    kinds = [kind_of(Device(device.name)) for device in used]
    pipeline = Contexts(shape, settings, plan, kinds, flash=True, dry_run=False).pipeline
    parts = parts_of(needed, used, host_bandwidth_gib_s, pipeline=pipeline)
    found = _estimate(needed, parts, used, depth_tokens, calibration, model)
    return SpeedAnswer(found, (), parts, used, needs_host)


def _none(reason: Message) -> SpeedAnswer:
    return SpeedAnswer(None, (reason,))


def _unknown(
    model: ModelShape, settings: Settings, devices: Sequence[SpeedDevice], build: int | None
) -> Message | None:
    """Return why nothing can be said, or None."""
    if settings.split_mode in ("row", "tensor"):
        return msg("The speed of the split mode {mode} is not estimated.", mode=settings.split_mode)
    if settings.predicts or settings.draft_model:
        return msg("With guessed tokens the speed depends on how many guesses are right. It is not estimated.")
    if not model.cache_known:
        return msg("How the architecture {architecture} remembers is not known.", architecture=model.architecture)
    if names_other_devices(settings.overrides):
        return msg("With weights moved to other GPUs by name the speed is not estimated.")
    flash = flash_attention(model, settings, [kind_of(Device(device.name)) for device in devices], era_of(build))
    return flash if isinstance(flash, Message) else None


def _plan(model: ModelShape, settings: Settings, devices: Sequence[SpeedDevice]) -> Plan:
    """Return the plan that the memory forecast has, too, so that it is made once."""
    kinds = [kind_of(Device(device.name)) for device in devices]
    offload = settings.op_offload and settings.batch_tokens >= SMALLEST_OFFLOADED_BATCH and kinds[:1] == [CUDA]
    free = [device.free_mib for device in devices]
    return plan_of(model, settings, [device.name for device in devices], free, offload=offload)


def _estimate(
    needed: Traffic,
    parts: Parts,
    devices: Sequence[SpeedDevice],
    depth_tokens: int,
    calibration: SpeedCalibration,
    model: str,
) -> SpeedEstimate:
    taken = calibration.apply(parts, devices, model)
    measurements = calibration.bearing_on(parts, devices, model)
    times = [
        DeviceTime(device.name, work.read / _MIB, reading + starting)
        for device, work, reading, starting in zip(devices, needed.devices, parts.reading, parts.starting, strict=True)
    ]
    if works_on_host(needed):
        times.append(DeviceTime("CPU", needed.host.read / _MIB, parts.host))
    return SpeedEstimate(
        low_tps=taken.tps(-FOUR_OF_FIVE),
        likely_tps=taken.tps(0.0),
        high_tps=taken.tps(FOUR_OF_FIVE),
        basis=_basis(measurements, host=works_on_host(needed)),
        depth_tokens=depth_tokens,
        measurements=measurements,
        devices=tuple(times),
    )


def _basis(measurements: int, *, host: bool) -> Message:
    if measurements:
        return msg(
            "An estimate from what a token reads and how fast memory is, corrected by {count} of this computer's own "
            "measurements.",
            count=measurements,
        )
    if host:
        return msg(
            "An estimate from what a token reads and how fast memory is. The part of the processor is little more than "
            "a guess until something was measured on this computer."
        )
    return msg(
        "An estimate from what a token reads and how fast memory is, with constants from other cards: nothing was "
        "measured on this computer yet."
    )
