"""After a stop: is the GPU memory back? Against the real sampler process and a stand-in for the NVIDIA library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.nvml_stub import NvmlStub
from tests.support.waiting import run_async, wait_until
from variet_gui.events import DeviceBuffers, EventStream, GpuProcess
from variet_gui.telemetry.gpu import GpuSampler
from variet_gui.telemetry.memory_back import MemoryWatch

PID = 4711
BUFFERS = (
    DeviceBuffers("CUDA0", weights_mib=7000.0, context_mib=500.0),
    DeviceBuffers("CPU_Mapped", weights_mib=300.0),
)
HELD = {"gpu0__used": 8000, "gpu0__total": 12288}


@dataclass
class Cards:
    """One card of the stand-in library, sampled."""

    stub: NvmlStub
    sampler: GpuSampler
    events: EventStream

    def watch(self, limit_s: float = 5.0) -> MemoryWatch:
        """Return a watch of the process, made now."""
        return MemoryWatch(self.events, self.sampler.latest, PID, BUFFERS, limit_s=limit_s)

    async def until_used(self, mib: float) -> None:
        """Wait until the sampler has seen that so much is in use."""

        def used() -> float | None:
            latest = self.sampler.latest
            return latest.samples[0].memory_used_mib if latest and latest.samples else None

        await wait_until(lambda: used() == mib, what=f"{mib} MiB in use")


@asynccontextmanager
async def sampled(folder: Path, monkeypatch: pytest.MonkeyPatch, **values: object) -> AsyncIterator[Cards]:
    stub = NvmlStub(folder)
    stub.set(**values)
    for name, value in stub.environment.items():
        monkeypatch.setenv(name, value)
    events = EventStream()
    sampler = GpuSampler(events, 0.1)
    task = asyncio.create_task(sampler.run())
    try:
        cards = Cards(stub, sampler, events)
        await cards.until_used(float(str(values["gpu0__used"])))
        yield cards
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_that_the_sampler_names_who_holds_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with sampled(tmp_path, monkeypatch, **HELD, gpu0__pid=PID, gpu0__pid_used=7800) as cards:
            assert cards.sampler.latest is not None
            assert cards.sampler.latest.samples[0].processes == (GpuProcess(PID, 7800.0),)

    run_async(scenario())


def test_that_memory_is_back_when_no_card_names_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with sampled(tmp_path, monkeypatch, **HELD, gpu0__pid=PID, gpu0__pid_used=7800) as cards:
            waiting = asyncio.create_task(cards.watch().until_back())
            await cards.until_used(8000.0)
            assert not waiting.done()
            cards.stub.set(gpu0__used=200, gpu0__total=12288)
            assert await waiting is True

    run_async(scenario())


def test_that_memory_which_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with sampled(tmp_path, monkeypatch, **HELD, gpu0__pid=PID, gpu0__pid_used=7800) as cards:
            assert await cards.watch(limit_s=0.5).until_back() is False

    run_async(scenario())


def test_that_the_sum_decides_where_the_driver_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"gpu0__processes__error": 3}

    async def scenario() -> None:
        async with sampled(tmp_path, monkeypatch, **HELD, **refused) as cards:
            waiting = asyncio.create_task(cards.watch().until_back())
            cards.stub.set(gpu0__used=4000, gpu0__total=12288, **refused)
            await cards.until_used(4000.0)
            assert not waiting.done(), "half of it is not all of it"
            cards.stub.set(gpu0__used=300, gpu0__total=12288, **refused)
            assert await waiting is True

    run_async(scenario())


def test_that_nobody_waits_for_a_server_without_gpu_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with sampled(tmp_path, monkeypatch, **HELD) as cards:
            on_cpu = (DeviceBuffers("CPU_Mapped", weights_mib=300.0), DeviceBuffers("CUDA_Host", compute_mib=12.0))
            watch = MemoryWatch(cards.events, cards.sampler.latest, PID, on_cpu)
            assert await watch.until_back() is None

    run_async(scenario())
