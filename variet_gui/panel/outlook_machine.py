"""The devices that a start would see, with what others hold: from NVML, from llama-server's own list, or assumed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from variet_gui.engine.device_findings import visible_devices
from variet_gui.events import GpuSample, GpusSampled, ServerStatus
from variet_gui.forecast.bandwidth import Bandwidth, card_bandwidth
from variet_gui.forecast.calibration import OVERHEAD_MIB
from variet_gui.forecast.values import Device
from variet_gui.i18n import Message, msg

_NUMBERED = re.compile(r"(?P<kind>\D+?)(?P<number>\d+)")
_CUDA = "CUDA"
_RPC = "RPC"

BY_DRIVER = msg("Capacities are what the NVIDIA driver reports, less what it keeps for itself.")
BY_ENGINE = msg("Capacities are those of llama-server's own list of devices.")
SIMULATED = msg("These cards are simulated: no such card exists.")
ENGINE_SEES_NONE = msg("This llama-server sees no GPU. The forecast is for the cards that this computer has.")
ON_CPU = msg("Nothing is put on a GPU: the model stays on the processor.")
NO_DEVICE = msg(
    "No GPU was seen, and the catalog does not say which are expected. Set expected_gpus and vram_limit_mib there."
)


class Listed(Protocol):
    """One line of llama-server's own list of devices."""

    @property
    def name(self) -> str:
        """Return llama.cpp's name."""

    @property
    def total_mib(self) -> float:
        """Return what a program can have of it."""

    @property
    def free_mib(self) -> float:
        """Return what was free."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One device with its place on this computer."""

    device: Device
    label: Message
    """"GPU 0": the number of the other pages."""
    card: int | None = None
    """Index of the GPU sample; None where it has none."""
    card_name: str = ""
    """The maker's name of the card; empty where it has none."""
    bandwidth: Bandwidth | None = None
    """Of the card's memory; None: not known."""


@dataclass(frozen=True, slots=True)
class Machine:
    """All devices that llama-server would see, in its order."""

    slots: tuple[Slot, ...]
    source: Message
    """Where the capacities come from."""
    simulated: bool = False
    assumed: bool = False
    """No card was seen: the catalog's word was taken."""

    @property
    def devices(self) -> tuple[Device, ...]:
        """Return the devices alone."""
        return tuple(slot.device for slot in self.slots)

    def slot(self, name: str) -> Slot | None:
        """Return the slot of a device by llama.cpp's name."""
        return next((slot for slot in self.slots if slot.device.name == name), None)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of this computer when a forecast is asked for."""

    gpus: GpusSampled | None = None
    """What the sampler saw last."""
    listed: Sequence[Listed] | None = None
    """What this engine listed; None: not asked, or it did not answer."""
    visible: str | None = None
    """CUDA_VISIBLE_DEVICES of the server to be."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """llama.cpp's name -> PCI address, as far as the engine has told."""
    rpc: tuple[str, ...] = ()
    """Addresses of RPC workers."""
    embedded: bool = False
    """The engine works on the CPU alone."""
    assumed_mib: tuple[float | None, ...] = ()
    """The cards that the catalog expects, where none is seen."""
    held_mib: Mapping[int, float] = field(default_factory=dict)
    """What our own servers hold, by index of the sample."""


def machine_of(sight: Sight) -> Machine:
    """Return the devices that a start would see. Pure; some tens of microseconds."""
    samples = sight.gpus.samples if sight.gpus is not None else ()
    if any(sample.simulated for sample in samples):
        slots = _cards(samples, [f"{_CUDA}{index}" for index in range(len(samples))], samples, sight)
        return Machine((*_workers(sight), *slots), SIMULATED, simulated=True)
    workers = _workers(sight)
    others = [device for device in sight.listed or () if not device.name.startswith(_RPC)]
    sees_none = sight.embedded or (sight.listed is not None and not others)
    if sees_none and not sight.assumed_mib:
        return Machine(workers, BY_ENGINE if workers else ON_CPU)
    if sees_none and workers:  # it was built for these, and sees what it is to see
        return Machine(workers, BY_ENGINE)
    if samples:
        order = _visible(samples, sight.visible)
        cuda = [device.name for device in others if device.name.startswith(_CUDA)]
        if others and not cuda:  # another back end: its own list is all there is
            return Machine((*workers, *map(_listed_slot, others)), BY_ENGINE)
        names = cuda or [f"{_CUDA}{index}" for index in range(len(order))]
        source = ENGINE_SEES_NONE if sees_none else BY_DRIVER
        return Machine((*workers, *_cards(samples, names, order, sight)), source)
    if others:
        return Machine((*workers, *map(_listed_slot, others)), BY_ENGINE)
    if not sight.assumed_mib:
        return Machine(workers, BY_ENGINE if workers else NO_DEVICE)
    assumed = tuple(
        Slot(Device(f"{_CUDA}{index}", mib), msg("GPU {index}", index=index))
        for index, mib in enumerate(sight.assumed_mib)
    )
    return Machine((*workers, *assumed), _assumed_source(sight.assumed_mib), assumed=True)


def given(capacities_mib: Sequence[float]) -> Machine:
    """Return cards of these capacities with nothing on them."""
    slots = tuple(
        Slot(Device(f"{_CUDA}{index}", capacity), msg("GPU {index}", index=index))
        for index, capacity in enumerate(capacities_mib)
    )
    return Machine(slots, msg("Capacities as given, with nothing else on the cards."), assumed=True)


