"""The words and figures of a forecast, for bars, tier cards and screen readers."""

from __future__ import annotations

from dataclasses import dataclass

from variet_gui.forecast.fixes import Fix
from variet_gui.forecast.values import DeviceForecast, HostForecast, Verdict
from variet_gui.i18n import Message, msg, tr
from variet_gui.panel.outlook_values import DeviceOutlook, Outlook, Together
from variet_gui.ui.widgets import figures
from variet_gui.ui.widgets.memory_bar import BarValues, Part
from variet_gui.ui.widgets.verdict_line import WORDS

_SMALL_MIB = 100.0
"""Below this an amount is told in MiB."""


@dataclass(frozen=True, slots=True)
class PartKind:
    """One kind of memory, as every bar and the legend show it."""

    field: str
    """Of `DeviceForecast`, without "_mib"."""
    name: Message
    colour: str
    hatched: bool = False


PARTS = (
    PartKind("weights", msg("weights"), "gpu0"),
    PartKind("context", msg("KV cache"), "context"),
    PartKind("compute", msg("compute"), "compute"),
    PartKind("projector", msg("vision"), "good"),
    PartKind("overhead", msg("overhead"), "idle"),
    PartKind("other", msg("other programs"), "other", hatched=True),
)
"""In the order of the bar."""


def part_mib(device: DeviceForecast, kind: PartKind) -> float | None:
    """Return one part of a device, MiB; None: not known."""
    value: float | None = getattr(device, f"{kind.field}_mib")
    return value


def bar_values(device: DeviceOutlook) -> BarValues:
    """Return what the bar of `device` shows."""
    forecast = device.forecast
    # The driver tells what the whole card holds, and the forecast counts other programs too.
    measured = None if device.measured_mib is None else device.measured_mib + forecast.other_mib
    words = memory_words(forecast)
    if measured is not None:
        words = tr("{memory} (measured {measured})", memory=words, measured=figures.gibibytes(measured))
    parts = tuple(Part(kind.colour, mib, kind.hatched) for kind in PARTS if (mib := part_mib(forecast, kind)))
    name = str(device.label)
    verdict = forecast.verdict
    return BarValues(
        name=name,
        words=words,
        parts=parts,
        capacity_mib=forecast.capacity_mib,
        uncertainty_mib=forecast.uncertainty_mib,
        measured_mib=measured,
        complete=forecast.complete,
        verdict=verdict,
        spoken=lambda: tr(
            "{name}: {memory}, {verdict}. {parts}",
            name=name,
            memory=words,
            verdict=WORDS[verdict],
            parts=_parts(forecast),
        ),
        details=lambda: "\n".join([name, *device_lines(device)]),
    )


def memory_words(device: DeviceForecast) -> str:
    """Return "10.9 of 12.0 GiB", and "at least" where something is not known."""
    used = figures.gibibytes(device.known_mib)
    if device.capacity_mib is None:
        return tr("{used} GiB", used=used) if device.complete else tr("at least {used} GiB", used=used)
    capacity = figures.gibibytes(device.capacity_mib)
    if device.complete:
        return tr("{used} of {capacity} GiB", used=used, capacity=capacity)
    return tr("at least {used} of {capacity} GiB", used=used, capacity=capacity)


def device_lines(device: DeviceOutlook) -> list[str]:
    """Return every figure of a device to the megabyte, one a line."""
    forecast = device.forecast
    lines = []
    for kind in PARTS:
        mib = part_mib(forecast, kind)
        if mib is None:
            lines.append(tr("{part}: not known", part=kind.name))
        elif mib:
            lines.append(tr("{part}: {mib} MiB", part=kind.name, mib=figures.figure(mib)))
    lines.append(
        tr(
            "in all: {mib} MiB, give or take {uncertainty} MiB",
            mib=figures.figure(forecast.known_mib),
            uncertainty=figures.figure(forecast.uncertainty_mib),
        )
    )
    if forecast.capacity_mib is not None:
        lines.append(tr("usable: {mib} MiB", mib=figures.figure(forecast.capacity_mib)))
    if device.measured_mib is not None:
        lines.append(tr("measured of this tier: {mib} MiB", mib=figures.figure(device.measured_mib)))
    return lines


def _parts(device: DeviceForecast) -> str:
    known = [(kind, part_mib(device, kind)) for kind in PARTS]
    return ", ".join(
        tr("{part} not known", part=kind.name)
        if mib is None
        else tr("{part} {gib}", part=kind.name, gib=figures.gibibytes(mib))
        for kind, mib in known
        if mib is None or mib
    )


