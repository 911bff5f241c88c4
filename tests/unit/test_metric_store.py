"""The rings against a plain model that keeps every sample and answers from the definition."""

from __future__ import annotations

import math
import sys
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.events import (
    EventStream,
    GpuSample,
    GpusSampled,
    HostSample,
    HostSampled,
    MarkAdded,
    MarkKind,
    SpeedSampled,
)
from variet_gui.i18n import msg
from variet_gui.telemetry.store import HOLD_S, MARKS_KEPT, MetricStore

T0 = 1_790_000_000.0
SLOW_SLOTS, FAST_SLOTS = 40, 70


@dataclass
class PlainRing:
    """Every sample in a list; the value of a bucket is worked out when it is asked for."""

    rate_hz: int
    slots: int
    mean: bool
    samples: list[tuple[float, float | None]] = field(default_factory=list)
    first: int = -1
    before_set_back: dict[int, float] = field(default_factory=dict)

    def bucket(self, at: float) -> int:
        return math.floor(at * self.rate_hz)

    @property
    def last(self) -> int:
        return self.bucket(self.samples[-1][0])

    @property
    def oldest(self) -> int:
        return max(self.first, self.last - self.slots + 1)

    def add(self, at: float, value: float | None, set_back: bool) -> None:
        if set_back:
            kept = range(self.oldest, self.bucket(at))
            self.before_set_back = {bucket: self.value(bucket) for bucket in kept}
            self.first = kept.start if kept else -1
            self.samples = []
        if self.first == -1:
            self.first = self.bucket(at)
        self.samples.append((at, value))

    def value(self, bucket: int) -> float:
        if bucket in self.before_set_back and bucket < self.bucket(self.samples[0][0]):
            return self.before_set_back[bucket]
        inside = [value for at, value in self.samples if self.bucket(at) == bucket]
        if inside:
            known = [value for value in inside if value is not None]
            if not known:
                return math.nan
            return sum(known) / len(known) if self.mean else known[-1]
        at, value = [s for s in self.samples if self.bucket(s[0]) < bucket][-1]
        next_at = next(s[0] for s in self.samples if self.bucket(s[0]) > bucket)
        return math.nan if value is None or next_at - at > HOLD_S else value

    def read(self, since: float, until: float) -> dict[int, float]:
        low, high = max(self.bucket(since), self.oldest), min(self.bucket(until), self.last)
        return {bucket: self.value(bucket) for bucket in range(low, high + 1)}


class PlainStore:
    def __init__(self) -> None:
        self.slow = PlainRing(1, SLOW_SLOTS, mean=True)
        self.fast = PlainRing(10, FAST_SLOTS, mean=False)
        self.at = -math.inf

    def record(self, at: float, value: float | None) -> None:
        if not self.slow.samples and value is None:
            return
        set_back = at < self.at - HOLD_S
        if not set_back:
            at = max(at, self.at)
        for ring in (self.slow, self.fast):
            ring.add(at, value, set_back)
        self.at = at

    def read(self, since: float, until: float) -> tuple[int, dict[int, float]]:
        """Rate, and value by bucket: from the fast ring where it reaches back to all that there is since then."""
        reach = self.fast.last - self.fast.slots + 1
        ring = self.fast if self.fast.bucket(max(since, self.slow.first)) >= reach else self.slow
        return ring.rate_hz, ring.read(since, until)


steps = st.one_of(
    st.sampled_from([0.0, 0.05, 0.1, 0.2, 1.0, 1.0, 1.001, 0.999, 2.5, 2.6, 7.0]),
    st.sampled_from([39.0, 41.0, 200.0, 1e6, -0.05, -2.4, -2.6, -5.0, -30.0, -500.0]),
    st.floats(0, 4),
)
values = st.one_of(st.none(), st.integers(0, 12_288).map(float))
scripts = st.lists(st.tuples(steps, values), min_size=1, max_size=60)


def both(script: list[tuple[float, float | None]]) -> tuple[MetricStore, PlainStore, float]:
    store, plain = MetricStore(slow_slots=SLOW_SLOTS, fast_slots=FAST_SLOTS), PlainStore()
    at = T0
    for step, value in script:
        at += step
        store.record(at, "x", value)
        plain.record(at, value)
    return store, plain, at


@given(scripts, st.floats(-90, 5), st.floats(0, 100))
def test_that_every_value_read_back_is_what_the_plain_model_says(
    script: list[tuple[float, float | None]], offset: float, length: float
) -> None:
    store, plain, at = both(script)
    if not plain.slow.samples:
        assert store.names() == ()
        return
    for since, until in ((at + offset, at + offset + length), (T0 - 1e7, T0 + 1e9)):
        rate_hz, expected = plain.read(since, until)
        times, found = store.window("x", since, until)
        assert [round(t * rate_hz) for t in times.tolist()] == list(expected)
        np.testing.assert_allclose(found, np.float32(list(expected.values())), rtol=1e-6)


