"""The forecast: what a profile will take on every device and in host memory, before anything is started.

Pure arithmetic over the header, about a millisecond once a header is known. The parts have modules of their own:
`placement`, `overrides` and `plan`, `weights`, `cache`, `contexts` and `compute`, `projector`; `unknowns` says what
cannot be said, `values` holds what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.cache import layer_bytes, prediction_bytes
from variet_gui.forecast.calibration import UNCALIBRATED, Calibration
from variet_gui.forecast.contexts import ComputeBytes, Contexts
from variet_gui.forecast.era import Era, era_of
from variet_gui.forecast.host import host_forecast
from variet_gui.forecast.overrides import OverrideError
from variet_gui.forecast.plan import SMALLEST_OFFLOADED_BATCH, Plan, plan_of
from variet_gui.forecast.projector import ProjectorBytes, projector_bytes
from variet_gui.forecast.selection import chosen_devices
from variet_gui.forecast.settings import Settings, settings_of, sliding_cells
from variet_gui.forecast.shape import Attention, ModelShape, model_shape
from variet_gui.forecast.unknowns import CUDA, RPC, compute_unknown, flash_attention, kind_of, not_counted
from variet_gui.forecast.values import NO_HOST, Device, DeviceForecast, Forecast, HostForecast, Verdict
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg

__all__ = ["Device", "DeviceForecast", "Forecast", "HostForecast", "Verdict", "forecast"]

MIB = 2**20


def forecast(
    header: GgufHeader,
    profile: LaunchProfile,
    devices: Sequence[Device],
    *,
    projector: GgufHeader | None = None,
    build: int | None = None,
    calibration: Calibration = UNCALIBRATED,
    era: Era | None = None,
    dry_run: bool = False,
) -> Forecast:
    """Return what a start of `profile` will take.

    Args:
        header: of the model.
        profile: the parameters; the paths in it are not looked at.
        devices: all that llama-server would see, in its order. The profile may choose and reorder among them.
        projector: header of the projector that the profile names, or None without one.
        build: number of the llama-server build; None: unofficial, taken for the newest that is known here.
        calibration: what this machine's own starts have taught.
        era: the rules that hold, where they are known better than by the build's number.
        dry_run: count as llama-server's own first forecast counts, to compare with it: a real start takes a little
            less on all devices but the first, and the context of multi-token prediction beside.
    """
    model = model_shape(header)
    if model is None:
        return _nothing(build, msg("The model file does not say how many layers it has or how wide they are."))
    try:
        settings = settings_of(profile, model.trained_context)
    except OverrideError as error:
        return _nothing(build, error.message)
    chosen = chosen_devices(settings, devices)
    if isinstance(chosen, Message):
        return _nothing(build, chosen)
    forecaster = _Forecaster(
        model, settings, devices, chosen, build, era or era_of(build), calibration, dry_run=dry_run
    )
    return forecaster.forecast(projector)


def _nothing(build: int | None, reason: Message) -> Forecast:
    return Forecast((), NO_HOST, build, (reason,))


class _Forecaster:
    def __init__(
        self,
        model: ModelShape,
        settings: Settings,
        visible: Sequence[Device],
        devices: Sequence[Device],
        build: int | None,
        era: Era,
        calibration: Calibration,
        *,
        dry_run: bool,
    ) -> None:
        self._model, self._settings = model, settings
        self._visible, self._devices = visible, devices
        self._build, self._era = build, era
        self._calibration, self._dry_run = calibration, dry_run
        self._kinds = [kind_of(device) for device in devices]
        self._reasons: list[Message] = []
        self._notes: list[Message] = []

    def forecast(self, projector: GgufHeader | None) -> Forecast:
        settings, devices = self._settings, self._devices
        offload = (
            settings.op_offload and settings.batch_tokens >= SMALLEST_OFFLOADED_BATCH and self._kinds[:1] == [CUDA]
        )
        free = [(device.capacity_mib or 0.0) - device.used_mib for device in devices]
        plan = plan_of(self._model, settings, [device.name for device in devices], free, offload=offload)
        self._reasons += not_counted(settings, plan, devices)
        if settings.fits_itself:
            self._notes.append(
                msg("No layers and no split are set: llama-server may lower them by itself until the model fits.")
            )
        flash = flash_attention(self._model, settings, self._kinds, self._era)
        if isinstance(flash, Message):
            self._reasons.append(flash)
        compute = self._compute(plan, flash)
        context = self._context(plan)
        home, taken = self._place_projector(projector)
        results = tuple(
            self._device(index, plan, context, compute, taken if index == home else None)
            for index in range(len(devices))
        )
        if CUDA in self._kinds and not self._calibration.known:
            self._notes.append(
                msg("What CUDA itself takes was not measured on this machine yet; the first start will tell.")
            )
        host = host_forecast(
            self._model,
            settings,
            weights=plan.weights.host,
            context=context[1] if context is not None else None,
            compute=compute.host if compute is not None else None,
            projector=taken if home is None else None,
        )
        return Forecast(results, host, self._build, tuple(self._reasons), tuple(dict.fromkeys(self._notes)))

    def _compute(self, plan: Plan, flash: bool | Message) -> ComputeBytes | None:
        """Return the compute buffers; None where they are not known."""
        problem = compute_unknown(self._model, self._settings, plan, self._kinds, self._era)
        if problem is not None:
            self._reasons.append(problem)
        if problem is not None or isinstance(flash, Message) or self._settings.split_mode in ("row", "tensor"):
            return None
        contexts = Contexts(self._model, self._settings, plan, self._kinds, flash=flash, dry_run=self._dry_run)
        if self._era.certain:
            return contexts.measure(self._era, assume=True)
        both = [contexts.measure(self._era, assume=assume) for assume in (True, False)]
        self._notes.append(
            msg(
                "Build {build} is from a time when the rules changed; where two could hold, the one that needs more "
                "was taken.",
                build=self._build or 0,
            )
        )
        larger = tuple(max(pair) for pair in zip(*(result.devices for result in both), strict=True))
        return ComputeBytes(larger, max(result.host for result in both))

    def _context(self, plan: Plan) -> tuple[list[int], int] | None:
        """Return bytes per device and in host memory; None, with a reason, where the rule is not known."""
        model, settings = self._model, self._settings
        if not model.cache_known:
            self._reasons.append(
                msg("How the architecture {architecture} remembers is not known.", architecture=model.architecture)
            )
            return None
        per_device, host = [0] * len(self._devices), 0
        layers = list(layer_bytes(model, settings))
        if settings.predicts and model.prediction_layers and not self._dry_run:
            layers[model.trunk_layers] = prediction_bytes(model, settings)
        for size, where in zip(layers, plan.cache_place, strict=True):
            if where is None:
                host += size
            else:
                per_device[where] += size
        return per_device, host

    def _device(
        self,
        index: int,
        plan: Plan,
        context: tuple[list[int], int] | None,
        compute: ComputeBytes | None,
        projector: ProjectorBytes | None,
    ) -> DeviceForecast:
        device = self._devices[index]
        learned = self._calibration.device(device.name)
        buffer = compute.devices[index] / MIB if compute is not None else None
        overhead = 0.0 if self._kinds[index] == RPC else learned.overhead_mib
        projector_mib: float | None = 0.0
        if projector is not None:
            projector_mib = None if projector.encode is None else (projector.weights + projector.encode) / MIB
        return DeviceForecast(
            name=device.name,
            weights_mib=plan.weights.devices[index] / MIB,
            context_mib=context[0][index] / MIB if context is not None else None,
            compute_mib=buffer,
            projector_mib=projector_mib,
            overhead_mib=overhead + self._later_scratch(plan, index),
            other_mib=device.used_mib,
            capacity_mib=device.capacity_mib,
            uncertainty_mib=learned.uncertainty_mib(buffer or 0.0, measured=self._kinds[index] != RPC),
        )

    def _place_projector(self, header: GgufHeader | None) -> tuple[int | None, ProjectorBytes | None]:
        """Return which device holds the projector (None: host memory), and what it takes."""
        if header is None:
            return None, None
        settings = self._settings
        taken = projector_bytes(header, image_max_tokens=settings.image_max_tokens, micro_batch=settings.micro_batch)
        if taken.encode is None or taken.encode_largest is None:
            self._reasons.append(msg("How much memory this kind of projector needs to read a picture is not known."))
        elif taken.encode_largest > taken.encode:
            more = round((taken.encode_largest - taken.encode) / MIB)
            self._notes.append(msg("A picture of the largest size takes {mib} MiB more, once it comes.", mib=more))
        if not settings.projector_on_gpu or not self._visible:
            return None, taken
        # It takes the first GPU that llama-server sees, whatever the model uses, unless it is told another. Back ends
        # of this computer are registered before RPC workers, although layers are put on those first.
        own = [device for device in self._visible if not device.name.startswith(RPC)]
        wanted = settings.projector_device or (own or self._visible)[0].name
        for index, device in enumerate(self._devices):
            if device.name == wanted:
                return index, taken
        self._reasons.append(msg("The projector goes to {device}, which the model does not use.", device=wanted))
        return None, None

    def _later_scratch(self, plan: Plan, index: int) -> float:
        """Return what flash attention of older builds takes once the context is full, MiB."""
        model, settings = self._model, self._settings
        if self._era.reserved_scratch is not False or settings.flash_attention == "off":
            return 0.0
        sliding = sliding_cells(settings, model.window)
        widest = 0
        for layer, where in zip(model.layers, plan.placed.layer_device, strict=True):
            if where == index and layer.owns_cache:
                width = layer.key_width if settings.key_type != "f16" else 0
                width += layer.value_width if settings.value_type != "f16" else 0
                cells = sliding if layer.attention is Attention.SLIDING else settings.slot_cells
                widest = max(widest, 2 * width * cells * settings.streams)
        if widest:
            self._notes.append(
                msg("This build takes memory for its attention as the context fills: it may start and fail later.")
            )
        return widest / MIB
