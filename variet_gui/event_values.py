"""The value types of events: what a server, a card, a failure is at one moment. Frozen, and free of any service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from variet_gui.i18n import Message, msg

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


class Certainty(Enum):
    """How sure it is that a failure is what it is said to be."""

    CERTAIN = "certain"
    """The server or the system says so itself."""
    LIKELY = "likely"
    """What was seen points to it, and nothing else that is known would look the same."""
    GUESS = "guess"
    """Nothing says why; this is what it is most often."""

    @property
    def text(self) -> Message:
        """Return it in words."""
        return _CERTAINTY_TEXTS[self]


_CERTAINTY_TEXTS: Mapping[Certainty, Message] = {
    Certainty.CERTAIN: msg("Certain"),
    Certainty.LIKELY: msg("Likely"),
    Certainty.GUESS: msg("A guess"),
}


@dataclass(frozen=True, slots=True)
class Fix:
    """A next step that can be pressed: what it says, and what it would change or do."""

    text: Message
    set_values: Mapping[str, ParameterValue | None] = field(default_factory=dict)
    """Launch parameters to set (None: unset), by key."""
    action: str | None = None
    """An action of the window by name ("pick_engine", "show_log", "start_on_cpu", "restart"), or None."""
    extra_arguments: tuple[str, ...] | None = None
    """The tier's extra arguments from then on; None: they stay as they are."""
    gain: Message | None = None
    """What it buys and what it costs: "1.2 GiB less on GPU 1"; None: not known."""

    @property
    def changes_settings(self) -> bool:
        """Whether it edits the draft."""
        return bool(self.set_values) or self.extra_arguments is not None


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
    certainty: Certainty = Certainty.CERTAIN
    device: str | None = None
    """The device it happened on, by llama.cpp's name: "CUDA1", "RPC0"; None where it is about none, or not said."""
    file: str | None = None
    """The file it is about, as the log names it."""
    part: str | None = None
    """What had no memory: "weights", "context", "recurrent", "compute", "projector", "draft"; None otherwise."""
    named: Mapping[str, object] = field(default_factory=dict)
    """What else the log names: "flag", "port", "mib", "replacement", "endpoint"."""
    observed: tuple[Message, ...] = ()
    """What the panel itself saw that speaks for it: memory of the GPUs, of the computer."""


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
    slots: int | None = None
    """How many requests it works on at a time, as it says itself."""
    model_path: str | None = None
    """The file that it runs, as it says itself."""
    build: str | None = None
    """`build_info` as it says itself, e.g. "b11434-abc1234"."""
    embedded: bool = False
    """Whether the embedded engine runs it."""
    buffers: tuple[DeviceBuffers, ...] = ()
    load_seconds: float | None = None
    """Spawn to ready, s."""
    expected_load_s: float | None = None
    """How long earlier loads of the same model took, s; None when there was none."""
    stop_seconds: float | None = None
    """Stop asked to process gone, port closed and GPU memory back, s."""
    memory_back: bool | None = None
    """After a stop: whether its GPU memory was seen to be free again; None: it had none, or nobody could look."""
    attached_to: str | None = None
    """The address of a server that somebody else runs; None: it is a process of ours."""
    adopted: bool = False
    """An earlier panel started it; it was found running and taken over."""
    differences: tuple[Message, ...] = ()
    """In what the running server is not what the catalog says; empty when it is, or when it does not run."""
    retry_at: float | None = None
    """After a passing failure: Unix time at which it is started again by itself; None: it is not."""
    retry: int = 0
    """Which of the attempts that is, from 1 on."""
    failure: Failure | None = None

    @property
    def load_seconds_left(self) -> float | None:
        """Return how long a load will probably go on, judged at its last change by its progress or its beginning."""
        if self.expected_load_s is None or not self.state.is_coming_up or self.progress is None:
            return self.expected_load_s if self.state.is_coming_up else None
        return self.expected_load_s * (1.0 - min(max(self.progress, 0.0), 1.0))

    @property
    def base_url(self) -> str | None:
        """Return where it answers, without a path; None while that is not known."""
        return self.attached_to or (None if self.port is None else f"http://127.0.0.1:{self.port}")

    @property
    def url(self) -> str | None:
        """Return the OpenAI-compatible base URL, where it is known."""
        return None if self.base_url is None else f"{self.base_url}/v1"


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory of one GPU."""

    pid: int
    memory_mib: float | None
    """None: the driver does not tell how much."""


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
    memory_clock_max_mhz: int | None = None
    """At most, as NVML counts it: two bits per line and tick."""
    memory_bus_bits: int | None = None
    """Lines to its memory."""
    processes: tuple[GpuProcess, ...] | None = None
    """Who holds memory of it, by pid; None where the driver does not tell."""
    memory_reserved_mib: float | None = None
    """What the driver keeps for itself, part of both used and total: nobody can allocate it."""
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
