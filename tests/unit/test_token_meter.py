"""Rates from counters that are looked at now and then, and the meter that looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.waiting import run_async, wait_until
from variet_gui.client.errors import ApiError, ErrorKind
from variet_gui.events import EventStream, LogAppended, ServerState, ServerStateChanged, ServerStatus, SpeedSampled
from variet_gui.i18n import msg
from variet_gui.telemetry.rates import Rate
from variet_gui.telemetry.tokens import TokenMeter, may_sleep

# ----------------------------------------------------------------------------------------------------------- the rate


def looked_at(
    counter: Callable[[float], int], seconds: float, every: float = 0.2, step: int | None = 1
) -> list[float | None]:
    rate, at, seen = Rate(step), 0.0, []
    while at < seconds:
        seen.append(rate.feed(at, counter(at), 1.0 if at == 0 else every))
        at += every
    return seen


@given(st.floats(0.8, 300))
def test_that_a_steady_stream_is_told_within_a_fifth(tokens_per_s: float) -> None:
    seen = looked_at(lambda at: 7 + int(at * tokens_per_s), 12)
    known = [rate for rate in seen if rate is not None]
    assert known
    assert all(abs(rate - tokens_per_s) <= 0.2 * tokens_per_s for rate in known)
    assert all(rate is not None for rate in seen[-20:])


@given(st.floats(60, 5_000), st.sampled_from([256, 512, 2_048]))
def test_that_a_prompt_counted_in_batches_is_told_by_whole_batches(tokens_per_s: float, batch: int) -> None:
    def counter(at: float) -> int:
        return int(at * tokens_per_s / batch) * batch

    seen = looked_at(counter, max(8.0, 5 * batch / tokens_per_s), step=None)
    known = [rate for rate in seen if rate is not None]
    assert known
    assert all(abs(rate - tokens_per_s) <= 0.3 * tokens_per_s for rate in known)


def test_that_nothing_is_told_before_two_changes_were_seen() -> None:
    rate = Rate(1)
    assert rate.feed(0.0, 50, 0.2) is None
    assert rate.feed(0.2, 60, 0.2) is None
    assert rate.feed(0.4, 70, 0.2) == pytest.approx(50)


def test_that_a_counter_standing_still_becomes_unknown_and_never_zero() -> None:
    seen = looked_at(lambda at: min(int(at * 20), 40), 8)
    assert seen[8] == pytest.approx(20, rel=0.1)
    assert seen[-1] is None
    assert 0 not in seen


def test_that_the_rate_follows_a_change_of_speed() -> None:
    seen = looked_at(lambda at: int(at * 100) if at < 5 else 500 + int((at - 5) * 10), 10)
    assert seen[20] == pytest.approx(100, rel=0.05)
    assert seen[-1] == pytest.approx(10, rel=0.15)


# ---------------------------------------------------------------------------------------------------------- the meter


@dataclass(frozen=True)
class Slot:
    id: int = 0
    id_task: int | None = None
    is_processing: bool = False
    n_prompt_processed: int | None = None
    n_decoded: int | None = None


@dataclass
class StandInServer:
    """Answers /slots as a function of time, or not at all."""

    answer: Callable[[float], Sequence[Slot]] = lambda at: [Slot()]
    trouble: Exception | None = None
    silent: bool = False
    asked: list[float] = field(default_factory=list)
    open_requests: int = 0

    async def slots(self) -> Sequence[Slot]:
        self.asked.append(time.monotonic())
        self.open_requests += 1
        try:
            if self.silent:
                await asyncio.Event().wait()
            if self.trouble is not None:
                raise self.trouble
            return self.answer(time.monotonic())
        finally:
            self.open_requests -= 1


def generating(tokens_per_s: float, task: int = 1) -> Callable[[float], list[Slot]]:
    begin = time.monotonic()
    return lambda at: [Slot(0, task, True, 100, 1 + int((at - begin) * tokens_per_s))]


class House:
    """A meter over stand-in servers, and what it published."""

    def __init__(self, timeout_s: float = 1.0) -> None:
        self.events = EventStream()
        self.speeds: list[SpeedSampled] = []
        self.busy: list[tuple[str, bool]] = []
        self.server = StandInServer()
        self.statuses = {"fast": ServerStatus("fast", ServerState.STOPPED)}
        self.meter = TokenMeter(
            self.events,
            self.statuses.values,
            api_for=lambda status: self.server,
            on_busy=lambda role, busy: self.busy.append((role, busy)),
            timeout_s=timeout_s,
        )
        self.events.subscribe(lambda event: self.speeds.append(event) if isinstance(event, SpeedSampled) else None)

    def becomes(self, state: ServerState, **changes: object) -> None:
        before = self.statuses["fast"]
        now = self.statuses["fast"] = replace(before, state=state, **changes)  # type: ignore[arg-type]
        self.events.publish(ServerStateChanged(now, before.state))

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.meter.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        assert self.server.open_requests == 0, "a request was left open: the server could not be stopped"


def test_that_a_server_that_is_not_up_is_not_asked() -> None:
    async def scenario() -> None:
        async with House() as house:
            for state in (ServerState.STARTING, ServerState.LOADING):
                house.becomes(state)
                await asyncio.sleep(0)
            assert house.server.asked == []
            house.becomes(ServerState.READY)
            await wait_until(lambda: len(house.server.asked) == 1)
            assert house.speeds == []

    run_async(scenario())


def test_that_the_curve_moves_while_an_answer_is_generated_and_ends_in_a_gap() -> None:
    async def scenario() -> None:
        async with House() as house:
            house.server.answer = generating(50)
            house.becomes(ServerState.READY)
            await wait_until(lambda: len(house.speeds) >= 4)
            assert house.busy == [("fast", True)]
            assert all(s.generation_tps == pytest.approx(50, rel=0.25) for s in house.speeds)
            assert {s.prefill_tps for s in house.speeds} == {None}
            house.server.answer = lambda at: [Slot(0, 1, False, 100, 0)]
            await wait_until(lambda: house.busy[-1] == ("fast", False))
            assert (house.speeds[-1].generation_tps, house.speeds[-1].prefill_tps) == (None, None)

    run_async(scenario())


def test_that_a_working_server_is_asked_five_times_a_second_and_an_idle_one_left_alone_until_its_log_speaks() -> None:
    async def scenario() -> None:
        async with House() as house:
            house.server.answer = generating(50)
            house.becomes(ServerState.READY)
            await wait_until(lambda: len(house.server.asked) >= 6)
            pauses = [b - a for a, b in zip(house.server.asked, house.server.asked[1:], strict=False)]
            assert min(pauses) > 0.15
            assert sorted(pauses)[2] < 0.8
            house.server.answer = lambda at: [Slot()]
            await wait_until(lambda: house.busy[-1] == ("fast", False))
            idle_since = len(house.server.asked)
            house.events.publish(LogAppended("fast", ("0.22.603.143 I srv  update_slots: all slots are idle",)))
            house.events.publish(LogAppended("fast", ("0.23.1 I slot launch_slot_: id  0 | processing task",)))
            await wait_until(lambda: len(house.server.asked) > idle_since)
            assert len(house.server.asked) == idle_since + 1, "the echo of a look led to another look"

    run_async(scenario())


def test_that_a_prompt_is_measured_while_nothing_is_generated_yet() -> None:
    async def scenario() -> None:
        async with House() as house:
            begin = time.monotonic()
            house.server.answer = lambda at: [Slot(0, 1, True, int((at - begin) / 0.25) * 256, 0)]
            house.becomes(ServerState.READY)
            await wait_until(lambda: bool(house.speeds))
            assert house.speeds[-1].prefill_tps == pytest.approx(1024, rel=0.5)
            assert house.speeds[-1].generation_tps is None

    run_async(scenario())


def test_that_a_new_task_begins_anew_and_parallel_slots_add_up() -> None:
    async def scenario() -> None:
        async with House() as house:
            one, other = generating(100), generating(100, task=2)
            house.server.answer = one
            house.becomes(ServerState.READY)
            await wait_until(lambda: bool(house.speeds))
            begin = time.monotonic()
            house.server.answer = lambda at: [Slot(0, 9, True, 10, int((at - begin) * 20)), replace(other(at)[0], id=1)]
            await wait_until(
                lambda: house.speeds[-1].generation_tps is not None and 105 < house.speeds[-1].generation_tps < 140
            )
            assert all((s.generation_tps or 1) > 0 for s in house.speeds)

    run_async(scenario())


@pytest.mark.parametrize("trouble", [None, ApiError(ErrorKind.NOT_SUPPORTED, msg("off"), status=501), OSError("reset")])
def test_that_our_own_stream_moves_the_curve_when_slots_do_not_answer(trouble: Exception | None) -> None:
    async def scenario() -> None:
        async with House(timeout_s=0.1) as house:
            house.server.trouble, house.server.silent = trouble, trouble is None
            house.becomes(ServerState.READY)
            await wait_until(lambda: bool(house.server.asked))
            house.meter.note_stream("fast", None, 812.0)
            assert (house.speeds[-1].generation_tps, house.speeds[-1].prefill_tps) == (None, 812)
            assert house.busy == [("fast", True)]
            house.meter.note_stream("fast", 31.5, 812.0)
            await wait_until(lambda: house.speeds[-1].generation_tps == 31.5)
            house.meter.note_stream("fast", None, None)
            assert (house.speeds[-1].generation_tps, house.speeds[-1].prefill_tps) == (None, None)
            before = len(house.server.asked)
            await wait_until(lambda: len(house.server.asked) > before + 1, what="it goes on asking")

    run_async(scenario())


def test_that_a_note_of_a_stream_that_fell_silent_does_not_stand_for_ever() -> None:
    async def scenario() -> None:
        async with House(timeout_s=0.1) as house:
            house.server.silent = True
            house.becomes(ServerState.READY)
            await wait_until(lambda: bool(house.server.asked))
            house.meter.note_stream("fast", 31.5, None)
            await wait_until(lambda: house.speeds[-1].generation_tps is None, 5)

    run_async(scenario())


@pytest.mark.parametrize(
    ("values", "argv", "sleeps"),
    [
        ({}, (), False),
        ({"sleep_idle_seconds": 60}, (), True),
        ({"sleep_idle_seconds": -1}, (), False),
        ({}, ("llama-server", "--sleep-idle-seconds", "300"), True),
        ({}, ("llama-server", "--sleep_idle_seconds", "300"), True),
        ({}, ("llama-server", "--sleep-idle-seconds", "-1"), False),
        ({}, ("llama-server", "--sleep-idle-seconds"), False),
    ],
)
def test_that_permission_to_sleep_is_seen_wherever_it_was_given(
    values: dict[str, int], argv: tuple[str, ...], sleeps: bool
) -> None:
    assert may_sleep(ServerStatus("fast", values=values, argv=argv)) is sleeps


def test_that_a_server_that_may_sleep_is_never_asked_for_its_slots() -> None:
    async def scenario() -> None:
        async with House() as house:
            house.becomes(ServerState.READY, values={"sleep_idle_seconds": 60})
            await asyncio.sleep(0)
            house.meter.note_stream("fast", 20.0, None)
            assert house.speeds[-1].generation_tps == 20
            house.meter.note_stream("fast", None, None)
            assert house.busy == [("fast", True), ("fast", False)]
            assert house.server.asked == []

    run_async(scenario())


def test_that_a_server_going_down_leaves_a_gap_and_no_open_request() -> None:
    async def scenario() -> None:
        async with House(timeout_s=30) as house:
            house.server.answer = generating(50)
            house.becomes(ServerState.READY)
            await wait_until(lambda: bool(house.speeds))
            house.server.silent = True
            await wait_until(lambda: house.server.open_requests == 1)
            house.becomes(ServerState.STOPPING)
            await wait_until(lambda: house.server.open_requests == 0)
            assert house.speeds[-1].generation_tps is None
            asked = len(house.server.asked)
            house.meter.note_stream("fast", 20.0, None)
            assert house.speeds[-1].generation_tps is None
            house.server.silent = False
            house.becomes(ServerState.READY, pid=2)
            await wait_until(lambda: len(house.server.asked) > asked)

    run_async(scenario())
