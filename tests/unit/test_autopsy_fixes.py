"""Next steps after a failure: what is offered for which tier, and what each would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gui.outlook_kit import BUILD, TWO_CARDS, header
from variet_gui.catalog.parameters import ParameterError
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.diagnosis import explain, failure
from variet_gui.engine.diagnosis_texts import CAUSES
from variet_gui.events import Failure, Fix
from variet_gui.forecast.fixes import fixes_for as forecast_fixes
from variet_gui.forecast.vram import forecast
from variet_gui.i18n import msg
from variet_gui.panel.autopsy_fixes import MOST, applied, fixes_for

NO_ROOM = (
    "E x: allocating 2048.00 MiB on device 1: cudaMalloc failed: out of memory\n"
    "E x: failed to initialize the context: failed to allocate buffer for kv cache"
)


def tier(*extra: str, **values: Any) -> LaunchProfile:
    return LaunchProfile("fast", {"model": "text.gguf", **values}, extra)


def told(text: str, exit_code: int = 1, *, was_ready: bool = False) -> Failure:
    return explain(role="fast", exit_code=exit_code, lines=text.splitlines(), was_ready=was_ready)


def offers(found: Failure, profile: LaunchProfile) -> list[tuple[str, dict[str, Any], tuple[str, ...] | None]]:
    return [
        (fix.text.english, dict(fix.set_values), fix.extra_arguments)
        for fix in fixes_for(found, profile)
        if fix.action is None
    ]


# --------------------------------------------------------------------------------------------------------------- flags


def test_that_a_removed_flag_is_replaced_by_what_took_its_place_or_left_out() -> None:
    found = told("error: invalid argument: --no-mmap")
    assert offers(found, tier("--no-mmap", "--verbose-prompt")) == [
        ("Use --load-mode none instead", {"load_mode": "none"}, ("--verbose-prompt",)),
        ("Leave out --no-mmap", {}, ("--verbose-prompt",)),
    ]


def test_that_a_removed_flag_takes_its_value_along() -> None:
    found = told('error while handling argument "--draft-max": the argument has been removed. use --spec-draft-n-max')
    assert offers(found, tier("--draft-max", "8", "-v"))[0] == (
        "Use --spec-draft-n-max 8 instead", {"spec_draft_n_max": 8}, ("-v",),
    )  # fmt: skip


def test_that_an_unknown_flag_is_left_out_with_its_value_and_no_more() -> None:
    found = told("error: invalid argument: --no-such-flag")
    assert offers(found, tier("--no-such-flag", "-7", "--ctx-size", "512")) == [
        ("Leave out --no-such-flag -7", {}, ("--ctx-size", "512")),
    ]  # fmt: skip
    assert offers(found, tier("--no-such-flag", "--jinja"))[0][2] == ("--jinja",)


def test_that_a_flag_written_with_an_equals_sign_can_be_written_apart() -> None:
    found = told("error: invalid argument: --ctx-size=512")
    assert offers(found, tier("--ctx-size=512")) == [
        ("Write --ctx-size and its value apart", {}, ("--ctx-size", "512")),
        ("Leave out --ctx-size=512", {}, ()),
    ]


def test_that_a_parameter_that_an_older_build_does_not_know_is_left_out() -> None:
    found = told("error: invalid argument: --mmproj-device")
    assert offers(found, tier(mmproj_device="CUDA1")) == [("Leave out --mmproj-device", {"mmproj_device": None}, None)]


def test_that_a_refused_value_gives_way_to_the_servers_own() -> None:
    found = told("error while handling argument \"-fa\": error: unknown value for --flash-attn: 'maybe'")
    assert offers(found, tier(flash_attn="on"))[0][1] == {"flash_attn": None}


def test_that_nothing_is_offered_that_changes_nothing() -> None:
    found = told("error: invalid argument: --no-such-flag")
    assert offers(found, tier()) == []
    assert [fix.action for fix in fixes_for(found, tier())] == [fix.action for fix in found.fixes]


# -------------------------------------------------------------------------------------------------------------- memory


def test_that_a_full_gpu_offers_less_of_what_had_no_room_first() -> None:
    profile = tier(ctx_size=32768, n_gpu_layers=99, tensor_split=(0.5, 0.5), mmproj="p.gguf")
    found = offers(told(NO_ROOM), profile)
    assert [values for _, values, _ in found][:3] == [
        {"ctx_size": 16384},
        {"cache_type_k": "q8_0", "cache_type_v": "q8_0"},
        {"mmproj_device": "CUDA0"},
    ]
    assert len(found) <= MOST


def test_that_a_compute_buffer_without_room_offers_a_smaller_micro_batch_first() -> None:
    text = NO_ROOM.replace("buffer for kv cache", "compute pp buffers")
    assert offers(told(text), tier(ubatch_size=2048))[0][1] == {"ubatch_size": 1024}
    assert offers(told(text), tier())[0] == ("Micro-batch 512 to 256", {"ubatch_size": 256}, None)


def test_that_a_picture_without_room_offers_smaller_pictures_and_another_place_for_the_projector() -> None:
    text = (
        "srv  llama_server: listening on http://x\nencoding image slice...\n"
        "CUDA error: out of memory\n  current device: 0, in function alloc at x.cu:583"
    )
    found = offers(told(text, -6, was_ready=True), tier(mmproj="p.gguf", tensor_split=(1.0, 1.0)))
    assert [values for _, values, _ in found][:3] == [
        {"image_max_tokens": 560},
        {"mmproj_device": "CUDA1"},
        {"mmproj_offload": False, "mmproj_device": None},
    ]


def test_that_a_draft_model_without_room_offers_to_do_without_it() -> None:
    text = NO_ROOM.replace("failed to allocate buffer for kv cache", "x\nE failed to load draft model, 'd.gguf'")
    assert offers(told(text), tier(spec_draft_model="d.gguf"))[0][1]["spec_draft_model"] is None


def test_that_the_forecasts_own_fixes_come_first_with_what_they_buy(tmp_path: Path) -> None:
    model = header(tmp_path)
    profile = tier(ctx_size=262144, n_gpu_layers=99)
    found = forecast_fixes(model, profile, TWO_CARDS, build=BUILD)
    steps = fixes_for(told(NO_ROOM), profile, found, ask=lambda trial: forecast(model, trial, TWO_CARDS, build=BUILD))
    assert found
    assert [step.text.english for step in steps[: len(found[:4])]] == [fix.text.english for fix in found[:4]]
    assert steps[0].gain is not None
    assert "to spare" in steps[0].gain.english or "less" in steps[0].gain.english
    assert {"ctx_size": 131072} not in [dict(step.set_values) for step in steps]  # it would not be enough


def test_that_a_change_that_the_forecast_did_not_look_for_is_priced_by_it(tmp_path: Path) -> None:
    model = header(tmp_path)
    profile = tier(ctx_size=32768, n_gpu_layers=99)
    steps = fixes_for(told(NO_ROOM), profile, ask=lambda trial: forecast(model, trial, TWO_CARDS, build=BUILD))
    halved = next(step for step in steps if dict(step.set_values) == {"ctx_size": 16384})
    assert halved.gain is not None
    assert halved.gain.english.endswith("less on GPU 1")


def test_that_what_lies_with_the_computer_offers_less_of_it() -> None:
    found = offers(failure("killed_for_memory", {"role": "fast"}), tier(ctx_size=65536, cache_ram=8192))
    assert [values for _, values, _ in found] == [{"ctx_size": 32768}, {"cache_ram": 0}]


# ------------------------------------------------------------------------------------------------------------- applying


def test_that_a_fix_changes_values_and_extra_arguments_together() -> None:
    fix = Fix(msg("x"), {"load_mode": "none", "parallel": None}, extra_arguments=("-v",))
    changed = applied(tier("--no-mmap", "-v", parallel=4), fix)
    assert (changed.get("load_mode"), changed.get("parallel"), changed.extra_arguments) == ("none", None, ("-v",))


def test_that_a_fix_with_a_value_that_is_not_allowed_changes_nothing() -> None:
    with pytest.raises(ParameterError):
        applied(tier(), Fix(msg("x"), {"ctx_size": -5}))


def test_that_every_fix_of_every_cause_can_be_applied() -> None:
    for cause in CAUSES.values():
        for fix in cause.fixes:
            applied(tier(), fix)
