"""The packing of the compute buffer: the allocator, graphs, tapes, and what goes where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.forecast.allocator import ALIGNMENT, ALLOCATE, FREE, Allocator, empty, padded
from variet_gui.forecast.graph import Graph, Op, Tensor, Where
from variet_gui.forecast.tape import ENTRANCE, Tape, compile_tape, replay, split

UNIT = ALIGNMENT
WIDE, NARROW = (8 * UNIT // 4, 1), (UNIT // 4, 1)
"""Shapes of eight units and of one."""


def weight(name: str = "w", *, staged: int | None = None) -> Tensor:
    where = Where.DEVICE if staged is None else Where.STAGED_WEIGHT
    return Tensor(Op.NONE, (1,), where=where, n_bytes=staged or 0, name=name)


def tape_of(graph: Graph, exit_: Tensor, *, entrance_stays: bool = False) -> Tape:
    graph.expand(exit_)
    return compile_tape(split(graph.nodes), graph.entrance, exit_, {}, entrance_stays=entrance_stays)


def peak_of(tape: Tape, entrance_bytes: int, cells: int = 0) -> int:
    allocator = Allocator(empty())
    slots = {ENTRANCE: (allocator.allocate(entrance_bytes), entrance_bytes)}
    for part in tape.parts:
        replay(part.staging, allocator, slots, cells)
        replay(part.events, allocator, slots, cells)
    return allocator.peak


def test_that_the_smallest_hole_that_is_large_enough_is_taken() -> None:
    allocator = Allocator(empty())
    large, wall, small, end = (allocator.allocate(size * UNIT) for size in (4, 1, 2, 1))
    allocator.free(large, 4 * UNIT)
    allocator.free(small, 2 * UNIT)
    assert allocator.allocate(2 * UNIT) == small
    assert allocator.allocate(3 * UNIT) == large
    assert (wall, end) == (4 * UNIT, 7 * UNIT)


def test_that_holes_that_touch_become_one() -> None:
    allocator = Allocator(empty())
    places = [allocator.allocate(UNIT) for _ in range(4)]
    for index in (0, 2, 1):
        allocator.free(places[index], UNIT)
    assert allocator.state[0] == (0, 3 * UNIT)
    allocator.free(places[3], UNIT)
    assert allocator.state == empty()
    assert allocator.peak == 4 * UNIT


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_that_places_never_overlap_and_everything_comes_back(sizes: list[int], random: object) -> None:
    allocator = Allocator(empty())
    held: list[tuple[int, int]] = []
    for number, units in enumerate(sizes):
        size = units * UNIT
        place = (allocator.allocate(size), size)
        assert all(place[0] >= other + length or place[0] + size <= other for other, length in held)
        held.append(place)
        if number % 3 == 2:
            allocator.free(*held.pop(random.randrange(len(held))))  # type: ignore[attr-defined]
    for place in held:
        allocator.free(*place)
    assert allocator.state == empty()
    assert allocator.peak <= sum(sizes) * UNIT


def test_that_an_allocator_goes_on_from_a_state() -> None:
    first = Allocator(empty())
    kept = first.allocate(3 * UNIT)
    first.free(first.allocate(UNIT), UNIT)
    second = Allocator(first.state)
    assert second.allocate(UNIT) == kept + 3 * UNIT
    assert second.peak == 4 * UNIT


def test_that_a_norm_overwrites_what_nobody_needs_any_more() -> None:
    graph = Graph(WIDE)
    result = graph.add(Op.UNARY, WIDE, graph.add(Op.UNARY, WIDE, graph.entrance))
    assert peak_of(tape_of(graph, result), 8 * UNIT) == 8 * UNIT


def test_that_a_state_that_is_needed_again_is_kept() -> None:
    graph = Graph(WIDE)
    normed = graph.add(Op.UNARY, WIDE, graph.entrance)
    result = graph.add(Op.ADD, WIDE, graph.add(Op.MATRIX, WIDE, weight(), normed), graph.entrance)
    assert peak_of(tape_of(graph, result), 8 * UNIT) == 3 * 8 * UNIT


def test_that_a_view_keeps_its_tensor_and_is_not_overwritten() -> None:
    graph = Graph(WIDE)
    product = graph.add(Op.MATRIX, WIDE, weight(), graph.entrance)
    result = graph.add(Op.UNARY, WIDE, graph.view(product, WIDE))
    tape = tape_of(graph, result)
    assert [event[0] for event in tape.parts[0].events] == [ALLOCATE, FREE, ALLOCATE, FREE]


def test_that_an_entrance_that_is_an_input_is_never_freed() -> None:
    graph = Graph(WIDE)
    tape = tape_of(graph, graph.add(Op.UNARY, WIDE, graph.entrance), entrance_stays=True)
    assert [event[:2] for event in tape.parts[0].events] == [(ALLOCATE, 1)]


def test_that_weights_from_host_memory_follow_each_other() -> None:
    graph = Graph(NARROW)
    first = graph.add(Op.MATRIX, NARROW, weight("a", staged=50 * UNIT), graph.entrance)
    second = graph.add(Op.MATRIX, NARROW, weight("b", staged=50 * UNIT), first)
    tape = tape_of(graph, second)
    assert len(tape.parts) == 3
    assert not tape.parts[0].events
    # Never both at once: one of 50, and a state or two beside it.
    assert peak_of(tape, UNIT) <= 53 * UNIT


def test_that_what_the_cpu_computes_takes_nothing_here_but_its_copy_does() -> None:
    graph = Graph(NARROW)
    cache = Tensor(Op.NONE, (1,), where=Where.STAGED)
    graph.expand(graph.store(cache, graph.view(graph.entrance, NARROW)))
    read = graph.add(Op.OTHER, WIDE, graph.view(cache, WIDE))
    read.where = Where.HOST
    result = graph.add(Op.MATRIX, NARROW, weight(), read, graph.entrance)
    tape = tape_of(graph, result)
    assert [size for part in tape.parts for _, _, size, _ in part.staging] == [8 * UNIT]


def test_that_sizes_grow_with_the_cells_of_the_cache() -> None:
    graph = Graph(NARROW)
    scores = graph.add(Op.ATTENTION, NARROW, graph.entrance)
    scores.cell_bytes = UNIT
    tape = tape_of(graph, scores)
    assert peak_of(tape, UNIT, 100) - peak_of(tape, UNIT, 40) == 60 * UNIT


def test_that_what_is_pinned_is_kept_until_then() -> None:
    graph = Graph(WIDE)
    product = graph.add(Op.MATRIX, WIDE, weight(), graph.entrance)
    following = graph.add(Op.MATRIX, WIDE, weight(), product)
    result = graph.add(Op.MATRIX, WIDE, weight(), following)
    graph.expand(result)
    free = compile_tape([graph.nodes], graph.entrance, result, {}, entrance_stays=False)
    pinned = compile_tape([graph.nodes], graph.entrance, result, {id(result): [product]}, entrance_stays=False)
    assert peak_of(pinned, 8 * UNIT) > peak_of(free, 8 * UNIT)


def test_that_results_that_leave_keep_no_place() -> None:
    graph = Graph(WIDE)
    product = graph.add(Op.EXPERTS, WIDE, weight(staged=UNIT), graph.entrance)
    graph.expand(product)
    tape = compile_tape(split(graph.nodes), None, None, {}, entrance_stays=False)
    allocator, slots = Allocator(empty()), dict[int, tuple[int, int]]()
    for part in tape.parts:
        replay(part.staging, allocator, slots, 0)
        replay(part.events, allocator, slots, 0)
    assert allocator.state == empty()


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, UNIT), (UNIT, UNIT), (UNIT + 1, 2 * UNIT)])
def test_that_sizes_are_padded_to_the_alignment(size: int, expected: int) -> None:
    assert padded(size) == expected
