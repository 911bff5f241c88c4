"""`variet` as an operator types it: real processes, real engines, tiny models."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.catalogs import tier, write_catalog
from tests.support.spawned import free_port
from tests.support.tiny_models import png, write_projector, write_text_model
from variet_gui import __version__

pytestmark = pytest.mark.engine


class Terminal:
    """Runs `variet` in a data folder of its own."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self.port = free_port()
        model = write_text_model(folder / "tiny.gguf")
        projector = write_projector(folder / "tiny-mmproj.gguf")
        self.catalog = write_catalog(
            folder / "catalog.json",
            [tier("fast", model, port=self.port), tier("seeing", model, mmproj=str(projector))],
            engine,
        )

    def command(self, *words: str) -> list[str]:
        where = ["--data-dir", str(self.folder / "data"), "--config", str(self.catalog)]
        return [sys.executable, "-m", "variet_gui", *where, *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "LANG": "C", "LC_ALL": "C", **environment},
        )

    def json(self, *words: str, **environment: str) -> Any:
        done = self.run(*words, "--json", **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(params=["llama-server", "embedded"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path, llama_server: Path) -> Terminal:
    return Terminal(tmp_path, "embedded" if request.param == "embedded" else str(llama_server))


def test_that_chat_starts_the_tier_answers_and_leaves_nothing_running(terminal: Terminal) -> None:
    shape = terminal.json("chat", "fast", "Hello there", "--max-tokens", "24")
    assert shape["schema"] == 1
    assert shape["role"] == "fast"
    assert shape["answer"].strip()
    assert 1 <= shape["timings"]["generated_tokens"] <= 24
    assert shape["timings"]["time_to_first_token_ms"] > 0
    assert shape["timings"]["image_tokens"] is None


def test_that_a_picture_reaches_the_model(terminal: Terminal) -> None:
    picture = terminal.folder / "picture.png"
    picture.write_bytes(png(96, 64, seed=1))
    shape = terminal.json("chat", "seeing", "What is this?", "--image", str(picture), "--max-tokens", "8")
    assert shape["timings"]["image_tokens"] == 16
    done = terminal.run("chat", "fast", "What is this?", "--image", str(picture))
    assert done.returncode == 1
    assert "projector" in done.stderr


def test_that_start_supervises_until_it_is_told_to_end(terminal: Terminal) -> None:
    supervisor = subprocess.Popen(
        terminal.command("start", "fast", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        text += supervisor.stdout.readline() or pytest.fail("variet start ended early")
    shape = json.loads(text)
    assert shape["state"] == "ready"
    assert shape["url"] == f"http://127.0.0.1:{terminal.port}/v1"
    assert psutil.pid_exists(shape["pid"])
    states = {row["role"]: row["state"] for row in terminal.json("tiers")["tiers"]}
    assert states == {"fast": "ready", "seeing": "stopped"}
    assert terminal.json("chat", "fast", "Hi", "--max-tokens", "4")["answer"]
    other = terminal.run("start", "seeing")
    assert other.returncode == 1
    assert str(supervisor.pid) in other.stderr  # the folder is held, and by whom
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    supervisor.stdout.close()
    assert supervisor.stderr is not None
    supervisor.stderr.close()
    assert not psutil.pid_exists(shape["pid"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [("start", "fast"), ("chat", "fast", "Go on", "--max-tokens", "900")])
def test_that_what_is_interrupted_still_prints_one_document_and_leaves_nothing(
    terminal: Terminal, words: tuple[str, ...], number: signal.Signals
) -> None:
    log = terminal.folder / "data" / "logs" / "fast.log"
    with subprocess.Popen(
        terminal.command(*words, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asked:
        me = psutil.Process(asked.pid)
        deadline = time.monotonic() + 30
        while not log.is_file() and time.monotonic() < deadline:
            time.sleep(0.01)
        below = me.children(recursive=True)
        asked.send_signal(number)
        stdout, stderr = asked.communicate(timeout=30)
    assert asked.returncode == 1, stderr
    assert json.loads(stdout)["code"] == "cancelled"
    assert "Traceback" not in stderr
    assert not [process for process in below if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_that_a_folder_that_cannot_be_used_is_told_in_one_document(terminal: Terminal) -> None:
    (terminal.folder / "data" / "panel.lock").mkdir(parents=True)
    done = terminal.run("start", "fast", "--json")
    assert done.returncode == 1
    assert "panel.lock" in json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr


def test_that_the_command_is_exact_and_shows_what_alters_it(terminal: Terminal) -> None:
    shape = terminal.json("command", "fast", "--set", "ubatch_size=256", LLAMA_ARG_PORT="1", CUDA_VISIBLE_DEVICES="0")
    argv = shape["argv"]
    start = argv.index("-lv")
    assert argv[start : start + 2] == ["-lv", "4"]
    assert argv[argv.index("--port") + 1] == str(terminal.port)
    assert any(a in ("-ub", "--ubatch-size") and b == "256" for a, b in itertools.pairwise(argv))
    assert "LLAMA_ARG_PORT" in shape["env_removed"]
    assert shape["env_inherited"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert shape["env"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_that_wrong_words_end_with_2_and_name_what_is_allowed(terminal: Terminal) -> None:
    for words, said in [
        (("chat", "fats", "x"), "fast, seeing"),
        (("command", "fast", "--set", "ctx_sise=1"), "ctx_size"),
        (("command", "fast", "--set", "ctx_size=-5"), "ctx_size"),
        (("command", "fast", "--set", "ctx_size"), "KEY=VALUE"),
    ]:
        done = terminal.run(*words)
        assert done.returncode == 2, (words, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_that_a_bad_catalog_ends_with_2_and_says_where(terminal: Terminal) -> None:
    terminal.catalog.write_text(terminal.catalog.read_text().replace('"ctx_size": 1024', '"ctx_size": "lots"', 1))
    done = terminal.run("tiers")
    assert done.returncode == 2
    assert "tiers[0].parameters.ctx_size" in done.stderr
    assert str(terminal.catalog) in done.stderr
    examined = terminal.run("doctor", "--json")
    assert examined.returncode == 2
    assert json.loads(examined.stdout)["findings"][0]["severity"] == "error"


def test_that_a_missing_model_is_named_with_exit_1(terminal: Terminal) -> None:
    (terminal.folder / "tiny.gguf").unlink()
    done = terminal.run("start", "fast")
    assert done.returncode == 1
    assert str(terminal.folder / "tiny.gguf") in done.stderr
    assert terminal.run("doctor").returncode == 1


def test_that_a_missing_engine_is_told_and_never_replaced_by_the_cpu(terminal: Terminal) -> None:
    terminal.catalog.write_text(terminal.catalog.read_text().replace('"engine": "', '"engine": "/nowhere/', 1))
    done = terminal.run("start", "fast")
    assert done.returncode == 1
    assert "/nowhere/" in done.stderr


def test_that_a_taken_port_names_its_holder(terminal: Terminal) -> None:
    address = f"('127.0.0.1', {terminal.port})"
    script = f"import socket, sys; s = socket.create_server({address}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = terminal.run("start", "fast")
        holder.kill()
    assert done.returncode == 1
    assert str(terminal.port) in done.stderr
    assert str(holder.pid) in done.stderr


def test_that_korean_is_spoken_when_asked(terminal: Terminal) -> None:
    english, korean = terminal.run("tiers"), terminal.run("--lang", "ko", "tiers")
    assert korean.returncode == 0
    assert english.stdout.splitlines()[0] != korean.stdout.splitlines()[0]


def test_that_the_version_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "variet_gui", "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == f"variet {__version__}"
