"""What one forecast is made from, as one value: equal ones give equal forecasts."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.importing import ShellTextError, import_command
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.build_era import build_bounds
from variet_gui.events import ParameterValue
from variet_gui.forecast.calibration import Calibration
from variet_gui.forecast.values import Forecast
from variet_gui.forecast.vram import forecast
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message
from variet_gui.panel.outlook_machine import Machine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Basis:
    """What one forecast is made from; equal ones give equal forecasts."""

    profile: LaunchProfile
    """With the extra arguments read, which llama-server takes last."""
    model: GgufHeader
    projector: GgufHeader | None
    machine: Machine
    build: int | None
    calibration: Calibration
    reason: Message | None = None
    """Why a part of it cannot be counted."""

    def forecast(self, machine: Machine | None = None, *, dry_run: bool = False) -> Forecast:
        """Return the forecast, about a millisecond; on another machine than this one where that is given."""
        result = forecast(
            self.model,
            self.profile,
            (machine or self.machine).devices,
            projector=self.projector,
            build=self.build,
            calibration=self.calibration,
            dry_run=dry_run,
        )
        return result if self.reason is None else replace(result, reasons=(*result.reasons, self.reason))


def build_of(capabilities: Capabilities | None) -> int | None:
    """Return the build that rules are chosen by; None: taken for the newest.

    A build without a number is the newest, unless its flags say that it is an older one.
    """
    oldest, newest = build_bounds(capabilities)
    del oldest
    return newest


def with_extra_arguments(profile: LaunchProfile) -> LaunchProfile:
    """Return the profile with those of its extra arguments that are parameters: they come last, and win."""
    if not profile.extra_arguments:
        return profile
    said = _said_in(profile.extra_arguments)
    return replace(profile, values=MappingProxyType({**profile.values, **said})) if said else profile


@functools.lru_cache(maxsize=64)
def _said_in(arguments: tuple[str, ...]) -> Mapping[str, ParameterValue]:
    try:
        return import_command(["llama-server", *arguments]).values
    except ShellTextError as error:
        log.info("extra arguments are not read: %s", error)
        return {}
