"""Every launch parameter at its least, usual and largest value, as the real llama-server takes it.

Reading the command line ends before the model is loaded, so a model that does not exist makes a run of milliseconds:
what is wrong with the line is said before the model is missed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import tiny_models
from tests.support.spawned import Spawned, free_port
from tests.support.waiting import run_async
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import build
from variet_gui.catalog.parameters import PARAMETERS, Kind, Parameter
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.probe import probe
from variet_gui.events import ParameterValue
from variet_gui.i18n import msg

pytestmark = pytest.mark.engine

_REFUSALS = ("invalid argument", "error while handling", "DEPRECATED", "error:")
_TEXTS: Mapping[str, ParameterValue] = {
    # What a build for the CPU has.
    "device": "none",
    "mmproj_device": "none",
    "spec_draft_device": "none",
    "override_tensor": r"blk\.0\.ffn_.*=CPU",
    "spec_draft_override_tensor": r"blk\.0\..*=CPU",
    "cpu_range": "0-1",
    "cpu_range_batch": "0-1",
    "chat_template_kwargs": '{"key": "value"}',
}
_ASKS_OTHERS = {"rpc": "it connects to another computer while the command line is read"}
_NEEDS_MORE = {
    "lora": "an adapter made for the model",
    "lora_scaled": "an adapter made for the model",
    "lookup_cache_static": "a file of passages",
    "mmproj_device": "a GPU",
    "split_mode": "a GPU",
    "spec_type": "a model made for each of them",
    "rpc": "another computer",
    "ctx_size": "gigabytes at its largest: see the smaller values below",
    "parallel": "gigabytes at its largest: see the smaller values below",
}
"""What a start on this computer lacks, for parameters that a build for the CPU cannot honour."""
_SMALLER: Mapping[str, tuple[ParameterValue, ...]] = {"ctx_size": (0, 256, 65536), "parallel": (1, 2, 8)}


@pytest.fixture(scope="module")
def capabilities(real_llama_server: Path) -> Capabilities:
    binary = EngineBinary((str(real_llama_server),), real_llama_server, embedded=False, source=msg("a test"))
    return run_async(probe(binary))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    tiny_models.write_text_model(path / "text.gguf")
    tiny_models.write_text_model(path / "draft.gguf", layers=1)
    tiny_models.write_projector(path / "mmproj.gguf")
    (path / "template.jinja").write_text(tiny_models.CHAT_TEMPLATE, encoding="utf-8")
    (path / "slots").mkdir()
    return path


def values_of(row: Parameter, folder: Path, *, to_start: bool = False) -> list[ParameterValue]:
    """Return the values to try: the ends of the range, the usual value, every word, every choice."""
    if row.key in _TEXTS:
        return [_TEXTS[row.key]]
    match row.kind:
        case Kind.INTEGER | Kind.FRACTION:
            assert row.minimum is not None
            assert row.maximum is not None
            # A slider ends where a start is still sensible; the range itself goes on.
            ends = row.slider_range if to_start else (row.minimum, row.maximum)
            assert ends is not None
            number = int if row.kind is Kind.INTEGER else float
            usual = [] if row.default is None else [row.default]
            return list(dict.fromkeys([*map(number, ends), *usual, *row.specials, *row.words]))
        case Kind.CHOICE:
            return [*row.choices, ",".join(row.choices[1:3])] if row.many else list(row.choices)
        case Kind.SWITCH:
            return [True, False]
        case Kind.RATIO:
            return [(1,), (0.43, 0.57), tuple(range(15))]
        case Kind.PATH:
            named = {"mmproj": "mmproj.gguf", "spec_draft_model": "draft.gguf", "slot_save_path": "slots"}
            return [named.get(row.key, "template.jinja" if row.key == "chat_template_file" else "text.gguf")]
        case _:
            return [row.example]


def argv_of(values: Mapping[str, ParameterValue], server: Path, capabilities: Capabilities, folder: Path) -> list[str]:
    """Return the command line of `values`; fails if anything was left off."""
    built = build(
        LaunchProfile("fast", values),
        program=[str(server)],
        capabilities=capabilities,
        port=free_port(),
        alias="fast",
        models_dir=folder,
        environ={},
    )
    assert built.notes == ()
    return list(built.argv)


def complaint(argv: list[str], folder: Path) -> str:
    """Return what the server has against a command line whose model does not exist; "" when nothing."""
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, cwd=folder)
    said = ended.stdout + ended.stderr
    wrong = [line for line in said.splitlines() if any(word in line for word in _REFUSALS)]
    wrong = [line for line in wrong if "gone.gguf" not in line]
    if not wrong and "gone.gguf" not in said:
        wrong = said.splitlines()[-3:]
    return "\n".join(wrong)


def every_value(folder: Path) -> Iterator[tuple[Parameter, ParameterValue]]:
    for row in PARAMETERS:
        if row.key != "model" and row.key not in _ASKS_OTHERS:
            yield from ((row, value) for value in values_of(row, folder))


def test_that_all_parameters_at_once_are_taken(
    real_llama_server: Path, capabilities: Capabilities, folder: Path
) -> None:
    rows = {row.key: [value for row_, value in every_value(folder) if row_ is row] for row in PARAMETERS}
    most = max(map(len, rows.values()))
    for turn in range(most):
        values = {key: choices[turn % len(choices)] for key, choices in rows.items() if choices}
        values["model"] = "gone.gguf"
        assert complaint(argv_of(values, real_llama_server, capabilities, folder), folder) == ""


@pytest.mark.slow
def test_that_each_value_of_each_parameter_is_taken(
    real_llama_server: Path, capabilities: Capabilities, folder: Path
) -> None:
    wrong = {}
    tried = 0
    for row, value in every_value(folder):
        argv = argv_of({"model": "gone.gguf", row.key: value}, real_llama_server, capabilities, folder)
        tried += 1
        if said := complaint(argv, folder):
            wrong[f"{row.key}={value}"] = said
    assert wrong == {}
    assert tried > 3 * len(PARAMETERS) / 2


def test_that_a_line_that_is_wrong_is_seen_to_be(
    real_llama_server: Path, capabilities: Capabilities, folder: Path
) -> None:
    argv = argv_of({"model": "gone.gguf"}, real_llama_server, capabilities, folder)
    assert complaint(argv, folder) == ""
    assert "invalid argument: --no-mmap" in complaint([*argv, "--no-mmap"], folder)
    assert "-fa" in complaint([*argv, "-fa", "perhaps"], folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_that_a_server_starts_with_each_value_that_this_computer_can_honour(
    real_llama_server: Path, capabilities: Capabilities, folder: Path, tmp_path: Path
) -> None:
    failed = {}
    started = 0
    for row in PARAMETERS:
        if row.key == "model" or (row.key in _NEEDS_MORE and row.key not in _SMALLER):
            continue
        for value in _SMALLER.get(row.key) or values_of(row, folder, to_start=True):
            values: dict[str, ParameterValue] = {"model": "text.gguf", "ctx_size": 512, "warmup": False}
            if row.key in ("cache_type_v", "spec_draft_type_v"):
                values["flash_attn"] = "on"
            if row.key.startswith("spec_draft") and row.key != "spec_draft_model":
                values |= {"spec_draft_model": "draft.gguf", "spec_type": "draft-simple"}
            if row.key.startswith(("mmproj_", "image_", "mtmd_")):
                values["mmproj"] = "mmproj.gguf"
            values[row.key] = value
            argv = argv_of(values, real_llama_server, capabilities, folder)
            del argv[argv.index("--port") : argv.index("--port") + 2]  # `Spawned` adds its own
            with Spawned(argv, tmp_path / "server.log", free_port()) as server:
                started += 1
                try:
                    server.wait_for_health()
                except AssertionError as error:
                    failed[f"{row.key}={value}"] = str(error)
    assert failed == {}
    assert started > len(PARAMETERS)
