from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.catalog import shell
from variet_gui.catalog.extra_arguments import read_extra_arguments
from variet_gui.catalog.extra_variables import read_variable
from variet_gui.catalog.left_out import LEFT_OUT
from variet_gui.catalog.parameters import PARAMETERS


def problems(text: str) -> list[str]:
    return [str(each) for each in read_extra_arguments(text).problems]


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), max_size=4),
    st.booleans(),
)
def test_that_what_is_shown_reads_back_as_the_same_words(values: list[str], windows: bool) -> None:
    words = ["--from-tomorrow", *(value for value in values if not value.startswith("-"))]
    if windows and any(set(word) & set("\r\n") for word in words):
        return  # cmd ends a line there, whatever the quotes say
    reading = read_extra_arguments(shell.join(words, windows), windows)
    assert reading.usable
    assert reading.words == tuple(words)


def test_that_a_quotation_mark_that_is_not_closed_is_told() -> None:
    assert problems("--from-tomorrow 'half") == ["A quotation mark ' is not closed."]


@pytest.mark.parametrize("sign", ["|", ">", "&&", ";"])
def test_that_what_only_a_shell_understands_is_refused(sign: str) -> None:
    assert problems(f"--perf {sign} tee")[0].startswith(f"{sign} means something to a shell")


def test_that_quotes_make_a_sign_of_the_shell_plain() -> None:
    assert read_extra_arguments("--reverse-prompt 'a > b'").words == ("--reverse-prompt", "a > b")


def test_that_an_empty_word_is_refused() -> None:
    assert problems("--tags ''") == ["An empty word cannot be an extra argument."]


def test_that_a_variable_is_taken_as_it_stands_and_told_of() -> None:
    reading = read_extra_arguments("--log-prompts-dir $HOME/prompts")
    assert reading.usable
    assert str(reading.notes[0]).startswith("$HOME/prompts stays as it stands")


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.key)
def test_that_no_flag_of_the_table_is_taken_in_any_spelling(row: object) -> None:
    for flag in (*row.spellings, *row.negatives, *(gone.flag for gone in row.replaced)):  # type: ignore[attr-defined]
        reading = read_extra_arguments(f"--perf {flag} 1")
        assert not reading.usable
        assert [owned.parameter for owned in reading.owned] == [row]


def test_that_owned_flags_are_cut_out_with_their_values_and_the_rest_stays() -> None:
    reading = read_extra_arguments("--perf -c 4096 --from-tomorrow a b -fa on --ubatch-size=512", models_dir=Path("/m"))
    assert [owned.words for owned in reading.owned] == [("-c", "4096"), ("-fa", "on"), ("--ubatch-size", "512")]
    assert reading.others == ("--perf", "--from-tomorrow", "a", "b")
    assert dict(reading.values) == {"ctx_size": 4096, "flash_attn": "on", "ubatch_size": 512}
    assert reading.problems == ()


def test_that_removed_flags_move_as_what_they_mean_today() -> None:
    assert dict(read_extra_arguments("--mlock --no-mmap").values) == {"load_mode": "mlock"}


def test_that_a_value_that_its_field_does_not_take_is_told_and_does_not_move() -> None:
    reading = read_extra_arguments("-c lots --perf")
    assert dict(reading.values) == {}
    assert "ctx_size" in str(reading.problems[0])


def test_that_a_path_moves_relative_to_the_models_folder() -> None:
    reading = read_extra_arguments("--mmproj /models/a/p.gguf", models_dir=Path("/models"))
    assert dict(reading.values) == {"mmproj": "a/p.gguf"}


def test_that_every_left_out_flag_is_refused_or_explained() -> None:
    for entry in LEFT_OUT:
        for flag in entry.flags:
            reading = read_extra_arguments(" ".join([flag, *["x"] * entry.values]))
            told = reading.problems if entry.reason.refused_as_extra else reading.notes
            assert flag in str(told[0])
            assert str(entry.reason.text) in str(told[0])
            assert reading.usable is not entry.reason.refused_as_extra


def test_that_a_word_without_a_flag_is_refused_because_the_server_would_not_start() -> None:
    assert problems("model.gguf --perf") == ["model.gguf belongs to no flag; llama-server would not start."]
    assert problems("--perf on") == ["on belongs to no flag; llama-server would not start."]


# -------------------------------------------------------------------------------------------------------- variables


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "needs a name"),
        ("A=B", "without ="),
        ("TAKEN", "stands there already"),
        ("LLAMA_ARG_CTX_SIZE", "belongs to the field Context"),
        ("LLAMA_CACHE", "behind the command line"),
        ("HF_TOKEN", "looks like a secret"),
    ],
)
def test_that_a_variable_that_does_harm_is_refused_with_its_reason(name: str, told: str) -> None:
    assert told in str(read_variable(name, "1", ["TAKEN"]).problem)


def test_that_a_variable_of_a_field_says_what_the_field_would_hold() -> None:
    assert dict(read_variable("LLAMA_ARG_CTX_SIZE", "8192").values) == {"ctx_size": 8192}
    assert dict(read_variable("LLAMA_ARG_CTX_SIZE", "lots").values) == {}


def test_that_a_variable_that_replaces_the_panels_own_is_told_of() -> None:
    assert "PCI_BUS_ID" in str(read_variable("CUDA_DEVICE_ORDER", "FASTEST_FIRST").note)
    assert read_variable("CUDA_DEVICE_ORDER", "PCI_BUS_ID").note is None
    assert read_variable("GGML_CUDA_ENABLE_UNIFIED_MEMORY", "1").problem is None
