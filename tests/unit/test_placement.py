"""Layers on devices by llama.cpp's rule, on published figures and on properties that must always hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.forecast.overrides import OverrideError, overridden, overrides, overrides_of, tensors_on_cpu
from variet_gui.forecast.placement import DeviceShare, describe, gpu_layer_count, placement, split_for_layers

TWO = [1.0, 1.0]


def counts(layers_all: int, split: tuple[float, ...], n_gpu_layers: int = -1) -> tuple[int, ...]:
    placed = placement(layers_all, n_gpu_layers, split, [1.0] * len(split))
    return tuple(share.layers for share in describe(placed, len(split)))


@pytest.mark.parametrize(
    ("layers_all", "split", "expected"),
    [
        (30, (0.43, 0.57), (14, 16)),  # not 13 | 17
        (40, (0.48, 0.52), (20, 20)),
        (60, (0.5, 0.5), (31, 29)),
        (64, (0.5, 0.5), (33, 31)),
        (64, (17, 13), (37, 27)),
        (65, (17, 13), (38, 27)),  # a published log: 38 | 27
        (64, (38, 27), (38, 26)),
        (65, (38, 27), (39, 26)),  # a published log: 39 | 25 and an MTP layer
        (30, (1, 0), (30, 0)),
        (30, (0, 1), (0, 30)),
        (30, (0.4194, 0.5806), (14, 16)),
        (30, (0.4193, 0.5807), (13, 17)),
    ],
)
def test_that_a_split_places_whole_layers_as_llama_cpp_does(
    layers_all: int, split: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    assert counts(layers_all, split) == expected


def test_that_the_output_head_goes_to_the_last_device_that_has_a_share() -> None:
    assert placement(30, -1, (0.43, 0.57), TWO).output_device == 1
    assert placement(30, -1, (1, 0), TWO).output_device == 0


def test_that_layers_leave_the_cpu_from_the_end() -> None:
    placed = placement(30, 11, (1, 1), TWO)
    assert placed.layers_on(None) == tuple(range(20))
    assert placed.layers_on(0) == tuple(range(20, 26))
    assert placed.layers_on(1) == tuple(range(26, 30))
    assert placed.output_device == 1


def test_that_one_gpu_layer_is_the_output_head_alone() -> None:
    placed = placement(30, 1, None, TWO)
    assert placed.layers_on(None) == tuple(range(30))
    assert placed.output_device == 0


def test_that_no_gpu_layer_leaves_everything_on_the_cpu() -> None:
    placed = placement(30, 0, (1, 1), TWO)
    assert placed.output_device is None
    assert set(placed.layer_device) == {None}


def test_that_without_a_device_everything_stays_on_the_cpu() -> None:
    placed = placement(30, -1, (1, 1), [])
    assert placed.output_device is None
    assert set(placed.layer_device) == {None}


def test_that_more_gpu_layers_than_there_are_mean_all() -> None:
    assert placement(30, 99, (0.43, 0.57), TWO) == placement(30, -1, (0.43, 0.57), TWO)


@pytest.mark.parametrize("split", [None, (), (0.0, 0.0)])
def test_that_without_a_split_free_memory_decides(split: tuple[float, ...] | None) -> None:
    even = placement(30, -1, split, [11_800.0, 11_800.0])
    assert [share.layers for share in describe(even, 2)] == [16, 14]
    desktop = placement(30, -1, split, [10_000.0, 11_800.0])
    assert [share.layers for share in describe(desktop, 2)] == [15, 15]


def test_that_a_split_with_too_few_or_too_many_parts_is_read_as_llama_cpp_reads_it() -> None:
    assert counts(30, (1.0,), -1) == (30,)
    assert placement(30, -1, (1.0,), TWO) == placement(30, -1, (1.0, 0.0), TWO)
    assert placement(30, -1, (3.0, 1.0, 5.0), TWO) == placement(30, -1, (3.0, 1.0), TWO)


def test_that_a_description_names_ranges_and_the_output() -> None:
    assert describe(placement(30, 25, (0.5, 0.5), TWO), 2) == (
        DeviceShare(0, 13, 6, 18, has_output=False),
        DeviceShare(1, 11, 19, 29, has_output=True),
        DeviceShare(None, 6, 0, 5, has_output=False),
    )


@given(st.integers(1, 200), st.data())
def test_that_a_split_can_be_made_for_every_number_of_layers(layers_all: int, data: st.DataObject) -> None:
    n_gpu_layers = data.draw(st.integers(1, layers_all + 5))
    active = min(n_gpu_layers, layers_all + 1)
    wanted = data.draw(st.integers(0, active - 1))
    split = split_for_layers(wanted, layers_all, n_gpu_layers)
    placed = placement(layers_all, n_gpu_layers, split, TWO)
    assert len(placed.layers_on(0)) == wanted
    assert placed.output_device == 1


@given(st.integers(3, 120), st.data())
def test_that_a_split_can_be_made_for_several_devices(layers_all: int, data: st.DataObject) -> None:
    wanted: list[int] = []
    for _ in range(data.draw(st.integers(1, 4))):
        wanted.append(data.draw(st.integers(0, layers_all - sum(wanted))))
    split = split_for_layers(wanted, layers_all)
    placed = placement(layers_all, -1, split, [1.0] * len(split))
    shares = describe(placed, len(split))
    assert [share.layers for share in shares[:-1]] == wanted
    assert placed.output_device == len(split) - 1


@given(st.integers(1, 200), st.lists(st.floats(0, 100, width=32), min_size=1, max_size=6), st.integers(-1, 220))
def test_that_every_layer_has_one_place_and_the_order_of_devices_is_kept(
    layers_all: int, split: list[float], n_gpu_layers: int
) -> None:
    placed = placement(layers_all, n_gpu_layers, split, [1.0] * len(split))
    places = [-1 if device is None else device for device in (*placed.layer_device, placed.output_device)]
    assert places == sorted(places)
    assert all(place < len(split) for place in places)


def test_that_a_split_that_is_not_possible_is_refused() -> None:
    with pytest.raises(ValueError, match="31 leave the CPU"):
        split_for_layers(32, 30)
    with pytest.raises(ValueError, match="cannot be placed"):
        split_for_layers((-1,), 30)


def test_that_the_split_for_all_but_the_output_is_the_one_the_handle_sends() -> None:
    assert split_for_layers(14, 30) == (13.5, 17.5)
    assert split_for_layers(0, 30) == (0.0, 31.0)


@pytest.mark.parametrize(("value", "layers"), [(None, -1), ("auto", -1), ("all", -1), (20, 20), (0, 0), (True, -1)])
def test_that_words_for_gpu_layers_are_understood(value: str | int | None, layers: int) -> None:
    assert gpu_layer_count(value) == layers


# ---------------------------------------------------------------------------------------------------- overrides

NAMES = [
    "token_embd.weight",
    *(
        f"blk.{layer}.{part}.weight"
        for layer in (0, 1, 10)
        for part in (
            "attn_q",
            "ffn_gate_exps",
            "ffn_up_exps",
            "ffn_down_exps",
            "ffn_gate_inp",
            "ffn_up_shexp",
            "ffn_up",
        )
    ),
    "output.weight",
]


def test_that_experts_on_the_cpu_are_the_experts_of_all_layers() -> None:
    on_cpu = tensors_on_cpu(NAMES, overrides(cpu_moe=True))
    assert on_cpu == {name for name in NAMES if "_exps" in name}


def test_that_experts_of_the_first_layers_leave_the_tenth_alone() -> None:
    on_cpu = tensors_on_cpu(NAMES, overrides(n_cpu_moe=2))
    assert on_cpu == {name for name in NAMES if "_exps" in name and not name.startswith("blk.10.")}


def test_that_dense_layers_are_told_from_experts() -> None:
    assert tensors_on_cpu(NAMES, overrides(n_cpu_ffn=1)) == {"blk.0.ffn_up.weight"}


def test_that_the_first_pattern_that_fits_wins() -> None:
    chosen = overrides(override_tensor=r"blk\.1\.=CUDA1,ffn_up_exps=CPU")
    found = overridden(NAMES, chosen)
    assert found["blk.1.ffn_up_exps.weight"] == "CUDA1"
    assert found["blk.10.ffn_up_exps.weight"] == "CPU"
    assert "output.weight" not in found


def test_that_a_pattern_that_never_matches_moves_nothing() -> None:
    assert overridden(NAMES, overrides(override_tensor="zzz=CPU")) == {}


def test_that_overrides_are_read_from_a_profile() -> None:
    assert len(overrides_of({"n_cpu_moe": 3, "override_tensor": "a=CPU"})) == 4
    assert len(overrides_of({"cpu_moe": True})) == 1
    assert overrides_of({}) == ()


@pytest.mark.parametrize("entry", ["ffn_up", "ffn_up=", "blk.(=CPU"])
def test_that_an_override_that_the_server_would_refuse_is_refused_with_a_reason(entry: str) -> None:
    with pytest.raises(OverrideError) as caught:
        overrides(override_tensor=entry)
    assert entry.split("=", maxsplit=1)[0] in caught.value.message.english
