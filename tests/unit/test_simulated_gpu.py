from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.waiting import run_async, wait_until
from variet_gui.events import (
    DeviceBuffers,
    EventStream,
    GpusSampled,
    HostSampled,
    ParameterValue,
    ServerState,
    ServerStatus,
)
from variet_gui.telemetry.host import HostSampler
from variet_gui.telemetry.simulated_gpu import SimulatedGpus

BUFFERS = (
    DeviceBuffers("CPU_Mapped", weights_mib=800.0),
    DeviceBuffers("CPU", weights_mib=200.0, context_mib=300.0, compute_mib=100.0, projector_mib=50.0),
)


def server(
    state: ServerState = ServerState.READY, progress: float | None = None, **values: ParameterValue
) -> ServerStatus:
    return ServerStatus("fast", state, progress=progress, values=values, buffers=BUFFERS)


def memory(*statuses: ServerStatus, capacities: tuple[int, ...] = (12_288, 12_288)) -> list[float | None]:
    sampled = SimulatedGpus(capacities, EventStream(), lambda: statuses).sample()
    return [sample.memory_used_mib for sample in sampled.samples]


def test_that_every_sample_says_that_it_is_simulated_and_invents_nothing() -> None:
    events = EventStream()
    published: list[object] = []
    events.subscribe(published.append)
    sampled = SimulatedGpus((12_288, 8_192), events, lambda: [server()], clock=lambda: 5.0).sample()
    assert published == [sampled]
    assert sampled.at == 5
    assert [s.name for s in sampled.samples] == ["Simulated GPU 0", "Simulated GPU 1"]
    assert [s.memory_total_mib for s in sampled.samples] == [12_288, 8_192]
    for sample in sampled.samples:
        assert sample.simulated
        assert (sample.utilisation_percent, sample.temperature_c, sample.power_w, sample.pcie_width) == (None,) * 4


@pytest.mark.parametrize("state", [ServerState.STOPPED, ServerState.FAILED])
def test_that_nothing_is_used_while_nothing_runs(state: ServerState) -> None:
    assert memory(server(state)) == [0, 0]
    assert memory() == [0, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [750, 700]),
        ({"tensor_split": (0.25, 0.75)}, [400, 1050]),
        ({"tensor_split": (14.0, 16.0)}, [1400 * 14 / 30 + 50, 1400 * 16 / 30]),
        ({"tensor_split": (1.0,)}, [1450, 0]),
        ({"tensor_split": (1.0, 1.0, 2.0)}, [750, 700]),
        ({"tensor_split": (0.0, 0.0)}, [750, 700]),
        ({"mmproj_offload": False}, [700, 700]),
        ({"mmproj_offload": True}, [750, 700]),
        ({"split_mode": "none", "main_gpu": 1}, [50, 1400]),
        ({"split_mode": "none"}, [1450, 0]),
        ({"split_mode": "layer", "n_gpu_layers": "all"}, [750, 700]),
        ({"n_gpu_layers": 0}, [50, 0]),
    ],
)
def test_that_memory_is_what_the_server_allocated_split_as_the_tier_asks(
    values: Mapping[str, ParameterValue], expected: list[float]
) -> None:
    assert memory(server(**values)) == pytest.approx(expected, abs=0.01)


def test_that_weights_grow_while_they_are_loaded() -> None:
    assert memory(server(ServerState.LOADING, 0.0, mmproj_offload=False)) == [200, 200]
    assert memory(server(ServerState.LOADING, 0.5, mmproj_offload=False)) == [450, 450]
    assert memory(server(ServerState.LOADING, None, mmproj_offload=False)) == [700, 700]
    assert memory(server(ServerState.STOPPING, 0.5, mmproj_offload=False)) == [700, 700]


def test_that_servers_add_up_and_a_full_card_is_full() -> None:
    assert memory(server(), server()) == [1500, 1400]
    assert memory(server(), capacities=(500, 12_288)) == [500, 700]
    assert memory(server(), capacities=()) == []


def test_that_rounds_come_once_per_interval_until_cancelled() -> None:
    async def scenario() -> None:
        events = EventStream()
        rounds: list[GpusSampled] = []
        events.subscribe(lambda event: rounds.append(event) if isinstance(event, GpusSampled) else None)
        gpus = SimulatedGpus((12_288,), events, list, interval_s=0.01)
        task = asyncio.create_task(gpus.run())
        await wait_until(lambda: len(rounds) >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert gpus.latest == rounds[-1]

    run_async(scenario())


def test_that_the_host_is_sampled_with_plausible_figures() -> None:
    async def scenario() -> None:
        events = EventStream()
        rounds: list[HostSampled] = []
        events.subscribe(lambda event: rounds.append(event) if isinstance(event, HostSampled) else None)
        task = asyncio.create_task(HostSampler(events, interval_s=0.05).run())
        await wait_until(lambda: len(rounds) >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for round_ in rounds:
            assert 0 < round_.sample.memory_used_mib < round_.sample.memory_total_mib
            assert 0 <= round_.sample.cpu_percent <= 100

    run_async(scenario())
