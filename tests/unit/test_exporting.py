"""Tiers as files that start them without the panel, and back without loss."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.profiles import current_build, old_build, older_build, profiles
from variet_gui.catalog import exporting
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import build
from variet_gui.catalog.export_swap import SwapWriter
from variet_gui.catalog.exporting import ExportError, ExportFormat, Launch, export, read_back
from variet_gui.catalog.importing import Imported
from variet_gui.catalog.shell import ShellTextError
from variet_gui.catalog.tiers import LaunchProfile

MODELS = Path("/models")
SH, BAT, SWAP, PRESET = ExportFormat

_BUILDS = {"none": None, "b11434": current_build(), "b9093": older_build(), "b6100": old_build()}
_NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True) | st.sampled_from(
    ["odd name", "A-B", "CUDA_DEVICE_ORDER"]
)
_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_EXTRAS = st.sampled_from(
    (
        (),
        ("--unheard-of", "value"),
        ("--grammar", 'root ::= "a" ; # b'),
        ("--pooling", "mean", "--spm-infill"),
        ("--grammar", "two\nlines"),
        ("--port", "1"),
        ("--control-vector-layer-range", "1", "2"),
        ("stray",),
        ("-c", "5"),
        ("--samplers", "a;b", "100%", "%PATH%", "${env.HOME}", "${PORT}", "it's", 'a"b', "a\\", "", "#x"),
    )
)


@st.composite
def whole_profiles(draw: st.DrawFn) -> LaunchProfile:
    profile = draw(profiles())
    environment = draw(st.dictionaries(_NAMES, _VALUES, max_size=3))
    extra = tuple(word for word in draw(_EXTRAS) if word)
    return LaunchProfile("fast", profile.values, extra, environment)


def launch(profile: LaunchProfile, capabilities: Capabilities | None = None) -> Launch:
    return Launch(profile, 8081, "Gemma 4", ("/opt/llama-server",), capabilities)


def fast(extra: tuple[str, ...] = (), environment: dict[str, str] | None = None, **values: Any) -> LaunchProfile:
    return LaunchProfile("fast", {"model": "a.gguf", **values}, extra, environment or {})


def there_and_back(profile: LaunchProfile, form: ExportFormat, capabilities: Capabilities | None = None) -> Imported:
    exported = export([launch(profile, capabilities)], form, MODELS)
    (read,) = read_back(exported.text, MODELS)
    return read


# ----------------------------------------------------------------------------------------------------- without loss


@pytest.mark.parametrize("form", ExportFormat)
@pytest.mark.parametrize("build", _BUILDS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(whole_profiles())
def test_that_a_profile_comes_back_as_it_was(form: ExportFormat, build: str, profile: LaunchProfile) -> None:
    wanted = replace(profile, environment={k: v for k, v in profile.environment.items() if not re.search("KEY", k)})
    read = there_and_back(wanted, form, _BUILDS[build])
    assert read.profile("fast") == wanted
    assert (read.alias, read.port) == ("fast", 8081)


@pytest.mark.parametrize("form", [SWAP, PRESET])
def test_that_several_tiers_fit_into_one_file(form: ExportFormat) -> None:
    launches = [
        launch(fast(ctx_size=4096)),
        replace(launch(LaunchProfile("ultra", {"model": "/else/u.gguf", "no_host": False})), port=8085),
    ]
    exported = export(launches, form, MODELS)
    one, other = read_back(exported.text, MODELS)
    assert (one.profile("fast"), other.profile("ultra")) == tuple(each.profile for each in launches)
    assert (other.alias, other.port) == ("ultra", 8085)


@pytest.mark.parametrize("form", [SH, BAT])
def test_that_a_script_holds_one_tier(form: ExportFormat) -> None:
    for launches in ([], [launch(fast()), launch(fast())]):
        with pytest.raises(ExportError) as refused:
            export(launches, form, MODELS)
        assert form.value in str(refused.value)


@pytest.mark.parametrize("form", ExportFormat)
def test_that_whoever_edits_an_exported_file_is_believed(form: ExportFormat) -> None:
    text = export([launch(fast(ctx_size=4096, no_host=False))], form, MODELS).text
    edited = text.replace("4096", "8192").replace("-np 1", "-np 3").replace("parallel = 1", "parallel = 3")
    (read,) = read_back(edited, MODELS)
    assert dict(read.values) == {"model": "a.gguf", "ctx_size": 8192, "parallel": 3, "no_host": False}


@pytest.mark.parametrize("form", ExportFormat)
def test_that_a_file_without_its_record_is_read_as_what_it_starts(form: ExportFormat) -> None:
    text = export([launch(fast(no_host=False, n_gpu_layers="all"))], form, MODELS).text
    bare = "\n".join(line for line in text.splitlines() if "variet:" not in line)
    (read,) = read_back(bare, MODELS)
    assert dict(read.values) == {"model": "a.gguf", "n_gpu_layers": "all", "parallel": 1}


@pytest.mark.parametrize("form", ExportFormat)
def test_that_a_record_that_was_tampered_with_is_checked_like_any_file(form: ExportFormat) -> None:
    text = export([launch(fast())], form, MODELS).text
    evil = re.sub(r"variet:.*", 'variet: {"settings":{"parallel":[1,"lots"],"ctx_size":[null,-5],"x":[null,1]}}', text)
    (read,) = read_back(evil, MODELS)
    assert dict(read.values) == {"model": "a.gguf"}
    assert len(read.notes) == 3
    (damaged,) = read_back(re.sub(r"variet:.*", "variet: {", text), MODELS)
    assert damaged.model == "a.gguf"


def test_that_a_path_stays_relative_only_where_the_models_are() -> None:
    text = export([launch(fast())], SH, MODELS).text
    assert read_back(text, MODELS)[0].model == "a.gguf"
    assert read_back(text, Path("/other"))[0].model == "/models/a.gguf"


@pytest.mark.parametrize("form", ExportFormat)
def test_that_a_dollar_or_percent_sign_of_ours_is_no_variable(form: ExportFormat) -> None:
    profile = LaunchProfile("fast", {"model": "/m/$HOME/${X}/%PATH%/`a`.gguf", "mmproj": "$HOME 50%.gguf"})
    read = there_and_back(profile, form)
    assert dict(read.values) == dict(profile.values)
    assert read.notes == ()


def test_that_a_macro_of_llama_swap_in_a_path_is_told() -> None:
    (read,) = read_back("models:\n  a:\n    cmd: llama-server --port 9000 -m ${models}/$HOME/a.gguf\n", MODELS)
    assert [note.english for note in read.notes] == ["${models}/$HOME/a.gguf contains a variable; write the path out."]


def test_that_a_value_that_ends_in_a_backslash_comes_back_from_a_batch_file() -> None:
    profile = fast(environment={"CUDA_X": "C:\\m\\", "B": "100%A%"})
    assert there_and_back(profile, BAT).profile("fast") == profile


@pytest.mark.parametrize(
    "text",
    [
        "[Unit]\n[Service]\nExecStart=/opt/llama-server -m /models/a.gguf \\\n  -c 512\n",
        "[program:x]\ncommand=llama-server -m /models/a.gguf -c 512\n",
        '["llama-server", "-m", "/models/a.gguf", "-c", "512"]',
    ],
)
def test_that_not_everything_in_brackets_is_a_preset(text: str) -> None:
    (read,) = read_back(text, MODELS)
    assert dict(read.values) == {"model": "a.gguf", "ctx_size": 512}


# ----------------------------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize("form", ExportFormat)
def test_that_keys_and_tokens_never_stand_in_an_exported_file(form: ExportFormat) -> None:
    profile = fast(("--api-key", "hunter2", "--hf-token=hunter3", "--pooling", "mean"), {"HF_TOKEN": "hunter4"})
    exported = export([launch(profile)], form, MODELS)
    assert "hunter" not in exported.text
    named = " ".join(note.english for note in exported.notes)
    assert "--api-key" in named
    assert "--hf-token" in named
    assert "HF_TOKEN" in named
    (read,) = read_back(exported.text, MODELS)
    assert read.extra_arguments == ("--pooling", "mean")


@pytest.mark.parametrize("form", ExportFormat)
def test_that_what_was_left_out_is_said_in_the_file_and_to_the_operator(form: ExportFormat) -> None:
    profile = fast(("--unheard-of", "a\nb"), {"A-B": "1"}, chat_template="line ; one\nline two")
    exported = export([launch(profile)], form, MODELS)
    expected = {
        SH: ["A-B"],
        BAT: ["A-B", "extra arguments", "chat_template"],
        SWAP: ["extra arguments", "chat_template"],
        PRESET: ["A-B", "extra arguments", "chat_template"],
    }[form]
    for word in expected:
        assert any(word in note.english for note in exported.notes), word
        assert word in exported.text
    assert len(exported.notes) == len(expected)


def test_that_a_tier_without_a_model_is_exported_with_a_word_about_it() -> None:
    exported = export([launch(LaunchProfile("fast", {"ctx_size": 1}))], SH, MODELS)
    assert any("model" in note.english for note in exported.notes)


def test_that_a_program_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(ExportError) as refused:
        export([replace(launch(fast()), program=("llama\nserver",))], BAT, MODELS)
    assert "llama" in str(refused.value)


# ------------------------------------------------------------------------------------------------------- the scripts


def arguments_of(script: Path, shown: Path) -> Any:
    subprocess.run([str(script)], check=True, timeout=30, env={**os.environ, "SHOWN": str(shown)})
    return json.loads(shown.read_text())


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@settings(
    max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)
@given(whole_profiles())
def test_that_a_posix_shell_starts_exactly_what_the_panel_would(tmp_path: Path, profile: LaunchProfile) -> None:
    program = tmp_path / "llama server"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "json.dump([sys.argv[1:], dict(os.environ)], open(os.environ['SHOWN'], 'w'))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    wanted = replace(profile, environment={f"V_{k}": v for k, v in profile.environment.items() if k.isalpha()})
    one = replace(launch(wanted), program=(str(program),))
    script = tmp_path / "fast.sh"
    script.write_bytes(export([one], SH, MODELS).text.encode())
    script.chmod(0o755)
    argv, environment = arguments_of(script, tmp_path / "shown")
    command = build(
        wanted, program=[str(program)], capabilities=None, port=8081, alias="fast", models_dir=MODELS, environ={}
    )
    assert tuple(argv) == command.argv[1:]
    for name, value in command.environment.items():
        assert environment[name] == value


def test_that_a_script_reads_like_a_person_wrote_it() -> None:
    text = export([launch(fast(ctx_size=4096, tensor_split=(0.43, 0.57)))], SH, MODELS).text
    assert text.startswith("#!/bin/sh\n# Starts the tier fast (Gemma 4) as the Variet control panel does.\n")
    assert text.endswith(
        "export CUDA_DEVICE_ORDER=PCI_BUS_ID\nexport GGML_NO_BACKTRACE=1\n"
        "exec /opt/llama-server \\\n  -lv 4 \\\n  --offline \\\n  --no-ui \\\n  --host 127.0.0.1 \\\n  --port 8081 \\\n"
        "  --cors-origins localhost \\\n  --alias fast \\\n  -m /models/a.gguf \\\n  -c 4096 \\\n  -ts 0.43,0.57 \\\n"
        "  -np 1 \\\n  --metrics\n"
    )


def test_that_a_batch_file_doubles_percent_signs_and_ends_its_lines_as_windows_does() -> None:
    text = export([launch(fast(environment={"CUDA_X": "50%"}, chat_template="100%PATH%"))], BAT, MODELS).text
    assert 'set "CUDA_X=50%%"\r\n' in text
    assert "100^%%PATH^%%" in text
    assert "\n" not in text.replace("\r\n", "")
    assert "chcp" not in text
    assert "chcp 65001 >nul\r\n" in export([launch(fast(chat_template="가"))], BAT, MODELS).text


@pytest.mark.parametrize("library", ["/opt/llama-server-b11434", "/opt/llama-server-b11434/lib"])
@pytest.mark.parametrize("form", [SH, BAT, SWAP])
def test_that_a_variable_is_not_taken_for_the_program(form: ExportFormat, library: str) -> None:
    profile = fast(environment={"LD_LIBRARY_PATH": library})
    read = there_and_back(profile, form)
    assert read.profile("fast") == profile
    assert read.program == "/opt/llama-server"


# ----------------------------------------------------------------------------------------------------- llama-swap


def test_that_llama_swap_gets_a_readable_configuration() -> None:
    text = export([launch(fast(environment={"CUDA_VISIBLE_DEVICES": "0,1"}))], SWAP, MODELS).text
    lines = [line for line in text.splitlines() if "#" not in line]
    assert lines[:5] == ["models:", '  "fast":', '    name: "Gemma 4"', "    cmd: |", "      /opt/llama-server"]
    assert '      - "CUDA_VISIBLE_DEVICES=0,1"' in lines
    assert lines[-1] == '    proxy: "http://127.0.0.1:8081"'


def test_that_nothing_of_ours_is_a_macro_of_llama_swap() -> None:
    profile = fast(("--samplers", "${PORT}", "x${env.HOME}y"), {"A": "${env.HOME}", "B": "${PORT}"})
    exported = export([launch(profile)], SWAP, MODELS)
    plain = "\n".join(line for line in exported.text.splitlines() if "variet:" not in line and "env" not in line)
    assert "${PORT}" not in plain.split("env:")[0].replace('"B=${PORT}"', "")
    assert "${env." not in "\n".join(line for line in exported.text.splitlines() if "#" not in line)
    assert there_and_back(profile, SWAP).profile("fast") == profile


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(whole_profiles())
def test_that_the_configuration_for_windows_comes_back_too(profile: LaunchProfile) -> None:
    wanted = replace(profile, environment={k: v for k, v in profile.environment.items() if not re.search("KEY", k)})
    writers = {**exporting._WRITERS, SWAP: SwapWriter(windows=True)}
    original, exporting._WRITERS = exporting._WRITERS, writers
    try:
        assert there_and_back(wanted, SWAP).profile("fast") == wanted
    finally:
        exporting._WRITERS = original


@pytest.mark.parametrize(
    ("line", "replacement"),
    [
        ('  "fast":', '  "fast": {cmd: x}'),
        ('    proxy: "http://127.0.0.1:8081"', "    cmd: *anchor"),
        ('    proxy: "http://127.0.0.1:8081"', '    cmd: "unclosed'),
        ('    proxy: "http://127.0.0.1:8081"', "    not a key"),
        ("    env:", "    env: {A: 1}"),
    ],
)
def test_that_yaml_that_is_not_understood_is_refused_with_its_line(line: str, replacement: str) -> None:
    text = export([launch(fast())], SWAP, MODELS).text
    broken = text.replace(line, replacement)
    number = broken.splitlines().index(replacement) + 1
    with pytest.raises(ExportError) as refused:
        read_back(broken, MODELS)
    assert f"Line {number} " in str(refused.value)


def test_that_what_else_stands_in_a_configuration_does_not_matter() -> None:
    text = (
        "healthCheckTimeout: 500\nmacros:\n  x: |\n    a\n    b\n\nmodels: # ours\n  # a remark\n  plain-name:\n"
        "    ttl: 60\n    aliases:\n      - gpt\n    cmd: llama-server -m /m/a.gguf -c 512 --port 9000\n"
        "    env: []\n\n  'odd': \n"
    )
    with pytest.raises(ExportError):
        read_back(text, MODELS)
    (read,) = read_back(text.replace("  'odd': \n", "groups:\n  g:\n    members: [plain-name]\n"), MODELS)
    assert (read.alias, read.port, dict(read.values)) == ("plain-name", 9000, {"model": "/m/a.gguf", "ctx_size": 512})


# --------------------------------------------------------------------------------------------------------- presets


def test_that_a_preset_names_flags_without_dashes_and_nothing_that_the_router_decides() -> None:
    text = export(
        [launch(fast(ctx_size=4096, mmproj_offload=False, swa_full=True, flash_attn="on"))], PRESET, MODELS
    ).text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        "version = 1",
        "",
        "[fast]",
        "model = /models/a.gguf",
        "ctx-size = 4096",
        "swa-full = true",
        "flash-attn = on",
        "no-mmproj-offload = true",
        "parallel = 1",
        "metrics = true",
    ]


def test_that_presets_of_others_are_read_with_what_they_have_in_common() -> None:
    text = (
        "; a remark\nversion = 1\n[*]\nn-gpu-layers = 99\nc = 1024 ; tokens\nload-on-startup = true\n"
        "[one]\nmodel = /m/1.gguf\nmmproj-offload = false\n[two]\nmodel = /m/2.gguf\nc = 2048\n"
        "no-mmproj-offload = 0\nmlock = 1"
    )
    one, two = read_back(text, MODELS)
    assert dict(one.values) == {"model": "/m/1.gguf", "n_gpu_layers": 99, "ctx_size": 1024, "mmproj_offload": False}
    assert two.values["ctx_size"] == 2048
    assert two.values["mmproj_offload"] is True
    assert two.values["load_mode"] == "mmap+mlock"
    assert any("mlock" in note.english for note in two.notes)


def test_that_a_line_of_a_preset_that_says_nothing_is_refused() -> None:
    with pytest.raises(ExportError) as refused:
        read_back("[fast]\nmodel = a.gguf\nwhat is this\n", MODELS)
    assert "Line 3" in str(refused.value)


# ----------------------------------------------------------------------------------------------- anything else


def test_that_any_other_command_line_is_read_as_it_always_was() -> None:
    (read,) = read_back("llama-server -m /models/a.gguf -c 32768 -ngl 99 --mlock", MODELS)
    assert dict(read.values) == {"model": "a.gguf", "ctx_size": 32768, "n_gpu_layers": 99, "load_mode": "mmap+mlock"}
    with pytest.raises(ShellTextError):
        read_back("llama-server -m 'a", MODELS)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ExportFormat), st.data())
def test_that_no_damage_to_a_file_gives_anything_but_a_refusal_or_a_profile(
    form: ExportFormat, data: st.DataObject
) -> None:
    text = export(
        [launch(fast(("--grammar", "a b"), {"A": "1"}, ctx_size=4096, tensor_split=(1, 2)))], form, MODELS
    ).text
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 30)))
    damaged = text[:begin] + data.draw(st.text(max_size=5)) + text[end:]
    with contextlib.suppress(ExportError, ShellTextError):
        for read in read_back(damaged, MODELS):
            assert isinstance(read, Imported)
