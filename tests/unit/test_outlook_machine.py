"""Which devices a start would see, and what others hold of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.outlooks import TOTAL_MIB, USABLE_MIB, card, holding
from variet_gui.engine.devices import EngineDevice
from variet_gui.events import DeviceBuffers, GpuSample, GpusSampled, ServerState, ServerStatus
from variet_gui.forecast.calibration import OVERHEAD_MIB
from variet_gui.panel.outlook_machine import (
    BY_DRIVER,
    BY_ENGINE,
    ENGINE_SEES_NONE,
    NO_DEVICE,
    ON_CPU,
    SIMULATED,
    Machine,
    Sight,
    given,
    held_by_name,
    held_on_cards,
    machine_of,
)


def sampled(*samples: GpuSample) -> GpusSampled:
    return GpusSampled(0.0, samples, "580.95")


def told(machine: Machine) -> list[tuple[str, str, float | None, float]]:
    return [
        (slot.device.name, slot.label.english, slot.device.capacity_mib, slot.device.used_mib) for slot in machine.slots
    ]


CARDS = sampled(card(0, 500.0), card(1, 2000.0))


def test_that_capacity_is_what_the_driver_does_not_keep_and_ours_are_not_others() -> None:
    machine = machine_of(Sight(CARDS, held_mib={1: 1500.0}))
    assert told(machine) == [("CUDA0", "GPU 0", USABLE_MIB, 500.0), ("CUDA1", "GPU 1", USABLE_MIB, 500.0)]
    assert machine.source == BY_DRIVER


def test_that_the_engines_own_total_tells_what_an_older_driver_does_not() -> None:
    old = sampled(card(0, 500.0, memory_reserved_mib=None))
    assert told(machine_of(Sight(old)))[0][2:] == (TOTAL_MIB, 500.0 + TOTAL_MIB - USABLE_MIB)
    listed = (EngineDevice("CUDA0", "NVIDIA GeForce RTX 3060", round(USABLE_MIB), 11800),)
    assert told(machine_of(Sight(old, listed)))[0][2:] == (USABLE_MIB, 500.0)


def test_that_visible_devices_choose_and_reorder_the_cards() -> None:
    machine = machine_of(Sight(CARDS, visible="1,0"))
    assert told(machine) == [("CUDA0", "GPU 1", USABLE_MIB, 2000.0), ("CUDA1", "GPU 0", USABLE_MIB, 500.0)]
    assert [slot.card for slot in machine_of(Sight(CARDS, visible="GPU-1")).slots] == [1]
    assert machine_of(Sight(CARDS, visible="-1")).slots == ()


def test_that_a_pci_address_decides_which_card_a_device_is() -> None:
    # Two cards of which the engine sees the second first, whatever its number says.
    addresses = {"CUDA0": "0000:02:00.0", "CUDA1": "0000:01:00.0"}
    machine = machine_of(Sight(CARDS, addresses=addresses))
    assert [(slot.device.name, slot.card) for slot in machine.slots] == [("CUDA0", 1), ("CUDA1", 0)]


def test_that_a_card_shown_as_two_devices_is_shared_between_them() -> None:
    listed = tuple(EngineDevice(f"CUDA{index}", "one card", round(USABLE_MIB), 11000) for index in range(2))
    addresses = {"CUDA0": "0000:01:00.0", "CUDA1": "0000:01:00.0"}
    machine = machine_of(Sight(sampled(card(0, 600.0)), listed, addresses=addresses))
    assert told(machine) == [("CUDA0", "GPU 0", USABLE_MIB / 2, 300.0), ("CUDA1", "GPU 0", USABLE_MIB / 2, 300.0)]


def test_that_rpc_workers_come_first_with_what_the_engine_says_of_them() -> None:
    listed = (
        EngineDevice("CUDA0", "NVIDIA GeForce RTX 3060", round(USABLE_MIB), 11800),
        EngineDevice("RPC0", "127.0.0.1:50052", 24000, 23000),
        EngineDevice("RPC1", "127.0.0.1:50053", 16000, 16000),
    )
    machine = machine_of(Sight(sampled(card(0)), listed, rpc=("127.0.0.1:50052", "127.0.0.1:50053")))
    assert told(machine) == [
        ("RPC0", "RPC 0", 24000.0, 1000.0),
        ("RPC1", "RPC 1", 16000.0, 0.0),
        ("CUDA0", "GPU 0", USABLE_MIB, 0.0),
    ]
    unasked = machine_of(Sight(sampled(card(0)), rpc=("a:1", "b:2")))
    assert told(unasked)[:2] == [("RPC0", "RPC 0", None, 0.0), ("RPC1", "RPC 1", None, 0.0)]
    # A build for the CPU with workers sees what it is to see: no card is assumed for it.
    alone = machine_of(Sight(None, listed[1:], rpc=("127.0.0.1:50052", "127.0.0.1:50053"), assumed_mib=(12288.0,)))
    assert [slot.device.name for slot in alone.slots] == ["RPC0", "RPC1"]
    assert alone.source == BY_ENGINE


def test_that_another_back_end_is_taken_at_its_own_word() -> None:
    listed = (EngineDevice("Vulkan0", "AMD Radeon", 16000, 15500),)
    machine = machine_of(Sight(None, listed))
    assert told(machine) == [("Vulkan0", "Vulkan 0", 16000.0, 500.0)]
    assert machine.source == BY_ENGINE


def test_that_cards_nobody_saw_are_assumed_only_where_the_catalog_expects_them() -> None:
    machine = machine_of(Sight(assumed_mib=(12288.0, 12288.0)))
    assert [slot.device.capacity_mib for slot in machine.slots] == [12288.0, 12288.0]
    assert machine.assumed
    assert "2 of 12288 MiB are assumed" in machine.source.english
    assert machine_of(Sight()).source == NO_DEVICE
    unknown = machine_of(Sight(assumed_mib=(None,)))
    assert unknown.slots[0].device.capacity_mib is None
    assert "does not say how large" in unknown.source.english


def test_that_an_engine_without_gpus_is_told_apart_from_a_computer_without() -> None:
    assert machine_of(Sight(CARDS, listed=())).slots == ()
    assert machine_of(Sight(CARDS, listed=())).source == ON_CPU
    assert machine_of(Sight(CARDS, embedded=True)).source == ON_CPU
    meant_for_cards = machine_of(Sight(CARDS, listed=(), assumed_mib=(12288.0,)))
    assert meant_for_cards.source == ENGINE_SEES_NONE
    assert len(meant_for_cards.slots) == 2


def test_that_the_demos_cards_say_what_they_are() -> None:
    pretend = sampled(GpuSample(0, "Simulated GPU 0", 0.0, TOTAL_MIB, simulated=True))
    machine = machine_of(Sight(pretend, embedded=True))
    assert machine.simulated
    assert machine.source == SIMULATED
    assert told(machine) == [("CUDA0", "GPU 0", TOTAL_MIB, 0.0)]


def test_that_a_lost_card_keeps_its_place_and_has_no_capacity() -> None:
    lost = replace(card(0), memory_total_mib=None, memory_used_mib=None)
    machine = machine_of(Sight(sampled(lost, card(1))))
    assert [(slot.card, slot.device.capacity_mib) for slot in machine.slots] == [(0, None), (1, USABLE_MIB)]


def test_that_given_cards_are_empty_and_as_large_as_was_said() -> None:
    assert told(given((24000.0, 12000.0))) == [("CUDA0", "GPU 0", 24000.0, 0.0), ("CUDA1", "GPU 1", 12000.0, 0.0)]


BUFFERS = (DeviceBuffers("CUDA0", weights_mib=1000.0, compute_mib=100.0), DeviceBuffers("CPU", weights_mib=5.0))


@pytest.mark.parametrize("state", [ServerState.STOPPED, ServerState.FAILED])
def test_that_a_server_that_is_gone_holds_nothing(state: ServerState) -> None:
    status = ServerStatus("fast", state, pid=7, buffers=BUFFERS)
    assert held_on_cards(status, CARDS, machine_of(Sight(CARDS))) == {}


def test_that_nvml_is_believed_before_the_servers_own_lines() -> None:
    status = ServerStatus("fast", ServerState.READY, pid=7, buffers=BUFFERS)
    named = sampled(card(0, 1500.0, processes=holding(7, 1432.5)), card(1))
    machine = machine_of(Sight(named))
    assert held_on_cards(status, named, machine) == {0: 1432.5}
    assert held_by_name(status, named, machine) == {"CUDA0": 1432.5}
    # Windows and WSL name no process: then its own lines, and what CUDA usually takes beside them.
    assert held_on_cards(status, CARDS, machine) == {0: 1100.0 + OVERHEAD_MIB}


def test_that_what_an_rpc_worker_holds_is_read_from_the_servers_lines() -> None:
    machine = machine_of(Sight(None, (EngineDevice("RPC0", "a:1", 9000, 9000),), rpc=("a:1",)))
    status = ServerStatus("fast", ServerState.READY, pid=7, buffers=(DeviceBuffers("RPC0", weights_mib=90.0),))
    assert held_by_name(status, None, machine) == {"RPC0": 90.0}