@given(scripts, st.integers(4, 30), st.floats(-60, 10), st.floats(0, 80))
def test_that_a_reduced_window_keeps_every_peak_and_no_more_points_than_asked_for(
    script: list[tuple[float, float | None]], max_points: int, offset: float, length: float
) -> None:
    store, _, at = both(script)
    since, until = at + offset, at + offset + length
    _, exact = store.window("x", since, until)
    times, reduced = store.window("x", since, until, max_points)
    assert len(times) == len(reduced) <= max_points
    assert np.all(np.diff(times) > 0)
    if len(exact) and not np.isnan(exact).all():
        assert np.nanmax(reduced) >= np.nanmax(exact)
        assert np.nanmin(reduced) <= np.nanmin(exact)


def test_that_a_full_day_survives_the_seam_of_the_ring() -> None:
    store = MetricStore()
    seconds = 86_400 + 5_000
    for second in range(seconds):
        store.record(T0 + second + 0.4, "x", float(second) if second % 1000 else None)
    times, found = store.window("x", T0, T0 + seconds)
    assert len(found) == 86_400
    expected = np.arange(seconds - 86_400, seconds, dtype=np.float32)
    expected[expected % 1000 == 0] = np.nan
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(times, T0 + np.arange(seconds - 86_400, seconds))


def test_that_parts_of_a_sliding_span_keep_their_values() -> None:
    store = MetricStore()
    for second in range(8_000):
        store.record(T0 + second, "x", float((second * 7919) % 1000))
    seen: dict[float, tuple[float, float]] = {}
    for now in range(7_000, 7_200):
        times, found = store.window("x", T0 + now - 3600, T0 + now, 400)
        for i in range(2, len(times) - 2, 2):  # the parts at the two edges are cut
            pair = (float(found[i]), float(found[i + 1]))
            assert seen.setdefault(float(times[i]), pair) == pair


def test_that_a_sampler_drifting_through_the_seconds_makes_no_gap() -> None:
    store = MetricStore()
    for tick in range(3_000):
        store.record(T0 + tick * 1.0007, "x", 1.0)
    for since in (T0, T0 + 2_900):  # the slow ring, and the fast one
        _, found = store.window("x", since, math.inf)
        assert len(found) > 100
        assert not np.isnan(found).any()


def test_that_exactly_ten_minutes_come_at_ten_a_second_and_more_at_one() -> None:
    store = MetricStore()
    for tick in range(40_000):
        store.record(T0 + tick / 10, "x", float(tick))
    now = T0 + 4_000
    times, found = store.window("x", now - 600, now)
    assert times[1] - times[0] == pytest.approx(0.1)
    assert found.tolist() == [float(tick) for tick in range(34_000, 40_000)]
    times, _ = store.window("x", now - 3_600, now)
    assert times[1] - times[0] == 1


def test_that_silence_is_a_gap_and_so_is_unknown() -> None:
    store = MetricStore()
    store.record(T0, "x", 5.0)
    store.record(T0 + 10, "x", 6.0)
    store.record(T0 + 11, "x", None)
    store.record(T0 + 13, "x", 7.0)
    _, found = store.window("x", T0, T0 + 20)
    seconds = found[::10]
    assert seconds[0] == 5
    assert np.isnan(seconds[1:10]).all()
    assert seconds[10] == 6
    assert np.isnan(seconds[11:13]).all()
    assert seconds[13] == 7
    assert store.last("x") == 7
    store.record(T0 + 14, "x", math.nan)
    assert store.last("x") is None


def test_that_samples_of_one_second_become_their_mean_and_unknown_does_not_wipe_them() -> None:
    store = MetricStore(fast_slots=10)
    for tenth, value in ((0.0, 10.0), (0.2, 20.0), (0.4, None), (2.0, 1.0)):
        store.record(T0 + tenth, "x", value)
    _, found = store.window("x", T0, T0 + 2)
    assert found[0] == 15
    assert np.isnan(found[1])
    assert found[2] == 1


def test_that_a_clock_set_back_forgets_what_lies_ahead_and_corrupts_nothing() -> None:
    store = MetricStore()
    for second in range(10_000):
        store.record(T0 + second, "x", 1.0)
    for second in range(5_000, 6_000):
        store.record(T0 + second, "x", 2.0)
    times, found = store.window("x", T0, T0 + 20_000)
    assert times[-1] == T0 + 5_999
    assert (found[:5_000] == 1).all()
    assert (found[5_000:] == 2).all()
    _, found = store.window("x", T0 + 5_900, T0 + 20_000)
    assert (found == 2).all()


