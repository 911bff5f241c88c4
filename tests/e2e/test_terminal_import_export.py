"""`variet import-command` and `variet export` as an operator types them, and what others make of the files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.catalogs import tier, write_catalog
from tests.support.profiles import current_build
from tests.support.spawned import free_port
from tests.support.tiny_models import write_text_model
from tests.support.waiting import run_async, wait_until
from variet_gui import cli
from variet_gui.catalog.exporting import ExportFormat, Launch, export
from variet_gui.catalog.importing import import_command
from variet_gui.catalog.parameters import PARAMETERS, Kind, Parameter
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue

FORMATS = [form.value for form in ExportFormat]


class Terminal:
    """Runs `variet` in a data folder of its own, on a catalog whose engine is only ever named."""

    def __init__(self, folder: Path, engine: str = "/nowhere/llama-server") -> None:
        self.folder = folder
        self.catalog = folder / "catalog.json"
        model = folder / "models" / "a.gguf"
        write_catalog(
            self.catalog,
            [tier("fast", model, tensor_split=[0.43, 0.57], no_host=False), tier("ultra", model, ctx_size=512)],
            engine,
            models_dir=str(folder / "models"),
        )

    def command(self, *words: str) -> list[str]:
        where = ["--data-dir", str(self.folder / "data"), "--config", str(self.catalog)]
        return [sys.executable, "-m", "variet_gui", *where, *words]

    def run(self, *words: str, said: str | None = None) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "1"}
        return subprocess.run(
            self.command(*words), input=said, capture_output=True, text=True, timeout=60, check=False, env=environ
        )

    def run_here(self, *words: str) -> int:
        """Run the same in this process and return the exit code."""
        try:
            return cli.main(self.command(*words)[3:])
        except SystemExit as end:
            return int(end.code or 0)

    def json(self, *words: str, said: str | None = None) -> Any:
        done = self.run(*words, "--json", said=said)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def stored(self, role: str) -> Any:
        tiers = json.loads(self.catalog.read_text(encoding="utf-8"))["tiers"]
        return next(one for one in tiers if one["role"] == role)

    def revisions(self) -> list[Path]:
        return sorted((self.folder / "data" / "revisions").glob("*.json"))


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


# ------------------------------------------------------------------------------------------------------------- import


def test_that_a_command_line_becomes_the_settings_of_a_tier_with_a_revision(terminal: Terminal) -> None:
    before = terminal.stored("fast")
    model = terminal.folder / "models" / "b.gguf"
    line = f"CUDA_X=1 llama-server -m {model} -c 32768 -ngl 99 --mlock --port 9999 --pooling mean"
    shape = terminal.json("import-command", line, "--as", "fast")
    assert (shape["schema"], shape["role"], shape["saved"]) == (1, "fast", True)
    values = {"model": "b.gguf", "ctx_size": 32768, "n_gpu_layers": 99, "load_mode": "mmap+mlock"}
    assert shape["parameters"] == values
    assert (shape["extra_arguments"], shape["environment"]) == (["--pooling", "mean"], {"CUDA_X": "1"})
    assert {"key": "ctx_size", "before": 1024, "after": 32768} in shape["changes"]
    assert any("--mlock" in note for note in shape["notes"])
    assert any("9999" in note for note in shape["notes"])
    after = terminal.stored("fast")
    assert after["parameters"] == values
    assert after["port"] == before["port"]
    found, saved = (json.loads(path.read_text()) for path in terminal.revisions())
    assert (found["kind"], found["tier"]["parameters"]["ctx_size"]) == ("found", 1024)
    assert saved["note"] == "imported from a command line"
    argv = terminal.json("command", "fast")["argv"]
    assert argv == shape["argv"]
    assert argv[argv.index("--load-mode") :][:2] == ["--load-mode", "mmap+mlock"]


def test_that_a_dry_run_shows_everything_and_changes_nothing(terminal: Terminal) -> None:
    content = terminal.catalog.read_bytes()
    shape = terminal.json("import-command", "llama-server -m /x/b.gguf -c 4096", "--as", "fast", "--dry-run")
    assert shape["saved"] is False
    assert "/x/b.gguf" in shape["argv"]
    done = terminal.run(
        "import-command", "-", "--as", "fast", "--dry-run", said="llama-server -m /x/b.gguf -fa -c 4096"
    )
    assert done.returncode == 0
    assert "ctx_size: 1024 → 4096" in done.stdout
    assert "tensor_split: [0.43, 0.57] → not set" in done.stdout
    assert "-fa on" in done.stdout
    assert terminal.catalog.read_bytes() == content
    assert terminal.revisions() == []


def test_that_a_secret_of_a_command_line_goes_nowhere(terminal: Terminal) -> None:
    done = terminal.run("import-command", "llama-server -m a.gguf --api-key hunter2", "--as", "fast", "--json")
    assert done.returncode == 0
    assert "hunter2" not in done.stdout + done.stderr
    everything = [path for path in terminal.folder.rglob("*") if path.is_file()]
    assert not [path for path in everything if b"hunter2" in path.read_bytes()]


def test_that_wrong_words_end_with_2_and_leave_the_catalog_alone(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    content = terminal.catalog.read_bytes()
    binary = terminal.folder / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for words, said in [
        (("import-command", "llama-server -m a.gguf", "--as", "fats"), "fast, ultra"),
        (("import-command", "llama-server -m 'a.gguf", "--as", "fast"), "quotation mark"),
        (("import-command", "hello there", "--as", "fast"), "no llama-server command"),
        (("import-command", "ls -la", "--as", "fast"), "ls is another program"),
        (("import-command", 'git commit -m "x.gguf"', "--as", "fast"), "git is another program"),
        (("import-command", "--unheard-of 1", "--as", "fast"), "no llama-server command"),
        (("import-command", "llama-server --version", "--as", "fast"), "sets nothing"),
        (("import-command", "--as", "fast"), "--file"),
        (("import-command", "x -m a", "--file", str(binary), "--as", "fast"), "--file"),
        (("import-command", "--file", str(binary), "--as", "fast"), str(binary)),
        (("import-command", "llama-server -m a.gguf"), "--as"),
        (("export", "fast"), "--format"),
        (("export", "fast", "--format", "docker"), "docker"),
        (("export", "fast", "ultra", "--format", "sh"), "one tier"),
        (("export", "fats", "--format", "sh"), "fast, ultra"),
    ]:
        code = terminal.run_here(*words)
        heard = capsys.readouterr().err
        assert (code, said in heard) == (2, True), (words, heard)
    missing = terminal.run("import-command", "--file", str(terminal.folder / "absent"), "--as", "fast")
    assert missing.returncode == 1
    assert "absent" in missing.stderr
    assert terminal.catalog.read_bytes() == content


# ------------------------------------------------------------------------------------------------------------- export


def test_that_a_place_that_cannot_be_written_is_named_as_the_operator_named_it(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = terminal.folder / "nowhere" / "fast.sh"
    assert terminal.run_here("export", "fast", "--format", "sh", "--output", str(wanted)) == 1
    heard = capsys.readouterr().err
    assert str(wanted) in heard
    assert ".tmp" not in heard


def test_that_a_link_to_the_catalog_shares_its_history(terminal: Terminal) -> None:
    link = terminal.folder / "link.json"
    link.symlink_to(terminal.catalog)
    for context in (512, 1024):
        done = terminal.run("import-command", f"llama-server -m /m/a.gguf -c {context}", "--as", "fast")
        assert done.returncode == 0, done.stderr
        terminal.catalog = link
    kinds = [json.loads(path.read_text())["kind"] for path in terminal.revisions()]
    assert kinds == ["found", "saved", "saved"], "the second is built on what the first has saved"
    assert link.is_symlink()


@pytest.mark.parametrize("form", FORMATS)
def test_that_what_was_exported_comes_back_without_loss(terminal: Terminal, form: str) -> None:
    wanted = terminal.stored("fast")
    exported = terminal.run("export", "fast", "--format", form)
    assert exported.returncode == 0, exported.stderr
    terminal.run("import-command", "llama-server -m /other.gguf", "--as", "fast")
    assert terminal.stored("fast")["parameters"] == {"model": "/other.gguf"}
    shape = terminal.json("import-command", "-", "--as", "fast", said=exported.stdout)
    assert shape["notes"] == []
    assert terminal.stored("fast") == wanted


def test_that_a_file_with_several_tiers_gives_each_its_own(terminal: Terminal) -> None:
    file = terminal.folder / "all.yaml"
    shape = terminal.json("export", "fast", "ultra", "--format", "llama-swap", "--output", str(file))
    assert (shape["roles"], shape["format"], shape["file"]) == (["fast", "ultra"], "llama-swap", str(file))
    assert shape["text"] == file.read_bytes().decode()
    imported = terminal.json("import-command", "--file", str(file), "--as", "ultra", "--dry-run")
    assert imported["parameters"]["ctx_size"] == 512
    terminal.catalog.write_text(terminal.catalog.read_text().replace('"ultra"', '"deep-logic"'))
    done = terminal.run("import-command", "--file", str(file), "--as", "deep-logic")
    assert done.returncode == 2
    assert "fast, ultra" in done.stderr


def test_that_a_folder_that_cannot_be_written_to_is_named(terminal: Terminal) -> None:
    done = terminal.run("export", "fast", "--format", "sh", "--output", str(terminal.folder / "absent" / "x.sh"))
    assert done.returncode == 1
    assert "absent" in done.stderr


@pytest.mark.engine
@pytest.mark.skipif(os.name == "nt", reason="a POSIX script")
def test_that_an_exported_script_starts_a_server_without_the_panel(tmp_path: Path, llama_server: Path) -> None:
    terminal = Terminal(tmp_path, str(llama_server))
    model = write_text_model(tmp_path / "tiny.gguf")
    port = free_port()
    write_catalog(terminal.catalog, [tier("fast", model, port=port)], str(llama_server))
    script = tmp_path / "fast.sh"
    assert terminal.run("export", "fast", "--format", "sh", "--output", str(script)).returncode == 0
    with subprocess.Popen([str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:

        def answers() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        try:
            run_async(wait_until(answers, 30, "the server of the script"))
            props = httpx.get(f"http://127.0.0.1:{port}/props", trust_env=False).json()
            assert props["model_path"] == str(model)
        finally:
            server.send_signal(signal.SIGTERM)


# ------------------------------------------------------------------------------------- what the router makes of it


def some_values(row: Parameter) -> tuple[ParameterValue, ...]:
    """Return values that a row of the table takes, its edges among them."""
    match row.kind:
        case Kind.SWITCH:
            return (True, False)
        case Kind.CHOICE:
            return (row.choices[0], row.choices[-1])
        case Kind.INTEGER:
            assert row.minimum is not None
            assert row.maximum is not None
            return (int(row.minimum), int(row.maximum), *row.words)
        case Kind.FRACTION:
            assert row.minimum is not None
            return (float(row.minimum),)
        case Kind.RATIO:
            return ((0.43, 0.57),)
        case Kind.PATH:
            return ("/m/some file.gguf",)
        case _:
            return (row.example,) if row.example else ()


@pytest.mark.engine
def test_that_the_real_router_reads_every_parameter_of_a_preset_as_it_was_meant(
    tmp_path: Path, real_llama_server: Path
) -> None:
    wanted: dict[str, dict[str, ParameterValue]] = {}
    launches = []
    for row in PARAMETERS:
        for number, value in enumerate(some_values(row)):
            role = f"{row.key.replace('_', '-')[:29]}-{number}"
            values = {"model": "/m/a.gguf", "parallel": 1, row.key: value}
            launches.append(Launch(LaunchProfile(role, values), 8081, capabilities=current_build()))
            absent = row.kind is Kind.SWITCH and value is False and not row.negatives and row.switch_values is None
            wanted[role] = {key: one for key, one in values.items() if key != row.key or not absent}
    exported = export(launches, ExportFormat.PRESET, tmp_path)
    assert exported.notes == ()
    preset = tmp_path / "preset.ini"
    preset.write_text(exported.text, encoding="utf-8")
    port = free_port()
    words = [str(real_llama_server), "--models-preset", str(preset), "--no-models-autoload", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as router:
        models: list[Any] = []

        def answers() -> bool:
            assert router.poll() is None, "the router refused the preset"
            try:
                models[:] = httpx.get(f"http://127.0.0.1:{port}/models", trust_env=False).json()["data"]
            except httpx.TransportError:
                return False
            return bool(models)

        try:
            run_async(wait_until(answers, 30, "the router"))
        finally:
            router.terminate()
    assert {model["id"] for model in models} == set(wanted)
    for model in models:
        understood = dict(import_command(model["status"]["args"]).values)
        if "spec_draft_model" in wanted[model["id"]]:
            understood.pop("spec_type", None)  # the older name of the flag, which the router prefers, implies it
        assert understood == wanted[model["id"]]
