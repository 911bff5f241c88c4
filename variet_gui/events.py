"""What can happen: frozen events and their value types, one stream for window, terminal and tests.

Producers publish and do not know who listens. Everything here is a plain value: no service, no widget.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from variet_gui.i18n import Message

log = logging.getLogger(__name__)

ParameterValue: TypeAlias = bool | int | float | str | tuple[float, ...]
"""The value of one launch parameter, as it stands in a profile. Lists (tensor_split) are tuples of numbers."""


class ServerState(Enum):
    """Where one server is in its life. Changed in one place (`engine.server.Server`), announced once."""

    STOPPED = "stopped"
    """No process."""
    PREFLIGHT = "preflight"
    """Files, port and devices are being checked; nothing runs yet."""
    STARTING = "starting"
    """The process was spawned and has not said anything useful yet."""
    LOADING = "loading"
    """The model is being loaded; `ServerStatus.progress` says how far where that is known."""
    READY = "ready"
    """It answers requests and has none."""
    BUSY = "busy"
    """It is working on a request."""
    STOPPING = "stopping"
    """It was told to end; its memory is not back yet."""
    FAILED = "failed"
    """It died, or never came up; `ServerStatus.failure` says why."""

    @property
    def is_up(self) -> bool:
        """Whether requests can be sent."""
        return self in (ServerState.READY, ServerState.BUSY)

    @property
    def is_active(self) -> bool:
        """Whether there is, or is about to be, a process that holds memory."""
        return self not in (ServerState.STOPPED, ServerState.FAILED)

    @property
    def is_coming_up(self) -> bool:
        """Whether a start is under way and can be cancelled."""
        return self in (ServerState.PREFLIGHT, ServerState.STARTING, ServerState.LOADING)


class Severity(Enum):
    """How much a finding or notice matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Fix:
    """A next step that can be pressed: what it says, and what it would change or do."""

    text: Message
    set_values: Mapping[str, ParameterValue | None] = field(default_factory=dict)
    """Launch parameters to set (None: unset), by key."""
    action: str | None = None
    """An action of the window by name ("pick_engine", "show_log", "start_on_cpu", "restart"), or None."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a server is not running, in plain words, with the evidence and the next steps."""

    code: str
    """A stable word for the kind of failure, such as "port_in_use" or "out_of_gpu_memory"."""
    title: Message
    """One line: what happened, on which GPU or file."""
    detail: Message | None = None
    """What it means and what to do."""
    fixes: tuple[Fix, ...] = ()
    evidence: tuple[str, ...] = ()
    """The log lines that say so, oldest first."""
    exit_code: int | None = None
    """As the operating system gave it; negative: killed by that signal."""


@dataclass(frozen=True, slots=True)
class DeviceBuffers:
    """What one server allocated on one device, from its own log lines. MiB; None where it said nothing."""

    device: str
    """llama.cpp's name: "CUDA0", "RPC1", "CPU", "CPU_Mapped", "CUDA_Host"."""
    weights_mib: float | None = None
    context_mib: float | None = None
    """KV cache and recurrent state."""
    compute_mib: float | None = None
    projector_mib: float | None = None

    @property
    def total_mib(self) -> float:
        """Return the sum of what is known."""
        return sum(part or 0.0 for part in (self.weights_mib, self.context_mib, self.compute_mib, self.projector_mib))


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Everything the panel shows of one server at one moment."""

    role: str
    state: ServerState = ServerState.STOPPED
    since: float = 0.0
    """Unix time of the last change of state, s."""
    progress: float | None = None
    """0..1 while loading, where the server tells."""
    pid: int | None = None
    port: int | None = None
    values: Mapping[str, ParameterValue] | None = None
    """The launch parameters it was started with, or None when it does not run."""
    argv: tuple[str, ...] = ()
    vision: bool | None = None
    """Whether it accepts pictures, as it says itself (/props modalities)."""
    context_size: int | None = None
    """Tokens per slot, as it says itself."""
    build: str | None = None
    """`build_info` as it says itself, e.g. "b11434-abc1234"."""
    embedded: bool = False
    """Whether the embedded engine runs it."""
    buffers: tuple[DeviceBuffers, ...] = ()
    load_seconds: float | None = None
    """Spawn to ready, s."""
    stop_seconds: float | None = None
    """Stop asked to process gone, s."""
    failure: Failure | None = None

    @property
    def url(self) -> str | None:
        """Return the OpenAI-compatible base URL, while a port is known."""
        return None if self.port is None else f"http://127.0.0.1:{self.port}/v1"


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU at one moment. None: the driver does not tell."""

    index: int
    name: str
    memory_used_mib: float | None
    memory_total_mib: float | None
    uuid: str | None = None
    pci_bus_id: str | None = None
    """As llama.cpp prints it: "0000:01:00.0"."""
    utilisation_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    pcie_receive_mib_s: float | None = None
    simulated: bool = False
    """True in the demo: no such card exists. Shown wherever the figure shows."""


