"""The forecast: what a profile will take on every device and in host memory, before anything is started.

Pure arithmetic over the header, about a millisecond once a header is known. The parts have modules of their own:
`placement`, `overrides`, `weights`, `cache`, `contexts` and `compute`, `projector`; `values` holds what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.cache import checkpoint_bytes, layer_bytes, prediction_bytes
from variet_gui.forecast.cache_types import is_quantised
from variet_gui.forecast.calibration import UNCALIBRATED, Calibration
from variet_gui.forecast.contexts import ComputeBytes, Contexts, flash_on_cuda
from variet_gui.forecast.era import Era, era_of
from variet_gui.forecast.overrides import OverrideError
from variet_gui.forecast.plan import SMALLEST_OFFLOADED_BATCH, Plan, plan_of
from variet_gui.forecast.projector import ProjectorBytes, projector_bytes
from variet_gui.forecast.settings import Settings, settings_of
from variet_gui.forecast.shape import ModelShape, model_shape
from variet_gui.forecast.values import Device, DeviceForecast, Forecast, HostForecast, Verdict
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg

__all__ = ["Device", "DeviceForecast", "Forecast", "HostForecast", "Verdict", "forecast"]

MIB = 2**20
_CUDA = ("CUDA", "ROCm")
_RPC = "RPC"


def forecast(
    header: GgufHeader,
    profile: LaunchProfile,
    devices: Sequence[Device],
    *,
    projector: GgufHeader | None = None,
    build: int | None = None,
    calibration: Calibration = UNCALIBRATED,
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
        dry_run: count as llama-server's own memory forecast counts, to compare with it. A real start takes a little
            less on all devices but the first.
    """
    return _Forecaster(header, profile, devices, projector, build, calibration, dry_run=dry_run).forecast()


