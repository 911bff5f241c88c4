"""From a pasted command line to a profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variet_gui.catalog.command import build
from variet_gui.catalog.importing import Imported, ShellTextError, import_command
from variet_gui.catalog.parameters import LEFT_OUT, PARAMETERS
from variet_gui.i18n import Message

M = "llama-server -m a.gguf "


def values(line: str) -> dict[str, object]:
    """Return the values of `line` beside the model."""
    return {key: value for key, value in import_command(line).values.items() if key != "model"}


def notes(line: str) -> list[str]:
    return [note.english for note in import_command(line).notes]


def the_note(line: str) -> str:
    (note,) = notes(line)
    return note


def back_again(imported: Imported) -> str:
    """Return the command line that the panel would start now."""
    built = build(
        imported.profile("fast"),
        program=["llama-server"],
        capabilities=None,
        port=8081,
        alias="fast",
        models_dir=Path("/m"),
        environ={},
    )
    return " ".join(built.argv)


def test_case_1_mlock_became_a_load_mode() -> None:
    line = M + "-c 32768 -ngl 99 --mlock"
    assert values(line) == {"ctx_size": 32768, "n_gpu_layers": 99, "load_mode": "mmap+mlock"}
    assert the_note(line) == "--mlock was removed from llama-server; it became --load-mode mmap+mlock."
    assert "--load-mode mmap+mlock" in back_again(import_command(line))


def test_case_2_no_mmap_became_a_load_mode() -> None:
    assert values(M + "-ngl 99 --no-mmap") == {"n_gpu_layers": 99, "load_mode": "none"}
    assert "--no-mmap was removed" in the_note(M + "-ngl 99 --no-mmap")


def test_case_3_both_together_mean_mlock() -> None:
    line = M + "--mlock --no-mmap --poll 50 --prio 3 -t 6 -tb 6"
    assert values(line) == {"load_mode": "mlock", "poll": 50, "prio": 3, "threads": 6, "threads_batch": 6}
    assert the_note(line) == "--mlock --no-mmap were removed; both together mean --load-mode mlock."


def test_case_4_dio_became_a_load_mode() -> None:
    assert values(M + "-dio") == {"load_mode": "dio"}
    assert "-dio was removed" in the_note(M + "-dio")


def test_case_5_a_bare_fa_does_not_eat_the_next_flag() -> None:
    line = M + "-fa -ctk q8_0 -ctv q8_0"
    assert values(line) == {"flash_attn": "on", "cache_type_k": "q8_0", "cache_type_v": "q8_0"}
    assert the_note(line) == "A bare -fa would eat the next flag as its value; it became -fa on."


def test_case_6_values_behind_an_equals_sign_become_words() -> None:
    line = M + "--port=8081 --ctx-size=16384"
    assert values(line) == {"ctx_size": 16384}
    assert import_command(line).port == 8081
    assert [("=value is not accepted" in note) for note in notes(line)] == [True, True]


def test_case_7_a_draft_model_gets_the_method_it_needs() -> None:
    line = M + "-md d.gguf --draft-max 8 --draft-min 1"
    assert values(line) == {
        "spec_draft_model": "d.gguf",
        "spec_draft_n_max": 8,
        "spec_draft_n_min": 1,
        "spec_type": "draft-simple",
    }
    assert notes(line) == [
        "--draft-max was removed from llama-server; it became --spec-draft-n-max 8.",
        "--draft-min was removed from llama-server; it became --spec-draft-n-min 1.",
        "-md alone does nothing any more; --spec-type draft-simple was added.",
    ]


def test_case_8_the_last_one_wins() -> None:
    line = M + "-ngl 20 -c 4096 -ngl 99"
    assert values(line) == {"n_gpu_layers": 99, "ctx_size": 4096}
    assert the_note(line) == "-ngl stands there more than once; the last one wins: 99."


def test_case_9_a_flag_without_effect_is_left_out() -> None:
    assert values(M + "-dt 0.1 -np 1") == {"parallel": 1}
    assert import_command(M + "-dt 0.1 -np 1").extra_arguments == ()
    assert the_note(M + "-dt 0.1 -np 1") == "-dt does nothing any more; it was left out."


def test_case_10_unknown_flags_are_kept_and_new_names_told() -> None:
    line = M + "--webui-config x --no-webui"
    imported = import_command(line)
    assert imported.extra_arguments == ("--webui-config", "x")
    assert "--no-webui has a new name, --no-ui" in notes(line)[1]
    assert "--no-ui" in back_again(imported)
    assert "--no-webui" not in back_again(imported)


@pytest.mark.parametrize("windows", [None, True, False])
def test_case_11_windows_paths_with_spaces(windows: bool | None) -> None:
    line = r'llama-server.exe -m "C:\\models\\my model.gguf" -ts 0.43,0.57 --checkpoint-every-n-tokens 512'
    imported = import_command(line, windows=windows)
    assert imported.model == r"C:\models\my model.gguf"
    assert imported.values["tensor_split"] == (0.43, 0.57)
    assert imported.values["checkpoint_min_step"] == 512
    assert "--checkpoint-every-n-tokens was removed" in imported.notes[0].english


def test_case_12_variables_become_settings_and_the_key_stays_secret() -> None:
    line = "LLAMA_ARG_CTX_SIZE=8192 CUDA_VISIBLE_DEVICES=1 ./llama-server -m a.gguf -ngl 99 --api-key hunter2"
    imported = import_command(line)
    assert imported.values == {"ctx_size": 8192, "model": "a.gguf", "n_gpu_layers": 99}
    assert imported.environment == {"CUDA_VISIBLE_DEVICES": "1"}
    assert imported.api_key == "hunter2"
    assert "hunter2" not in repr(imported)
    assert "hunter2" not in back_again(imported)
    assert not any("hunter2" in note.english for note in imported.notes)
    assert imported.program == "./llama-server"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--mmap", {"load_mode": "mmap"}),
        ("--no-mmap --mmap", {"load_mode": "mmap"}),
        ("--mmap --no-mmap", {"load_mode": "none"}),
        ("--mlock --mmap", {"load_mode": "mmap+mlock"}),
        ("--mlock --no-mmap --direct-io", {"load_mode": "dio"}),
        ("--direct-io --no-direct-io", {}),
        ("-ndio", {}),
        ("--mlock -lm none", {"load_mode": "none"}),
        ("-fa 1", {"flash_attn": "on"}),
        ("-fa -1", {"flash_attn": "auto"}),
        ("--flash-attn", {"flash_attn": "on"}),
        ("--flash-attn off", {"flash_attn": "off"}),
        ("-ngl -1", {"n_gpu_layers": "auto"}),
        ("--gpu-layers all", {"n_gpu_layers": "all"}),
        ("--ctx_size 4096", {"ctx_size": 4096}),
        ("-ts 3/1", {"tensor_split": (3, 1)}),
        ("-nkvo --no-warmup -cb", {"kv_offload": False, "warmup": False, "cont_batching": True}),
        ("--jinja=false", {"jinja": False}),
        ("--draft 16", {"spec_draft_n_max": 16}),
        ("-cd 4096", {}),
        ("-ot a=CPU -ot b=CPU", {"override_tensor": "a=CPU,b=CPU"}),
        ("--spec-draft-model d.gguf", {"spec_draft_model": "d.gguf"}),
        ("-md d.gguf --spec-type draft-mtp", {"spec_draft_model": "d.gguf", "spec_type": "draft-mtp"}),
        ("--n-cpu-moe 5 -cmoe", {"n_cpu_moe": 5, "cpu_moe": True}),
        ("--cpu-strict 1", {"cpu_strict": True}),
        ("--temp 0.7 --top-k 0", {"temp": 0.7, "top_k": 0}),
    ],
)
def test_that_old_and_new_spellings_are_understood(arguments: str, expected: dict[str, object]) -> None:
    assert values(M + arguments) == expected
    assert import_command(M + arguments).extra_arguments == ()


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        ("LLAMA_ARG_NO_MMAP=1", {"load_mode": "none"}),
        ("LLAMA_ARG_MMAP=0", {"load_mode": "none"}),
        ("LLAMA_ARG_MLOCK=0", {}),
        ("LLAMA_ARG_MLOCK=1 LLAMA_ARG_NO_MMAP=1", {"load_mode": "mlock"}),
        ("LLAMA_ARG_FLASH_ATTN=1", {"flash_attn": "on"}),
        ("LLAMA_ARG_NO_KV_OFFLOAD=anything", {"kv_offload": False}),
        ("LLAMA_ARG_KV_OFFLOAD=off", {"kv_offload": False}),
        ("LLAMA_ARG_DRAFT_MAX=8", {"spec_draft_n_max": 8}),
        ("LLAMA_ARG_CTX_SIZE=lots", {}),
    ],
)
def test_that_variables_of_llama_server_become_settings(assignments: str, expected: dict[str, object]) -> None:
    imported = import_command(f"{assignments} {M}")
    assert values(f"{assignments} {M}") == expected
    assert imported.environment == {}
    assert len(imported.notes) == 1 or assignments == "LLAMA_ARG_MLOCK=0"


def test_that_the_command_line_wins_over_variables() -> None:
    assert values("LLAMA_ARG_CTX_SIZE=1024 " + M + "-c 2048") == {"ctx_size": 2048}


def test_that_secrets_in_variables_are_not_kept() -> None:
    imported = import_command("HF_TOKEN=hunter2 LLAMA_API_KEY=hunter3 LLAMA_SECRET=hunter4 OMP_NUM_THREADS=4 " + M)
    assert imported.environment == {"OMP_NUM_THREADS": "4"}
    assert imported.api_key == "hunter3"
    assert not any("hunter" in note.english for note in imported.notes)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("--unheard-of", ("--unheard-of",)),
        ("--unheard-of 1 2 --mlock", ("--unheard-of", "1", "2")),
        ("--unheard-of=-1", ("--unheard-of", "-1")),
        ("stray", ("stray",)),
        ("-c lots", ("-c", "lots")),
        ("-c 32k", ("-c", "32k")),
        ("--grammar 'root ::= x'", ("--grammar", "root ::= x")),
        ("--embeddings --pooling mean", ("--embeddings", "--pooling", "mean")),
        ("--control-vector-layer-range 1 5", ("--control-vector-layer-range", "1", "5")),
    ],
)
def test_that_what_has_no_parameter_is_kept_with_a_note(arguments: str, extra: tuple[str, ...]) -> None:
    imported = import_command(M + arguments)
    assert imported.extra_arguments == extra
    assert imported.notes


@pytest.mark.parametrize(
    "arguments",
    ["--host 0.0.0.0", "--tools all", "--agent", "-hf a/b", "--models-dir x", "--log-disable", "--slot-save", "-lv 5"],
)
def test_that_what_would_fight_the_panel_is_told(arguments: str) -> None:
    assert len(notes(M + arguments)) == 1


def test_that_a_flag_without_its_value_is_told() -> None:
    assert values(M + "-c -ngl 5") == {"n_gpu_layers": 5}
    assert the_note(M + "-c -ngl 5") == "-c has no value; it was left out."
    assert the_note(M + "--ctx-size") == "--ctx-size has no value; it was left out."


def test_that_the_panels_own_flags_pass_in_silence() -> None:
    line = M + "-lv 4 --offline --no-ui --host 127.0.0.1 --port 8081 --cors-origins localhost --alias fast --metrics"
    imported = import_command(line)
    assert imported.notes == ()
    assert (imported.port, imported.alias) == (8081, "fast")


def test_that_a_line_without_a_model_says_so() -> None:
    assert notes("llama-server -c 4096") == ["The command line names no model file."]
    assert import_command("").values == {}


def test_that_variables_in_paths_are_told() -> None:
    line = 'llama-server -m "$HOME/a.gguf"'
    assert import_command(line).model == "$HOME/a.gguf"
    assert "variable" in the_note(line)


SCRIPT = """\
#!/bin/bash
# start the fast tier
export CUDA_VISIBLE_DEVICES=0,1
cd /opt/llama
nohup ./build/bin/llama-server \\
  -m /models/a.gguf \\
  -c 4096 --alias 'a # b' \\
  > server.log 2>&1 &
