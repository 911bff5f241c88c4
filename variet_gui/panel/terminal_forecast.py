"""`variet forecast`: what is asked, of which cards, and the answer. Saved values with --set on top, never a draft."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.engine.binary import EngineNotFound, resolve
from variet_gui.engine.probe import ProbeError, probe
from variet_gui.forecast.values import NO_HOST, Forecast
from variet_gui.i18n import Message, msg
from variet_gui.panel.forecasting import ExactDeviceShape, ExactShape, ForecastShape, shape_of, speed_shape
from variet_gui.panel.outlook import ExactDevice, ExactFigures
from variet_gui.panel.outlook_machine import given
from variet_gui.panel.panel import Panel
from variet_gui.panel.terminal_input import UsageError, override_values, role_named

log = logging.getLogger(__name__)

_NO_TIER = ""
"""The role of a model that belongs to no tier."""
_MOST_CARDS = 16


class NoForecast(Exception):  # noqa: N818 - what is the case, as everywhere in this house
    """The model that was named cannot be forecast; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


async def forecast_shape(panel: Panel, options: argparse.Namespace) -> ForecastShape:
    """Return the forecast that a command line asks for.

    Raises:
        UsageError: it asks for something that cannot be.
        NoForecast: the file that it names cannot be read as a model.
        CheckError: llama-server could not be asked (`--exact`).
    """
    outlooks, survey = panel.outlook, panel.outlook.survey
    profile = await _profile(panel, options)
    if options.gpu is not None:
        survey.given = given(capacities(options.gpu))
    survey.build = options.build
    if options.build is not None and options.build < 1:
        raise UsageError(
            msg("--build wants the number of a build, such as 11434; {number} is none.", number=options.build)
        )
    await outlooks.look(profile)
    await outlooks.speeds.prepare(profile.role, profile)
    outlook = outlooks.of_profile(profile)
    if outlook.problem is not None:
        if options.model is not None:
            raise NoForecast(outlook.problem)
        shape = shape_of(Forecast((), NO_HOST, options.build, (outlook.problem,)))
    else:
        assert outlook.forecast is not None
        shape = shape_of(outlook.forecast, await outlooks.fixes_of(profile))
    exact = None
    if options.exact:
        exact = _exact(await outlooks.check_profile(profile))
    return shape.model_copy(
        update={
            "verdict": outlook.verdict.value,
            "role": profile.role or None,
            "summary": str(outlook.summary),
            "source": str(outlook.source),
            "simulated": outlook.simulated,
            "exact": exact,
            "speed": None if outlook.speed is None else speed_shape(outlook.speed),
            "speed_reasons": [str(reason) for reason in outlook.speed_reasons],
        }
    )


def capacities(text: str) -> tuple[float, ...]:
    """Return the capacities of `--gpu`, MiB.

    Raises:
        UsageError: one is no positive number, or there are too many.
    """
    found = []
    for part in text.split(","):
        try:
            mib = float(part)
        except ValueError:
            mib = 0.0
        if not 0 < mib < float("inf"):
            raise UsageError(
                msg(
                    "--gpu wants the MiB of each card with commas between, such as 12288,12288; {part} is none.",
                    part=part,
                )
            )
        found.append(mib)
    if len(found) > _MOST_CARDS:
        raise UsageError(msg("--gpu takes at most {most} cards.", most=_MOST_CARDS))
    return tuple(found)


async def _profile(panel: Panel, options: argparse.Namespace) -> LaunchProfile:
    """Return what is asked about, and find the engine that would run it."""
    if (options.role is None) == (options.model is None):
        raise UsageError(msg("Name a tier, or a model file with --model."))
    overrides = override_values(options.set)
    if options.role is not None:
        role = role_named(panel, options.role)
        await panel.run.find_engine(role)
        profile = panel.tune.draft(role)
    else:
        await _find_engine(panel)
        profile = LaunchProfile(_NO_TIER, {"model": _absolute(options.model)})
    if options.mmproj is not None:
        profile = profile.with_value("mmproj", _absolute(options.mmproj))
    for key, value in overrides.items():
        profile = profile.with_value(key, value)
    return profile


async def _find_engine(panel: Panel) -> None:
    """Find the engine of the catalog, for a model that belongs to no tier; a forecast can do without one."""
    catalog = panel.tune.catalog
    assert catalog is not None
    nobody = Tier(role="model", model_name="", port=catalog.tiers[0].port)
    try:
        binary = resolve(nobody, catalog, panel.environ)
        capabilities = await probe(binary, cache_dir=panel.paths.cache_dir)
    except (EngineNotFound, ProbeError) as error:
        log.info("the forecast is for the newest build: %s", error)
        return
    panel.outlook.survey.engine = binary
    panel.tune.note_engine(_NO_TIER, binary.program, capabilities)


def _absolute(path: Path) -> str:
    return str(path.expanduser().absolute())


def _exact(figures: ExactFigures) -> ExactShape:
    return ExactShape(
        build=figures.build,
        devices=[_exact_device(device) for device in figures.devices],
        host=None if figures.host is None else _exact_device(figures.host),
        agrees=figures.agrees,
        seconds=round(figures.seconds, 2),
        notes=[str(note) for note in figures.notes],
    )


def _exact_device(device: ExactDevice) -> ExactDeviceShape:
    difference = device.difference_mib
    return ExactDeviceShape(
        name=device.name,
        weights_mib=device.weights_mib,
        context_mib=device.context_mib,
        compute_mib=device.compute_mib,
        total_mib=device.total_mib,
        forecast_mib=None if device.forecast_mib is None else round(device.forecast_mib, 2),
        difference_mib=None if difference is None else round(difference, 2),
    )
