"""What has flags and is no llama-server is refused in so many words, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tuning import Bench
from tests.support.waiting import run_async
from variet_gui.catalog.importing import import_command
from variet_gui.panel.exchange import Pasted, read_pasted

OTHERS = [
    "ls -la",
    "ls -l",
    "ls -la /models/a.gguf",
    "rm -rf /",
    'git commit -m "message"',
    "tar -c x",
    "cp -a x y",
    "grep -r foo",
    "curl --verbose --path x",
    "systemctl --user start llama-server",
    "pkill -f llama-server -u me",
    "tail -f llama-server.log",
    "cmake --build build -t llama-server -j 8",
    "echo 'llama-server -m a.gguf -c 4096'",
    "ollama run llama3 --verbose",
    "ollama serve --host 0.0.0.0",
    "vllm serve Qwen --max-model-len 4096 --chat-template x --port 8000",
    "python -m vllm.entrypoints.openai.api_server --model x.gguf --chat-template y",
    "python train.py --batch-size 32 --threads 4",
    "python app.py --model x --port 8080",
    "koboldcpp --model a.gguf --gpulayers 9",
    "ffmpeg -i a.mp4 -c copy -t 5 b.mp4",
    "docker run nginx -la",
    "my-tool -c 4096",
    "llama-quantize a.gguf b.gguf Q4_K_M",
    "set -e",
    "-la",
    "-x -y 3",
    "--unheard-of 1",
    "hello there",
    "CUDA_VISIBLE_DEVICES=1",
    "",
    "[user]\nname = x\nemail = y\n",
    "[share]\npath = /x\n",
    "[Unit]\nDescription=x\n[Service]\nExecStart=/usr/sbin/nginx -g x\n",
    "models:\n  a:\n    cmd: ls -la\n",
    "services:\n  web:\n    image: nginx\n    command: nginx -g 'daemon off;'\n",
]

CALLS = [
    "llama-server -m a.gguf",
    "llama-server.exe -m a.gguf",
    "LLAMA-SERVER.EXE -m a.gguf",
    "llama-server --a-flag-of-tomorrow 3",
    "./server -m a.gguf",
    "C:\\llama\\server.exe -m a.gguf",
    "llama serve -m a.gguf",
    "llama-cli -m a.gguf -p hi",
    "python -m variet_gui.engine.embedded -m a.gguf",
    "python -m variet_gui _embedded-engine -m a.gguf",
    "docker run ghcr.io/ggml-org/llama.cpp:server -m a.gguf",
    "docker run -e LLAMA_ARG_MODEL=a.gguf ghcr.io/ggml-org/llama.cpp:server",
    "my-own-build -m a.gguf -c 4096",
    "./start.sh -ngl 99",
    '"$LLAMA" -c 8192',
    "-c 32768 -ngl 99",
    "-m a.gguf",
    "--pooling mean",
    "LLAMA_ARG_CTX_SIZE=8192",
]


@pytest.mark.parametrize("text", OTHERS)
def test_that_what_is_no_call_of_llama_server_leaves_the_draft_as_it_is(tmp_path: Path, text: str) -> None:
    bench = Bench(tmp_path, parameters={"ctx_size": 4096, "model": "own.gguf"}, extra_arguments=["--pooling", "mean"])
    run_async(bench.tune.load())
    before = bench.tune.draft("fast")
    read = read_pasted(text, bench.tune, "fast")
    assert not read.found
    assert read.problem is not None
    assert "llama-server" in read.problem.english
    assert (read.profile, read.changes) == (before, ())


@pytest.mark.parametrize("text", CALLS)
def test_that_a_call_or_its_flags_alone_are_taken(tmp_path: Path, text: str) -> None:
    bench = Bench(tmp_path)
    run_async(bench.tune.load())
    read = read_pasted(text, bench.tune, "fast")
    assert read.found
    assert read.problem is None
    assert read.changes


def test_that_another_program_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run_async(bench.tune.load())
    read = read_pasted("ls -la", bench.tune, "fast")
    assert read.problem is not None
    assert "ls is another program" in read.problem.english
    assert read.notes == (read.problem,)
    plain = read_pasted("hello there", bench.tune, "fast").problem
    assert plain is not None
    assert "hello" not in plain.english


def test_that_a_call_that_sets_nothing_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run_async(bench.tune.load())
    for text in ("llama-server", "llama-server --version", "llama-server --port 9000"):
        read = read_pasted(text, bench.tune, "fast")
        assert read.problem is not None
        assert "sets nothing" in read.problem.english
        assert read.changes == ()


def test_that_one_tier_of_several_may_be_no_call(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run_async(bench.tune.load())
    text = "models:\n  other:\n    cmd: ls -la\n  fast:\n    cmd: llama-server -m /m/a.gguf -c 512\n"
    first, second = (read_pasted(text, bench.tune, "fast", which=which) for which in (0, 1))
    assert isinstance(first, Pasted)
    assert (first.found, first.names) == (False, ("other", "fast"))
    assert (second.found, second.profile.get("ctx_size")) == (True, 512)


def test_that_an_argument_list_is_judged_like_a_text() -> None:
    assert not import_command(["ls", "-la"]).is_call
    assert import_command(["llama-server", "-m", "a.gguf"]).is_call
    assert import_command(["-m", "a.gguf"]).is_call
