"""What a forecast cannot say, and why: every case in which a figure would have to be invented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from variet_gui.forecast.cache_types import is_quantised
from variet_gui.forecast.contexts import flash_on_cuda
from variet_gui.forecast.era import Era
from variet_gui.forecast.overrides import CPU
from variet_gui.forecast.plan import Plan
from variet_gui.forecast.settings import Settings
from variet_gui.forecast.shape import ModelShape
from variet_gui.forecast.values import Device
from variet_gui.i18n import Message, msg

CUDA = "CUDA"
RPC = "RPC"
_CUDA_NAMES = ("CUDA", "ROCm")


def kind_of(device: Device) -> str:
    """Return what drives a device: "CUDA" (AMD's ROCm runs the same code), "RPC", "Vulkan"."""
    return CUDA if device.name.startswith(_CUDA_NAMES) else device.name.rstrip("0123456789")


def not_counted(settings: Settings, plan: Plan, devices: Sequence[Device]) -> Iterator[Message]:
    """Return what takes memory and is not in the sums."""
    if settings.split_mode in ("row", "tensor"):
        yield msg(
            "How much the split mode {mode} puts on each GPU is not known; newer builds refuse row for NVIDIA cards.",
            mode=settings.split_mode,
        )
    if settings.draft_model:
        yield msg("The draft model is not counted.")
    if settings.adapters:
        yield msg("LoRA adapters are not counted.")
    for buffer in plan.weights.unknown_buffers:
        yield msg("An override sends weights to {buffer}, which is no device here.", buffer=buffer)
    for device in devices:
        if device.capacity_mib is None:
            yield msg("The memory of {device} is not known.", device=device.name)


def flash_attention(model: ModelShape, settings: Settings, kinds: Sequence[str], era: Era) -> bool | Message:
    """Return whether attention is computed in one go, or why that leaves the GPU or fails."""
    wanted, kind = settings.flash_attention, settings.value_type
    possible = CUDA not in kinds or flash_on_cuda(model, settings, era)
    if wanted != "off" and possible:
        return True
    if is_quantised(kind):
        if wanted == "off":
            return msg("Values of the type {type} need flash attention, which is off.", type=kind)
        return msg("Values of the type {type} need flash attention, which this build cannot do on the GPU.", type=kind)
    if wanted == "on":
        return msg("This build computes the attention of this model and these cache types on the CPU.")
    return False


def compute_unknown(
    model: ModelShape, settings: Settings, plan: Plan, kinds: Sequence[str], era: Era
) -> Message | None:
    """Return why the compute buffers are not known, or None when they are."""
    if not model.graph_known:
        return msg(
            "How much memory the architecture {architecture} needs to compute is not known.",
            architecture=model.architecture,
        )
    if any(kind not in (CUDA, RPC) for kind in kinds):
        return msg("The compute buffer is known for NVIDIA and AMD cards and RPC devices only.")
    if plan.split_experts:
        return msg("With weights in host memory that the CPU works with the compute buffer is not known.")
    if any(override.buffer != CPU for override in settings.overrides):
        return msg("With weights moved to other GPUs by name the compute buffer is not known.")
    if not settings.cache_on_gpu and kinds and (settings.flash_attention == "off" or plan.weights.head_moved):
        return msg(
            "With the cache in host memory the compute buffer is known only with flash attention and with the output "
            "head on its device."
        )
    if settings.predicts and not (model.prediction_layers and model.recurrence is not None):
        return msg("The memory of multi-token prediction is known for Qwen 3.5 with its extra layer only.")
    if settings.predicts and era.mixed_inputs is not True:
        return msg("Older builds took more for multi-token prediction; how much is not known.")
    return None
