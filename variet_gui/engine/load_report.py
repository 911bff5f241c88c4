"""What one start of a server amounted to: devices, buffers, layers, projector, added up from its log's facts."""

from __future__ import annotations

import re
from collections import defaultdict

from variet_gui.engine import log_facts as facts
from variet_gui.engine.log_facts import BufferKind, Fact
from variet_gui.events import DeviceBuffers

_RPC = re.compile(r"RPC\d+\[(?P<endpoint>.*)\]")
_HOST_NAMES = re.compile(r"CPU(_.*)?|Host|.*_Host|BLAS|AMX")

_Sizes = dict[tuple[str, BufferKind], float]


def is_gpu(device: str) -> bool:
    """Whether the device of this name has a memory of its own; the CPU and pinned host memory have not."""
    return _HOST_NAMES.fullmatch(device) is None


class LoadReport:
    """Adds up the facts of one server's log, from its first line on. Feed it every fact that `parse` finds."""

    def __init__(self) -> None:
        self.devices_found: int | None = None
        """As the GPU back end counted them; None where none spoke up."""
        self.devices: tuple[facts.DeviceUsed, ...] = ()
        """Those the model may use, in llama.cpp's order."""
        self.gpu_problem: str | None = None
        """Why the build or the driver offers no GPU, in the server's words."""
        self.layers_offloaded: facts.LayersOffloaded | None = None
        self.pipeline_copies: int | None = None
        """4 or 1; more than 1 costs memory on every GPU."""
        self.pipeline_dropped = False
        self.flash_attention: bool | None = None
        self.context: facts.ContextSize | None = None
        self.context_shrunk: facts.ContextShrunk | None = None
        self.projector: str | None = None
        """Path of the projector once it is loaded."""
        self.projector_estimate_mib: float | None = None
        self.model_loaded = False
        self.url: str | None = None
        self.forecast: tuple[facts.MemoryRow, ...] = ()
        """The server's own forecast for the parameters as given, before it loads anything."""
        self._listed: dict[str, str] = {}
        self._weights: _Sizes = defaultdict(float)
        self._contexts: list[_Sizes] = []
        self._projector: _Sizes = defaultdict(float)
        self._projector_device = "CPU"
        self._counts = True
        self._forecast_open = True

    @property
    def buffers(self) -> tuple[DeviceBuffers, ...]:
        """Return what was allocated, GPUs first in llama.cpp's order, then the host's buffers."""
        sizes: dict[str, dict[BufferKind, float]] = {}
        for part in (self._weights, *self._contexts, self._projector):
            for (device, kind), mib in part.items():
                kinds = sizes.setdefault(device, {})
                kinds[kind] = kinds.get(kind, 0.0) + mib
        order = [device.name for device in self.devices]
        names = sorted(sizes, key=lambda name: (order.index(name) if name in order else len(order), name))
        return tuple(_device_buffers(name, sizes[name]) for name in names)

    @property
    def gpus_in_use(self) -> tuple[str, ...]:
        """Return the names of the devices, CPU not counted, that hold weights; before that those that may be used."""
        holding = tuple(part.device for part in self.buffers if part.weights_mib and is_gpu(part.device))
        if self._weights:
            return holding
        return tuple(device.name for device in self.devices if is_gpu(device.name))

    def add(self, fact: Fact) -> None:
        """Take in one fact; facts about requests are passed over."""
        match fact:
            case facts.DevicesFound(count):
                self.devices_found = (self.devices_found or 0) + count
            case facts.GpuUnavailable(reason):
                self.gpu_problem = self.gpu_problem or reason
            case facts.DeviceListed(name, description):
                self._listed[description] = name
            case facts.DeviceUsed():
                # A draft model names the same devices again.
                if fact.name not in {device.name for device in self.devices}:
                    self.devices += (fact,)
            case facts.MemoryRow():
                if self._forecast_open:
                    self.forecast += (fact,)
            case facts.LoadBegun(real):
                self._forecast_open = self._forecast_open and not real
                self._counts = real
            case facts.LayersOffloaded():
                if self._counts and self.layers_offloaded is None:
                    self.layers_offloaded = fact
            case facts.PipelineCopies(count):
                self.pipeline_copies = count
            case facts.FlashAttention(on):
                self.flash_attention = on
            case facts.PipelineDropped():
                self.pipeline_dropped = True
            case facts.ContextSize():
                self.context = fact
            case facts.ContextShrunk():
                self.context_shrunk = fact
            case facts.ModelLoaded():
                self.model_loaded = True
            case facts.Listening(url):
                self.url = self.url or url
            case facts.ProjectorMemory(mib):
                self.projector_estimate_mib = mib
            case facts.ProjectorLoaded(path):
                self.projector = path
            case _:
                self._add_memory(fact)

    def _add_memory(self, fact: Fact) -> None:
        if not self._counts:
            return
        match fact:
            case facts.ContextBegun():
                self._contexts.append(defaultdict(float))
            case facts.ReserveBegun():
                self._forget_compute()
            case facts.BufferAllocated(device, BufferKind.WEIGHTS, mib):
                self._weights[self._name(device), BufferKind.WEIGHTS] += mib
            case facts.BufferAllocated(device, BufferKind.PROJECTOR, mib):
                self._projector[self._name(device), BufferKind.PROJECTOR] += mib
            case facts.BufferAllocated(device, kind, mib):
                if not self._contexts:
                    # Builds that do not announce a context.
                    self._contexts.append(defaultdict(float))
                self._contexts[-1][self._name(device), kind] += mib
            case facts.ProjectorBegun():
                self._projector.clear()
            case facts.ProjectorDevice(device):
                self._projector_device = self._name(device)
            case facts.ProjectorWeights(mib):
                self._projector[self._projector_device, BufferKind.PROJECTOR] += mib
            case _:
                pass

    def _forget_compute(self) -> None:
        # A context may be reserved again, smaller or larger: the new figures take the place of the old ones. After
        # loading it is not said whose they are; with a draft model the first figures are kept.
        if not self._contexts or (self.model_loaded and len(self._contexts) > 1):
            return
        for key in [key for key in self._contexts[-1] if key[1] is BufferKind.COMPUTE]:
            del self._contexts[-1][key]

    def _name(self, buffer: str) -> str:
        """Return the device's name for a buffer's name.

        A buffer on an RPC device is called after the device's number within its own server, "RPC0[host:port]" for all
        first devices; what tells them apart is the address, which is the device's description.
        """
        match = _RPC.fullmatch(buffer)
        if match is None:
            return buffer.removesuffix("_Split")
        for device in self.devices:
            if device.description == match["endpoint"]:
                return device.name
        return self._listed.get(match["endpoint"], buffer)


def _device_buffers(device: str, sizes: dict[BufferKind, float]) -> DeviceBuffers:
    compute = [sizes[kind] for kind in (BufferKind.COMPUTE, BufferKind.OUTPUT) if kind in sizes]
    return DeviceBuffers(
        device,
        weights_mib=sizes.get(BufferKind.WEIGHTS),
        context_mib=sizes.get(BufferKind.CONTEXT),
        compute_mib=sum(compute) if compute else None,
        projector_mib=sizes.get(BufferKind.PROJECTOR),
    )