echo started
"""

BATCH = """\
@echo off\r
set CUDA_VISIBLE_DEVICES=1\r
rem the big one\r
"C:\\Program Files\\llama\\llama-server.exe" ^\r
  -m "D:\\models\\big one.gguf" ^\r
  -c 4096 > log.txt 2>&1\r
pause\r
"""


def test_that_a_shell_script_is_read() -> None:
    imported = import_command(SCRIPT)
    assert imported.values == {"model": "/models/a.gguf", "ctx_size": 4096}
    assert imported.environment == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert imported.alias == "a # b"
    assert imported.program == "./build/bin/llama-server"
    assert [note.english for note in imported.notes] == [
        "The redirection was left out: the panel keeps the log itself."
    ]


def test_that_a_batch_file_is_read() -> None:
    imported = import_command(BATCH)
    assert imported.values == {"model": r"D:\models\big one.gguf", "ctx_size": 4096}
    assert imported.environment == {"CUDA_VISIBLE_DEVICES": "1"}
    assert imported.program == r"C:\Program Files\llama\llama-server.exe"


@pytest.mark.parametrize(
    "line",
    [
        "ExecStart=/usr/bin/llama-server -m a.gguf -c 4096",
        "docker run --gpus all -p 8080:8080 ghcr.io/ggml-org/llama.cpp:server-cuda -m a.gguf -c 4096",
        "llama serve -m a.gguf -c 4096",
        "cd /opt/llama && ./llama-server -m a.gguf -c 4096",
        "& .\\llama-server.exe -m a.gguf -c 4096",
        "-m a.gguf -c 4096",
        "sudo -u llm /opt/llama-server-cuda -m a.gguf -c 4096",
        "my-own-build -m a.gguf -c 4096",
    ],
)
def test_that_the_call_is_found_wherever_it_stands(line: str) -> None:
    assert import_command(line).values == {"model": "a.gguf", "ctx_size": 4096}


def test_that_powershell_variables_are_read() -> None:
    imported = import_command("$env:CUDA_VISIBLE_DEVICES=\"1\"; .\\llama-server.exe -m 'C:\\my models\\a.gguf'")
    assert imported.environment == {"CUDA_VISIBLE_DEVICES": "1"}
    assert imported.model == r"C:\my models\a.gguf"


def test_that_an_open_quotation_mark_is_named() -> None:
    with pytest.raises(ShellTextError, match="not closed"):
        import_command("llama-server -m 'a.gguf")


def test_that_an_argument_list_is_taken_word_by_word() -> None:
    imported = import_command(["llama-server", "-m", "a b.gguf", "--chat-template", "-c"])
    assert imported.values == {"model": "a b.gguf", "chat_template": "-c"}


_FLAGS = [flag for row in PARAMETERS for flag in (*row.spellings, *row.negatives)]
_FLAGS += [flag for row in PARAMETERS for old in row.replaced for flag in (old.flag, *old.aliases)]
_FLAGS += [flag for entry in LEFT_OUT for flag in entry.flags]
_WORDS = st.sampled_from(_FLAGS) | st.sampled_from(["1", "-1", "on", "x", "0.5,0.5", "a.gguf", "", "="]) | st.text()


@given(st.lists(_WORDS | st.tuples(_WORDS, _WORDS).map("=".join), max_size=12))
def test_that_any_words_give_a_profile_that_can_be_started_again(words: list[str]) -> None:
    imported = import_command(["llama-server", *words])
    again = import_command(
        build(
            imported.profile("fast"),
            program=["llama-server"],
            capabilities=None,
            port=8081,
            alias="fast",
            models_dir=Path("/m"),
            environ={},
        ).argv,
        models_dir=Path("/m"),
    )
    assert all(isinstance(note, Message) for note in imported.notes)
    assert imported.values.keys() - again.values.keys() <= {row.key for row in PARAMETERS if not row.negatives}


@given(st.text(max_size=80))
def test_that_no_text_breaks_the_import(text: str) -> None:
    try:
        import_command(text)
    except ShellTextError as error:
        message = str(error)
    else:
        return
    assert message
