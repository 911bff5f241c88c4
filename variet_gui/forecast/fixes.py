"""Fixes with a price: the smallest changes that make a profile fit, found by search over the forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeAlias

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.forecast.calibration import UNCALIBRATED, Calibration
from variet_gui.forecast.levers import Change, balanced_split, layers_on_cpu, shorter_context, simple_changes
from variet_gui.forecast.settings import settings_of
from variet_gui.forecast.shape import model_shape
from variet_gui.forecast.values import RESERVE_MIB, Device, Forecast, Verdict
from variet_gui.forecast.vram import forecast as ask
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg

MOST_FIXES = 6
_MOST_TOGETHER = 3
_Attempt: TypeAlias = Callable[[LaunchProfile], Forecast]
_ENOUGH = 4
"""Fixes that fit; then the search ends."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What to change, what it buys and what it costs."""

    changes: tuple[Change, ...]
    text: Message
    set_values: Mapping[str, ParameterValue | None] = field(default_factory=dict)
    """Launch parameters to set (None: unset)."""
    saves_mib: float = 0.0
    """On the device that is tightest now."""
    cost: Message | None = None
    """What is given up, in words; None: nothing that is known."""
    verdict: Verdict = Verdict.UNKNOWN
    """Of the profile with the fix."""
    spare_mib: float | None = None
    """On the device that is then the tightest."""

    @property
    def price(self) -> int:
        """Return what it costs compared with others."""
        return sum(change.price for change in self.changes)


def fixes_for(
    header: GgufHeader,
    profile: LaunchProfile,
    devices: Sequence[Device],
    *,
    projector: GgufHeader | None = None,
    build: int | None = None,
    calibration: Calibration = UNCALIBRATED,
) -> tuple[Fix, ...]:
    """Return fixes for a profile that does not fit or only just does, best first; none when it fits or is unknown.

    Those that fit come first, the cheapest first; behind them those that only help.
    """

    def attempt(trial: LaunchProfile) -> Forecast:
        return ask(header, trial, devices, projector=projector, build=build, calibration=calibration)

    return _Search(header, profile, attempt(profile), attempt, projector=projector is not None).fixes()


