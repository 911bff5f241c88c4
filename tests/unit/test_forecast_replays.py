"""What is remembered of replays says the same as a replay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.forecast_rows import DATA, unpack_headers
from variet_gui.forecast import replays
from variet_gui.forecast.allocator import ALIGNMENT, ALLOCATE, FREE, Allocator, Event, Place, State, empty
from variet_gui.forecast.overrides import Override, overrides
from variet_gui.forecast.replays import NOWHERE, Outcome, chained, outcome
from variet_gui.forecast.shape import model_shape
from variet_gui.forecast.tape import ENTRANCE, Part, Tape
from variet_gui.forecast.weights import layer_weights
from variet_gui.gguf.header import read_header

UNIT = ALIGNMENT


@dataclass(frozen=True, eq=False)
class OneLayer:
    tape: Tape
    slides: bool = False


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    for memory in (replays._chains, replays._growing, replays._outcomes):
        memory.clear()


def replayed(tape: Tape, cells: int, state: State, place: Place) -> Outcome:
    allocator, slots = Allocator(state), {ENTRANCE: place}
    allocator.run(tape.events, slots, cells)
    return allocator.state, slots.get(tape.exit_slot, NOWHERE), allocator.peak


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    """A layer that takes and gives back as it likes, and leaves its last tensor; up to two tensors grow."""
    events: list[Event] = []
    held, slot = [ENTRANCE], ENTRANCE
    growing = draw(st.sets(st.integers(1, 12), max_size=2))
    for _ in range(draw(st.integers(2, 12))):
        slot += 1
        events.append((ALLOCATE, slot, UNIT * draw(st.integers(1, 9)), UNIT if slot in growing else 0))
        held.append(slot)
        while len(held) > 1 and draw(st.booleans()):
            events.append((FREE, held.pop(draw(st.integers(0, len(held) - 2))), 0, 0))
    events += [(FREE, other, 0, 0) for other in held[:-1]]
    return Tape((Part((), (), tuple(events)),), held[-1], frozenset())


@settings(deadline=None)
@given(tapes(), st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 5))
def test_that_what_is_remembered_of_a_layer_is_what_a_replay_says(tape: Tape, contexts: list[int], low: int) -> None:
    for cells in contexts:
        allocator = Allocator(empty(low * UNIT))
        place = (allocator.allocate(4 * UNIT), 4 * UNIT)
        assert outcome(tape, cells, allocator.state, place) == replayed(tape, cells, allocator.state, place)


@settings(deadline=None)
@given(st.lists(tapes(), min_size=1, max_size=3), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_that_layers_in_one_go_are_those_layers_one_by_one(kinds: list[Tape], contexts: list[int]) -> None:
    layers = tuple(OneLayer(tape, slides=index % 2 == 1) for index, tape in enumerate(kinds)) * 3
    for cells in contexts:
        allocator = Allocator(empty(UNIT))
        place = (allocator.allocate(4 * UNIT), 4 * UNIT)
        state, peak = allocator.state, 0
        told = chained(layers, cells, 7, state, place)
        for layer in layers:
            state, place, reached = replayed(layer.tape, 7 if layer.slides else cells, state, place)
            peak = max(peak, reached)
        assert told == (state, place, peak)


def test_that_a_tensor_that_grows_above_all_others_is_replayed_once_for_all_contexts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = ((ALLOCATE, 1, 2 * UNIT, 0), (ALLOCATE, 2, 0, UNIT), (FREE, 2, 0, 0), (FREE, ENTRANCE, 0, 0))
    tape = Tape((Part((), (), events),), 1, frozenset())
    asked: list[int] = []
    plain = replays._replayed

    def asked_of(tape: Tape, cells: int, state: State, place: Place) -> Outcome:
        asked.append(cells)
        return plain(tape, cells, state, place)

    monkeypatch.setattr(replays, "_replayed", asked_of)
    allocator = Allocator(empty())
    place = (allocator.allocate(UNIT), UNIT)
    peaks = [outcome(tape, cells, allocator.state, place)[2] for cells in (10, 20, 500)]
    assert (peaks, asked) == ([13 * UNIT, 23 * UNIT, 503 * UNIT], [10])


def test_that_a_pattern_of_one_layer_takes_what_it_would_take_looked_for_everywhere(tmp_path: Path) -> None:
    header = read_header(unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path) / "qwen35b-Q4_K_M.gguf")
    model = model_shape(header)
    assert model is not None
    own = overrides(n_cpu_moe=7, n_cpu_ffn=2, override_tensor=r"blk\.3\.ffn_up=CUDA1")
    anywhere = tuple(Override(one.pattern, one.buffer) for one in own)
    told = [(one.own, one.staged, one.moved) for one in layer_weights(model, own)]
    again = model_shape(replace(header))
    assert again is not None
    assert again is not model
    assert told == [(one.own, one.staged, one.moved) for one in layer_weights(again, anywhere)]