def test_that_a_clock_far_ahead_and_back_leaves_the_store_usable() -> None:
    store = MetricStore()
    store.record(T0, "x", 1.0)
    store.record(T0 + 1e9, "x", 2.0)
    store.record(T0 + 1, "x", 3.0)
    times, found = store.window("x", T0 - 10, T0 + 10)
    assert times.tolist()[-1] == pytest.approx(T0 + 1)
    assert found[-1] == 3
    assert 2.0 not in found.tolist()


def test_that_a_time_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"gpu0\.vram_mib at nan"):
        MetricStore().record(math.nan, "gpu0.vram_mib", 1.0)


def test_that_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="ask for 4"):
        MetricStore().window("x", 0, 1, 3)


def test_that_an_unknown_series_and_an_empty_span_are_empty() -> None:
    store = MetricStore()
    assert store.last("x") is None
    for window in (store.window("x", T0, T0 + 1), store.window("x", T0 + 1, T0)):
        assert [len(part) for part in window] == [0, 0]
    store.record(T0, "x", 1.0)
    assert len(store.window("x", T0 + 50, T0 + 60)[0]) == 0
    assert len(store.window("x", T0 - 60, T0 - 50)[0]) == 0


def test_that_a_window_is_the_readers_own() -> None:
    store = MetricStore()
    store.record(T0, "x", 1.0)
    _, found = store.window("x", T0, T0 + 1)
    found[:] = 99
    assert store.window("x", T0, T0 + 1)[1].tolist() == [1.0]


def test_that_readers_never_see_a_torn_window_while_the_writer_runs() -> None:
    store = MetricStore(slow_slots=500, fast_slots=10)
    store.record(T0, "x", 0.0)
    written = threading.Event()
    torn: list[list[float]] = []
    windows = [0, 0]

    def read(number: int) -> None:
        while not written.is_set():
            times, found = store.window("x", -math.inf, math.inf)
            windows[number] += 1
            # The value of each slot is its own time: anything else was overwritten while it was read.
            if not np.array_equal(found, np.float32(np.floor(times - T0) % 1000)):
                torn.append(found.tolist())
                return

    readers = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for reader in readers:
            reader.start()
        for second in range(1, 30_000):
            store.record(T0 + second, "x", float(second % 1000))
    finally:
        written.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(interval)
    assert not torn
    assert min(windows) > 50


def test_that_events_become_series_under_their_names() -> None:
    store, events = MetricStore(), EventStream()
    store.follow(events)
    card = GpuSample(1, "Card", 700.0, 12_288.0, utilisation_percent=40, temperature_c=60, power_w=120.5)
    events.publish(GpusSampled(T0, (card,)))
    events.publish(HostSampled(T0, HostSample(8_000.0, 64_000.0, 12.5)))
    events.publish(SpeedSampled(T0, "fast", 41.0, None))
    assert set(store.names()) == {
        "gpu1.vram_mib",
        "gpu1.utilisation",
        "gpu1.temperature",
        "gpu1.power",
        "host.memory_mib",
        "host.cpu",
        "fast.generation_tps",
    }
    assert store.last("gpu1.power") == 120.5
    assert store.last("fast.generation_tps") == 41


def test_that_a_card_missing_from_a_round_has_a_gap_and_a_tier_named_like_one_has_not() -> None:
    store, events = MetricStore(), EventStream()
    store.follow(events)
    events.publish(SpeedSampled(T0, "gpu-tier", 41.0, None))
    events.publish(GpusSampled(T0, (GpuSample(0, "a", 1.0, 2.0), GpuSample(1, "b", 1.0, 2.0))))
    events.publish(GpusSampled(T0 + 1, (GpuSample(0, "a", 1.5, 2.0),)))
    assert store.last("gpu0.vram_mib") == 1.5
    assert store.last("gpu1.vram_mib") is None
    events.publish(GpusSampled(T0 + 2, (), problem=msg("gone")))
    assert store.last("gpu0.vram_mib") is None
    assert store.last("gpu-tier.generation_tps") == 41


def test_that_marks_are_kept_in_order_and_bounded() -> None:
    store, events = MetricStore(), EventStream()
    store.follow(events)
    for second in range(MARKS_KEPT + 20):
        events.publish(MarkAdded(T0 + second, MarkKind.START, "fast", msg("started")))
    assert [mark.at - T0 for mark in store.marks()] == list(range(20, MARKS_KEPT + 20))
    assert [mark.at - T0 for mark in store.marks(T0 + MARKS_KEPT + 18)] == [MARKS_KEPT + 18, MARKS_KEPT + 19]