class _Search:
    def __init__(
        self, header: GgufHeader, profile: LaunchProfile, now: Forecast, attempt: _Attempt, *, projector: bool
    ) -> None:
        self._header, self._profile, self._now = header, profile, now
        self._attempt, self._projector = attempt, projector

    def fixes(self) -> tuple[Fix, ...]:
        model = model_shape(self._header)
        if (
            model is None
            or self._now.tightest is None
            or self._now.verdict not in (Verdict.DOES_NOT_FIT, Verdict.TIGHT)
        ):
            return ()
        settings = settings_of(self._profile, model.trained_context)
        simple = list(simple_changes(self._profile, settings, self._now, projector=self._projector))
        split = balanced_split(self._profile, model, self._attempt)
        singles = [self._fix((change,)) for change in (*simple, *([split] if split else []))]
        helping = [fix for fix in singles if fix.saves_mib > 0 and fix.changes[0].lever != "split"]
        good = [fix for fix in singles if fix.verdict is Verdict.FITS]
        good += self._together([fix.changes[0] for fix in helping])
        good += self._shorter(helping, split)
        moved = layers_on_cpu(self._profile, model, self._attempt, Verdict.FITS)
        good += [self._fix((moved,))] if moved is not None else []
        tight = [fix for fix in singles if fix.verdict is Verdict.TIGHT and fix.saves_mib > 0]
        rest = [fix for fix in singles if fix.verdict is not Verdict.FITS and fix.saves_mib > 0 and fix not in tight]
        best = _best(fix for fix in good if fix.verdict is Verdict.FITS)
        ordered = best + sorted(tight, key=_rank) + sorted(rest, key=lambda fix: -fix.saves_mib)
        return tuple(ordered[:MOST_FIXES])

    def _together(self, changes: Sequence[Change]) -> list[Fix]:
        """Return the cheapest combinations that fit, with the layers balanced anew for each."""
        groups = [
            group
            for count in range(1, _MOST_TOGETHER + 1)
            for group in combinations(changes, count)
            if len({change.lever for change in group}) == count
        ]
        found: list[Fix] = []
        for group in sorted(groups, key=lambda chosen: sum(change.price for change in chosen)):
            fix = self._fix(group)
            if fix.verdict is not Verdict.FITS:
                fix = self._balanced(group) or fix
            if fix.verdict is Verdict.FITS:
                found = _best([*found, fix])
            if len(found) >= _ENOUGH:
                break
        return found

    def _shorter(self, helping: Sequence[Fix], split: Change | None) -> list[Fix]:
        """Return the longest contexts that fit: alone, and beside what costs least."""
        model = model_shape(self._header)
        if model is None:
            return []
        copies = [fix.changes[0] for fix in helping if fix.changes[0].lever == "copies"]
        caches = [fix.changes[0] for fix in helping if fix.changes[0].lever == "cache_type"]
        groups: list[list[Change]] = [[], copies, [split] if split is not None else []]
        for group in ([*copies], *([*copies, cache] for cache in caches)):
            again = balanced_split(_applied(self._profile, group), model, self._attempt)
            groups.append(group if again is None else [*group, again])
        found = []
        for group in groups:
            profile = _applied(self._profile, group)
            settings = settings_of(profile, model.trained_context)
            change = shorter_context(profile, settings, self._attempt, Verdict.FITS)
            if change is not None:
                found.append(self._fix((*group, change)))
        return found

    def _balanced(self, group: Sequence[Change]) -> Fix | None:
        """Return the group with a new split; None where even the best split could not be enough."""
        model = model_shape(self._header)
        profile = _applied(self._profile, group)
        devices = self._attempt(profile).devices
        needed = sum(max(device.uncertainty_mib, RESERVE_MIB) for device in devices)
        if model is None or len(devices) < 2 or sum(device.spare_mib or 0.0 for device in devices) < needed:
            return None
        split = balanced_split(profile, model, self._attempt)
        return None if split is None else self._fix((*group, split))

    def _fix(self, changes: Sequence[Change]) -> Fix:
        profile = _applied(self._profile, changes)
        after, worst = self._attempt(profile), self._now.tightest
        before = worst.known_mib if worst is not None else 0.0
        name = worst.name if worst is not None else ""
        held = next((device.known_mib for device in after.devices if device.name == name), 0.0)
        values = {key: value for change in changes for key, value in change.values.items()}
        tightest = after.tightest
        return Fix(
            tuple(changes),
            _joined([change.text for change in changes]),
            values,
            before - held,
            _joined_costs(change.cost for change in changes),
            after.verdict,
            tightest.spare_mib if tightest is not None else None,
        )


def _rank(fix: Fix) -> tuple[int, int, float]:
    return fix.price, len(fix.changes), -fix.saves_mib


def _best(fixes: Iterable[Fix]) -> list[Fix]:
    """Return the cheapest first, and nothing that does more than another one needs."""
    kept: list[Fix] = []
    for fix in sorted(fixes, key=_rank):
        texts = {change.text.english for change in fix.changes}
        if not any({change.text.english for change in other.changes} <= texts for other in kept):
            kept.append(fix)
    return kept


def _applied(profile: LaunchProfile, changes: Iterable[Change]) -> LaunchProfile:
    for change in changes:
        profile = change.applied(profile)
    return profile


def _joined(texts: Sequence[Message]) -> Message:
    result = texts[0]
    for text in texts[1:]:
        result = msg("{first}; {then}", first=result, then=text)
    return result


def _joined_costs(costs: Iterable[Message | None]) -> Message | None:
    known = [cost for cost in costs if cost is not None]
    return _joined(known) if known else None
