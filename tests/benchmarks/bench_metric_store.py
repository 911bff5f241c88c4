"""What the store costs beside the plain way (a deque of samples, made into an array at every redraw), in one run.

Run: python -m tests.benchmarks.bench_metric_store
Read the ratios; the microseconds are this machine's at this moment.
"""

from __future__ import annotations

import time
import tracemalloc
from collections import deque
from collections.abc import Callable

import numpy as np

from variet_gui.telemetry.store import FAST_SLOTS, SLOW_SLOTS, MetricStore

T0 = 1_790_000_000.0
DAY_S = 24 * 3600
CURVES = 13
PIXELS = 1163


def cost_us(call: Callable[[], object], repeats: int) -> float:
    """Return the best of five rounds, in microseconds of process time per call."""
    rounds = []
    for _ in range(5):
        before = time.process_time()
        for _ in range(repeats):
            call()
        rounds.append((time.process_time() - before) / repeats * 1e6)
    return min(rounds)


def fill(store: MetricStore, name: str) -> None:
    """Record one day at 1 Hz."""
    for second in range(DAY_S):
        store.record(T0 + second, name, float(second % 977))


def main() -> None:
    """Fill both with the same day, then measure and print."""
    names = [f"gpu{i}.vram_mib" for i in range(CURVES)]
    tracemalloc.start()
    store = MetricStore()
    fill(store, names[0])
    store_mib = tracemalloc.get_traced_memory()[0] / 2**20
    plain: deque[float] = deque(maxlen=DAY_S)
    before = tracemalloc.get_traced_memory()[0]
    plain.extend(float(second) + 0.5 for second in range(DAY_S))
    plain_mib = (tracemalloc.get_traced_memory()[0] - before) / 2**20
    tracemalloc.stop()
    for name in names[1:]:
        fill(store, name)

    now = T0 + DAY_S
    clock = iter(range(10**9))

    def record() -> None:
        store.record(now + next(clock) / 10, names[0], 1.0)

    append = cost_us(lambda: plain.append(1.0), 20_000)
    written = cost_us(record, 20_000)
    array = cost_us(lambda: np.array(plain), 3)
    whole = cost_us(lambda: store.window(names[0], T0, now), 200)
    reduced = cost_us(lambda: store.window(names[0], T0, now, 2 * PIXELS), 200)
    hour = cost_us(lambda: store.window(names[0], now - 3600, now, 2 * PIXELS), 200)
    redraw = cost_us(lambda: [store.window(name, T0, now, 2 * PIXELS) for name in names], 20)

    print(
        f"one day of one series            {store_mib:8.2f} MiB   deque of values {plain_mib:8.2f} MiB"
        f"   ratio {store_mib / plain_mib:.3f}"
    )
    print(
        f"record one sample                {written:8.2f} us    deque.append   {append:8.2f} us"
        f"    ratio {written / append:.1f}"
    )
    for text, found in (
        (f"whole day, {SLOW_SLOTS} values", whole),
        (f"whole day in {PIXELS} pixels", reduced),
        (f"one hour in {PIXELS} pixels", hour),
    ):
        print(f"{text:<32} {found:8.1f} us    np.array(deque) {array:7.0f} us    ratio {found / array:.4f}")
    print(
        f"{CURVES} curves, whole day             {redraw:8.0f} us    the plain way  {array * CURVES:8.0f} us"
        f"    ratio {redraw / array / CURVES:.4f}"
    )
    print(f"rings: {SLOW_SLOTS} slots at 1 Hz and {FAST_SLOTS} at 10 Hz per series, written twice")


if __name__ == "__main__":
    main()
