"""Asking llama-server what it can do: recorded help texts, programs that misbehave, and what is remembered."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.waiting import run_async
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.engine import probe as probe_module
from variet_gui.engine.binary import EngineBinary, embedded_engine
from variet_gui.engine.probe import ProbeError, parse_help, parse_version, probe
from variet_gui.engine.probe_cache import ProbeCache, stamp_of
from variet_gui.i18n import msg

HELP = (Path(__file__).parent / "data" / "help_b11434.txt").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs of these tests are scripts")


def script(folder: Path, body: str, name: str = "llama-server") -> EngineBinary:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n", encoding="utf-8")
    path.chmod(0o700)
    return EngineBinary((str(path),), path, embedded=False, source=msg("a test"))


def asked(binary: EngineBinary, cache_dir: Path | None = None) -> Capabilities:
    return run_async(probe(binary, cache_dir))


TELLING = """
if sys.argv[1] == "--help":
    print("-m,    --model FNAME                   the model")
    print("       env: " + repr(sorted(name for name in os.environ if name.startswith("LLAMA_"))))
else:
    print("version: 8182 (05728db18)", file=sys.stderr)
with open(sys.argv[0] + ".count", "a") as count:
    count.write(".")
"""


def times_run(binary: EngineBinary) -> int:
    assert binary.path is not None
    return len(Path(f"{binary.path}.count").read_text(encoding="utf-8"))


def test_that_every_flag_of_the_recorded_help_is_found() -> None:
    flags, removed, _ = parse_help(HELP)
    assert len(flags) == 413
    assert {"-m", "--model", "--no-mmproj-offload", "-lm", "--load-mode", "--spec-draft-n-max", "-h"} <= flags
    assert {"--mlock", "--no-mmap", "-dio"}.isdisjoint(flags)
    assert removed == {
        "--draft", "--draft-n", "--draft-max", "--draft-min", "--draft-n-min",
        "--spec-ngram-size-n", "--spec-ngram-size-m", "--spec-ngram-min-hits",
    }  # fmt: skip


def test_that_value_hints_are_kept_for_every_spelling() -> None:
    hints = dict(parse_help(HELP)[2])
    assert hints["-fa"] == hints["--flash-attn"] == "[on|off|auto]"
    assert hints["--override-kv"] == "KEY=TYPE:VALUE,..."
    assert hints["-c"] == "N"
    assert "--metrics" not in hints
    assert "--kv-unified" not in hints


def test_that_capabilities_know_what_may_stand_on_a_command_line() -> None:
    flags, removed, hints = parse_help(HELP)
    known = Capabilities(flags=flags, removed=removed, value_hints=hints)
    assert known.knows("--load-mode")
    assert not known.knows("--draft-max")
    assert not known.knows("--mlock")


def test_that_the_help_of_an_older_build_is_read() -> None:
    old = (
        "----- common params -----\n\n"
        "-h,    --help, --usage                  print usage and exit\n"
        "-fa,   --flash-attn                     enable Flash Attention (default: disabled)\n"
        "                                        (env: LLAMA_ARG_FLASH_ATTN)\n"
        "--mlock                                 force system to keep model in RAM\n"
        "-ot,   --override-tensor <tensor name pattern>=<buffer type>,...\n"
        "                                        override tensor buffer type\n"
        "-sm,   --split-mode {none,layer,row}    how to split the model across multiple GPUs\n"
    )
    flags, removed, hints = parse_help(old)
    assert flags == {"-h", "--help", "--usage", "-fa", "--flash-attn", "--mlock", "-ot", "--override-tensor", "-sm",
                     "--split-mode"}  # fmt: skip
    assert removed == frozenset()
    assert dict(hints) == {
        "-ot": "<tensor name pattern>=<buffer type>,...",
        "--override-tensor": "<tensor name pattern>=<buffer type>,...",
        "-sm": "{none,layer,row}",
        "--split-mode": "{none,layer,row}",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 0.6.0-dev (build 11434, commit abc1234)\nbuilt with GNU", (11434, "abc1234", "0.6.0-dev")),
        ("version: 0.6.0 (build 11434, commit abc1234)", (11434, "abc1234", "0.6.0")),
        ("ggml_cuda_init: found 2\nversion: 8182 (05728db18)\nbuilt with", (8182, "05728db18", None)),
        ("version: 0.6.0-dev (build 0, commit unknown)", (None, None, "0.6.0-dev")),
        ("version: 1 (unknown)", (None, None, None)),
        ("no version at all", (None, None, None)),
    ],
)
def test_that_both_forms_of_version_are_read(text: str, expected: tuple[int | None, str | None, str | None]) -> None:
    assert parse_version(text) == expected


def test_that_a_program_is_asked_with_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "1")
    found = asked(script(tmp_path, TELLING.replace("the model", "{os.environ.get('LLAMA_ARG_CTX_SIZE')}")))
    assert found.flags == {"-m", "--model"}
    assert (found.build, found.commit) == (8182, "05728db18")
    environment = probe_module._environment()
    assert "LLAMA_ARG_CTX_SIZE" not in environment
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_that_the_program_is_identified_by_its_hash(tmp_path: Path) -> None:
    binary = script(tmp_path, TELLING)
    assert binary.path is not None
    assert asked(binary).sha256 == hashlib.sha256(binary.path.read_bytes()).hexdigest()


def test_that_an_unchanged_program_is_asked_once_and_a_changed_one_again(tmp_path: Path) -> None:
    binary = script(tmp_path, TELLING)
    assert asked(binary) is asked(binary)
    assert times_run(binary) == 2
    asked(script(tmp_path, f"{TELLING}\n# changed"))
    assert times_run(binary) == 4


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("sys.exit('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
        ("sys.exit(3)", "exit code 3"),
        ("print('hello')", "not a llama-server"),
    ],
)
def test_that_a_program_that_gives_no_help_is_named_with_its_reason(body: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(ProbeError) as caught:
        asked(script(tmp_path, body))
    assert part in caught.value.message.english
    assert str(tmp_path) in caught.value.message.english


def test_that_a_program_that_does_not_tell_its_version_is_used_all_the_same(tmp_path: Path) -> None:
    found = asked(script(tmp_path, f"{TELLING}\nsys.exit(sys.argv[1] != '--help')"))
    assert found.flags == {"-m", "--model"}
    assert found.build is None


def test_that_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_LONGEST_RUN_S", 0.3)
    with pytest.raises(ProbeError, match="did not answer"):
        asked(script(tmp_path, "time.sleep(600)"))


def test_that_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "llama-server"
    path.write_bytes(b"\x7fELF but no more")
    path.chmod(0o700)
    with pytest.raises(ProbeError, match="cannot be run"):
        asked(EngineBinary((str(path),), path, embedded=False, source=msg("a test")))


# ---------------------------------------------------------------------------------------------------------- cache


def compiled(binary: EngineBinary) -> EngineBinary:
    """Stand in for a compiled program: a script that is called through the interpreter, beside a file that is none."""
    assert binary.path is not None
    body = binary.path.with_name("program.bin")
    body.write_bytes(b"\x7fELF")
    return replace(binary, program=(sys.executable, str(binary.path)), path=body)


def test_that_answers_are_kept_from_one_run_of_the_panel_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_binary = script(tmp_path, TELLING)
    binary = compiled(script_binary)
    first = asked(binary, tmp_path / "cache")
    monkeypatch.setattr(probe_module, "_cache", ProbeCache())
    assert asked(binary, tmp_path / "cache") == first
    assert times_run(script_binary) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "engines": 3}', "\x00\xff"])
def test_that_a_cache_that_is_not_usable_is_written_anew(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probe_module, "_cache", ProbeCache())
    (tmp_path / "engines.json").write_text(content, encoding="utf-8")
    binary = compiled(script(tmp_path, TELLING))
    assert asked(binary, tmp_path).build == 8182
    assert len(json.loads((tmp_path / "engines.json").read_text(encoding="utf-8"))["engines"]) == 1
    assert content == '{"schema": 1, "engines": 3}' or "written anew" in caplog.text


def test_that_an_entry_that_is_not_usable_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = compiled(script(tmp_path, TELLING))
    asked(binary, tmp_path)
    path = tmp_path / "engines.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["engines"][0]["capabilities"]["from_the_future"] = 1
    path.write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setattr(probe_module, "_cache", ProbeCache())
    assert asked(binary, tmp_path).build == 8182


def test_that_a_script_is_not_remembered_beyond_this_run_since_what_it_starts_may_change(tmp_path: Path) -> None:
    asked(script(tmp_path, TELLING), tmp_path)
    assert not (tmp_path / "engines.json").exists()


def test_that_a_folder_that_cannot_be_written_costs_only_a_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert asked(compiled(script(tmp_path, TELLING)), tmp_path / "file" / "cache").build == 8182
    assert "cannot be written" in caplog.text


# -------------------------------------------------------------------------------------------------- real programs


@pytest.mark.engine
def test_that_the_real_llama_server_tells_its_flags(llama_server: Path) -> None:
    found = asked(EngineBinary((str(llama_server),), llama_server, embedded=False, source=msg("a test")))
    assert {"--model", "--port", "--parallel", "--metrics"} <= found.flags
    assert found.sha256
    assert not found.embedded


@pytest.mark.engine
def test_that_the_embedded_engine_tells_its_flags() -> None:
    engine = embedded_engine()
    found = asked(engine)
    assert {"--model", "--port", "--parallel"} <= found.flags
    assert found.embedded
    assert found.build is None
    assert stamp_of(engine).files
