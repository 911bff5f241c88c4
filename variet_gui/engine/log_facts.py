"""What llama-server's log lines say, as plain values: made by `engine.log_parser`, added up by `engine.load_report`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class BufferKind(Enum):
    """What a buffer is for."""

    WEIGHTS = "weights"
    CONTEXT = "context"
    """KV cache and recurrent state."""
    COMPUTE = "compute"
    OUTPUT = "output"
    """Logits, in host memory."""
    PROJECTOR = "projector"
    """The projector's compute buffer; its weights come as ProjectorWeights."""


class Phase(Enum):
    """The two halves of an answer."""

    PREFILL = "prefill"
    GENERATION = "generation"


@dataclass(frozen=True, slots=True)
class DevicesFound:
    """A GPU back end counted its devices."""

    count: int
    backend: str
    """As it names itself: "CUDA", "ROCm", "Vulkan"."""


@dataclass(frozen=True, slots=True)
class GpuUnavailable:
    """The build has no GPU back end, or no driver answered: the server goes on, on the CPU."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeviceListed:
    """One device that the build sees; whether it is used comes later."""

    name: str
    description: str
    total_mib: int
    free_mib: int


@dataclass(frozen=True, slots=True)
class DeviceUsed:
    """One device that the model may be placed on, in llama.cpp's order. The CPU is not among them."""

    name: str
    description: str
    pci_bus_id: str | None
    """"0000:01:00.0"; None where the device has none or an older build does not say."""
    free_mib: int


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One row of the memory breakdown: printed for the parameters as given before loading, and again at the end."""

    device: str
    description: str
    total_mib: int | None
    free_mib: int | None
    weights_mib: int
    context_mib: int
    compute_mib: int


@dataclass(frozen=True, slots=True)
class ModelLoading:
    """The server began with this model."""

    path: str


@dataclass(frozen=True, slots=True)
class LoadBegun:
    """A load begins; `real` is False for the trial run of --fit, whose buffers are never allocated."""

    real: bool


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How much of the model is loaded, 0..1. Only said to a router."""

    fraction: float


@dataclass(frozen=True, slots=True)
class LayersOffloaded:
    """Layers that were meant for GPUs. A build without any GPU says the same: it is no evidence of one."""

    count: int
    total: int


@dataclass(frozen=True, slots=True)
class BufferAllocated:
    """One buffer on one device."""

    device: str
    """llama.cpp's buffer name: "CUDA0", "CPU_Mapped", "RPC0[127.0.0.1:50052]"."""
    kind: BufferKind
    mib: float


@dataclass(frozen=True, slots=True)
class ContextBegun:
    """A context is being made; a draft model gets one of its own."""


@dataclass(frozen=True, slots=True)
class ReserveBegun:
    """The compute buffers of the newest context are being made, perhaps anew."""


@dataclass(frozen=True, slots=True)
class PipelineCopies:
    """How many copies of the graph's inputs are kept; 4 costs memory on every GPU and helps one user nothing."""

    count: int


@dataclass(frozen=True, slots=True)
class FlashAttention:
    """Whether flash attention is on, once that is decided."""

    on: bool


@dataclass(frozen=True, slots=True)
class PipelineDropped:
    """The compute buffers did not fit with pipeline parallelism, so it was turned off and tried again."""


@dataclass(frozen=True, slots=True)
class ContextShrunk:
    """--fit reduced the context to make the model fit, tokens."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ContextSize:
    """Tokens per slot, and how many slots."""

    tokens: int
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class ProjectorBegun:
    """The projector's file is being opened."""


@dataclass(frozen=True, slots=True)
class ProjectorMemory:
    """The most that the projector may need, weights and compute, as estimated before it is loaded."""

    mib: float


@dataclass(frozen=True, slots=True)
class ProjectorDevice:
    """Where the projector runs."""

    device: str


@dataclass(frozen=True, slots=True)
class ProjectorWeights:
    """Size of the projector's weights."""

    mib: float


@dataclass(frozen=True, slots=True)
class ProjectorLoaded:
    """The projector is up: the server takes pictures."""

    path: str


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """Weights, context and projector are in memory."""


@dataclass(frozen=True, slots=True)
class Listening:
    """It answers requests at `url`."""

    url: str


@dataclass(frozen=True, slots=True)
class SpeedSaid:
    """Progress of a request under way, every 3 s."""

    slot: int
    task: int
    phase: Phase
    tokens: int
    tokens_per_s: float
    fraction: float | None = None
    """Of the prompt, 0..1; None while generating."""


@dataclass(frozen=True, slots=True)
class PhaseTimed:
    """One half of a request that ended."""

    slot: int
    task: int
    phase: Phase
    tokens: int
    ms: float


@dataclass(frozen=True, slots=True)
class ImageEncodeBegun:
    """A picture goes into the projector; that it is through shows when its tokens go into the model."""

    at_ms: float | None = None
    """Since the server's start; None where lines have no time stamp."""


@dataclass(frozen=True, slots=True)
class ImageEncoded:
    """A picture, or a slice of one, went through the projector. Older builds only."""

    ms: float


@dataclass(frozen=True, slots=True)
class ImageDecodeBegun:
    """A picture, as so many tokens, goes through the model; large ones in several batches."""

    tokens: int
    batch: int
    """1 .. batches."""
    batches: int
    at_ms: float | None = None
    """Since the server's start; None where lines have no time stamp."""


@dataclass(frozen=True, slots=True)
class ImageDecoded:
    """A batch of a picture's tokens went through the model."""

    ms: float


@dataclass(frozen=True, slots=True)
class ConfigFileUsed:
    """A configuration file changed this launch behind the panel's back."""

    path: str


@dataclass(frozen=True, slots=True)
class WarningSaid:
    """A warning that means nothing more to this program."""

    text: str


@dataclass(frozen=True, slots=True)
class ErrorSaid:
    """An error that means nothing more to this program; `engine.diagnosis` looks closer."""

    text: str


Fact: TypeAlias = (
    DevicesFound
    | GpuUnavailable
    | DeviceListed
    | DeviceUsed
    | MemoryRow
    | ModelLoading
    | LoadBegun
    | LoadProgress
    | LayersOffloaded
    | BufferAllocated
    | ContextBegun
    | ReserveBegun
    | PipelineCopies
    | FlashAttention
    | PipelineDropped
    | ContextShrunk
    | ContextSize
    | ProjectorBegun
    | ProjectorMemory
    | ProjectorDevice
    | ProjectorWeights
    | ProjectorLoaded
    | ModelLoaded
    | Listening
    | SpeedSaid
    | PhaseTimed
    | ImageEncodeBegun
    | ImageEncoded
    | ImageDecodeBegun
    | ImageDecoded
    | ConfigFileUsed
    | WarningSaid
    | ErrorSaid
)