class _Forecaster:
    def __init__(
        self,
        header: GgufHeader,
        profile: LaunchProfile,
        devices: Sequence[Device],
        projector: GgufHeader | None,
        build: int | None,
        calibration: Calibration,
        *,
        dry_run: bool,
    ) -> None:
        self._header, self._profile, self._all = header, profile, tuple(devices)
        self._projector, self._calibration, self._dry_run = projector, calibration, dry_run
        self._era: Era = era_of(build)
        self._reasons: list[Message] = []
        self._notes: list[Message] = []

    def forecast(self) -> Forecast:
        model = model_shape(self._header)
        if model is None:
            return self._nothing(msg("The model file does not say how many layers it has or how wide they are."))
        try:
            settings = settings_of(self._profile, model.trained_context)
        except OverrideError as error:
            return self._nothing(error.message)
        devices = self._chosen(settings)
        if devices is None:
            return self._nothing(*self._reasons)
        if settings.split_mode in ("row", "tensor"):
            self._reasons.append(
                msg(
                    "How much the split mode {mode} puts on each GPU is not known; newer builds refuse row for NVIDIA "
                    "cards.",
                    mode=settings.split_mode,
                )
            )
        kinds = ["CUDA" if device.name.startswith(_CUDA) else device.name.rstrip("0123456789") for device in devices]
        offload = (
            settings.op_offload
            and settings.batch_tokens >= SMALLEST_OFFLOADED_BATCH
            and bool(kinds)
            and kinds[0] == "CUDA"
        )
        free = [(device.capacity_mib or 0.0) - device.used_mib for device in devices]
        plan = plan_of(model, settings, [device.name for device in devices], free, offload=offload)
        self._say_what_is_not_counted(settings, plan, devices)
        flash = self._flash_attention(model, settings, kinds)
        compute = self._compute(model, settings, plan, kinds, flash)
        context = self._context(model, settings, plan, devices, flash)
        return self._assemble(model, settings, plan, devices, context, compute)

    def _nothing(self, *reasons: Message) -> Forecast:
        host = HostForecast(0.0, None, None, 0.0, 0.0, 0.0)
        return Forecast((), host, self._era.build, reasons)

    def _chosen(self, settings: Settings) -> tuple[Device, ...] | None:
        """Return the devices in use, in the order of use."""
        chosen = self._all
        if settings.devices is not None:
            known = {device.name: device for device in self._all}
            missing = [name for name in settings.devices if name not in known]
            if missing:
                self._reasons.append(msg("There is no device {device} here.", device=missing[0]))
                return None
            chosen = tuple(known[name] for name in settings.devices)
        if settings.split_mode == "none" and chosen:
            if settings.main_gpu >= len(chosen):
                self._reasons.append(
                    msg(
                        "The main GPU is number {number}, but there are {count}, counted from 0.",
                        number=settings.main_gpu,
                        count=len(chosen),
                    )
                )
                return None
            chosen = (chosen[settings.main_gpu],) if settings.main_gpu >= 0 else ()
        return chosen

    def _say_what_is_not_counted(self, settings: Settings, plan: Plan, devices: Sequence[Device]) -> None:
        if settings.draft_model:
            self._reasons.append(msg("The draft model is not counted."))
        if settings.adapters:
            self._reasons.append(msg("LoRA adapters are not counted."))
        for buffer in plan.weights.unknown_buffers:
            self._reasons.append(msg("An override sends weights to {buffer}, which is no device here.", buffer=buffer))
        for device in devices:
            if device.capacity_mib is None:
                self._reasons.append(msg("The memory of {device} is not known.", device=device.name))
        if settings.fits_itself:
            self._notes.append(
                msg("No layers and no split are set: llama-server may lower them by itself until the model fits.")
            )

    def _flash_attention(self, model: ModelShape, settings: Settings, kinds: Sequence[str]) -> bool | None:
        """Return whether attention is computed in one go; None, with a reason, where it leaves the GPU or fails."""
        wanted = settings.flash_attention
        possible = "CUDA" not in kinds or flash_on_cuda(model, settings, self._era)
        if wanted != "off" and possible:
            return True
        if is_quantised(settings.value_type) and (wanted == "off" or not possible):
            self._reasons.append(
                msg(
                    "Values of the type {type} need flash attention, which this build cannot use here on the GPU.",
                    type=settings.value_type,
                )
                if wanted != "off"
                else msg("Values of the type {type} need flash attention, which is off.", type=settings.value_type)
            )
            return None
        if wanted == "on":
            self._reasons.append(
                msg("This build computes the attention of this model and these cache types on the CPU.")
            )
            return None
        return False

    def _compute(
        self, model: ModelShape, settings: Settings, plan: Plan, kinds: Sequence[str], flash: bool | None
    ) -> ComputeBytes | None:
        """Return the compute buffers; None, with a reason, where they are not known."""
        problem: Message | None = None
        if not model.graph_known:
            problem = msg(
                "How much memory the architecture {architecture} needs to compute is not known.",
                architecture=model.architecture,
            )
        elif flash is None or settings.split_mode in ("row", "tensor"):
            return None
        elif any(kind not in ("CUDA", _RPC) for kind in kinds):
            problem = msg("The compute buffer is known for NVIDIA and AMD cards and RPC devices only.")
        elif plan.split_experts:
            problem = msg("With work on host weights left to the CPU the compute buffer is not known.")
        elif any(override.buffer != "CPU" for override in settings.overrides):
            problem = msg("With weights moved to other GPUs by name the compute buffer is not known.")
        elif settings.predicts and not (model.prediction_layers and model.recurrence is not None):
            problem = msg("The memory of multi-token prediction is known for Qwen 3.5 with its extra layer only.")
        if problem is not None:
            self._reasons.append(problem)
            return None
        contexts = Contexts(model, settings, plan, kinds, flash=bool(flash), dry_run=self._dry_run)
        if self._era.certain:
            return contexts.measure(self._era, assume=True)
        both = [contexts.measure(self._era, assume=assume) for assume in (True, False)]
        self._notes.append(
            msg(
                "Build {build} is from a time when the rules changed; where two could hold, the one that needs more "
                "was taken.",
                build=self._era.build or 0,
            )
        )
        larger = tuple(max(pair) for pair in zip(*(result.devices for result in both), strict=True))
        return ComputeBytes(larger, max(result.host for result in both))

    def _context(
        self, model: ModelShape, settings: Settings, plan: Plan, devices: Sequence[Device], flash: bool | None
    ) -> tuple[list[float], float] | None:
        """Return bytes per device and in host memory; None, with a reason, where the rule is not known."""
        if not model.cache_known:
            self._reasons.append(
                msg("How the architecture {architecture} remembers is not known.", architecture=model.architecture)
            )
            return None
        per_device, host = [0.0] * len(devices), 0.0
        layers = list(layer_bytes(model, settings, flash_attention=flash is not False))
        if settings.predicts and model.prediction_layers:
            layers[model.trunk_layers] = prediction_bytes(model, settings)
        for size, where in zip(layers, plan.cache_place, strict=True):
            if where is None:
                host += size
            else:
                per_device[where] += size
        return per_device, host

    def _assemble(
        self,
        model: ModelShape,
        settings: Settings,
        plan: Plan,
        devices: Sequence[Device],
        context: tuple[list[float], float] | None,
        compute: ComputeBytes | None,
    ) -> Forecast:
        home, projector = self._place_projector(settings, devices)
        results = []
        for index, device in enumerate(devices):
            buffer = compute.devices[index] / MIB if compute is not None else None
            learned = self._calibration.device(device.name)
            overhead = 0.0 if device.name.startswith(_RPC) else learned.overhead_mib
            if self._era.reserved_scratch is False and compute is not None:
                overhead += self._later_scratch(model, settings, plan, index)
            results.append(
                DeviceForecast(
                    name=device.name,
                    weights_mib=plan.weights.devices[index] / MIB,
                    context_mib=context[0][index] / MIB if context is not None else None,
                    compute_mib=buffer,
                    projector_mib=_projector_mib(projector) if index == home else 0.0,
                    overhead_mib=overhead,
                    other_mib=device.used_mib,
                    capacity_mib=device.capacity_mib,
                    uncertainty_mib=learned.uncertainty_mib(buffer or 0.0),
                )
            )
        if devices and not self._calibration.known and any(d.name.startswith(_CUDA) for d in devices):
            self._notes.append(
                msg("What CUDA itself takes was not measured on this machine yet; the first start will tell.")
            )
        host = HostForecast(
            weights_mib=plan.weights.host / MIB,
            context_mib=context[1] / MIB if context is not None else None,
            compute_mib=compute.host / MIB if compute is not None else None,
            projector_mib=(_projector_mib(projector) or 0.0) if home is None else 0.0,
            prompt_cache_mib=float(max(settings.prompt_cache_mib, 0)),
            checkpoints_mib=settings.slots * settings.checkpoints * checkpoint_bytes(model, settings) / MIB,
        )
        return Forecast(tuple(results), host, self._era.build, tuple(self._reasons), tuple(self._notes))

    def _place_projector(
        self, settings: Settings, devices: Sequence[Device]
    ) -> tuple[int | None, ProjectorBytes | None]:
        """Return which device holds the projector (None: host memory), and what it takes."""
        if self._projector is None:
            return None, None
        taken = projector_bytes(
            self._projector, image_max_tokens=settings.image_max_tokens, micro_batch=settings.micro_batch
        )
        if taken.encode is None:
            self._reasons.append(msg("How much memory this kind of projector needs to read a picture is not known."))
        elif taken.encode_largest is not None and taken.encode_largest > taken.encode:
            self._notes.append(
                msg(
                    "A picture of the largest size takes {mib} MiB more, once it comes.",
                    mib=round((taken.encode_largest - taken.encode) / MIB),
                )
            )
        if not settings.projector_on_gpu or not self._all:
            return None, taken
        # It takes the first GPU that llama-server sees, whatever the model uses, unless it is told another.
        wanted = settings.projector_device or self._all[0].name
        for index, device in enumerate(devices):
            if device.name == wanted:
                return index, taken
        self._reasons.append(msg("The projector goes to {device}, which the model does not use.", device=wanted))
        return None, taken

    def _later_scratch(self, model: ModelShape, settings: Settings, plan: Plan, index: int) -> float:
        """Return what flash attention of older builds takes when the context is full, MiB."""
        widths = [
            (layer.key_width if settings.key_type != "f16" else 0)
            + (layer.value_width if settings.value_type != "f16" else 0)
            for layer, where in zip(model.layers[: model.trunk_layers], plan.placed.layer_device, strict=False)
            if where == index and layer.owns_cache
        ]
        extra = 2 * settings.slot_cells * settings.streams * max(widths, default=0) / MIB
        if extra:
            note = msg("This build takes memory for its attention as the context fills: it may start and fail later.")
            if note not in self._notes:
                self._notes.append(note)
        return extra


def _projector_mib(taken: ProjectorBytes | None) -> float | None:
    if taken is None:
        return 0.0
    return None if taken.encode is None else (taken.weights + taken.encode) / MIB