def host_words(host: HostForecast) -> str:
    """Return what the computer's own memory will hold, in one line."""
    parts = (host.weights_mib, host.context_mib, host.compute_mib, host.projector_mib)
    used = figures.gibibytes(sum(part or 0.0 for part in parts))
    later = host.prompt_cache_mib + host.checkpoints_mib
    text = (
        tr("Main memory: at least {used} GiB", used=used) if None in parts else tr("Main memory: {used} GiB", used=used)
    )
    if later >= _SMALL_MIB:
        text = tr("{memory}, caches up to {later} GiB", memory=text, later=figures.gibibytes(later))
    return text


def host_lines(host: HostForecast) -> list[str]:
    """Return every figure of the computer's own memory to the megabyte, one a line."""
    named = (
        (msg("weights, read from the file as needed"), host.weights_mib),
        (msg("KV cache"), host.context_mib),
        (msg("compute"), host.compute_mib),
        (msg("vision"), host.projector_mib),
        (msg("prompt cache, at most"), host.prompt_cache_mib),
        (msg("checkpoints, at most"), host.checkpoints_mib),
    )
    return [
        tr("{part}: not known", part=name)
        if mib is None
        else tr("{part}: {mib} MiB", part=name, mib=figures.figure(mib))
        for name, mib in named
        if mib is None or mib
    ]


def source_words(outlook: Outlook) -> str:
    """Return how far the figures may be off, and where the capacities come from."""
    if outlook.forecast is None:
        return str(outlook.source)
    margin = amount(outlook.forecast.uncertainty_mib)
    if outlook.simulated:  # which the card says beside it
        return tr("± {margin}", margin=margin)
    return tr("± {margin} · {source}", margin=margin, source=outlook.source)


def reasons(outlook: Outlook) -> list[str]:
    """Return why something is not known."""
    if outlook.problem is not None:
        return [str(outlook.problem)]
    told = [str(reason) for reason in (outlook.forecast.reasons if outlook.forecast is not None else ())]
    return told or [str(outlook.summary)]


def notes(outlook: Outlook) -> list[str]:
    """Return what to keep in mind of a forecast, and where its capacities come from."""
    if outlook.forecast is None:
        return []
    return [*map(str, outlook.forecast.notes), str(outlook.source)]


def card_words(outlook: Outlook, together: Together | None = None) -> str:
    """Return a tier's forecast in the fewest words: "fits 10.8 / 11.4", GiB on each device."""
    verdict = outlook.verdict
    if outlook.forecast is None or not outlook.devices:
        return tr("memory not known")
    held = " / ".join(figures.gibibytes(device.forecast.known_mib) for device in outlook.devices)
    if verdict is Verdict.UNKNOWN:
        return tr("at least {memory}", memory=held)
    if together is not None and together.fits is False and verdict in (Verdict.FITS, Verdict.TIGHT):
        return tr("fits alone {memory}", memory=held)
    return tr("{verdict} {memory}", verdict=WORDS[verdict], memory=held)


def card_details(outlook: Outlook, together: Together | None = None) -> str:
    """Return the same in full, one device a line."""
    lines = [str(outlook.summary)]
    if together is not None and together.text is not None:
        lines.append(str(together.text))
    lines += [
        tr("{name}: {memory}", name=device.label, memory=memory_words(device.forecast)) for device in outlook.devices
    ]
    if outlook.problem is not None:
        lines.append(str(outlook.problem))
    elif outlook.devices:
        lines.append(str(outlook.source))
    return "\n".join(lines)


def amount(mib: float) -> str:
    """Return an amount of memory with the unit that fits it."""
    if abs(mib) < _SMALL_MIB:
        return tr("{mib} MiB", mib=figures.figure(mib))
    return tr("{gib} GiB", gib=figures.gibibytes(mib))


def fix_gain(fix: Fix, outlook: Outlook) -> str:
    """Return what a fix buys: how much on which device, and what comes of it."""
    tightest = outlook.forecast.tightest if outlook.forecast is not None else None
    labels = {device.forecast.name: device.label for device in outlook.devices}
    parts = []
    if tightest is not None and round(abs(fix.saves_mib)):
        device = labels.get(tightest.name, tightest.name)
        parts.append(
            tr("{amount} less on {device}", amount=amount(fix.saves_mib), device=device)
            if fix.saves_mib > 0
            else tr("{amount} more on {device}", amount=amount(-fix.saves_mib), device=device)
        )
    if fix.verdict is Verdict.FITS and fix.spare_mib is not None:
        parts.append(tr("fits with {amount} to spare", amount=amount(fix.spare_mib)))
    elif fix.verdict is Verdict.TIGHT:
        parts.append(tr("tight then"))
    elif fix.verdict is Verdict.DOES_NOT_FIT:
        parts.append(tr("not enough alone"))
    return ", ".join(parts)
