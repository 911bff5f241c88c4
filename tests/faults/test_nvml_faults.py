"""The sampler process with real pynvml and real ctypes, on a stand-in driver that fails on demand."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from tests.support.nvml_stub import NvmlStub
from tests.support.waiting import run_async, wait_until
from variet_gui.events import EventStream, GpusSampled
from variet_gui.helpers import Helper, helper_command
from variet_gui.telemetry.gpu import GpuSampler

Scenario = Callable[[list[GpusSampled]], Awaitable[None]]


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvmlStub:
    return use(NvmlStub(tmp_path), monkeypatch)


def use(stub: NvmlStub, monkeypatch: pytest.MonkeyPatch) -> NvmlStub:
    for name, value in stub.environment.items():
        monkeypatch.setenv(name, value)
    return stub


def sampling(scenario: Scenario, interval_s: float = 0.05) -> list[GpusSampled]:
    """Run the real sampler process while `scenario` changes the driver under it; return every round."""

    async def run() -> list[GpusSampled]:
        events = EventStream()
        rounds: list[GpusSampled] = []
        events.subscribe(lambda event: rounds.append(event) if isinstance(event, GpusSampled) else None)
        sampler = GpuSampler(events, interval_s, respawn_s=(0.05, 0.1), silence_s=1.5)
        task = asyncio.create_task(sampler.run())
        try:
            await scenario(rounds)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert psutil.Process().children(recursive=True) == [], "the sampler process outlived its sampler"
        return rounds

    return run_async(run(), 60)


async def round_with(rounds: list[GpusSampled], condition: Callable[[GpusSampled], bool], what: str) -> GpusSampled:
    """Wait until the newest round fulfils `condition`, and return it."""
    await wait_until(lambda: bool(rounds) and condition(rounds[-1]), 20, what)
    return rounds[-1]


def has_figures(of: GpusSampled) -> bool:
    return bool(of.samples) and all(sample.memory_used_mib is not None for sample in of.samples)


def test_that_two_cards_are_read_whole_and_changes_are_seen(stub: NvmlStub) -> None:
    stub.set(count=2, gpu0__used=512, gpu1__used=1024, gpu1__utilisation=97, gpu1__milliwatts=170_500, gpu1__width=4)

    async def scenario(rounds: list[GpusSampled]) -> None:
        first = await round_with(rounds, lambda r: len(r.samples) == 2, "two cards")
        assert (first.driver, first.problem) == ("580.95.05", None)
        left, right = first.samples
        assert (left.index, left.name, left.uuid) == (0, "NVIDIA GeForce RTX 3060", "GPU-00000000")
        assert (left.pci_bus_id, right.pci_bus_id) == ("0000:0a:00.0", "0000:0b:00.0")
        assert (left.memory_used_mib, left.memory_total_mib, left.memory_reserved_mib) == (512, 12_288, 382)
        assert (right.utilisation_percent, right.temperature_c, right.power_w) == (97, 30, 170.5)
        assert (right.pcie_generation, right.pcie_generation_max) == (1, 4)
        assert (right.pcie_width, right.pcie_width_max) == (4, 16)
        assert right.pcie_receive_mib_s == 2
        assert (left.memory_clock_max_mhz, left.memory_bus_bits) == (7501, 192)
        assert not right.simulated
        stub.set(count=2, gpu0__used=9_000)
        await round_with(rounds, lambda r: r.samples[0].memory_used_mib == 9_000, "the new memory")

    sampling(scenario)


def test_that_slow_calls_are_made_seldom(stub: NvmlStub) -> None:
    async def scenario(rounds: list[GpusSampled]) -> None:
        await wait_until(lambda: len(rounds) >= 41, 20, "41 rounds")

    sampling(scenario, interval_s=0.05)
    calls = stub.calls()
    ticks = calls.count("memory")
    assert calls.count("receive") <= 1 + ticks * 0.05 / 4 + 1
    assert calls.count("power") <= 1 + ticks * 0.05 / 1 + 1
    assert calls.count("name") == 1


def test_that_one_figure_that_fails_does_not_take_the_others_along(stub: NvmlStub) -> None:
    stub.set(gpu0__power__error=3, gpu0__temperature__error=999, gpu0__link__error=3, gpu0__receive__error=10)

    async def scenario(rounds: list[GpusSampled]) -> None:
        (card,) = (await round_with(rounds, has_figures, "figures")).samples
        assert (card.power_w, card.temperature_c, card.pcie_generation, card.pcie_receive_mib_s) == (None,) * 4
        assert (card.utilisation_percent, card.pcie_width_max) == (0, 16)
        stub.set(gpu0__temperature=55)
        await round_with(rounds, lambda r: r.samples[0].temperature_c == 55, "the temperature that failed for a while")
        assert rounds[-1].samples[0].power_w is None  # "not supported" is for good

    rounds = sampling(scenario)
    assert all(r.problem is None for r in rounds)
    assert stub.calls().count("power") == 1
    assert "shutdown" not in stub.calls()


def test_that_a_driver_without_a_function_lacks_that_figure_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(NvmlStub(tmp_path, "WITHOUT_POWER"), monkeypatch)

    async def scenario(rounds: list[GpusSampled]) -> None:
        (card,) = (await round_with(rounds, has_figures, "figures")).samples
        assert (card.power_w, card.temperature_c) == (None, 30)

    sampling(scenario)


def test_that_a_lost_card_leaves_a_gap_the_other_goes_on_and_it_comes_back_by_itself(stub: NvmlStub) -> None:
    stub.set(count=2)

    async def scenario(rounds: list[GpusSampled]) -> None:
        await round_with(rounds, has_figures, "figures of both")
        stub.set(count=2, gpu0__used=777, gpu1__error=15, gpu1__handle__error=15)
        await round_with(rounds, lambda r: r.problem is not None, "the loss")
        await wait_until(lambda: stub.calls().count("init") >= 2, 20, "the first attempt to find it again")
        lost = await round_with(rounds, lambda r: r.samples[0].memory_used_mib == 777, "the card that is left")
        assert "GPU 1 has stopped answering the NVIDIA driver (GPU is lost)" in str(lost.problem)
        assert (lost.samples[1].name, lost.samples[1].memory_used_mib) == ("NVIDIA GeForce RTX 3060", None)
        stub.set(count=2)
        await round_with(rounds, lambda r: r.problem is None and has_figures(r), "both cards again")

    sampling(scenario)
    calls = stub.calls()
    assert calls.count("shutdown") >= 1
    assert calls.count("init") <= 5, "the driver was pestered instead of asked with growing pauses"


def test_that_a_driver_that_goes_away_is_told_and_comes_back_by_itself(stub: NvmlStub) -> None:
    async def scenario(rounds: list[GpusSampled]) -> None:
        await round_with(rounds, has_figures, "figures")
        stub.set(init=9, gpu0__error=1)
        gone = await round_with(rounds, lambda r: not r.samples, "the driver's end")
        assert "installed but not loaded" in str(gone.problem)
        assert gone.driver is None
        stub.set(driver="590.10")
        back = await round_with(rounds, has_figures, "figures again")
        assert (back.driver, back.problem) == ("590.10", None)

    sampling(scenario)


def test_that_a_driver_update_brings_a_fresh_process(stub: NvmlStub) -> None:
    async def scenario(rounds: list[GpusSampled]) -> None:
        await round_with(rounds, has_figures, "figures")
        (old,) = psutil.Process().children()
        stub.set(init=18, gpu0__error=15)
        told = await round_with(rounds, lambda r: "updated" in str(r.problem), "the mismatch")
        assert told.samples == ()
        await wait_until(lambda: not psutil.pid_exists(old.pid), 20, "the end of the process with the old library")

    sampling(scenario)


def test_that_a_crash_inside_the_driver_costs_a_respawn_and_no_more(stub: NvmlStub) -> None:
    async def scenario(rounds: list[GpusSampled]) -> None:
        await round_with(rounds, has_figures, "figures")
        stub.set(crash=1)
        crashed = await round_with(rounds, lambda r: not r.samples, "the crash")
        assert "exit code -6" in str(crashed.problem)
        stub.set(gpu0__used=33)
        await round_with(rounds, lambda r: has_figures(r) and r.samples[0].memory_used_mib == 33, "figures again")

    sampling(scenario)


def test_that_a_driver_that_hangs_is_told_and_left(stub: NvmlStub) -> None:
    async def scenario(rounds: list[GpusSampled]) -> None:
        await round_with(rounds, has_figures, "figures")
        stub.set(hang=1)
        hung = await round_with(rounds, lambda r: not r.samples, "the hang")
        assert "has not answered" in str(hung.problem)
        stub.set()
        await round_with(rounds, has_figures, "figures again")

    sampling(scenario)


def test_that_a_sampler_hanging_in_the_driver_still_ends_with_its_panel(stub: NvmlStub) -> None:
    stub.set(hang=1)
    command = helper_command(Helper.GPU_SAMPLER)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert b"driver" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0


def test_that_a_driver_that_prints_does_not_garble_the_lines(stub: NvmlStub) -> None:
    stub.set(print=1)

    async def scenario(rounds: list[GpusSampled]) -> None:
        await wait_until(lambda: len(rounds) >= 5, 20, "five rounds")

    rounds = sampling(scenario)
    assert all(has_figures(r) and r.problem is None for r in rounds)


def test_that_a_driver_without_a_card_says_so(stub: NvmlStub) -> None:
    stub.set(count=0)

    async def scenario(rounds: list[GpusSampled]) -> None:
        told = await round_with(rounds, lambda r: r.problem is not None, "the reason")
        assert "reports no GPU" in str(told.problem)

    sampling(scenario)


def test_that_a_machine_without_a_driver_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libnvidia-ml.so.1").touch()  # found first, and no library: hides a real driver of this machine
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))

    async def scenario(rounds: list[GpusSampled]) -> None:
        told = await round_with(rounds, lambda r: True, "the first round")
        assert str(told.problem) == (
            "No NVIDIA driver was found; GPU figures are not available. Host memory and CPU are shown instead."
        )
        assert (told.samples, told.driver) == ((), None)

    sampling(scenario)
