"""The devices that an operator can choose between for one tier: llama-server's own names, and where each card sits."""

from __future__ import annotations

from dataclasses import dataclass

from variet_gui.engine.devices import EngineDevice
from variet_gui.events import GpuSample
from variet_gui.panel.outlook_machine import Listed, Sight, machine_of


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """One device that a tier's llama-server may use."""

    name: str
    """llama.cpp's: "CUDA0"."""
    description: str = ""
    """The maker's name of the card; of a remote device its address."""
    pci_bus_id: str | None = None
    """"0000:01:00.0"; None where nobody has told."""
    simulated: bool = False
    """In the demo: no such card exists."""


def seen_devices(sight: Sight) -> tuple[SeenDevice, ...] | None:
    """Return the devices in the order in which llama-server lists them; None while nobody knows.

    Until the engine has been asked, which is not done while a tier runs, the cards that the driver shows stand for
    them: the panel has CUDA count them as the driver does. An engine that works on the CPU alone has none.
    """
    samples = {sample.index: sample for sample in (sight.gpus.samples if sight.gpus is not None else ())}
    slots = machine_of(sight).slots
    cards = {slot.device.name: samples[slot.card] for slot in slots if slot.card in samples}
    if any(sample.simulated for sample in samples.values()):
        return tuple(_of_card(name, card) for name, card in cards.items())
    if sight.listed is not None:
        return tuple(_of_listed(each, cards.get(each.name), sight.addresses.get(each.name)) for each in sight.listed)
    if sight.embedded:
        return ()
    return tuple(_of_card(name, card) for name, card in cards.items()) or None


def _of_card(name: str, card: GpuSample) -> SeenDevice:
    return SeenDevice(name, card.name, card.pci_bus_id, card.simulated)


def _of_listed(listed: Listed, card: GpuSample | None, told: str | None) -> SeenDevice:
    """Return a listed device; where it sits is known from the list, from a start, or from the driver, in this order."""
    description, address = (listed.description, listed.pci_bus_id) if isinstance(listed, EngineDevice) else ("", None)
    return SeenDevice(listed.name, description, address or told or (card.pci_bus_id if card is not None else None))
