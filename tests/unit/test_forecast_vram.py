"""The forecast's rules on real shapes: what must hold whatever the figures are."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.forecast_rows import DATA, profile_of, unpack_headers
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.forecast.calibration import Calibration, Observation
from variet_gui.forecast.era import Era
from variet_gui.forecast.shape import model_shape
from variet_gui.forecast.vram import Device, Forecast, Verdict, forecast
from variet_gui.gguf.header import GgufHeader, read_header

BUILD = 11434
CARDS = (Device("CUDA0", 11906.0), Device("CUDA1", 11906.0))
MODELS = ("gemma26-Q4_K_M", "gemma31-Q4_K_M", "qwen27-Q4_K_M", "qwen35b-Q4_K_M")


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GgufHeader]:
    folder = unpack_headers(DATA / "forecast_headers.tar.gz", tmp_path_factory.mktemp("headers"))
    return {path.stem: read_header(path) for path in sorted(Path(folder).glob("*.gguf"))}


def profile(flags: str = "", **values: ParameterValue) -> LaunchProfile:
    made = profile_of(flags.split())
    return LaunchProfile("fast", {**made.values, **values})


def ask(
    header: GgufHeader, flags: str = "", *devices: Device, build: int | None = BUILD, **values: ParameterValue
) -> Forecast:
    return forecast(header, profile(flags, **values), devices or CARDS, build=build)


FAST = "-c 262144 -ub 512 -ts 0.43,0.57 -ctk q8_0 -ctv q8_0 -fa on -ngl 99"


def test_that_fast_as_tuned_does_not_fit_two_cards_of_12_gb(headers: dict[str, GgufHeader]) -> None:
    result = forecast(headers["gemma26-Q4_K_M"], profile(FAST), CARDS, projector=headers["mmproj-gemma4"], build=BUILD)
    assert result.verdict is Verdict.DOES_NOT_FIT
    first, second = result.devices
    assert (round(first.weights_mib), round(second.weights_mib)) == (7146, 8857)
    assert first.projector_mib == pytest.approx(1139.45 + 150.64, abs=0.1)
    assert second.projector_mib == 0
    assert result.tightest is second
    assert second.spare_mib is not None
    assert second.spare_mib < -1000


def test_that_a_vision_tower_takes_what_llama_server_prints(headers: dict[str, GgufHeader]) -> None:
    result = forecast(
        headers["qwen27-Q4_K_M"], profile("-c 8192 -ngl 99"), CARDS, projector=headers["mmproj-qwen3vl"], build=BUILD
    )
    assert result.devices[0].projector_mib == pytest.approx(887.99 + 248.10, abs=0.1)
    smaller = forecast(
        headers["qwen27-Q4_K_M"],
        profile("-c 8192 -ngl 99", image_max_tokens=256),
        CARDS,
        projector=headers["mmproj-qwen3vl"],
        build=BUILD,
    )
    assert smaller.devices[0].projector_mib == pytest.approx(887.99 + 30.02, abs=0.1)


def test_that_a_projector_on_the_cpu_takes_host_memory(headers: dict[str, GgufHeader]) -> None:
    result = forecast(
        headers["gemma26-Q4_K_M"],
        profile(FAST, mmproj_offload=False),
        CARDS,
        projector=headers["mmproj-gemma4"],
        build=BUILD,
    )
    assert result.devices[0].projector_mib == 0
    assert result.host.projector_mib > 1200


@pytest.mark.parametrize("model", MODELS)
def test_that_no_weight_is_lost_and_a_tied_head_lies_twice(headers: dict[str, GgufHeader], model: str) -> None:
    header = headers[model]
    shape = model_shape(header)
    assert shape is not None
    total = sum(tensor.n_bytes for tensor in header.tensors) / 2**20
    twice = shape.other_tensors["token_embd.weight"].n_bytes / 2**20 if shape.tied else 0.0
    for flags in ("-ngl 99 -ts 1,1", "-ngl 7", "-ngl 99 -ts 3,1 -ncmoe 5", "-ngl 99 --n-cpu-ffn 9"):
        result = ask(header, f"-c 8192 {flags}")
        found = sum(device.weights_mib for device in result.devices) + result.host.weights_mib
        # Rows are padded on a GPU, by less than a thousandth.
        assert total + twice <= found + 0.1 <= (total + twice) * 1.001 + 1


@pytest.mark.parametrize("model", MODELS)
def test_that_caches_stay_with_their_layers_and_sum_up(headers: dict[str, GgufHeader], model: str) -> None:
    sums = []
    for flags in ("-ngl 99 -ts 1,1", "-ngl 99 -ts 5,1", "-ngl 12", "-ngl 99 -nkvo", "-ngl 0"):
        result = ask(headers[model], f"-c 32768 -ctk q8_0 -ctv q8_0 {flags}")
        sums.append(sum(device.context_mib or 0 for device in result.devices) + (result.host.context_mib or 0))
    assert max(sums) - min(sums) < 0.01


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    context=st.integers(1, 250),
    more=st.integers(1, 60),
    micro_batch=st.sampled_from((64, 128, 512, 2048)),
    kind=st.sampled_from(("f16", "q8_0", "q4_0")),
    split=st.sampled_from(("1,1", "2,1", "1,0")),
)
def test_that_more_context_never_needs_less(
    headers: dict[str, GgufHeader], model: str, context: int, more: int, micro_batch: int, kind: str, split: str
) -> None:
    flags = f"-ub {micro_batch} -b {micro_batch} -ctk {kind} -ctv {kind} -ts {split} -ngl 99"
    small = ask(headers[model], f"{flags} -c {context * 1024}")
    large = ask(headers[model], f"{flags} -c {(context + more) * 1024}")
    for one, other in zip(small.devices, large.devices, strict=True):
        assert other.context_mib is not None
        assert one.context_mib is not None
        assert other.context_mib >= one.context_mib
        assert other.weights_mib == one.weights_mib
        # The buffer is packed, and a packing may once be luckier with larger parts.
        assert (other.compute_mib or 0) >= (one.compute_mib or 0) - 8


@settings(max_examples=40, deadline=None)
@given(model=st.sampled_from(MODELS), shares=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_that_devices_in_another_order_swap_their_figures(
    headers: dict[str, GgufHeader], model: str, shares: tuple[int, int, int]
) -> None:
    flags = f"-c 32768 -ngl 99 -ts {','.join(map(str, shares))}"
    cards = tuple(Device(f"CUDA{number}", 24000.0) for number in range(3))
    plain = ask(headers[model], flags, *cards)
    turned = ask(headers[model], f"{flags} -dev CUDA2,CUDA0,CUDA1", *cards)
    assert [device.name for device in turned.devices] == ["CUDA2", "CUDA0", "CUDA1"]
    for one, other in zip(plain.devices, turned.devices, strict=True):
        assert dataclasses.replace(other, name=one.name) == one


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 8), model=st.sampled_from(MODELS), copies=st.booleans())
def test_that_any_number_of_cards_shares_the_layers(
    headers: dict[str, GgufHeader], count: int, model: str, copies: bool
) -> None:
    cards = tuple(Device(f"CUDA{number}", 24000.0) for number in range(count))
    extra = "" if copies else " -ot zzz=CPU"
    result = ask(headers[model], f"-c 16384 -ngl 99{extra}", *cards)
    assert len(result.devices) == count
    assert all(device.compute_mib and device.compute_mib > 0 for device in result.devices)
    assert result.verdict in (Verdict.FITS, Verdict.TIGHT, Verdict.DOES_NOT_FIT)


def test_that_an_override_that_matches_nothing_turns_the_pipeline_copies_off(headers: dict[str, GgufHeader]) -> None:
    flags = "-c 65536 -ub 512 -ts 0.43,0.57 -ctk q8_0 -ctv q8_0 -ngl 99"
    with_copies = ask(headers["gemma26-Q4_K_M"], flags)
    without = ask(headers["gemma26-Q4_K_M"], f"{flags} -ot zzz=CPU")
    saved = [
        (one.compute_mib or 0) - (other.compute_mib or 0)
        for one, other in zip(with_copies.devices, without.devices, strict=True)
    ]
    assert [round(part) for part in saved] == [263, 221]


def test_that_split_mode_none_uses_the_main_gpu_alone(headers: dict[str, GgufHeader]) -> None:
    result = ask(headers["qwen27-Q4_K_M"], "-c 8192 -ngl 99 -sm none -mg 1")
    assert [device.name for device in result.devices] == ["CUDA1"]
    nowhere = ask(headers["qwen27-Q4_K_M"], "-c 8192 -sm none -mg 5")
    assert nowhere.verdict is Verdict.UNKNOWN
    assert "5" in nowhere.reasons[0].english


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ("-c 8192 -sm row", "row"),
        ("-c 8192 -sm tensor", "tensor"),
        ("-c 8192 -dev CUDA7", "CUDA7"),
        ("-c 8192 -ot blk.0.=CUDA9", "CUDA9"),
        ("-c 8192 -ctk q8_0 -ctv q8_0 -fa off", "flash attention"),
        ("-c 8192 -fa on -ctk iq4_nl -ctv f16", "CPU"),
        ("-c 8192 --lora a.gguf", "LoRA"),
        ("-c 8192 -md draft.gguf", "draft"),
        ("-c 8192 -ncmoe 4 --no-op-offload", "host memory"),
    ],
)
def test_that_what_cannot_be_known_is_unknown_and_says_why(
    headers: dict[str, GgufHeader], flags: str, word: str
) -> None:
    cards = tuple(Device(f"CUDA{number}", 90000.0) for number in range(2))
    result = ask(headers["qwen35b-Q4_K_M"], flags, *cards)
    assert result.verdict is Verdict.UNKNOWN
    assert any(word in reason.english for reason in result.reasons), result.reasons


def test_that_an_unknown_architecture_is_unknown_but_too_large_is_too_large(headers: dict[str, GgufHeader]) -> None:
    known = headers["small-llama"]
    metadata = {key.replace("llama.", "novel."): value for key, value in known.metadata.items()}
    header = dataclasses.replace(known, metadata={**metadata, "general.architecture": "novel"})
    result = ask(header, "-c 8192 -ngl 99")
    assert result.verdict is Verdict.UNKNOWN
    assert result.devices[0].compute_mib is None
    assert result.devices[0].context_mib is None
    assert result.devices[0].weights_mib > 0
    assert ask(header, "-c 8192 -ngl 99", Device("CUDA0", 60.0)).verdict is Verdict.DOES_NOT_FIT


def test_that_a_card_of_unknown_size_makes_no_verdict(headers: dict[str, GgufHeader]) -> None:
    result = ask(headers["qwen27-Q4_K_M"], "-c 8192 -ngl 99", Device("CUDA0"))
    assert result.verdict is Verdict.UNKNOWN
    assert result.devices[0].spare_mib is None
    assert result.devices[0].total_mib is not None


def test_that_other_programs_count(headers: dict[str, GgufHeader]) -> None:
    free = ask(headers["small-llama"], "-c 8192 -ngl 99", Device("CUDA0", 2000.0))
    taken = ask(headers["small-llama"], "-c 8192 -ngl 99", Device("CUDA0", 2000.0, 1800.0))
    assert free.verdict is Verdict.FITS
    assert taken.verdict is Verdict.DOES_NOT_FIT
    assert free.devices[0].spare_mib is not None
    assert taken.devices[0].spare_mib == pytest.approx(free.devices[0].spare_mib - 1800)


def test_that_without_a_split_the_free_memory_decides(headers: dict[str, GgufHeader]) -> None:
    even = ask(headers["qwen27-Q4_K_M"], "-c 8192 -ngl 99", Device("CUDA0", 16000.0), Device("CUDA1", 16000.0))
    uneven = ask(
        headers["qwen27-Q4_K_M"], "-c 8192 -ngl 99", Device("CUDA0", 16000.0, 8000.0), Device("CUDA1", 16000.0)
    )
    assert uneven.devices[0].weights_mib < 0.75 * even.devices[0].weights_mib


def test_that_four_slots_are_automatic_and_one_is_what_the_panel_starts(headers: dict[str, GgufHeader]) -> None:
    one = ask(headers["gemma26-Q4_K_M"], "-c 65536 -ngl 99", Device("CUDA0", 80000.0))
    four = ask(headers["gemma26-Q4_K_M"], "-c 65536 -ngl 99", Device("CUDA0", 80000.0), parallel=-1)
    own = ask(headers["gemma26-Q4_K_M"], "-c 65536 -ngl 99", Device("CUDA0", 80000.0), parallel=4)
    window = 25 * 2048 * 2 * 2 / 2**20
    assert one.devices[0].context_mib == pytest.approx(65536 * 20480 / 2**20 + 1536 * window)
    assert four.devices[0].context_mib == pytest.approx(65536 * 20480 / 2**20 + 4608 * window)
    assert own.devices[0].context_mib == pytest.approx(65536 * 20480 / 2**20 + 4 * 1536 * window)


def test_that_the_recurrent_state_is_kept_for_every_slot_and_draft(headers: dict[str, GgufHeader]) -> None:
    def state(**values: ParameterValue) -> float:
        result = ask(headers["qwen27-mtp"], "-c 256 -ngl 99", Device("CUDA0", 80000.0), **values)
        return result.devices[0].context_mib or 0.0

    assert state() == pytest.approx(149.62 + 16, abs=0.01)
    assert state(parallel=4, kv_unified=True) == pytest.approx(4 * 149.62 + 16, abs=0.05)
    drafting = state(parallel=4, kv_unified=True, spec_type="draft-mtp", spec_draft_n_max=6)
    assert drafting == pytest.approx(4 * 7 * 149.62 + 17, abs=0.4)


def test_that_the_prediction_context_is_what_a_published_load_says(headers: dict[str, GgufHeader]) -> None:
    flags = "-c 524288 -ub 1024 -b 2048 -fa on -ngl 999 -np 4 -kvu"
    cards = (Device("CUDA0", 90000.0), Device("CUDA1", 90000.0))
    plain = ask(headers["qwen27-mtp"], flags, *cards)
    drafting = ask(headers["qwen27-mtp"], flags, *cards, spec_type="draft-mtp", spec_draft_n_max=0)
    more = (drafting.devices[1].compute_mib or 0) - (plain.devices[1].compute_mib or 0)
    assert more == pytest.approx(4500.13, abs=1)
    assert drafting.devices[0].compute_mib == plain.devices[0].compute_mib
    cache = (drafting.devices[1].context_mib or 0) - (plain.devices[1].context_mib or 0)
    assert cache == pytest.approx(2048, abs=0.01)


def test_that_older_builds_reserve_less_and_take_it_later(headers: dict[str, GgufHeader]) -> None:
    flags = "-c 262144 -ub 512 -ts 0.43,0.57 -ctk q8_0 -ctv q8_0 -fa on -ngl 99"
    new = ask(headers["gemma26-Q4_K_M"], flags)
    old = ask(headers["gemma26-Q4_K_M"], flags, build=9200)
    assert old.devices[1].overhead_mib - new.devices[1].overhead_mib == pytest.approx(1024)
    assert any("fail later" in note.english for note in old.notes)


def test_that_between_two_rules_the_larger_need_counts(headers: dict[str, GgufHeader]) -> None:
    flags = "-c 131072 -ub 512 -ts 1,1 -ctk q8_0 -ctv q8_0 -fa on -ngl 99"
    between = ask(headers["qwen35b-Q4_K_M"], flags, build=9430)
    assert any("9430" in note.english for note in between.notes)
    for build in (9200, 11434):
        edge = ask(headers["qwen35b-Q4_K_M"], flags, build=build)
        for one, other in zip(between.devices, edge.devices, strict=True):
            assert (one.compute_mib or 0) >= (other.compute_mib or 0) - 0.01 or build == 9200


def test_that_masks_of_older_builds_are_wide_on_the_first_card_only(headers: dict[str, GgufHeader]) -> None:
    era = Era(narrow_masks=False, few_outputs=True, reserved_scratch=False, mixed_inputs=False)
    flags = "-c 32768 -ub 512 -ts 1,1 -fa on -ngl 99"
    result = forecast(headers["qwen27-Q4_K_M"], profile(flags), CARDS, era=era)
    first, second = (device.compute_mib or 0 for device in result.devices)
    mask = 32768 * 512 / 2**20
    assert first - second == pytest.approx(4 * mask * 2 + 2 * mask, abs=1)


def test_that_rpc_devices_need_no_scratch_and_work_as_a_pipeline_in_newer_builds(
    headers: dict[str, GgufHeader],
) -> None:
    flags = "-c 65536 -ub 512 -ts 1,1 -ctk q8_0 -ctv q8_0 -ngl 99"
    workers = (Device("RPC0", 24000.0), Device("RPC1", 24000.0))
    remote = ask(headers["qwen27-Q4_K_M"], flags, *workers)
    local = ask(headers["qwen27-Q4_K_M"], flags)
    for one, other in zip(remote.devices, local.devices, strict=True):
        assert one.weights_mib == pytest.approx(other.weights_mib, abs=0.01)  # no padded rows on a worker
        assert one.context_mib == other.context_mib
        assert one.overhead_mib == 0
        assert one.compute_mib is not None
        assert one.compute_mib < 0.8 * (other.compute_mib or 0)
    before = forecast(headers["qwen27-Q4_K_M"], profile(flags), workers, era=Era(rpc_events=False))
    mask = 2 * 512 * 65536 / 2**20
    for one, older in zip(remote.devices, before.devices, strict=True):
        assert (one.compute_mib or 0) - (older.compute_mib or 0) > 2 * mask


def test_that_without_a_gpu_everything_is_in_host_memory(headers: dict[str, GgufHeader]) -> None:
    result = forecast(headers["small-llama"], profile("-c 65536 -ub 512 -fa on"), (), build=BUILD)
    assert result.devices == ()
    assert result.host.context_mib == pytest.approx(1024)
    assert result.host.compute_mib == pytest.approx(92.0, abs=0.5)


def test_that_a_calibrated_machine_knows_its_overhead(headers: dict[str, GgufHeader]) -> None:
    seen = [
        Observation("CUDA0", at, {"weights": 100.0}, {"weights": 101.0}, used_mib=101.0 + 250 + at) for at in (0, 2, 4)
    ]
    learned = forecast(
        headers["small-llama"], profile("-c 8192 -ngl 99"), CARDS[:1], build=BUILD, calibration=Calibration(tuple(seen))
    )
    assert learned.devices[0].overhead_mib == pytest.approx(252)
    assert learned.devices[0].uncertainty_mib < 20
    assert not any("not measured" in note.english for note in learned.notes)


@settings(max_examples=40, deadline=None)
@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "ctx_size": st.integers(0, 600_000),
            "ubatch_size": st.integers(1, 4096),
            "batch_size": st.integers(1, 8192),
            "parallel": st.sampled_from((-1, 1, 2, 3, 7)),
            "kv_unified": st.booleans(),
            "swa_full": st.booleans(),
            "n_gpu_layers": st.integers(0, 80),
            "n_cpu_moe": st.integers(0, 50),
            "n_cpu_ffn": st.integers(0, 50),
            "kv_offload": st.booleans(),
            "flash_attn": st.sampled_from(("on", "off", "auto")),
            "cache_type_k": st.sampled_from(("f16", "bf16", "f32", "q8_0", "q5_1", "q4_0", "iq4_nl")),
            "tensor_split": st.lists(st.integers(0, 9), min_size=1, max_size=4).map(
                lambda parts: tuple(map(float, parts))
            ),
        },
    ),
    model=st.sampled_from((*MODELS, "qwen35b-mtp", "small-gemma3", "small-qwen3moe")),
    build=st.sampled_from((None, 6100, 9300, 10600, 11434)),
)
def test_that_no_profile_breaks_the_forecast(
    headers: dict[str, GgufHeader], values: dict[str, ParameterValue], model: str, build: int | None
) -> None:
    result = forecast(headers[model], LaunchProfile("fast", values), CARDS, build=build)
    for device in result.devices:
        assert math.isfinite(device.known_mib)
        assert device.known_mib >= 0
    assert result.verdict in Verdict
    assert result.verdict is not Verdict.UNKNOWN or result.reasons
