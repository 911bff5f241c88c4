"""The speed estimate: what must hold whatever the figures are, when there is none, and how near it comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.speed_errors import bench_rows, fit_h100, learned_summary, published_rows, summary
from tests.support.forecast_rows import DATA, profile_of, read_rows, unpack_headers
from variet_gui.forecast import speed_rates
from variet_gui.forecast.speed import DEPTH_TOKENS, SpeedAnswer, SpeedDevice, SpeedEstimate, assess, estimate
from variet_gui.forecast.speed_calibration import UNMEASURED, observation
from variet_gui.gguf.header import GgufHeader, read_header

CARD = SpeedDevice("CUDA0", 335.0, card="RTX 3060")
CARDS = (CARD, dataclasses.replace(CARD, name="CUDA1"))
MODELS = ("gemma26-Q4_K_M", "gemma31-Q4_K_M", "qwen27-Q4_K_M", "qwen35b-Q4_K_M")
MIXTURES = ("gemma26-Q4_K_M", "qwen35b-Q4_K_M")


def unpacked(folder: Path) -> dict[str, GgufHeader]:
    return {
        path.stem: read_header(path)
        for path in sorted(unpack_headers(DATA / "forecast_headers.tar.gz", folder).glob("*.gguf"))
    }


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GgufHeader]:
    return unpacked(tmp_path_factory.mktemp("headers"))


def ask(
    header: GgufHeader,
    flags: str = "",
    devices: Sequence[SpeedDevice] = CARDS,
    host: float | None = None,
    depth: int = DEPTH_TOKENS,
    build: int | None = 11434,
) -> SpeedAnswer:
    return assess(header, profile_of(["-ngl", "99", *flags.split()]), devices, host, depth_tokens=depth, build=build)


def known(answer: SpeedAnswer) -> SpeedEstimate:
    assert answer.estimate is not None, answer.reasons
    return answer.estimate


def why(answer: SpeedAnswer) -> str:
    assert answer.estimate is None
    return " ".join(str(reason) for reason in answer.reasons)


def test_that_the_fast_tier_is_estimated_around_what_was_measured_of_it(headers: dict[str, GgufHeader]) -> None:
    flags = "-c 262144 -ub 512 -ts 0.43,0.57 -ctk q8_0 -ctv q8_0"
    found = known(ask(headers["gemma26-Q4_K_M"], flags, depth=256))
    assert found.low_tps < 71.89 < found.high_tps
    assert (found.depth_tokens, found.measurements) == (256, 0)
    assert "nothing was measured on this computer yet" in str(found.basis)
    assert [device.name for device in found.devices] == ["CUDA0", "CUDA1"]


def test_that_the_short_form_gives_the_same(headers: dict[str, GgufHeader]) -> None:
    profile = profile_of(["-ngl", "99"])
    header = headers["qwen27-Q4_K_M"]
    assert estimate(header, profile, CARDS, None, depth_tokens=DEPTH_TOKENS, build=11434) == known(ask(header))
    assert estimate(header, profile, (dataclasses.replace(CARD, bandwidth_gib_s=None),), None) is None


def test_that_cards_add_up_one_after_the_other(headers: dict[str, GgufHeader]) -> None:
    header = headers["gemma31-Q4_K_M"]
    one, two = ask(header, "-ts 1", (CARD,)), ask(header, "-ts 31,30")
    assert one.parts is not None
    assert two.parts is not None
    assert sum(two.parts.reading) == pytest.approx(one.parts.reading[0])
    assert sum(two.parts.starting) == pytest.approx(one.parts.starting[0])
    assert two.parts.between - one.parts.between == pytest.approx(speed_rates.HANDOVER_MS)
    alone = ask(header, "-ts 31,30 -ot zzz=CPU")
    assert alone.parts is not None
    assert alone.parts.between - one.parts.between == pytest.approx(speed_rates.HANDOVER_ALONE_MS)


def test_that_the_slower_of_two_cards_is_felt_by_the_layers_on_it(headers: dict[str, GgufHeader]) -> None:
    fast = SpeedDevice("CUDA1", 900.0)
    header = headers["qwen27-Q4_K_M"]
    mostly_fast = known(ask(header, "-ts 10,55", (CARD, fast)))
    mostly_slow = known(ask(header, "-ts 55,10", (CARD, fast)))
    assert mostly_fast.likely_tps > 1.3 * mostly_slow.likely_tps


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("-sm row", "split mode row"),
        ("--spec-type draft-mtp", "how many guesses are right"),
        ("-ot ffn=CUDA1", "moved to other GPUs by name"),
        ("-dev CUDA7", "There is no device CUDA7 here."),
        ("-ctv q8_0 -fa off", "need flash attention"),
        ("-cmoe", "own memory can be read is not known"),
        ("-ngl 20", "own memory can be read is not known"),
    ],
)
def test_that_what_cannot_be_estimated_is_not_and_says_why(
    headers: dict[str, GgufHeader], flags: str, reason: str
) -> None:
    assert reason in why(ask(headers["qwen35b-Q4_K_M"], flags))


def test_that_a_card_of_unknown_bandwidth_matters_only_where_it_works(headers: dict[str, GgufHeader]) -> None:
    unknown = SpeedDevice("CUDA1", None)
    header = headers["qwen27-Q4_K_M"]
    assert "The memory bandwidth of CUDA1 is not known." in why(ask(header, "-ts 1,1", (CARD, unknown)))
    assert known(ask(header, "-ts 1,0", (CARD, unknown))) is not None
    assert known(ask(header, "-sm none -mg 0", (CARD, unknown))) is not None


def test_that_a_model_of_unknown_make_has_no_estimate(headers: dict[str, GgufHeader]) -> None:
    header = headers["small-llama"]
    metadata = {key.replace("llama.", "mamba9."): value for key, value in header.metadata.items()}
    other = dataclasses.replace(header, metadata={**metadata, "general.architecture": "mamba9"})
    assert "mamba9" in why(ask(other))
    assert "how many layers" in why(ask(dataclasses.replace(header, metadata={})))


def test_that_the_cpu_alone_is_estimated_from_its_own_memory(headers: dict[str, GgufHeader]) -> None:
    found = known(ask(headers["small-llama"], "-ngl 0", (), host=40.0))
    assert [device.name for device in found.devices] == ["CPU"]
    assert "The part of the processor" in str(found.basis)
    assert known(ask(headers["small-llama"], "-ngl 0", (), host=80.0)).likely_tps > found.likely_tps


def test_that_hbm_is_not_taken_for_as_fast_as_it_is_wide(headers: dict[str, GgufHeader]) -> None:
    header = headers["gemma31-Q4_K_M"]
    h100 = known(ask(header, "", (SpeedDevice("CUDA0", 3122.0, stacked=True),)))
    b300 = known(ask(header, "", (SpeedDevice("CUDA0", 7450.0, stacked=True),)))
    assert b300.likely_tps == pytest.approx(h100.likely_tps, rel=0.01)


FOLDER: list[dict[str, GgufHeader]] = []


def shared(tmp: pytest.TempPathFactory) -> dict[str, GgufHeader]:
    if not FOLDER:
        FOLDER.append(unpacked(tmp.mktemp("shared")))
    return FOLDER[0]


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    depths=st.tuples(st.integers(0, 70_000), st.integers(0, 70_000)),
    kind=st.sampled_from(["f16", "q8_0", "q4_0", "bf16"]),
    share=st.integers(1, 9),
)
def test_that_a_deeper_context_is_never_faster(
    tmp_path_factory: pytest.TempPathFactory, model: str, depths: tuple[int, int], kind: str, share: int
) -> None:
    header = shared(tmp_path_factory)[model]
    flags = f"-c 65536 -ctk {kind} -ctv {kind} -ts {share},{10 - share}"
    less, more = (known(ask(header, flags, depth=depth)) for depth in sorted(depths))
    assert more.likely_tps <= less.likely_tps
    for found in (less, more):
        assert 0 < found.low_tps < found.likely_tps < found.high_tps


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    slower=st.floats(50, 2000),
    more=st.floats(1, 3),
    stacked=st.booleans(),
)
def test_that_more_bandwidth_is_never_slower(
    tmp_path_factory: pytest.TempPathFactory, model: str, slower: float, more: float, stacked: bool
) -> None:
    header = shared(tmp_path_factory)[model]
    one, other = (
        known(ask(header, "", (SpeedDevice("CUDA0", rate, stacked=stacked),))) for rate in (slower, slower * more)
    )
    assert one.likely_tps <= other.likely_tps


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(MIXTURES),
    layers=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    host=st.floats(5, 300),
    share=st.integers(1, 9),
)
def test_that_moving_experts_to_a_slower_memory_is_never_faster(
    tmp_path_factory: pytest.TempPathFactory, model: str, layers: tuple[int, int], host: float, share: int
) -> None:
    header = shared(tmp_path_factory)[model]
    fewer, more = (
        known(ask(header, f"-ncmoe {count} -ts {share},{10 - share}", host=host)) for count in sorted(layers)
    )
    assert more.likely_tps <= fewer.likely_tps


@settings(max_examples=40, deadline=None)
@given(model=st.sampled_from(MODELS), layers=st.tuples(st.integers(0, 70), st.integers(0, 70)), host=st.floats(5, 300))
def test_that_moving_layers_to_a_slower_memory_is_never_faster(
    tmp_path_factory: pytest.TempPathFactory, model: str, layers: tuple[int, int], host: float
) -> None:
    header = shared(tmp_path_factory)[model]
    # A quantised cache is left out: the CPU reads it as it is, while a GPU has to convert it first.
    fewer, more = (known(ask(header, f"-ngl {count}", (CARD,), host=host)) for count in sorted(layers))
    assert fewer.likely_tps <= more.likely_tps


def test_that_a_measurement_brings_the_estimate_near_and_narrows_it(headers: dict[str, GgufHeader]) -> None:
    header, profile = headers["qwen35b-Q4_K_M"], profile_of(["-ngl", "99", "-ts", "0.48,0.52"])
    before = assess(header, profile, CARDS, None, build=11434)
    assert before.parts is not None
    seen = observation(before.parts, before.used, 64.16, model="qwen35b", at=1.0)
    calibration = UNMEASURED.with_observations([seen])
    after = known(assess(header, profile, CARDS, None, build=11434, calibration=calibration, model="qwen35b"))
    first = known(before)
    assert abs(after.likely_tps - 64.16) < 0.2 * abs(first.likely_tps - 64.16)
    assert after.high_tps / after.low_tps - 1 < 0.5 * (first.high_tps / first.low_tps - 1)
    assert after.measurements == 1
    assert "corrected by 1 of this computer's own measurements" in str(after.basis)


def test_that_the_estimates_come_as_near_as_the_documentation_says(headers: dict[str, GgufHeader]) -> None:
    folder = next(iter(headers.values())).shards[0].path.parent
    rows = bench_rows(read_rows(DATA / "h100_speeds.jsonl"), folder)
    rows += published_rows(read_rows(DATA / "published_speeds.jsonl"), folder)
    groups = summary(rows)
    assert groups["H100, fitted"]["median"] < 0.01
    assert groups["H100, held back"]["median"] < 0.09
    assert abs(groups["H100, held back"]["worst"]) < 0.14
    assert groups["GDDR cards, held back"]["median"] < 0.09
    assert groups["HBM cards, not fitted"]["median"] < 0.10
    held_back = [group for name, group in groups.items() if not name.endswith(", fitted")]
    assert sum(group["inside"] * group["rows"] for group in held_back) / sum(g["rows"] for g in held_back) > 0.8
    after = learned_summary([row for row in rows if row.machine != "H100"])
    assert after["median"] < after["median_before"]
    assert after["inside"] >= after["inside_before"] - 0.05


def test_that_the_constants_are_those_that_the_fit_gives(headers: dict[str, GgufHeader]) -> None:
    folder = next(iter(headers.values())).shards[0].path.parent
    rows = bench_rows(read_rows(DATA / "h100_speeds.jsonl"), folder)
    fitted = fit_h100([row for row in rows if row.group == "H100, fitted"])
    for name, value in fitted.items():
        assert getattr(speed_rates, name) == pytest.approx(value, rel=0.02), name
