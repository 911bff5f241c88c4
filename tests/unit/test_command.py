"""From a profile to a command line and an environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.profiles import (
    as_read_back,
    current_build,
    is_what_it_does_anyway,
    old_build,
    older_build,
    profiles,
    same_values,
)
from variet_gui.catalog import shell
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import Command, build, child_environment, shell_text, spans
from variet_gui.catalog.importing import import_command
from variet_gui.catalog.parameters import PARAMETERS
from variet_gui.catalog.spelling import Speller
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.helpers import Helper, helper_command

MODELS = Path("/models")
BASELINE = "-lv 4 --offline --no-ui --host 127.0.0.1 --port 8081 --cors-origins localhost --alias fast"


def command(
    values: dict[str, ParameterValue] | None = None,
    capabilities: Capabilities | None = None,
    extra: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
) -> Command:
    return build(
        LaunchProfile("fast", values or {}, extra, environment or {}),
        program=["llama-server"],
        capabilities=capabilities,
        port=8081,
        alias="fast",
        models_dir=MODELS,
        environ=environ or {},
    )


def words(values: dict[str, ParameterValue], capabilities: Capabilities | None = None) -> str:
    """Return the part of the line that the values make, without the baseline."""
    argv = command(values, capabilities).argv
    line = " ".join(argv)
    return line.split("--alias fast", 1)[1].removesuffix("-np 1 --metrics").removesuffix("--metrics").strip()


def notes(values: dict[str, ParameterValue], capabilities: Capabilities) -> list[str]:
    return [note.english for note in command(values, capabilities).notes]


def test_that_an_empty_profile_gives_the_baseline() -> None:
    assert " ".join(command().argv) == f"llama-server {BASELINE} -np 1 --metrics"


def test_that_the_verbosity_stands_first() -> None:
    assert command({"n_gpu_layers": 99, "model": "a.gguf"}).argv[1:3] == ("-lv", "4")


def test_that_the_fast_tier_reads_like_the_mock_up() -> None:
    values: dict[str, ParameterValue] = {
        "model": "gemma-4-26B.gguf",
        "ctx_size": 262144,
        "n_gpu_layers": 99,
        "tensor_split": (0.43, 0.57),
        "batch_size": 2048,
        "ubatch_size": 512,
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "flash_attn": "on",
        "mmproj": "mmproj.gguf",
        "mmproj_offload": False,
    }
    assert words(values) == (
        "-m /models/gemma-4-26B.gguf -c 262144 -ub 512 -b 2048 -ngl 99 -ts 0.43,0.57 -ctk q8_0 -ctv q8_0 -fa on "
        "--mmproj /models/mmproj.gguf --no-mmproj-offload"
    )


def test_that_slots_are_as_set() -> None:
    argv = command({"parallel": 3}).argv
    assert argv[argv.index("-np") + 1] == "3"
    assert argv.count("-np") == 1


def test_that_devices_of_other_computers_are_made_before_they_are_named() -> None:
    argv = command({"device": "RPC0,CUDA0", "rpc": "a:1", "mmproj_device": "RPC0"}).argv
    assert argv.index("--rpc") < argv.index("-dev") < argv.index("--mmproj-device")


def test_that_relative_paths_start_at_the_models_folder() -> None:
    assert words({"model": "sub/a.gguf"}) == "-m /models/sub/a.gguf"
    assert words({"model": "/else/a.gguf"}) == "-m /else/a.gguf"
    assert words({"model": r"C:\m\a.gguf"}) == r"-m C:\m\a.gguf"
    assert words({"lora": "a.gguf,/b.gguf"}) == "--lora /models/a.gguf,/b.gguf"
    assert words({"model": "~/a.gguf"}) == f"-m {Path.home()}/a.gguf"


def test_that_a_switch_without_a_negative_is_left_away_when_off() -> None:
    assert words({"swa_full": False, "no_host": False}) == ""
    assert words({"swa_full": True}) == "--swa-full"
    assert words({"cpu_strict": True}) == "--cpu-strict 1"
    assert words({"cpu_strict": False}) == "--cpu-strict 0"


def test_that_capabilities_without_flags_mean_the_current_build() -> None:
    assert command(capabilities=Capabilities()).argv == command().argv == command(capabilities=current_build()).argv


@pytest.mark.parametrize(
    ("mode", "words_then"),
    [
        ("auto", ""),
        ("none", "--no-mmap"),
        ("mmap", "--mmap"),
        ("mlock", "--mlock --no-mmap"),
        ("mmap+mlock", "--mlock"),
        ("dio", "--direct-io"),
    ],
)
def test_that_an_older_build_is_told_the_load_mode_in_its_own_words(mode: str, words_then: str) -> None:
    assert words({"load_mode": mode}, older_build()) == words_then
    assert words({"load_mode": mode}, current_build()) == f"--load-mode {mode}"
    assert bool(notes({"load_mode": mode}, older_build())) == bool(words_then)


def test_that_flash_attention_stands_alone_where_it_took_no_value() -> None:
    assert words({"flash_attn": "on"}, old_build()) == "-fa"
    assert words({"flash_attn": "off"}, old_build()) == ""
    assert words({"flash_attn": "auto"}, old_build()) == ""
    assert notes({"flash_attn": "auto"}, old_build()) == [
        "This llama-server (b6100) does not know -fa auto; it was left off."
    ]
    assert words({"flash_attn": "on"}, current_build()) == "-fa on"


def test_that_all_layers_is_a_number_where_the_word_is_unknown() -> None:
    assert words({"n_gpu_layers": "all"}, old_build()) == "-ngl 999"
    assert words({"n_gpu_layers": "auto"}, old_build()) == ""
    assert words({"n_gpu_layers": "all"}, older_build()) == "-ngl all"


def test_that_draft_flags_carry_the_names_of_the_build() -> None:
    values: dict[str, ParameterValue] = {"spec_draft_model": "d.gguf", "spec_draft_n_max": 8, "spec_draft_n_min": 1}
    assert words(values, old_build()) == "-md /models/d.gguf --draft-max 8 --draft-min 1"
    assert words(values, current_build()) == (
        "--spec-draft-model /models/d.gguf --spec-draft-n-max 8 --spec-draft-n-min 1"
    )


def test_that_a_choice_that_the_build_does_not_offer_is_left_off() -> None:
    assert words({"spec_type": "draft-simple"}, older_build()) == ""
    assert notes({"spec_type": "draft-simple"}, older_build()) == [
        "This llama-server (b9093) does not know --spec-type draft-simple; it was left off."
    ]
    assert words({"spec_type": "ngram-mod"}, older_build()) == "--spec-type ngram-mod"


def test_that_a_parameter_that_the_build_lacks_is_left_off_with_a_note() -> None:
    assert words({"mmproj_device": "CUDA1", "n_cpu_ffn": 3}, older_build()) == ""
    assert len(notes({"mmproj_device": "CUDA1", "n_cpu_ffn": 3}, older_build())) == 2
    assert notes({"mmproj_offload": True}, old_build()) == []  # it does that by itself


def test_that_older_builds_get_the_baseline_they_know() -> None:
    line = " ".join(command(capabilities=older_build()).argv)
    assert line == "llama-server --offline --no-webui --host 127.0.0.1 --port 8081 --alias fast -np 1 --metrics"


def test_that_an_embedded_engine_is_told_to_speak_up() -> None:
    embedded = Capabilities(flags=frozenset({"-lv", "-m", "-np", "--metrics"}), embedded=True)
    assert command(capabilities=embedded).argv[1:3] == ("-lv", "4")


def test_that_extra_arguments_come_last_as_they_are() -> None:
    built = command({"ctx_size": 4096}, extra=("--unheard-of", "x y", "-v"))
    assert built.argv[-3:] == ("--unheard-of", "x y", "-v")
    assert built.notes == ()


@pytest.mark.parametrize(
    "extra",
    [
        ("--port", "1"),
        ("--host", "0.0.0.0"),
        ("-a", "x"),
        ("--api-key", "hunter2"),
        ("--api_key=hunter2",),
        ("--models-dir", "x"),
        ("--version",),
    ],
)
def test_that_an_extra_argument_cannot_break_the_panel_or_show_a_key(extra: tuple[str, ...]) -> None:
    built = command(extra=(*extra, "--kept"))
    assert built.argv == (*command().argv, "--kept")
    assert len(built.notes) == 1
    assert "hunter2" not in built.notes[0].english


def test_that_an_unknown_key_is_told_and_not_emitted() -> None:
    built = command({"no_such_key": 3})
    assert built.argv == command().argv
    assert "no_such_key" in built.notes[0].english


def test_that_settings_cannot_come_in_through_the_environment() -> None:
    base = {"PATH": "/bin", "LLAMA_ARG_CTX_SIZE": "1", "LLAMA_API_KEY": "k", "MTMD_BACKEND_DEVICE": "CPU"}
    base |= {"CUDA_VISIBLE_DEVICES": "1", "GGML_CUDA_P2P": "1", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    built = command(environ=base)
    assert built.removed_environment == ("LLAMA_API_KEY", "LLAMA_ARG_CTX_SIZE", "MTMD_BACKEND_DEVICE")
    assert built.inherited_environment == {"CUDA_VISIBLE_DEVICES": "1", "GGML_CUDA_P2P": "1"}
    assert child_environment(base, built) == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "GGML_CUDA_P2P": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "GGML_NO_BACKTRACE": "1",
    }


def test_that_the_tiers_own_variables_win_except_those_of_llama_server() -> None:
    built = command(environment={"CUDA_DEVICE_ORDER": "FASTEST_FIRST", "LLAMA_ARG_PORT": "1"})
    assert built.environment == {"CUDA_DEVICE_ORDER": "FASTEST_FIRST", "GGML_NO_BACKTRACE": "1"}
    assert "LLAMA_ARG_PORT" in built.notes[0].english


def test_that_shell_text_can_be_pasted() -> None:
    argv = ["llama-server", "-m", "my model.gguf", "--chat-template-kwargs", '{"a": "b&c"}']
    assert shell_text(argv) == """llama-server -m 'my model.gguf' --chat-template-kwargs '{"a": "b&c"}'"""
    windows = shell_text(argv, windows=True)
    assert windows.startswith('llama-server -m "my model.gguf" ')
    assert [word.text for word in shell.split(windows, windows=True)] == argv
    with_environment = shell_text(argv, environment={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert with_environment.startswith("CUDA_VISIBLE_DEVICES=0,1 llama-server")
    assert shell_text(argv, True, {"A": "b"}).startswith('set "A=b" && llama-server')


def test_that_spans_mark_the_words_of_each_parameter() -> None:
    built = command({"model": "a.gguf", "flash_attn": "on", "mmproj_offload": False, "tensor_split": (1, 2)})
    marked = [(span.text, span.key) for span in built.spans() if span.key]
    assert marked == [
        ("-m", "model"),
        ("/models/a.gguf", "model"),
        ("-ts", "tensor_split"),
        ("1,2", "tensor_split"),
        ("-fa", "flash_attn"),
        ("on", "flash_attn"),
        ("--no-mmproj-offload", "mmproj_offload"),
        ("-np", "parallel"),
        ("1", "parallel"),
    ]
    assert [span.key for span in spans(["llama-server", "-fa", "-c", "5", "--no-mmap", "--mlock"])] == [
        None, "flash_attn", "ctx_size", "ctx_size", "load_mode", "load_mode",
    ]  # fmt: skip


def test_that_the_words_of_the_program_belong_to_no_parameter() -> None:
    program = helper_command(Helper.EMBEDDED_ENGINE)
    built = build(
        LaunchProfile("fast", {"model": "a.gguf"}),
        program=program,
        capabilities=None,
        port=8081,
        alias="fast",
        models_dir=MODELS,
        environ={},
    )
    assert [span.key for span in built.spans()[: len(program)]] == [None] * len(program)
    assert spans(built.argv) == built.spans()


@given(profiles(), st.booleans())
def test_that_spans_make_up_the_whole_line(profile: LaunchProfile, windows: bool) -> None:
    built = command(dict(profile.values), extra=profile.extra_arguments)
    assert " ".join(span.text for span in built.spans(windows)) == shell_text(built.argv, windows)


_WORDS = st.lists(
    st.text(
        st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"])
        | st.sampled_from(list(" \t\\\"'&|<>^()%!,;=#$`2-a")),
        max_size=12,
    ),
    max_size=6,
)


@given(_WORDS, st.booleans())
def test_that_quoting_survives_splitting(argv: list[str], windows: bool) -> None:
    assert shell.split(shell.join(argv, windows), windows) == [shell.Word(word) for word in argv]


@given(st.text(max_size=60), st.booleans())
def test_that_splitting_never_fails_but_for_an_open_quotation_mark(text: str, windows: bool) -> None:
    try:
        shell.split(text, windows)
    except shell.ShellTextError as error:
        message = str(error)
    else:
        return
    assert "quotation mark" in message


@given(profiles(), st.sampled_from(["argv", "posix", "windows"]))
def test_that_any_profile_survives_its_own_command_line(profile: LaunchProfile, form: str) -> None:
    built = command(dict(profile.values), extra=profile.extra_arguments)
    windows = form == "windows"
    line = built.argv if form == "argv" else shell_text(built.argv, windows)
    back = import_command(line, windows=windows, models_dir=MODELS)
    expected = as_read_back(profile)
    assert back.values.keys() == expected.keys()
    for key, value in expected.items():
        assert same_values(back.values[key], value), key
    assert back.extra_arguments == profile.extra_arguments
    assert (back.port, back.alias) == (8081, "fast")
    # Whether a text of Windows is read by cmd or by PowerShell is not known: what either would fill in is pointed out.
    doubtful = windows and any("$" in word or "%" in word for word in built.argv)
    notes = [note for note in back.notes if not (doubtful and "variable" in note.english)]
    assert len(notes) == (1 if profile.extra_arguments else 0)


@given(profiles(), st.sampled_from([older_build(), old_build()]))
def test_that_what_an_older_build_is_told_comes_back(profile: LaunchProfile, capabilities: Capabilities) -> None:
    built = command(dict(profile.values), capabilities)
    back = dict(import_command(built.argv, models_dir=MODELS).values)
    expected = as_read_back(profile)
    if "spec_type" not in profile.values and "-md" in built.argv:
        assert back.pop("spec_type") == "draft-simple"  # nothing was said of it, and this is what that build does
    assert back.keys() <= expected.keys()
    for row in PARAMETERS:
        if row.key not in profile.values:
            continue
        value, spelled = profile.values[row.key], Speller(capabilities).spell_in(profile, row)
        if spelled.words:
            all_layers = value == "all" and back[row.key] == 999
            assert same_values(back[row.key], value) or all_layers, row.key
        else:
            # What a build cannot be told is left off in so many words, or is what it does by itself.
            assert row.key not in back, row.key
            off_by_itself = row.key == "flash_attn" and value == "off"
            assert spelled.note in built.notes or is_what_it_does_anyway(row, value) or off_by_itself, row.key


_METHODS = {"draft-simple": True, "ngram-mod,draft-simple": True, "none": False, "ngram-mod": False, "draft-mtp": False}


@pytest.mark.parametrize("capabilities", [older_build(), old_build()])
@pytest.mark.parametrize("method", _METHODS)
def test_that_a_build_that_drafts_by_itself_gets_a_draft_model_only_where_it_is_to_draft(
    capabilities: Capabilities, method: str
) -> None:
    built = command({"spec_type": method, "spec_draft_model": "d.gguf"}, capabilities)
    left_off = [note.english for note in built.notes if "drafts as soon as it has a draft model" in note.english]
    assert ("/models/d.gguf" in built.argv) is _METHODS[method]
    if _METHODS[method]:
        assert left_off == []
    else:
        (flag,) = {"-md", "--spec-draft-model"} & set(left_off[0].split())
        reason = f"drafts as soon as it has a draft model. The method is {method}, so {flag} was left off."
        assert left_off == [f"This llama-server ({capabilities.label}) {reason}"]


def test_that_a_draft_model_stands_on_the_line_of_a_build_that_knows_its_method() -> None:
    for capabilities in (None, current_build(), Capabilities(), Capabilities(flags=current_build().flags)):
        line = words({"spec_type": "none", "spec_draft_model": "d.gguf"}, capabilities)
        assert line == "--spec-type none --spec-draft-model /models/d.gguf"


def test_that_paths_in_other_folders_stay_whole() -> None:
    back = import_command(["llama-server", "-m", "/models/a/b.gguf", "--mmproj", "/other/p.gguf"], models_dir=MODELS)
    assert back.values == {"model": "a/b.gguf", "mmproj": "/other/p.gguf"}
