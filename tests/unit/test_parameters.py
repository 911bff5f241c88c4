"""The parameter table and the values of its rows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.profiles import current_build, same_values, values_of
from variet_gui.catalog.command import build
from variet_gui.catalog.parameter_docs import parameters_markdown
from variet_gui.catalog.parameters import (
    LEFT_OUT,
    PARAMETERS,
    Cost,
    Kind,
    Parameter,
    ParameterError,
    allowed,
    by_flag,
    check,
    essential_parameters,
    format_value,
    left_out,
    parameter,
    parse_argument,
    parse_text,
)
from variet_gui.catalog.tiers import LaunchProfile

ROOT = Path(__file__).resolve().parents[2]

ESSENTIAL = {
    "model", "ctx_size", "ubatch_size", "batch_size", "n_gpu_layers", "tensor_split", "n_cpu_moe", "cache_type_k",
    "cache_type_v", "flash_attn", "mmproj", "mmproj_offload", "threads", "parallel",
}  # fmt: skip

any_parameter = st.sampled_from(PARAMETERS)


@st.composite
def a_parameter_and_a_value(draw: st.DrawFn) -> tuple[Parameter, object]:
    chosen = draw(any_parameter)
    return chosen, draw(values_of(chosen))


def test_that_keys_are_the_long_flags_with_underscores() -> None:
    for row in PARAMETERS:
        assert row.flag == "--" + row.key.replace("_", "-")
    assert len({row.key for row in PARAMETERS}) == len(PARAMETERS)


def test_that_no_two_rows_claim_the_same_spelling() -> None:
    seen: dict[str, str] = {}
    for row in PARAMETERS:
        removed = [flag for old in row.replaced for flag in (old.flag, *old.aliases)]
        for flag in [*row.spellings, *row.negatives, *removed]:
            assert seen.setdefault(flag, row.key) == row.key, flag
            assert left_out(flag) is None, flag


def test_that_exactly_the_essential_rows_show_without_unfolding() -> None:
    assert {row.key for row in essential_parameters()} == ESSENTIAL


def test_that_every_flag_of_the_current_build_has_a_row_or_a_reason() -> None:
    known = {flag for row in PARAMETERS for flag in (*row.spellings, *row.negatives)}
    known |= {flag for row in PARAMETERS for old in row.replaced for flag in (old.flag, *old.aliases)}
    known |= {flag for entry in LEFT_OUT for flag in entry.flags}
    assert current_build().flags - known == set()


def test_that_every_spelling_of_a_row_is_known_to_the_current_build() -> None:
    capabilities = current_build()
    for row in PARAMETERS:
        for flag in (*row.spellings, *row.negatives):
            assert capabilities.knows(flag), flag
        for old in row.replaced:
            assert not any(capabilities.knows(flag) for flag in (old.flag, *old.aliases)), old.flag


def test_that_value_hints_agree_with_the_kinds() -> None:
    capabilities = current_build()
    for row in PARAMETERS:
        takes_value = row.kind is not Kind.SWITCH or row.switch_values is not None
        assert bool(capabilities.value_hint(row.flag)) == takes_value, row.key
        listed = re.fullmatch(r"[\[{]([\w|,+-]+)[\]}]", capabilities.value_hint(row.flag) or "")
        if row.kind is Kind.CHOICE and listed:
            assert set(re.split("[|,]", listed[1])) == set(row.choices), row.key


def test_that_every_row_is_complete() -> None:
    for row in PARAMETERS:
        assert row.label.id, row.key
        assert row.help.id.endswith("."), row.key
        assert len(row.help.id) <= 120, row.key
        assert Cost.RESTART in row.costs, row.key
        assert allowed(row).english, row.key
        if row.kind in (Kind.INTEGER, Kind.FRACTION):
            assert row.minimum is not None, row.key
            assert row.maximum is not None, row.key
            low, high = row.slider_range or (0, 0)
            assert row.minimum <= low < high <= row.maximum, row.key
        if row.kind is Kind.CHOICE:
            assert len(row.choices) > 1, row.key
        if row.default is not None:
            assert check(row, row.default) == row.default, row.key


def test_that_the_labels_are_those_of_the_design() -> None:
    labels = {key: parameter(key).label.id for key in ("ctx_size", "ubatch_size", "batch_size", "n_gpu_layers")}
    assert labels == {
        "ctx_size": "Context",
        "ubatch_size": "Micro-batch",
        "batch_size": "Batch",
        "n_gpu_layers": "GPU layers",
    }
    assert parameter("ctx_size").group.title.id == "Context & batching"


def test_that_a_misspelt_key_is_answered_with_the_right_one() -> None:
    with pytest.raises(KeyError, match="did you mean 'ctx_size'"):
        parameter("ctx_sise")
    with pytest.raises(KeyError, match="did you mean 'n_gpu_layers'"):
        parameter("ngl")
    with pytest.raises(KeyError) as caught:
        parameter("zzzz")
    assert caught.value.args == ("no launch parameter is called 'zzzz'",)


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ("-c", "ctx_size"),
        ("--ctx_size", "ctx_size"),
        ("--gpu-layers", "n_gpu_layers"),
        ("--no-mmproj-offload", "mmproj_offload"),
        ("-nkvo", "kv_offload"),
        ("--no-mmap", "load_mode"),
        ("-dio", "load_mode"),
        ("--draft-max", "spec_draft_n_max"),
        ("-md", "spec_draft_model"),
        ("--checkpoint-every-n-tokens", "checkpoint_min_step"),
        ("--swa-checkpoints", "ctx_checkpoints"),
    ],
)
def test_that_every_spelling_leads_to_its_row(flag: str, key: str) -> None:
    found = by_flag(flag)
    assert found is not None
    assert found.key == key


def test_that_an_unknown_flag_leads_nowhere() -> None:
    assert by_flag("--no-such-flag") is None
    assert by_flag("--port") is None


@given(a_parameter_and_a_value())
def test_that_a_valid_value_is_accepted_as_it_is(case: tuple[Parameter, object]) -> None:
    row, value = case
    assert check(row, value) == value


@given(a_parameter_and_a_value())
def test_that_what_people_read_can_be_typed_again(case: tuple[Parameter, object]) -> None:
    row, value = case
    normal = check(row, value)
    again = parse_text(row, format_value(row, normal))
    expected = normal.strip() if isinstance(normal, str) else normal
    assert same_values(again, expected)


@given(any_parameter, st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
))  # fmt: skip
def test_that_anything_else_is_refused_by_name_or_is_a_value(row: Parameter, value: object) -> None:
    try:
        normal = check(row, value)
    except ParameterError as error:
        refusal = error
    else:
        assert check(row, normal) == normal
        return
    assert refusal.key == row.key
    assert row.key in str(refusal)
    assert str(refusal.allowed)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("ctx_size", "262144", 262144),
        ("ctx_size", "262\u2009144", 262144),
        ("ctx_size", "262 144", 262144),
        ("ctx_size", "262,144", 262144),
        ("n_gpu_layers", "ALL", "all"),
        ("n_gpu_layers", " 40 ", 40),
        ("tensor_split", "0.43,0.57", (0.43, 0.57)),
        ("tensor_split", "0,43 : 0,57", (0.43, 0.57)),
        ("tensor_split", "14|16", (14, 16)),
        ("tensor_split", "3 1", (3, 1)),
        ("flash_attn", "On", "on"),
        ("mmproj_offload", "off", False),
        ("mmproj_offload", "yes", True),
        ("cache_ram", "no limit", -1),
        ("cache_ram", "0", 0),
        ("temp", "0,7", 0.7),
        ("spec_type", "ngram-mod,draft-mtp", "ngram-mod,draft-mtp"),
    ],
)
def test_that_what_a_person_types_is_understood(key: str, text: str, value: object) -> None:
    assert parse_text(parameter(key), text) == value


@pytest.mark.parametrize(
    ("key", "text", "hint"),
    [
        ("ctx_size", "256K", "262\u2009144"),
        ("ctx_size", "lots", "a whole number from 1"),
        ("ctx_size", "-5", "or 0 (as the model says)"),
        ("parallel", "0", "from 1 to 256"),
        ("cache_type_k", "q4_k", "q8_0"),
        ("tensor_split", "0,0", "not all of them 0"),
        ("tensor_split", "1,,2", "numbers"),
        ("tensor_split", ",".join("1" * 16), "1 to 15"),
        ("mmproj_offload", "maybe", "true or false"),
        ("chat_template_kwargs", "[1]", "JSON object"),
        ("device", "CUDA0 CUDA1", "CUDA0,CUDA1"),
        ("model", "", "path of a file"),
        ("top_p", "1.5", "from 0 to 1"),
    ],
)
def test_that_a_wrong_text_is_answered_with_what_is_allowed(key: str, text: str, hint: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_text(parameter(key), text)
    assert hint in str(caught.value)
    assert key in str(caught.value)


def test_that_numbers_are_written_for_people() -> None:
    assert format_value(parameter("ctx_size"), 262144) == "262\u2009144"
    assert format_value(parameter("n_gpu_layers"), "all") == "all"
    assert format_value(parameter("tensor_split"), (0.43, 0.57)) == "0.43 : 0.57"
    assert format_value(parameter("mmproj_offload"), False) == "off"
    assert format_value(parameter("cache_ram"), -1) == "no limit"
    assert format_value(parameter("temp"), 0.8) == "0.8"


def test_that_command_line_words_are_read_as_llama_server_reads_them() -> None:
    assert parse_argument(parameter("flash_attn"), "1") == "on"
    assert parse_argument(parameter("flash_attn"), "-1") == "auto"
    assert parse_argument(parameter("n_gpu_layers"), "-2") == "all"
    assert parse_argument(parameter("threads"), "0") == -1
    assert parse_argument(parameter("tensor_split"), "3/1") == (3, 1)
    with pytest.raises(ParameterError):
        parse_argument(parameter("ctx_size"), "32k")  # std::stoi would read 32


def test_that_the_documentation_is_current() -> None:
    written = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert written == parameters_markdown(), "run: python -m variet_gui.catalog.parameter_docs > docs/parameters.md"


def test_that_the_documentation_names_what_is_left_out() -> None:
    text = parameters_markdown()
    for flag in ("--tools", "--mcp-servers-config", "--media-path", "--agent", "--models-preset", "--api-key"):
        assert f"`{flag}`" in text


def extreme_values(choice: int) -> dict[str, object]:
    """Return a value for every row: the smallest, the default, or the largest."""
    values: dict[str, object] = {}
    for row in PARAMETERS:
        match row.kind:
            case Kind.INTEGER | Kind.FRACTION:
                middle = row.default if row.default is not None else row.minimum
                values[row.key] = (row.minimum, middle, row.maximum)[choice]
            case Kind.SWITCH:
                values[row.key] = (False, row.default or False, True)[choice]
            case Kind.CHOICE:
                middle = row.default or row.choices[0]
                values[row.key] = (row.choices[0], middle, row.choices[-1])[choice]
            case Kind.RATIO:
                values[row.key] = ((1,), (0.43, 0.57), (1,) * 15)[choice]
            case Kind.TEXT:
                values[row.key] = row.example
            case Kind.PATH:
                values[row.key] = "file"
    values["rope_freq_scale"] = values["rope_freq_scale"] or 0.5
    # These name hardware or other computers, which llama-server looks for while it reads the line.
    values |= {"device": "none", "mmproj_device": "none", "spec_draft_device": "none"}
    del values["rpc"]
    values["jinja"] = True  # without it llama-server takes none but its built-in templates
    return values


@pytest.mark.engine
@pytest.mark.parametrize("choice", [0, 1, 2], ids=["smallest", "default", "largest"])
def test_that_the_real_server_accepts_every_parameter(choice: int, real_llama_server: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{{ messages }}", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    values = extreme_values(choice) | {"slot_save_path": "folder"}
    profile = LaunchProfile("fast", {key: check(parameter(key), value) for key, value in values.items()})
    command = build(
        profile,
        program=[str(real_llama_server)],
        capabilities=current_build(),
        port=8081,
        alias="fast",
        models_dir=tmp_path,
    )
    assert command.notes == ()
    # --help at the end: the line is read to its end, and no model is loaded.
    done = subprocess.run([*command.argv, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[:400]


@pytest.mark.engine
def test_that_the_real_server_names_every_flag_we_emit(real_llama_server: Path) -> None:
    done = subprocess.run([real_llama_server, "--help"], capture_output=True, text=True, timeout=60, check=True)
    words = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w.-]*", done.stdout))
    for row in PARAMETERS:
        assert {row.short, row.flag, *row.negatives} <= words, row.key
