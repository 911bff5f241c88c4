"""Which devices an operator is offered for a tier, by what is known of engine, driver and starts."""

from __future__ import annotations

from variet_gui.engine.devices import EngineDevice
from variet_gui.events import GpuSample, GpusSampled
from variet_gui.panel.outlook_machine import Sight
from variet_gui.panel.seen_devices import SeenDevice, seen_devices

FIRST, SECOND = "0000:01:00.0", "0000:03:00.0"
CARDS = GpusSampled(
    0.0,
    (
        GpuSample(0, "RTX 3060", 0.0, 12288.0, pci_bus_id=FIRST),
        GpuSample(1, "RTX 3090", 0.0, 24576.0, pci_bus_id=SECOND),
    ),
)


def test_that_nobody_knows_before_engine_and_driver_have_spoken() -> None:
    assert seen_devices(Sight()) is None


def test_that_the_drivers_cards_stand_in_until_the_engine_is_asked() -> None:
    assert seen_devices(Sight(gpus=CARDS)) == (
        SeenDevice("CUDA0", "RTX 3060", FIRST),
        SeenDevice("CUDA1", "RTX 3090", SECOND),
    )


def test_that_cards_are_counted_as_the_server_will_see_them() -> None:
    assert seen_devices(Sight(gpus=CARDS, visible="1")) == (SeenDevice("CUDA0", "RTX 3090", SECOND),)


def test_that_the_engines_list_decides_with_its_names_and_its_order() -> None:
    listed = (EngineDevice("Vulkan0", "Radeon", 8000, 7000), EngineDevice("RPC0", "10.0.0.2:50052", 24105, 24105))
    assert seen_devices(Sight(gpus=CARDS, listed=listed)) == (
        SeenDevice("Vulkan0", "Radeon"),
        SeenDevice("RPC0", "10.0.0.2:50052"),
    )


def test_that_an_address_is_the_lists_own_then_a_starts_then_the_drivers() -> None:
    named = EngineDevice("CUDA0", "RTX", 1, 1, "0000:09:00.0")
    told = {"CUDA0": SECOND}
    bare = EngineDevice("CUDA0", "RTX", 1, 1)
    places = [
        seen_devices(Sight(gpus=CARDS, listed=(named,), addresses=told)),
        seen_devices(Sight(gpus=CARDS, listed=(bare,), addresses=told)),
        seen_devices(Sight(gpus=CARDS, listed=(bare,))),
        seen_devices(Sight(listed=(bare,))),
    ]
    assert [each[0].pci_bus_id if each else "" for each in places] == ["0000:09:00.0", SECOND, FIRST, None]


def test_that_an_engine_without_gpus_offers_none() -> None:
    assert seen_devices(Sight(gpus=CARDS, listed=())) == ()
    assert seen_devices(Sight(gpus=CARDS, embedded=True)) == ()


def test_that_the_demos_cards_are_offered_as_simulated_whatever_the_engine_is() -> None:
    demo = GpusSampled(0.0, (GpuSample(0, "Simulated GPU 0", 0.0, 8192.0, simulated=True),))
    expected = (SeenDevice("CUDA0", "Simulated GPU 0", None, simulated=True),)
    assert seen_devices(Sight(gpus=demo, embedded=True)) == expected