def label_of(name: str) -> Message:
    """Return a device's name for people, where no card is known for it."""
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return msg("{device}", device=name)
    if match["kind"] in (_CUDA, "ROCm"):
        return msg("GPU {index}", index=match["number"])
    return msg("{kind} {index}", kind=match["kind"], index=match["number"])


def held_on_cards(status: ServerStatus, gpus: GpusSampled | None, machine: Machine) -> dict[int, float]:
    """Return what one server of ours holds on each card, MiB, by index of the sample.

    By NVML where that names the process, else by the server's own lines and the usual share of CUDA itself.
    """
    samples = gpus.samples if gpus is not None else ()
    if not status.state.is_active or status.pid is None:
        return {}
    told = {
        sample.index: process.memory_mib
        for sample in samples
        for process in sample.processes or ()
        if process.pid == status.pid and process.memory_mib is not None
    }
    if told or any(sample.simulated for sample in samples):
        return told
    held: dict[int, float] = {}
    for part in status.buffers:
        slot = machine.slot(part.device)
        if slot is not None and slot.card is not None and part.total_mib:
            held[slot.card] = held.get(slot.card, 0.0) + part.total_mib + OVERHEAD_MIB
    return held


def held_by_name(status: ServerStatus, gpus: GpusSampled | None, machine: Machine) -> dict[str, float]:
    """Return what one server of ours holds on each device, MiB, by llama.cpp's name."""
    cards = held_on_cards(status, gpus, machine)
    shared = [slot.card for slot in machine.slots]
    result = {
        slot.device.name: cards[slot.card] / shared.count(slot.card)
        for slot in machine.slots
        if slot.card is not None and slot.card in cards
    }
    for part in status.buffers if status.state.is_active else ():
        slot = machine.slot(part.device)
        if slot is not None and slot.card is None and part.total_mib:
            result[part.device] = part.total_mib
    return result


def _workers(sight: Sight) -> tuple[Slot, ...]:
    """Return the RPC devices; llama.cpp puts them before the others (`src/llama.cpp`, llama_prepare_model_devices)."""
    if not sight.rpc:
        return ()
    listed = [device for device in sight.listed or () if device.name.startswith(_RPC)]
    if listed:
        return tuple(map(_listed_slot, listed))
    return tuple(Slot(Device(f"{_RPC}{number}"), label_of(f"{_RPC}{number}")) for number in range(len(sight.rpc)))


def _listed_slot(device: Listed) -> Slot:
    used = max(0.0, device.total_mib - device.free_mib)
    return Slot(Device(device.name, float(device.total_mib), float(used)), label_of(device.name))


def _visible(samples: Sequence[GpuSample], asked: str | None) -> list[GpuSample]:
    """Return the cards in the order in which CUDA numbers them (PCI order: the panel asks for it)."""
    if asked is None:
        return list(samples)
    order: list[GpuSample] = []
    for entry in visible_devices(asked, samples):
        if entry.isdecimal():
            order.append(samples[int(entry)])
        else:
            order += [sample for sample in samples if sample.uuid is not None and sample.uuid.startswith(entry)][:1]
    return order


def _cards(
    samples: Sequence[GpuSample], names: Sequence[str], order: Sequence[GpuSample], sight: Sight
) -> tuple[Slot, ...]:
    """Return the CUDA devices `names`, each with its card: by PCI address, else by its number."""
    by_address = {sample.pci_bus_id: sample for sample in samples if sample.pci_bus_id is not None}
    totals = {device.name: float(device.total_mib) for device in sight.listed or ()}
    pairs = []
    for name in names:
        number = int(name.removeprefix(_CUDA)) if name.removeprefix(_CUDA).isdecimal() else len(order)
        sample = by_address.get(sight.addresses.get(name, "")) or (order[number] if number < len(order) else None)
        pairs.append((name, sample))
    cards = [sample.index if sample is not None else None for _, sample in pairs]
    return tuple(_card(name, sample, totals.get(name), cards, sight) for name, sample in pairs)


def _card(
    name: str, sample: GpuSample | None, listed_mib: float | None, cards: Collection[int | None], sight: Sight
) -> Slot:
    if sample is None or sample.memory_total_mib is None:
        label = label_of(name) if sample is None else msg("GPU {index}", index=sample.index)
        return Slot(Device(name, listed_mib), label, None if sample is None else sample.index)
    total = sample.memory_total_mib
    kept = sample.memory_reserved_mib
    if kept is None:
        kept = max(0.0, total - listed_mib) if listed_mib is not None else 0.0
    # One card may be shown to llama.cpp as several devices: each is given its part.
    devices = list(cards).count(sample.index)
    others = max(0.0, (sample.memory_used_mib or 0.0) - kept - sight.held_mib.get(sample.index, 0.0))
    return Slot(
        Device(name, (total - kept) / devices, others / devices),
        msg("GPU {index}", index=sample.index),
        sample.index,
        sample.name,
        _bandwidth(sample),
    )


def _bandwidth(sample: GpuSample) -> Bandwidth | None:
    if sample.simulated:
        return None
    return card_bandwidth(
        sample.name,
        memory_clock_mhz=sample.memory_clock_max_mhz,
        bus_width_bits=sample.memory_bus_bits,
        memory_mib=sample.memory_total_mib,
    )


def _assumed_source(capacities: Sequence[float | None]) -> Message:
    known = {mib for mib in capacities if mib is not None}
    if not known:
        return msg("No GPU was seen. The catalog expects {count}, and does not say how large.", count=len(capacities))
    return msg(
        "No GPU was seen: {count} of {mib} MiB are assumed, as the catalog says.",
        count=len(capacities),
        mib=f"{max(known):.0f}",
    )
