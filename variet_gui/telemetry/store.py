"""Every measured series of the last day, in rings that plots read without waiting for the writer.

Each series has two rings of 32-bit floats: 24 h at 1 Hz and the last 10 min at 10 Hz. A slot belongs to an absolute
moment (bucket number = unix time / period), so that what was written stays comparable across restarts, and a block of
slots with its first bucket number is all that a file on disk would need.

One thread writes, any number of threads read, and nobody holds a lock: the writer announces what it is about to
overwrite, and a reader that was overtaken reads again (the idea of a sequence lock).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from variet_gui.events import Event, EventStream, GpusSampled, HostSampled, MarkAdded, SpeedSampled

Times: TypeAlias = NDArray[np.float64]
Values: TypeAlias = NDArray[np.float32]

SLOW_HZ, SLOW_SLOTS = 1, 24 * 3600
FAST_HZ, FAST_SLOTS = 10, (10 * 60 + 30) * 10
"""Half a minute more than the ten that are promised, so that a plot of exactly ten minutes is answered from here."""
HOLD_S = 2.5
"""A value stands until the next one, for this long at most; a longer silence is a gap. A sampler at 1 Hz drifts
through the one-second slots and skips one now and then: that is no gap."""
MARKS_KEPT = 500

_NO_BUCKET = -(2**62)


class Ring:
    """The newest `slots` values at `rate_hz`, addressed by absolute bucket number. NaN: unknown.

    It only ever moves forward. The buffer is held twice in a row (slot i and slot i + slots are written together), so
    that any span is one contiguous slice, across the seam too. It starts as untouched zero pages: memory is taken as
    time passes.
    """

    __slots__ = ("_buffer", "_writing", "first", "last", "rate_hz", "slots")

    def __init__(self, rate_hz: int, slots: int) -> None:
        self.rate_hz = rate_hz
        self.slots = slots
        self.first = _NO_BUCKET
        """The bucket that was written first; it may have left the ring since."""
        self.last = _NO_BUCKET
        """The newest bucket written."""
        self._buffer: Values = np.zeros(2 * slots, np.float32)
        self._writing = _NO_BUCKET

    def bucket(self, at: float) -> int:
        """Return the number of the bucket that the unix time `at` falls into."""
        return math.floor(at * self.rate_hz)

    @property
    def oldest(self) -> int:
        """The oldest bucket that can be read."""
        return max(self.first, self.last - self.slots + 1)

    def put(self, bucket: int, value: float, filler: float) -> None:
        """Write `value` at `bucket`, not older than the newest one, and `filler` into those skipped since."""
        if self.last == _NO_BUCKET:
            self.first, self.last = bucket, bucket - 1
        self._writing = bucket  # announced before anything is overwritten: see `read`
        if bucket > self.last + 1:
            self._fill(max(self.last + 1, bucket - self.slots), bucket, filler)
        slot = bucket % self.slots
        self._buffer[slot] = value
        self._buffer[slot + self.slots] = value
        self.last = bucket

    def _fill(self, start: int, stop: int, value: float) -> None:
        low, count = start % self.slots, stop - start
        head = min(count, self.slots - low)
        for offset in (0, self.slots):
            self._buffer[offset + low : offset + low + head] = value
            self._buffer[offset : offset + count - head] = value

    def until(self, bucket: int) -> Ring:
        """Return a copy that knows nothing from `bucket` on (for a clock that was set back).

        A copy, because readers may be at work on this one.
        """
        copy = Ring(self.rate_hz, self.slots)
        if self.oldest < bucket:
            copy.first, copy.last = self.oldest, min(self.last, bucket - 1)
            copy._buffer[:] = self._buffer
        return copy

    def read(self, start: int, stop: int, per_group: int) -> tuple[int, Values, Values]:
        """Return minima and maxima of the buckets `start`..`stop` (both included) in groups of `per_group`.

        Groups are aligned to multiples of `per_group` in absolute buckets, so that they keep their members while the
        span slides. The first item is the bucket that the first group begins with. Spans outside of what is stored
        are cut; all three can be empty.
        """
        while True:
            last = self.last
            low = max(start // per_group * per_group, self.first, last - self.slots + 1)
            high = min(stop, last)
            if high < low:
                return low, _EMPTY, _EMPTY
            view = self._buffer[low % self.slots : low % self.slots + high - low + 1]
            if per_group == 1:
                lows = highs = view.copy()
            else:
                # Group borders inside the view; the first group can be cut by the end of the ring.
                borders = np.arange(low // per_group * per_group, high + 1, per_group) - low
                borders[0] = 0
                lows, highs = np.fmin.reduceat(view, borders), np.fmax.reduceat(view, borders)
            if self._writing - low < self.slots:  # else the writer has overtaken us at the old end: again
                return low // per_group * per_group, lows, highs


_EMPTY: Values = np.empty(0, np.float32)


class Series:
    """One named curve: the same samples in a slow and a fast ring."""

    __slots__ = ("_at", "_count", "_hold_s", "_sum", "fast", "last", "slow")

    def __init__(self, hold_s: float, slow_slots: int, fast_slots: int) -> None:
        self.slow = Ring(SLOW_HZ, slow_slots)
        self.fast = Ring(FAST_HZ, fast_slots)
        self.last: float | None = None
        self._at = -math.inf
        self._hold_s = hold_s
        self._sum = 0.0
        self._count = 0

    def record(self, at: float, value: float | None) -> None:
        """Store one sample; see `MetricStore.record`."""
        if self._at - self._hold_s <= at < self._at:
            at = self._at  # late by a breath: two producers, or a clock that was slewed
        elif at < self._at:
            self._count, self.last = 0, None  # the clock was set back: what lies ahead of it now is forgotten
            self.slow = self.slow.until(self.slow.bucket(at))
            self.fast = self.fast.until(self.fast.bucket(at))
        held = self.last if self.last is not None and at - self._at <= self._hold_s else math.nan
        sample = math.nan if value is None else value
        bucket = self.slow.bucket(at)
        if bucket != self.slow.last:
            self._sum, self._count = 0.0, 0
        if value is not None:
            self._sum, self._count = self._sum + value, self._count + 1
        # Within one bucket a value outlives an "unknown"; a second's samples become their mean.
        if value is not None or not self._count:
            self.slow.put(bucket, self._sum / self._count if self._count else math.nan, held)
        bucket = self.fast.bucket(at)
        if value is not None or bucket != self.fast.last:
            self.fast.put(bucket, sample, held)
        self._at, self.last = at, value


class MetricStore:
    """All series by name, and the marks on the time axis.

    Names: `gpu{i}.vram_mib`, `gpu{i}.utilisation` (percent), `gpu{i}.temperature` (degrees C), `gpu{i}.power` (W),
    `gpu{i}.pcie_receive` (MiB/s), `host.memory_mib`, `host.cpu` (percent), `{role}.generation_tps` and
    `{role}.prefill_tps` (tokens/s).
    """

    def __init__(self, hold_s: float = HOLD_S, slow_slots: int = SLOW_SLOTS, fast_slots: int = FAST_SLOTS) -> None:
        self._shape = (hold_s, slow_slots, fast_slots)
        # Replaced as a whole by the writer, never changed in place: readers on other threads iterate over them.
        self._series: dict[str, Series] = {}
        self._marks: tuple[MarkAdded, ...] = ()
        self._gpu_names: frozenset[str] = frozenset()

    def record(self, at: float, name: str, value: float | None) -> None:
        """Store the sample `value` of the series `name` at the unix time `at`, s. None (or NaN) is a gap.

        A value stands until the next sample, `hold_s` at most. Samples that share a 100 ms slot replace each other; in
        the one-second slots they are averaged. A sample older than the newest by `hold_s` at most counts as of now;
        an older one means that the clock was set back: what the series holds from that moment on is forgotten.
        A series begins with its first value: "unknown" alone does not make one.

        Raises:
            ValueError: `at` is not a finite number.
        """
        if not math.isfinite(at):
            raise ValueError(f"sample of {name} at {at}: the time must be a finite number of seconds")
        if value is not None and not math.isfinite(value):
            value = None
        series = self._series.get(name)
        if series is None:
            if value is None:
                return
            series = Series(*self._shape)
            self._series = {**self._series, name: series}
        series.record(at, value)

    def last(self, name: str) -> float | None:
        """Return the newest sample of `name`; None when it is unknown or there was none."""
        series = self._series.get(name)
        return None if series is None else series.last

    def names(self) -> tuple[str, ...]:
        """Return the names of all series that ever had a value, oldest first."""
        return tuple(self._series)

    def window(self, name: str, since: float, until: float, max_points: int | None = None) -> tuple[Times, Values]:
        """Return the series `name` from `since` to `until` (unix times, s), oldest first.

        Two arrays of the same length: times (float64, s: the beginning of the slot) and values (float32, NaN for
        gaps). They are the caller's own. The 10 Hz ring answers where it reaches back far enough for all that there
        is to show, else the 1 Hz ring. Beyond `max_points` the span is reduced to minimum and maximum of equal parts
        (two points each, aligned to absolute time so that a sliding span does not shimmer); the parts at its edges
        can begin up to one part early. Times before the first and after the newest sample are left out.
        An unknown name or an empty span gives empty arrays.

        Raises:
            ValueError: `max_points` is below 4.
        """
        if max_points is not None and max_points < 4:
            raise ValueError(f"a window of {max_points} points cannot show anything; ask for 4 or more")
        series = self._series.get(name)
        if series is None or not until >= since:
            return np.empty(0), _EMPTY
        fast, slow = series.fast, series.slow
        ring = fast if fast.bucket(max(since, slow.first / SLOW_HZ)) >= fast.last - fast.slots + 1 else slow
        start = ring.bucket(since) if math.isfinite(since) else ring.oldest
        stop = ring.bucket(until) if math.isfinite(until) else ring.last
        # The width that was asked for decides the grouping, not how much of it is filled: else the grouping would
        # change with every sample while a curve grows. A span touches two buckets more than it is long, at most.
        buckets = round(min((until - since) * ring.rate_hz, ring.slots)) + 2
        per_group = 1
        if max_points is not None and buckets > max_points:
            per_group = math.ceil((buckets - 1) / (max_points // 2 - 1))
        first, lows, highs = ring.read(start, stop, per_group)
        if per_group == 1:
            return (first + np.arange(len(lows))) / ring.rate_hz, lows
        times = (first + np.arange(2 * len(lows)) * (per_group / 2)) / ring.rate_hz
        values = np.empty(2 * len(lows), np.float32)
        values[0::2], values[1::2] = lows, highs
        return times, values

    def marks(self, since: float = -math.inf) -> list[MarkAdded]:
        """Return the marks from `since` (unix time, s) on, in the order they came; the newest 500 are kept."""
        return [mark for mark in self._marks if mark.at >= since]

    def add_mark(self, mark: MarkAdded) -> None:
        """Keep `mark`; the oldest one beyond 500 is forgotten."""
        self._marks = (*self._marks[-(MARKS_KEPT - 1) :], mark)

    def follow(self, events: EventStream) -> Callable[[], None]:
        """Record whatever `events` tells about GPUs, host and speeds, and every mark; the result ends that."""
        return events.subscribe(self._receive)

    def _receive(self, event: Event) -> None:
        if isinstance(event, SpeedSampled):
            self.record(event.at, f"{event.role}.generation_tps", event.generation_tps)
            self.record(event.at, f"{event.role}.prefill_tps", event.prefill_tps)
        elif isinstance(event, GpusSampled):
            self._record_gpus(event)
        elif isinstance(event, HostSampled):
            self.record(event.at, "host.memory_mib", event.sample.memory_used_mib)
            self.record(event.at, "host.cpu", event.sample.cpu_percent)
        elif isinstance(event, MarkAdded):
            self.add_mark(event)

    def _record_gpus(self, event: GpusSampled) -> None:
        figures: dict[str, float | None] = {}
        for sample in event.samples:
            prefix = f"gpu{sample.index}"
            figures[f"{prefix}.vram_mib"] = sample.memory_used_mib
            figures[f"{prefix}.utilisation"] = sample.utilisation_percent
            figures[f"{prefix}.temperature"] = sample.temperature_c
            figures[f"{prefix}.power"] = sample.power_w
            figures[f"{prefix}.pcie_receive"] = sample.pcie_receive_mib_s
        # A card that is not in this round (lost, or the driver is gone) has a gap from here on.
        for name in self._gpu_names - figures.keys():
            self.record(event.at, name, None)
        self._gpu_names |= figures.keys()
        for name, value in figures.items():
            self.record(event.at, name, value)
