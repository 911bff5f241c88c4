"""The levers that free memory: what each would change in a profile, what it says and what it costs.

What they do is never assumed: `fixes` asks the forecast. Costs in words are those that were measured somewhere, and are
to be measured again on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from variet_gui.catalog.parameters import format_value, parameter
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.forecast.placement import split_for_layers
from variet_gui.forecast.settings import Settings
from variet_gui.forecast.shape import ModelShape
from variet_gui.forecast.values import Forecast, Verdict
from variet_gui.i18n import Message, msg

NEVER_MATCHING = "zzz=CPU"
"""An override that matches no tensor: with any override llama.cpp keeps one copy of every input instead of four."""
SMALLEST_CONTEXT = 4096
_CONTEXT_STEP = 1024
SMALLEST_MICRO_BATCH = 128
_MOST_MOVES = 24

Try = Callable[[LaunchProfile], Forecast]


@dataclass(frozen=True, slots=True)
class Change:
    """One lever, pulled."""

    lever: str
    """Which: "split", "context"; one lever is pulled once."""
    text: Message
    values: Mapping[str, ParameterValue | None]
    price: int
    """How much one gives up for it, compared with the others; the cheapest fix comes first."""
    cost: Message | None = None

    def applied(self, profile: LaunchProfile) -> LaunchProfile:
        """Return `profile` with the change."""
        for key, value in self.values.items():
            profile = profile.with_value(key, value)
        return profile


def simple_changes(
    profile: LaunchProfile, settings: Settings, forecast: Forecast, *, projector: bool
) -> Iterator[Change]:
    """Return the changes that need no search."""
    takes_overrides = not settings.overrides and profile.get("override_tensor") is None
    if len(forecast.devices) > 1 and takes_overrides and settings.split_mode == "layer":
        yield Change(
            "copies",
            msg("Pipeline copies off (an override that matches nothing)"),
            {"override_tensor": NEVER_MATCHING},
            2,
            msg("1 to 5 % slower where it was measured"),
        )
    for size in (settings.micro_batch // 2, settings.micro_batch // 4):
        if size >= SMALLEST_MICRO_BATCH:
            text = msg("Micro-batch {before} to {after}", before=settings.micro_batch, after=size)
            price = 3 if size == settings.micro_batch // 2 else 5
            yield Change("micro_batch", text, {"ubatch_size": size}, price, msg("long prompts are read more slowly"))
    if settings.slots > 1:
        text = msg("One slot instead of {count}", count=settings.slots)
        yield Change("slots", text, {"parallel": 1}, 3, msg("one conversation at a time"))
    yield from _cache_types(settings)
    if projector:
        yield from _projector(settings, forecast)


def _cache_types(settings: Settings) -> Iterator[Change]:
    before = settings.key_type
    costs = {
        "f16": (1, None),
        "q8_0": (4, msg("generation was slower where it was measured")),
        "q4_0": (7, msg("answers may get worse")),
    }
    for kind, (price, cost) in costs.items():
        if (settings.key_type, settings.value_type) != (kind, kind):
            values: dict[str, ParameterValue | None] = {"cache_type_k": kind, "cache_type_v": kind}
            if settings.flash_attention == "off" and kind != "f16":
                values["flash_attn"] = "auto"
            text = msg("KV cache {before} to {after}", before=before, after=kind)
            yield Change("cache_type", text, values, price, cost)


def _projector(settings: Settings, forecast: Forecast) -> Iterator[Change]:
    if not settings.projector_on_gpu:
        return
    holding = next((device.name for device in forecast.devices if device.projector_mib), None)
    for device in forecast.devices:
        if device.name != holding:
            text = msg("Projector to {device}", device=device.name)
            yield Change("projector", text, {"mmproj_device": device.name}, 2)
    slower = msg("pictures are read about 12 times more slowly")
    yield Change("projector", msg("Projector to the CPU"), {"mmproj_offload": False}, 8, slower)


def balanced_split(profile: LaunchProfile, model: ModelShape, attempt: Try) -> Change | None:
    """Return the split of whole layers that leaves most on the tightest device, found by moving one layer at a time."""
    start = attempt(profile)
    count = len(start.devices)
    layers_all = len(model.layers)
    if count < 2 or any(device.spare_mib is None for device in start.devices):
        return None
    counts = _even(layers_all + 1, count)
    best, best_spare = counts, _least(attempt(_with_split(profile, counts, layers_all)))
    for _ in range(_MOST_MOVES):
        forecast = attempt(_with_split(profile, counts, layers_all))
        spares = [device.spare_mib or 0.0 for device in forecast.devices]
        if min(spares) > best_spare:
            best, best_spare = counts, min(spares)
        poor, rich = spares.index(min(spares)), spares.index(max(spares))
        moved = list(counts)
        moved[poor] -= 1
        moved[rich] += 1
        if moved[poor] < 1 or (best is not counts and best_spare > min(spares)):
            break
        counts = tuple(moved)
    if best_spare <= _least(start):
        return None
    shown = " | ".join(str(part) for part in (*best[:-1], best[-1] - 1))
    values = {"tensor_split": split_for_layers(best[:-1], layers_all)}
    return Change("split", msg("Split {layers} layers", layers=shown), values, 1)


def shorter_context(profile: LaunchProfile, settings: Settings, attempt: Try, wanted: Verdict) -> Change | None:
    """Return the longest context that gets the verdict."""
    low, high = SMALLEST_CONTEXT // _CONTEXT_STEP, (settings.context - 1) // _CONTEXT_STEP
    found = _largest(low, high, lambda step: _at_least(attempt(_with_context(profile, step)), wanted))
    if found is None:
        return None
    row, tokens = parameter("ctx_size"), found * _CONTEXT_STEP
    text = msg(
        "Context {before} to {after}", before=format_value(row, settings.context), after=format_value(row, tokens)
    )
    price = 3 + round(16 * (1 - tokens / settings.context))
    return Change("context", text, {"ctx_size": tokens}, price)


def layers_on_cpu(profile: LaunchProfile, model: ModelShape, attempt: Try, wanted: Verdict) -> Change | None:
    """Return the fewest layers whose experts, or whose feed-forward weights, must stay on the CPU."""
    key = "n_cpu_moe" if model.experts else "n_cpu_ffn"
    if profile.get("cpu_moe") is True:
        return None
    before = profile.get(key)
    start = before if isinstance(before, int) else 0
    most = model.trunk_layers
    if start >= most:
        return None
    free = _largest(0, most - start - 1, lambda kept: _at_least(attempt(profile.with_value(key, most - kept)), wanted))
    if free is None:
        return None
    count = most - free
    text = (
        msg("Experts of the first {count} layers on the CPU", count=count)
        if model.experts
        else msg("Feed-forward weights of the first {count} layers on the CPU", count=count)
    )
    return Change("cpu", text, {key: count}, 10 + count // 4, msg("generation gets slower with every layer"))


def _largest(low: int, high: int, holds: Callable[[int], bool]) -> int | None:
    """Return the largest number for which `holds`, by halving; None when it does not hold for the smallest."""
    if low > high or not holds(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _at_least(forecast: Forecast, wanted: Verdict) -> bool:
    return forecast.verdict is Verdict.FITS or (wanted is Verdict.TIGHT and forecast.verdict is Verdict.TIGHT)


def _least(forecast: Forecast) -> float:
    return min((device.spare_mib or 0.0 for device in forecast.devices), default=0.0)


def _even(total: int, count: int) -> tuple[int, ...]:
    return tuple(total // count + (1 if index < total % count else 0) for index in range(count))


def _with_split(profile: LaunchProfile, counts: tuple[int, ...], layers_all: int) -> LaunchProfile:
    return profile.with_value("tensor_split", split_for_layers(counts[:-1], layers_all))


def _with_context(profile: LaunchProfile, step: int) -> LaunchProfile:
    return profile.with_value("ctx_size", step * _CONTEXT_STEP)