@dataclass(frozen=True, slots=True)
class HostSample:
    """The computer itself at one moment."""

    memory_used_mib: float
    memory_total_mib: float
    cpu_percent: float
    """0..100 over all cores."""


@dataclass(frozen=True, slots=True)
class Timings:
    """What the server measured of one answer (`timings` of llama-server), and what our clock saw."""

    prompt_tokens: int = 0
    """Tokens that were processed, cached ones not counted; image tokens are among them."""
    prompt_ms: float = 0.0
    cached_tokens: int = 0
    generated_tokens: int = 0
    generated_ms: float = 0.0
    generation_tps: float | None = None
    """As the server says; None when it said nothing."""
    prefill_tps: float | None = None
    time_to_first_token_ms: float | None = None
    """By our clock, request sent to first text."""
    image_tokens: int | None = None
    """Tokens that the pictures of the last message took; None without a picture or when not known."""
    image_ms: float | None = None
    """Time the server spent on encoding and decoding pictures, ms; None when it did not say."""
    draft_tokens: int | None = None
    draft_accepted: int | None = None


# ------------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class ServerStateChanged:
    """A server changed its state, its progress, or learned something about itself."""

    status: ServerStatus
    previous: ServerState


@dataclass(frozen=True, slots=True)
class LogAppended:
    """New lines of a server's own log, oldest first, without line ends."""

    role: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GpusSampled:
    """One round of the GPU sampler. A `problem` without samples: no driver, and why; with samples: one card is lost."""

    at: float
    samples: tuple[GpuSample, ...]
    driver: str | None = None
    problem: Message | None = None


@dataclass(frozen=True, slots=True)
class HostSampled:
    """One round of the host sampler."""

    at: float
    sample: HostSample


@dataclass(frozen=True, slots=True)
class SpeedSampled:
    """Tokens per second of one server at one moment. None: unknown, drawn as a gap, never as 0."""

    at: float
    role: str
    generation_tps: float | None
    prefill_tps: float | None


class MarkKind(Enum):
    """What a mark on the time axis stands for."""

    START = "start"
    READY = "ready"
    STOP = "stop"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class MarkAdded:
    """Something worth a line on the plots."""

    at: float
    kind: MarkKind
    role: str
    text: Message


@dataclass(frozen=True, slots=True)
class CatalogChanged:
    """The tiers were loaded, saved, or edited (a draft changed). `role` None: all of them."""

    role: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogFileChanged:
    """Another program wrote the catalog file. Nothing was taken over; `panel.tune.outside` offers what can be done."""

    text: Message
    """What happened, in one sentence."""
    roles: tuple[str, ...] = ()
    """The tiers that are not what they were."""
    conflicts: int = 0
    """Settings that were changed there and are being edited here."""
    usable: bool = True
    """Whether the new file is a catalog that this program reads."""


@dataclass(frozen=True, slots=True)
class NoticeRaised:
    """Something to tell the operator quietly. `details` is for the log dialog: a traceback, a path."""

    severity: Severity
    text: Message
    details: str = ""
    role: str | None = None
    """The tier that `fixes` are for."""
    fixes: tuple[Fix, ...] = ()
    """Next steps that can be pressed, best first."""


@dataclass(frozen=True, slots=True)
class AnswerChanged:
    """An answer grew, finished, failed or was stopped. The conversation itself holds the text."""

    conversation_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class PictureRead:
    """A server has read a picture; its log says how long that took, encoding and decoding together."""

    role: str
    milliseconds: float


Event: TypeAlias = (
    ServerStateChanged
    | LogAppended
    | GpusSampled
    | HostSampled
    | SpeedSampled
    | MarkAdded
    | CatalogChanged
    | CatalogFileChanged
    | NoticeRaised
    | AnswerChanged
    | PictureRead
)


class EventStream:
    """Hands every published event to every subscriber, in order, on the publisher's thread (the core's)."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, receive: Callable[[Event], None]) -> Callable[[], None]:
        """Call `receive` for every event from now on; the returned function ends that."""
        self._subscribers.append(receive)

        def unsubscribe() -> None:
            if receive in self._subscribers:
                self._subscribers.remove(receive)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Hand `event` to all subscribers. One that raises is logged and does not keep it from the others."""
        for receive in tuple(self._subscribers):
            try:
                receive(event)
            except Exception:
                log.exception("a subscriber failed on %s", type(event).__name__)
