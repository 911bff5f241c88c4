"""What one step of a slider costs, as ratios to a fixed loop of the same run.

Run: python -m tests.benchmarks.bench_forecast
Read the ratios; the milliseconds are this machine's. The slider of the context changes every step, so that nothing is
answered from memory but what belongs to the header; the split and the layers on the CPU make new plans each time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from tests.support.forecast_rows import DATA, profile_of, unpack_headers
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.forecast.fixes import fixes_for
from variet_gui.forecast.placement import split_for_layers
from variet_gui.forecast.shape import model_shape
from variet_gui.forecast.values import Device
from variet_gui.forecast.vram import forecast
from variet_gui.gguf.header import GgufHeader, read_header

STEPS = 60
LOOP = 100_000
"""Additions of the fixed loop: some milliseconds."""
BUILD = 11434
BALANCED = "-c 262144 -ub 256 -ts 0.48,0.52 -ctk q8_0 -ctv q8_0 -fa on -ngl 99 -np 1"
TWO_CARDS = (Device("CUDA0", 11906.0), Device("CUDA1", 11906.0))


def fixed_loop() -> int:
    """Return a sum, slowly; the yardstick."""
    total = 0
    for number in range(LOOP):
        total += number & 7
    return total


def timed(step: Callable[[], object], repeats: int) -> list[float]:
    """Return the process time of each of `repeats` steps, s."""
    times = []
    for _ in range(repeats):
        start = time.process_time_ns()
        step()
        times.append((time.process_time_ns() - start) / 1e9)
    return times


def steps_of(header: GgufHeader, profile: LaunchProfile) -> Iterator[tuple[str, Callable[[], object]]]:
    """Return what an operator does, by name."""
    numbers = count()

    def ask(changed: LaunchProfile, *devices: Device) -> object:
        return forecast(header, changed, devices or TWO_CARDS, build=BUILD)

    def context() -> object:
        return ask(profile.with_value("ctx_size", 262144 - 1024 * (next(numbers) % 250)))

    def split() -> object:
        return ask(profile.with_value("tensor_split", split_for_layers(5 + next(numbers) % 30, 40)))

    def micro_batch() -> object:
        return ask(profile.with_value("ubatch_size", 64 + 8 * (next(numbers) % 200)))

    def on_cpu() -> object:
        return ask(profile.with_value("n_cpu_moe", next(numbers) % 40))

    def eight() -> object:
        cards = [Device(f"CUDA{number}", 11906.0) for number in range(8)]
        spread = profile.with_value("tensor_split", (1,) * 8)
        return ask(spread.with_value("ctx_size", 262144 - 1024 * (next(numbers) % 250)), *cards)

    yield "context", context
    yield "split", split
    yield "micro-batch", micro_batch
    yield "experts on the CPU", on_cpu
    yield "context, eight GPUs", eight


def main() -> None:
    """Print one line per slider."""
    with tempfile.TemporaryDirectory() as folder:
        headers = unpack_headers(DATA / "forecast_headers.tar.gz", Path(folder))
        header = read_header(headers / "qwen35b-Q4_K_M.gguf")
    profile = profile_of(BALANCED.split(" "))
    yardstick = statistics.median(timed(fixed_loop, 15))
    print(f"fixed loop: {yardstick * 1e3:.2f} ms = 1")
    first = timed(lambda: forecast(header, profile, TWO_CARDS, build=BUILD), 1)[0]
    print(f"{'first forecast of a header':28} {first / yardstick:6.2f}  ({first * 1e3:.2f} ms)")
    for name, step in steps_of(header, profile):
        step()
        times = timed(step, STEPS)
        median, worst = statistics.median(times), max(times)
        print(f"{name:28} {median / yardstick:6.2f}  worst {worst / yardstick:6.2f}  ({median * 1e3:.2f} ms)")
    times = timed(lambda: fixes_for(header, profile, TWO_CARDS, build=BUILD), 3)
    print(f"{'fixes':28} {statistics.median(times) / yardstick:6.2f}  ({statistics.median(times) * 1e3:.0f} ms)")
    assert model_shape(header) is not None


if __name__ == "__main__":
    main()
