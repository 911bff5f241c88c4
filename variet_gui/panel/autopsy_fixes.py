"""Next steps after a failure: what would help this tier, from its own settings and from the forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from variet_gui.catalog.parameters import check, format_value, parameter
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.failure_lines import device_text
from variet_gui.events import Failure, Fix, ParameterValue
from variet_gui.forecast import fixes as forecasts
from variet_gui.forecast.values import Forecast, Verdict
from variet_gui.i18n import Message, msg
from variet_gui.panel.autopsy_flags import without_flag
from variet_gui.panel.outlook_text import amount

OUT_OF_MEMORY = "out_of_gpu_memory"
"""Codes that begin so are about the memory of a GPU."""
MOST = 6
_MOST_FORECAST = 4
_SMALLEST_CONTEXT, _SMALLEST_MICRO_BATCH, _SMALLEST_PICTURE = 4096, 128, 140
_MICRO_BATCH, _PICTURE = 512, 1120
"""What llama-server takes where nothing is set: tokens of a micro-batch, and of a picture at most (Gemma 4)."""
_FLAGS = frozenset({"flag_unknown", "flag_removed", "flag_not_honoured", "value_refused", "file_missing"})

Ask = Callable[[LaunchProfile], Forecast | None]
"""Returns the forecast of a profile; None where there is none."""


def fixes_for(
    failure: Failure, profile: LaunchProfile, found: Sequence[forecasts.Fix] = (), *, ask: Ask | None = None
) -> tuple[Fix, ...]:
    """Return the next steps of a failure, best first.

    Args:
        failure: what happened.
        profile: what was started.
        found: what the forecast's own search found for this profile, best first.
        ask: to price changes that the search did not make.
    """
    steps: list[Fix] = []
    if failure.code in _FLAGS:
        steps += without_flag(str(failure.named.get("flag", "")), profile, failure.code)
    elif failure.code == "device_unknown":
        steps.append(Fix(msg("Use all devices that there are"), {"device": None, "mmproj_device": None}))
    elif failure.code.startswith(OUT_OF_MEMORY) or failure.code == "gpu_error_unsaid":
        steps += [_of_forecast(fix) for fix in found[:_MOST_FORECAST]]
        if not any(fix.verdict is Verdict.FITS for fix in found):
            steps += [_priced(fix, failure.device, profile, ask) for fix in _for_memory(failure, profile)]
    elif failure.code in ("out_of_host_memory", "killed_for_memory"):
        steps += _smaller_context(profile)
    asked = [fix for fix in failure.fixes if fix.action is None]
    actions = [fix for fix in failure.fixes if fix.action is not None]
    useful = _different([*steps, *(fix for fix in asked if _changes(profile, fix))], profile)
    return (*useful[: MOST - min(len(actions), 2)], *actions)


def applied(profile: LaunchProfile, fix: Fix) -> LaunchProfile:
    """Return `profile` with what `fix` changes.

    Raises:
        ParameterError: a value is not allowed.
        KeyError: there is no such parameter.
    """
    for key, value in fix.set_values.items():
        profile = profile.with_value(key, None if value is None else check(parameter(key), value))
    if fix.extra_arguments is not None:
        profile = replace(profile, extra_arguments=fix.extra_arguments)
    return profile


# -------------------------------------------------------------------------------------------------------------- memory


def _for_memory(failure: Failure, profile: LaunchProfile) -> Iterator[Fix]:
    """Yield changes that free memory of a GPU whatever the forecast says, those first that fit what had no room."""
    part = failure.part
    if part == "draft":
        yield Fix(msg("Start without a draft model"), {"spec_draft_model": None, "spec_type": None})
    picture = part in ("picture", "projector")
    if picture:
        yield from _smaller_picture(profile)
        yield from _projector_elsewhere(failure.device, profile)
    if part in ("compute", "warm_up") or failure.code != OUT_OF_MEMORY:
        yield from _smaller_micro_batch(profile)
    yield from _smaller_context(profile)
    yield from _smaller_cache(profile)
    if not picture:
        yield from _projector_elsewhere(failure.device, profile)
        yield from _smaller_micro_batch(profile)
    yield from _fewer_layers(profile)


def _smaller_context(profile: LaunchProfile) -> Iterator[Fix]:
    tokens = profile.get("ctx_size")
    if isinstance(tokens, int) and tokens // 2 >= _SMALLEST_CONTEXT:
        row = parameter("ctx_size")
        before, after = format_value(row, tokens), format_value(row, tokens // 2)
        yield Fix(msg("Context {before} to {after}", before=before, after=after), {"ctx_size": tokens // 2})
    slots = profile.get("parallel")
    if isinstance(slots, int) and slots > 1:
        yield Fix(msg("One slot instead of {count}", count=slots), {"parallel": 1})


def _smaller_micro_batch(profile: LaunchProfile) -> Iterator[Fix]:
    now = profile.get("ubatch_size")
    size = now if isinstance(now, int) else _MICRO_BATCH
    if size // 2 >= _SMALLEST_MICRO_BATCH:
        text = msg("Micro-batch {before} to {after}", before=size, after=size // 2)
        yield Fix(text, {"ubatch_size": size // 2})


def _smaller_cache(profile: LaunchProfile) -> Iterator[Fix]:
    kind = profile.get("cache_type_k") or "f16"
    if kind in ("f16", "bf16", "f32"):
        values: dict[str, ParameterValue | None] = {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
        if profile.get("flash_attn") == "off":
            values["flash_attn"] = "auto"
        yield Fix(msg("KV cache {before} to {after}", before=kind, after="q8_0"), values)


def _smaller_picture(profile: LaunchProfile) -> Iterator[Fix]:
    now = profile.get("image_max_tokens")
    tokens = (now if isinstance(now, int) else _PICTURE) // 2
    if tokens >= _SMALLEST_PICTURE:
        yield Fix(msg("Pictures of at most {tokens} tokens", tokens=tokens), {"image_max_tokens": tokens})


def _projector_elsewhere(device: str | None, profile: LaunchProfile) -> Iterator[Fix]:
    if profile.get("mmproj") is None or profile.get("mmproj_offload") is False:
        return
    other = {"CUDA0": "CUDA1", "CUDA1": "CUDA0"}.get(device or "")
    split = profile.get("tensor_split")
    if other is not None and (other == "CUDA0" or (isinstance(split, tuple) and len(split) > 1)):
        yield Fix(msg("Projector to {device}", device=device_text(other)), {"mmproj_device": other})
    yield Fix(
        msg("Projector to the CPU"),
        {"mmproj_offload": False, "mmproj_device": None},
        gain=msg("costs: {cost}", cost=msg("pictures are read about 12 times more slowly")),
    )


def _fewer_layers(profile: LaunchProfile) -> Iterator[Fix]:
    layers = profile.get("n_gpu_layers")
    if layers is not None or profile.get("tensor_split") is not None:
        # Any of the two keeps --fit from placing layers, which is what finds room where there is some.
        yield Fix(msg("Let llama-server place the layers"), {"n_gpu_layers": None, "tensor_split": None, "fit": "on"})


# -------------------------------------------------------------------------------------------------------------- prices


def _of_forecast(fix: forecasts.Fix) -> Fix:
    parts: list[Message] = []
    if round(fix.saves_mib) > 0:
        parts.append(msg("{amount} less on the tightest device", amount=amount(fix.saves_mib)))
    if fix.verdict is Verdict.FITS and fix.spare_mib is not None:
        parts.append(msg("fits with {amount} to spare", amount=amount(fix.spare_mib)))
    elif fix.verdict is Verdict.TIGHT:
        parts.append(msg("tight then"))
    elif fix.verdict is Verdict.DOES_NOT_FIT:
        parts.append(msg("not enough alone"))
    if fix.cost is not None:
        parts.append(msg("costs: {cost}", cost=fix.cost))
    return Fix(fix.text, fix.set_values, gain=_joined(parts))


def _priced(fix: Fix, device: str | None, profile: LaunchProfile, ask: Ask | None) -> Fix:
    """Return `fix` with what it saves on the device that had no room, where the forecast knows."""
    if ask is None or device is None:
        return fix
    before, after = _on(ask(profile), device), _on(ask(applied(profile, fix)), device)
    if before is None or after is None or round(before - after) == 0:
        return fix
    saved = before - after
    text = (
        msg("{amount} less on {device}", amount=amount(saved), device=device_text(device))
        if saved > 0
        else msg("{amount} more on {device}", amount=amount(-saved), device=device_text(device))
    )
    return replace(fix, gain=_joined([text, *([fix.gain] if fix.gain is not None else [])]))


def _on(forecast: Forecast | None, device: str) -> float | None:
    found = [one.total_mib for one in forecast.devices if one.name == device] if forecast is not None else []
    return found[0] if found else None


def _joined(parts: Sequence[Message]) -> Message | None:
    if not parts:
        return None
    joined = parts[0]
    for part in parts[1:]:
        joined = msg("{first}, {then}", first=joined, then=part)
    return joined


# -------------------------------------------------------------------------------------------------------- which of them


def _changes(profile: LaunchProfile, fix: Fix) -> bool:
    if fix.extra_arguments is not None and fix.extra_arguments != profile.extra_arguments:
        return True
    return any(profile.get(key) != value for key, value in fix.set_values.items())


def _different(fixes: Iterable[Fix], profile: LaunchProfile) -> list[Fix]:
    """Return those that change something, each change once."""
    found: list[Fix] = []
    for fix in fixes:
        same = any(
            dict(other.set_values) == dict(fix.set_values) and other.extra_arguments == fix.extra_arguments
            for other in found
        )
        if not same and _changes(profile, fix):
            found.append(fix)
    return found
