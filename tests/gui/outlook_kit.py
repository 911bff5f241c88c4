"""Outlooks without a computer behind them: the real forecast of real headers, on two 12 GB cards that do not exist."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.forecast_rows import DATA, unpack_headers
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.forecast.fixes import Fix, fixes_for
from variet_gui.forecast.values import Device, DeviceForecast, Forecast, HostForecast, Verdict
from variet_gui.forecast.vram import forecast
from variet_gui.gguf.header import GgufHeader, read_header
from variet_gui.i18n import Message, msg
from variet_gui.panel.outlook_machine import Sight
from variet_gui.panel.outlook_values import CheckError, DeviceOutlook, ExactDevice, ExactFigures, Outlook, Together
from variet_gui.panel.seen_devices import SeenDevice, seen_devices
from variet_gui.panel.tune import Tune

BUILD = 11434
USABLE_MIB = 11906.0
TWO_CARDS = (Device("CUDA0", USABLE_MIB), Device("CUDA1", USABLE_MIB))


def header(folder: Path, model: str = "qwen35b-Q4_K_M") -> GgufHeader:
    """Return the header of one of the five models, unpacked into `folder`."""
    return read_header(unpack_headers(DATA / "forecast_headers.tar.gz", folder) / f"{model}.gguf")


def device(
    index: int = 0,
    *,
    weights: float = 6700.0,
    context: float | None = 2400.0,
    compute: float | None = 1100.0,
    other: float = 0.0,
    capacity: float | None = USABLE_MIB,
    measured: float | None = None,
) -> DeviceOutlook:
    """Return one device of an outlook."""
    made = DeviceForecast(f"CUDA{index}", weights, context, compute, 0.0, 330.0, other, capacity, 64.0)
    return DeviceOutlook(made, msg("GPU {index}", index=index), measured)


def outlook_of(
    result: Forecast | None,
    role: str = "fast",
    *,
    devices: tuple[DeviceOutlook, ...] | None = None,
    problem: Message | None = None,
    simulated: bool = False,
    exact: ExactFigures | None = None,
) -> Outlook:
    """Return an outlook around a forecast."""
    found = result.devices if result is not None else ()
    made = tuple(DeviceOutlook(one, msg("GPU {index}", index=index), None) for index, one in enumerate(found))
    source = msg("memory of the cards as the driver tells it")
    return Outlook(role, result, problem, devices or made, simulated, source, summary(result), exact)


def plain_outlook(*devices: DeviceOutlook, notes: tuple[Message, ...] = (), **more: object) -> Outlook:
    """Return an outlook of these devices."""
    host = HostForecast(515.0, 0.0, 520.0, 0.0, 8192.0, 300.0)
    reasons = () if all(one.forecast.complete for one in devices) else (msg("Nobody knows the rest."),)
    result = Forecast(tuple(one.forecast for one in devices), host, BUILD, reasons, notes)
    return outlook_of(result, devices=devices, **more)  # type: ignore[arg-type]


def summary(result: Forecast | None) -> Message:
    """Return one line about a forecast."""
    tightest = result.tightest if result is not None else None
    if result is None or tightest is None or tightest.spare_mib is None:
        return msg("not known")
    words = {Verdict.FITS: "fits", Verdict.TIGHT: "tight", Verdict.DOES_NOT_FIT: "does not fit"}
    gpu, gib = tightest.name.removeprefix("CUDA"), f"{abs(tightest.spare_mib) / 1024:.1f}"
    if tightest.spare_mib < 0:
        return msg("{verdict} · {gib} GiB too much on GPU {gpu}", verdict="does not fit", gib=gib, gpu=gpu)
    verdict = words.get(result.verdict, "not known")
    return msg("{verdict} · {gib} GiB to spare on GPU {gpu}", verdict=verdict, gib=gib, gpu=gpu)


def exact_figures(total: float = 10000.0, *, agrees: bool = True) -> ExactFigures:
    """Return what llama-server may have said of one device."""
    one = ExactDevice("CUDA0", msg("GPU 0"), total - 3000.0, 2000.0, 1000.0, total if agrees else total - 90.0)
    same = msg("llama-server itself says the same.")
    said = same if agrees else msg("llama-server itself counts 90 MiB more on GPU 0 than the forecast.")
    return ExactFigures(0.0, BUILD, (one,), None, 0.9, agrees, said)


class KitOutlooks:
    """What the window reads of `panel.outlook`; headers are given by the test, by the name of the model file."""

    def __init__(self, tune: Tune) -> None:
        self._tune = tune
        self.headers: dict[str, GgufHeader] = {}
        self.devices = TWO_CARDS
        self.sight = Sight()
        """What is known of the computer; `FakeBridge.sample` adds what the sampler sees."""
        self.exact: ExactFigures | None = None
        self.refusal: Message | None = msg("There is no llama-server here.")
        self.beside: Together | None = None
        self.asked: list[tuple[str, ...]] = []

    def of(self, role: str, overrides: Mapping[str, ParameterValue | None] | None = None) -> Outlook:
        profile = self._profile(role, overrides)
        found = self.headers.get(str(profile.get("model")))
        if found is None:
            return outlook_of(None, role, problem=msg("The model file {name} is not there.", name=profile.get("model")))
        return outlook_of(forecast(found, profile, self.devices, build=BUILD), role, simulated=True)

    async def fixes(self, role: str) -> tuple[Fix, ...]:
        self.asked.append(("fixes", role))
        profile = self._profile(role, None)
        return fixes_for(self.headers[str(profile.get("model"))], profile, self.devices, build=BUILD)

    async def check(self, role: str) -> ExactFigures:
        self.asked.append(("check", role))
        if self.refusal is not None:
            raise CheckError(self.refusal)
        assert self.exact is not None
        return self.exact

    def cancel_check(self, role: str) -> None:
        self.asked.append(("cancel", role))

    def choosable(self, role: str) -> tuple[SeenDevice, ...] | None:
        return seen_devices(self.sight)

    def together(self, role: str) -> Together:
        return self.beside or Together(role, True)

    def _profile(self, role: str, overrides: Mapping[str, ParameterValue | None] | None) -> LaunchProfile:
        profile = self._tune.draft(role)
        for key, value in (overrides or {}).items():
            profile = profile.with_value(key, value)
        return profile
