"""The embedded engine's command line, read without the library behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from variet_gui.catalog.parameters import PARAMETERS
from variet_gui.engine import embedded
from variet_gui.engine.embedded_arguments import OPTIONS, ArgumentError, help_text, parse
from variet_gui.engine.embedded_options import Adapter, Leading, Member, Processors
from variet_gui.engine.embedded_table import REFUSED
from variet_gui.engine.probe import parse_help


def read(*arguments: str) -> dict[str, Any]:
    """Return what a command line sets, beside the model."""
    return parse(["-m", "model.gguf", *arguments]).settings.values


def problem(*arguments: str) -> str:
    """Return the first line of what a command line is refused with."""
    with pytest.raises(ArgumentError) as caught:
        parse(["-m", "model.gguf", *arguments])
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "path", "value"),
    [
        ("-c 8192", "n_ctx", 8192),
        ("--ctx_size 8192", "n_ctx", 8192),  # llama-server takes underscores too
        ("-ngl auto", "n_gpu_layers", -1),
        ("-ngl all", "n_gpu_layers", -2),
        ("--gpu-layers 12", "n_gpu_layers", 12),
        ("-ts 0.43,0.57", "tensor_split", Leading((0.43, 0.57), 0.0)),
        ("-ts 3/1", "tensor_split", Leading((3.0, 1.0), 0.0)),
        ("-sm none", "split_mode", Member("llama_split_mode", "LLAMA_SPLIT_MODE_NONE")),
        ("-fa on", "flash_attn_type", Member("llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_ENABLED")),
        ("-fa 0", "flash_attn_type", Member("llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_DISABLED")),
        ("-ctk q8_0", "cache_type_k", Member("ggml_type", "GGML_TYPE_Q8_0")),
        ("-lm mmap+mlock", "load_mode", Member("llama_load_mode", "LLAMA_LOAD_MODE_MMAP_MLOCK")),
        ("--no-kv-offload", "no_kv_offload", True),
        ("-kvo", "no_kv_offload", False),
        ("--no-mmproj-offload", "mmproj_use_gpu", False),
        ("--no-webui", "ui", False),
        ("-cmoe", "tensor_buft_overrides", (r"\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU",)),
        ("-ncffn 1", "tensor_buft_overrides", (r"blk\.0\.ffn_(up|down|gate)\.=CPU",)),
        ("-ot a=CPU,b=CUDA0 -ot c=CPU", "tensor_buft_overrides", ("a=CPU", "b=CUDA0", "c=CPU")),
        ("--fit-target 512", "fit_params_target", Leading((512 << 20,), 512 << 20)),
        ("--fit-target 512,256", "fit_params_target", Leading((512 << 20, 256 << 20), None)),
        ("--host 127.0.0.1,::1", "hostnames", ("127.0.0.1", "::1")),
        ("-a fast,quick", "model_alias", frozenset({"fast", "quick"})),
        ("--timeout 60", "timeout_write", 60),
        ("--seed -1", "sampling.seed", 2**32 - 1),
        ("--temp -3", "sampling.temp", 0.0),
        ("--rope-scale 4", "rope_freq_scale", 0.25),
        ("-C 0x5", "cpuparams.cpumask", Processors(frozenset({0, 2}))),
        ("-C 1 -Cr 2-3", "cpuparams.cpumask", Processors(frozenset({0, 2, 3}))),
        ("--lora a.gguf,b.gguf", "lora_adapters", (Adapter("a.gguf", 1.0), Adapter("b.gguf", 1.0))),
        ("--lora-scaled C:/a.gguf:0.5", "lora_adapters", (Adapter("C:/a.gguf", 0.5),)),
        ("-lv 4", "verbosity", 4),
    ],
)
def test_that_a_flag_sets_what_llama_server_sets(arguments: str, path: str, value: object) -> None:
    assert read(*arguments.split(" "))[path] == value


def test_that_experts_of_the_first_layers_are_kept_on_the_cpu_by_llama_cpps_own_pattern() -> None:
    patterns = read("--n-cpu-moe", "2")["tensor_buft_overrides"]
    assert patterns == (
        r"blk\.0\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU",
        r"blk\.1\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU",
    )
    assert "tensor_buft_overrides" not in read("--cpu-strict", "1")


def test_that_what_is_not_given_starts_from_llama_servers_defaults_not_the_librarys() -> None:
    values = read()
    assert values["n_parallel"] == -1
    assert values["port"] == 8080
    assert values["default_template_kwargs"] == {"preserve_reasoning": "true"}


def test_that_a_context_of_zero_asks_for_all_of_it_and_fit_may_not_shrink_it() -> None:
    assert read("-c", "0")["fit_params_min_ctx"] == 2**32 - 1
    assert "fit_params_min_ctx" not in read("-c", "4096")


def test_that_sampling_defaults_are_marked_as_chosen_where_llama_server_marks_them() -> None:
    values = read("--temp", "0.5", "--top-k", "20", "--presence-penalty", "1")
    names = [member.name.removeprefix("COMMON_PARAMS_SAMPLING_CONFIG_") for member in values[CHOSEN]]
    assert names == ["TEMP", "TOP_K"]


CHOSEN = "sampling.user_sampling_config"


def test_that_template_arguments_gather_and_the_later_wins() -> None:
    values = read(
        "--chat-template-kwargs", '{"a": 1, "enable_thinking": true}', "-rea", "off", "--reasoning-effort", "low"
    )
    assert values["default_template_kwargs"] == {
        "preserve_reasoning": "true",
        "a": "1",
        "enable_thinking": "false",
        "reasoning_effort": '"low"',
    }
    assert values["enable_reasoning"] == 0


def test_that_api_keys_come_from_the_line_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# mine\none\n\ntwo\n", encoding="utf-8")
    assert read("--api-key", "zero,half", "--api-key-file", str(file))["api_keys"] == ("zero", "half", "one", "two")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--foo", "error: invalid argument: --foo"),
        ("--port=8081", "error: invalid argument: --port=8081"),
        ("--no-mmap", "error: invalid argument: --no-mmap"),
        ("--device CUDA0", "error: the embedded engine cannot honour --device (the library has no setting for it)"),
        ("-dev none", "error: the embedded engine cannot honour -dev (the library has no setting for it)"),
        ("-hf a/b", "error: the embedded engine cannot honour -hf (it never downloads a model)"),
        ("-c abc", "error while handling argument \"-c\": invalid value: 'abc' is not a whole number"),
        ("-c 99999999999", 'error while handling argument "-c": invalid value: 99999999999 is out of range'),
        ("--temp warm", "error while handling argument \"--temp\": invalid value: 'warm' is not a number"),
        ("--temp nan", 'error while handling argument "--temp": invalid value: nan is out of range'),
        ("--port 70000", 'error while handling argument "--port": invalid value: 70000 is out of range'),
        ("-fa maybe", "error while handling argument \"-fa\": error: unknown value: 'maybe'"),
        ("-fit auto", "error while handling argument \"-fit\": error: unknown value: 'auto'"),
        ("-ctk q9_9", 'error while handling argument "-ctk": Unsupported cache type: q9_9'),
        ("-np 0", 'error while handling argument "-np": error: invalid value for n_parallel'),
        ("-ts 1,x", "error while handling argument \"-ts\": invalid value: 'x' is not a number"),
        ("-ts 1,-1", 'error while handling argument "-ts": invalid value: -1 is out of range'),
        ("--lora-scaled a", 'error while handling argument "--lora-scaled": lora-scaled format: FNAME:SCALE'),
        ("-C xyz", 'error while handling argument "-C": invalid cpumask'),
        ("-Cr 5", 'error while handling argument "-Cr": invalid range'),
        ("--media-path /no/such", 'error while handling argument "--media-path": not a directory: /no/such'),
        ("--api-key-file /no/such", 'error while handling argument "--api-key-file": error: failed to open file'),
        ("--chat-template-kwargs [1]", "must be a valid json object string"),
        ("--sleep-idle-seconds 0", "invalid value: cannot be 0 or less than -1"),
        ("--spec-type magic", "unknown speculative type: magic"),
        ("-ot nonsense", "invalid value: 'nonsense'"),
        ("-fa", 'error while handling argument "-fa": expected value for argument'),
    ],
)
def test_that_a_wrong_command_line_is_refused_by_name(arguments: str, expected: str) -> None:
    assert expected in problem(*arguments.split(" "))


def test_that_a_refused_value_brings_the_flags_own_help() -> None:
    with pytest.raises(ArgumentError, match=r"usage:\n-fa,   --flash-attn \[on\|off\|auto\]"):
        parse(["-m", "x", "-fa", "maybe"])


def test_that_a_missing_model_is_an_error_and_not_a_router() -> None:
    with pytest.raises(ArgumentError, match="--model is required"):
        parse(["--port", "8081"])


def test_that_a_flag_given_twice_is_warned_about_and_the_last_one_counts() -> None:
    invocation = parse(["-m", "x", "-c", "1024", "-c", "2048"])
    assert invocation.settings.values["n_ctx"] == 2048
    assert invocation.warnings[0].startswith("DEPRECATED: argument '-c' specified multiple times")


def test_that_version_and_devices_are_told_at_once_whatever_follows() -> None:
    assert parse(["--version", "--foo"]).instead == "--version"
    assert parse(["--list-devices"]).instead == "--list-devices"
    assert parse(["-h"]).instead == "--help"
    with pytest.raises(ArgumentError):
        parse(["--help", "--foo"])


def test_that_every_parameter_of_the_panel_is_honoured_or_refused_by_name() -> None:
    strangers = {
        flag
        for parameter in PARAMETERS
        for flag in (parameter.flag, parameter.short, parameter.negative_flag, *parameter.aliases)
        if flag and flag not in OPTIONS and flag not in REFUSED
    }
    assert not strangers
    refused = {parameter.key for parameter in PARAMETERS if parameter.flag in REFUSED}
    assert refused <= {"device", "rpc", "override_kv"}
    assert not OPTIONS.keys() & REFUSED.keys()


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_that_a_refused_flag_ends_the_program_with_its_name_and_a_reason(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embedded.main(["-m", "x", flag, "1"]) == 1
    assert capsys.readouterr().err == f"error: the embedded engine cannot honour {flag} ({REFUSED[flag]})\n"


def test_that_the_probe_reads_every_flag_out_of_the_help() -> None:
    flags, removed, hints = parse_help(help_text())
    assert flags == OPTIONS.keys()
    assert not removed
    assert dict(hints)["--flash-attn"] == "[on|off|auto]"
    assert dict(hints)["-c"] == "N"
    assert "--no-kv-offload" not in dict(hints)
    assert all(line.startswith(("-", " " * 40)) for line in help_text().splitlines() if line)


def test_that_the_help_needs_no_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert embedded.main(["--help"]) == 0
    assert "--tensor-split N0,N1,N2,..." in capsys.readouterr().out


def test_that_a_missing_library_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert embedded.main(["-m", "model.gguf"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the embedded engine needs the Python package xllamacpp")
    assert said.count("\n") == 1


def test_that_importing_the_engine_does_not_load_the_library() -> None:
    check = "import sys, variet_gui.engine.embedded; sys.exit('xllamacpp' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
