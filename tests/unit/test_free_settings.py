"""Extra arguments and environment in the draft: taken, refused, moved, undone, saved, reverted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tuning import Bench
from tests.support.waiting import run_async
from variet_gui.catalog.differences import changes_between
from variet_gui.panel.free_settings import free_differences


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, extra_arguments=["--perf"], environment={"GGML_A": "1", "GGML_B": "2"})
    run_async(bench.tune.load())
    return bench


def changed(bench: Bench) -> list[str]:
    return [change.key for change in changes_between(bench.tune.saved("fast"), bench.tune.draft("fast"))]


def test_that_the_text_shown_is_taken_back_as_the_same_words(bench: Bench) -> None:
    free = bench.tune.free
    assert free.extra_text(bench.tune.draft("fast")) == "--perf"
    assert free.set_extra("fast", "--perf --tags 'two words'").usable
    assert bench.tune.draft("fast").extra_arguments == ("--perf", "--tags", "two words")
    assert free.set_extra("fast", free.extra_text(bench.tune.draft("fast"))).words == ("--perf", "--tags", "two words")


def test_that_a_text_that_cannot_be_taken_leaves_the_draft_alone(bench: Bench) -> None:
    for text in ("--perf -c 4096", "--perf | tee", "--perf 'open", "--api-key secret"):
        assert not bench.tune.free.set_extra("fast", text).usable
        assert bench.tune.draft("fast").extra_arguments == ("--perf",)
    assert changed(bench) == []


def test_that_owned_flags_move_into_their_fields_as_one_step(bench: Bench) -> None:
    bench.tune.free.move_extra("fast", "--perf -c 8192 -fa off")
    draft = bench.tune.draft("fast")
    assert (draft.get("ctx_size"), draft.get("flash_attn"), draft.extra_arguments) == (8192, "off", ("--perf",))
    bench.tune.undo("fast")
    assert changed(bench) == []


def test_that_nothing_moves_while_something_else_is_wrong(bench: Bench) -> None:
    for text in ("-c 8192 | tee", "-c lots"):
        bench.tune.free.move_extra("fast", text)
    assert changed(bench) == []


def test_that_what_a_move_only_implies_fills_what_is_not_set(bench: Bench) -> None:
    bench.tune.edit("fast", "spec_type", "ngram-simple")
    bench.tune.free.move_extra("fast", "-md draft.gguf")
    assert bench.tune.draft("fast").get("spec_type") == "ngram-simple"
    bench.tune.edit("ultra", "spec_type", None)
    bench.tune.free.move_extra("ultra", "-md draft.gguf")
    assert bench.tune.draft("ultra").get("spec_type") == "draft-simple"


def test_that_variables_are_set_renamed_in_place_and_taken_away(bench: Bench) -> None:
    free = bench.tune.free
    assert free.set_variable("fast", "GGML_C", "3").problem is None
    assert free.set_variable("fast", "GGML_X", "1", instead_of="GGML_A").problem is None
    assert list(bench.tune.draft("fast").environment.items()) == [("GGML_X", "1"), ("GGML_B", "2"), ("GGML_C", "3")]
    free.remove_variable("fast", "GGML_B")
    assert dict(bench.tune.draft("fast").environment) == {"GGML_X": "1", "GGML_C": "3"}
    assert changed(bench) == ["environment.GGML_A", "environment.GGML_B", "environment.GGML_C", "environment.GGML_X"]


def test_that_a_name_that_is_taken_is_refused_also_when_renaming(bench: Bench) -> None:
    assert bench.tune.free.set_variable("fast", "GGML_B", "9", instead_of="GGML_A").problem is not None
    assert bench.tune.free.set_variable("fast", "GGML_A", "9", instead_of="GGML_A").problem is None
    assert dict(bench.tune.draft("fast").environment) == {"GGML_A": "9", "GGML_B": "2"}


def test_that_a_variable_of_a_field_moves_there_as_one_step(bench: Bench) -> None:
    bench.tune.free.move_variable("fast", "LLAMA_ARG_CTX_SIZE", "8192", instead_of="GGML_A")
    draft = bench.tune.draft("fast")
    assert (draft.get("ctx_size"), dict(draft.environment)) == (8192, {"GGML_B": "2"})
    bench.tune.undo("fast")
    assert changed(bench) == []


def test_that_each_of_both_is_reverted_alone_and_undo_brings_it_again(bench: Bench) -> None:
    bench.tune.free.set_extra("fast", "")
    bench.tune.free.set_variable("fast", "GGML_C", "3")
    bench.tune.revert("fast", "environment")
    assert changed(bench) == ["extra_arguments"]
    bench.tune.revert("fast", "extra_arguments")
    assert changed(bench) == []
    bench.tune.undo("fast")
    assert changed(bench) == ["extra_arguments"]


def test_that_both_are_saved_and_stand_in_the_command(bench: Bench) -> None:
    bench.tune.free.set_extra("fast", "--perf --tags a")
    bench.tune.free.set_variable("fast", "GGML_C", "3")
    command = bench.tune.command("fast")
    assert command.argv[-command.extra_words :] == ("--perf", "--tags", "a")
    assert command.environment["GGML_C"] == "3"
    run_async(bench.tune.save("fast"))
    stored = bench.read()["tiers"][0]
    assert stored["extra_arguments"] == ["--perf", "--tags", "a"]
    assert stored["environment"] == {"GGML_A": "1", "GGML_B": "2", "GGML_C": "3"}
    assert changed(bench) == []


def test_that_what_runs_with_other_words_or_variables_is_told_by_their_keys(bench: Bench) -> None:
    running = bench.tune.command("fast")
    assert free_differences(running, bench.tune.command("fast")) == ()
    bench.tune.free.set_extra("fast", "")
    bench.tune.free.set_variable("fast", "GGML_C", "3")
    bench.tune.free.remove_variable("fast", "GGML_A")
    bench.tune.edit("fast", "ctx_size", 8192)
    differing = free_differences(running, bench.tune.command("fast"))
    assert differing == ("extra_arguments", "environment.GGML_A", "environment.GGML_C")
