"""A loaded server against what it was started as."""

from __future__ import annotations

from dataclasses import replace

import pytest

from variet_gui.catalog.tiers import Tier
from variet_gui.engine.load_check import differences
from variet_gui.engine.load_report import LoadReport
from variet_gui.engine.log_parser import parse
from variet_gui.events import ParameterValue, ServerState, ServerStatus

TWO_CARDS = (
    "0.00.100.000 I ggml_cuda_init: found 2 CUDA devices:",
    "0.00.200.000 I load_tensors: offloaded 31/31 layers to GPU",
    "0.00.200.001 I load_tensors:        CUDA0 model buffer size =  7000.00 MiB",
    "0.00.200.002 I load_tensors:        CUDA1 model buffer size =  7500.00 MiB",
    "0.00.300.000 I llama_context: flash_attn            = enabled",
)
AS_ASKED: dict[str, ParameterValue] = {
    "ctx_size": 8192,
    "n_gpu_layers": "all",
    "flash_attn": "on",
    "parallel": 1,
}
READY = ServerStatus(
    "fast",
    ServerState.READY,
    values=AS_ASKED,
    argv=("llama-server", "-m", "a.gguf"),
    context_size=8192,
    slots=1,
    model_path="a.gguf",
    vision=False,
)


def tier(**changes: object) -> Tier:
    return Tier.model_validate({"role": "fast", "model_name": "A", "port": 8081, "expected_gpus": 2, **changes})


def report(*lines: str) -> LoadReport:
    result = LoadReport()
    for line in lines:
        fact = parse(line)
        if fact is not None:
            result.add(fact)
    return result


def codes(status: ServerStatus, *lines: str, of: Tier | None = None) -> list[str]:
    return [found.code for found in differences(of or tier(), status, report(*lines))]


def with_values(**values: ParameterValue) -> ServerStatus:
    return replace(READY, values={**AS_ASKED, **values})


def test_that_a_server_that_is_as_asked_shows_no_difference() -> None:
    assert codes(READY, *TWO_CARDS) == []


def test_that_one_card_instead_of_two_is_an_alarm() -> None:
    lines = [line for line in TWO_CARDS if "CUDA1" not in line]
    (found,) = differences(tier(), READY, report(*lines))
    assert found.code == "gpus_missing"
    assert "2" in str(found.text)


def test_that_a_build_that_offloads_to_nothing_is_an_alarm() -> None:
    lines = (
        "0.00.200.000 I load_tensors: offloaded 31/31 layers to GPU",
        "0.1 I x: CPU_Mapped model buffer size = 9 MiB",
    )
    assert codes(READY, *lines) == ["gpus_none"]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (replace(READY, context_size=4096), "context_differs", "4096"),
        (replace(READY, slots=4), "slots_differ", "4"),
        (replace(READY, model_path="b.gguf"), "model_differs", "b.gguf"),
        (with_values(flash_attn="off"), "flash_attention_differs", "on"),
        (with_values(n_gpu_layers=12), "layers_differ", "12"),
        (with_values(mmproj="p.gguf"), "vision_missing", "projector"),
    ],
)
def test_that_each_difference_is_named(status: ServerStatus, code: str, words: str) -> None:
    (found,) = differences(tier(), status, report(*TWO_CARDS))
    assert found.code == code
    assert words in str(found.text)


def test_that_padding_a_context_up_is_no_difference() -> None:
    assert codes(replace(with_values(ctx_size=8000), context_size=8192), *TWO_CARDS) == []


def test_that_a_context_shared_by_slots_is_judged_for_each_of_them() -> None:
    status = replace(with_values(parallel=2), slots=2, context_size=4096)
    assert codes(status, *TWO_CARDS) == []


def test_that_more_layers_than_there_are_means_all_of_them() -> None:
    assert codes(with_values(n_gpu_layers=99), *TWO_CARDS) == []


def test_that_automatic_settings_can_differ_from_nothing() -> None:
    status = replace(READY, values={"n_gpu_layers": "auto", "flash_attn": "auto"}, context_size=4096)
    assert codes(status, *TWO_CARDS) == []


def test_that_what_a_server_does_not_say_is_no_difference() -> None:
    status = replace(READY, context_size=None, slots=None, model_path=None, vision=None)
    assert codes(status, *TWO_CARDS) == []


def test_that_a_context_made_smaller_by_itself_is_told() -> None:
    line = "0.1 I common_fit_params: context size reduced from 262144 to 98304"
    status = replace(READY, values={"n_gpu_layers": "all"}, context_size=98304)
    assert codes(status, *TWO_CARDS, line) == ["context_shrunk"]
