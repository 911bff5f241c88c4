"""What the panel says of a tier before it is started: plain values, made by `panel.outlook`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from variet_gui.forecast.speed import SpeedEstimate
from variet_gui.forecast.values import DeviceForecast, Forecast, Verdict
from variet_gui.i18n import Message


class CheckError(Exception):
    """The exact check could not be made; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


@dataclass(frozen=True, slots=True)
class DeviceOutlook:
    """One device of an outlook."""

    forecast: DeviceForecast
    label: Message
    """"GPU 0", "RPC 1", "CPU": the number that the other pages show."""
    measured_mib: float | None
    """What our server of this tier holds there now, by NVML or else by its own lines; None when it does not run."""


@dataclass(frozen=True, slots=True)
class ExactDevice:
    """One device as llama-server itself counted it, beside our forecast counted the same way. MiB."""

    name: str
    label: Message
    weights_mib: float
    context_mib: float
    compute_mib: float
    forecast_mib: float | None
    """Weights, context and compute together by our own arithmetic; None where that does not know."""

    @property
    def total_mib(self) -> float:
        """Return the three together; CUDA's own share and the projector are not among them."""
        return self.weights_mib + self.context_mib + self.compute_mib

    @property
    def difference_mib(self) -> float | None:
        """Return by how much llama-server's figure lies above our forecast."""
        return None if self.forecast_mib is None else self.total_mib - self.forecast_mib


@dataclass(frozen=True, slots=True)
class ExactFigures:
    """What llama-server itself said that one set of values takes, without loading anything."""

    at: float
    """Unix time."""
    build: int | None
    devices: tuple[ExactDevice, ...]
    host: ExactDevice | None
    """The computer's own memory."""
    seconds: float
    """How long it took to ask."""
    agrees: bool
    """Whether our forecast says the same on every device, to what the figures were rounded."""
    summary: Message
    notes: tuple[Message, ...] = ()
    """What these figures leave out."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a tier will take, what is left, and where that comes from."""

    role: str
    forecast: Forecast | None
    problem: Message | None
    """Why there is no forecast, and what to do."""
    devices: tuple[DeviceOutlook, ...]
    """Those in use, in llama.cpp's order; the CPU alone when no device is."""
    simulated: bool
    source: Message
    """Where the capacities come from."""
    summary: Message
    """One line: "fits · 0.4 GiB to spare on GPU 1"."""
    exact: ExactFigures | None = None
    """The last exact check of exactly these values on exactly this engine."""
    speed: SpeedEstimate | None = None
    """How fast it will likely answer: an estimate, never a measured figure."""
    speed_reasons: tuple[Message, ...] = ()
    """Why there is no estimate of the speed."""

    @property
    def verdict(self) -> Verdict:
        """Return whether it fits; "unknown" while there is no forecast."""
        if self.forecast is None:
            return Verdict.UNKNOWN
        return worst_of(self.forecast, self.devices)


def worst_of(forecast: Forecast, devices: Sequence[DeviceOutlook]) -> Verdict:
    """Return the verdict of a forecast with the devices that an outlook adds."""
    verdicts = {device.forecast.verdict for device in devices} | {forecast.verdict}
    order = (Verdict.DOES_NOT_FIT, Verdict.UNKNOWN, Verdict.TIGHT, Verdict.FITS)
    return next(verdict for verdict in order if verdict in verdicts)


@dataclass(frozen=True, slots=True)
class Together:
    """A tier beside those that run."""

    role: str
    fits: bool | None
    """Whether it fits beside everything that runs; None: not known."""
    beside: tuple[str, ...] = ()
    """Running tiers that it fits beside."""
    stop_first: tuple[str, ...] = ()
    """The fewest running tiers that have to stop first."""
    text: Message | None = None
    """Why, in one sentence; None where nothing is in the way."""
