"""The embedded engine as the panel meets it: a program of its own, with the real library and tiny models."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.spawned import EMBEDDED, Spawned, free_port, said
from tests.support.tiny_models import (
    WORDS,
    image_tokens,
    png,
    write_adapter,
    write_projector,
    write_text_model,
)
from variet_gui.engine import embedded
from variet_gui.engine.embedded_arguments import OPTIONS, parse
from variet_gui.engine.embedded_table import REFUSED
from variet_gui.engine.probe import parse_help, parse_version
from variet_gui.helpers import Helper, helper_command

pytestmark = pytest.mark.engine

PROMPT_S = 3.0
"""What "at once" may take on a machine that is busy with other things."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_text_model(folder / "text.gguf")
    write_text_model(folder / "endless.gguf", ends=False)
    write_text_model(folder / "experts.gguf", experts=4)
    write_projector(folder / "vision.gguf")
    write_adapter(folder / "adapter.gguf")
    return folder


def engine(models: Path, log: Path, *options: str, model: str = "text.gguf", port: int | None = None) -> Spawned:
    common = ["-lv", "4", "--offline", "--no-ui", "--host", "127.0.0.1", "--cors-origins", "localhost", "-np", "1"]
    names = [str(models / option) if option.endswith(".gguf") else option for option in options]
    command = [*EMBEDDED, *common, "-t", "1", "-m", str(models / model), *names]
    return Spawned(command, log, port or free_port())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*EMBEDDED, *arguments], capture_output=True, text=True, timeout=60, check=False)


def seconds_until_end(server: Spawned, number: signal.Signals) -> float:
    began = time.monotonic()
    server.process.send_signal(number)
    server.process.wait(30)
    return time.monotonic() - began


def test_that_it_serves_text_and_pictures_as_llama_server_does(models: Path, tmp_path: Path) -> None:
    options = (
        "--alias", "fast", "-c", "2048", "-b", "512", "-ub", "256", "-ngl", "all", "-ts", "0.43,0.57", "-tb", "1",
        "-ctk", "q8_0", "-ctv", "q8_0", "-fa", "on", "-lm", "none", "--cache-ram", "64", "--metrics",
        "--mmproj", "vision.gguf", "--no-mmproj-offload", "--temp", "0.5",
    )  # fmt: skip
    with engine(models, tmp_path / "log", *options) as server:
        server.wait_for_health()
        answer = server.chat("hello there", max_tokens=8)
        assert set(said(answer).split()) <= set(WORDS)
        assert answer["model"] == "fast"
        assert answer["timings"]["predicted_n"] == 8
        blind = answer["usage"]["prompt_tokens"]
        seeing = server.chat("hello there", png(90, 40), max_tokens=8)
        assert seeing["usage"]["prompt_tokens"] == blind + image_tokens()
        assert seeing["timings"]["prompt_n"] == blind + image_tokens()

        with server.stream("hello there", max_tokens=8, stream_options={"include_usage": True}) as lines:
            *events, last = lines
        assert last == "data: [DONE]"
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        streamed = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
        assert streamed == said(answer)
        assert chunks[-1]["usage"]["completion_tokens"] == chunks[-1]["timings"]["predicted_n"] == 8

        props = server.client.get("/props").json()
        assert props["model_path"] == str(models / "text.gguf")
        assert props["total_slots"] == 1
        assert props["modalities"]["vision"] is True
        settings = props["default_generation_settings"]
        assert settings["n_ctx"] == 2048
        assert settings["params"]["temperature"] == 0.5
        assert server.client.get("/slots").json()[0]["next_token"][0]["n_decoded"] >= 0
        assert "llamacpp:tokens_predicted_total" in server.client.get("/metrics").text
        assert seconds_until_end(server, signal.SIGTERM) < PROMPT_S
    assert server.process.returncode == 0
    for line in (
        "warning: no usable GPU found, --gpu-layers option will be ignored",
        "CPU model buffer size =",
        "CPU KV buffer size =",
        "K (q8_0):",
        "(load_mode = none)",
        "n_batch               = 512",
        "n_ubatch              = 256",
        "flash_attn            = enabled",
        "prompt cache is enabled, size limit: 64 MiB",
        f"loaded multimodal model, '{models / 'vision.gguf'}'",
        f"listening on {server.url}",
    ):
        assert line in server.log


def test_that_the_panel_can_start_it_as_a_hidden_sub_command(models: Path, tmp_path: Path) -> None:
    command = [*helper_command(Helper.EMBEDDED_ENGINE), "-m", str(models / "text.gguf"), "-np", "1"]
    with Spawned(command, tmp_path / "log", free_port()) as server:
        assert said(server.wait_for_health().chat("hello"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_that_it_ends_at_once_with_a_stream_open_and_comes_back_on_the_same_port(
    models: Path, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    with engine(models, tmp_path / "first", model="endless.gguf", port=port) as server:
        server.wait_for_health()
        with server.stream("go on", max_tokens=4000) as lines:
            assert len(list(islice(lines, 10))) == 10
            assert seconds_until_end(server, number) < PROMPT_S
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
    assert server.process.returncode == 0
    with engine(models, tmp_path / "second", port=port) as again:
        again.wait_for_health()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the load is held up by a named pipe, which Windows has not")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_that_it_answers_and_can_be_ended_while_it_loads(models: Path, tmp_path: Path, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "never.gguf")
    with engine(models, tmp_path / "log", model=str(tmp_path / "never.gguf")) as server:
        server.wait_for_health(503)
        assert server.client.get("/props").json()["error"]["message"] == "Loading model"
        assert seconds_until_end(server, number) < PROMPT_S
    assert server.process.returncode == -number


def test_that_a_missing_model_ends_it_with_llama_cpps_own_reason(models: Path, tmp_path: Path) -> None:
    with engine(models, tmp_path / "log", model="nowhere.gguf") as server:
        assert server.process.wait(30) == 1
    assert f"failed to open GGUF file '{models / 'nowhere.gguf'}' (No such file or directory)" in server.log
    assert "exiting due to model loading error" in server.log


def test_that_a_projector_can_not_serve_as_the_model(models: Path, tmp_path: Path) -> None:
    with engine(models, tmp_path / "log", model="vision.gguf") as server:
        assert server.process.wait(30) == 1
    assert "CLIP cannot be used as main model" in server.log


def test_that_a_port_in_use_is_named_before_anything_is_loaded(models: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as holder:
        port = holder.getsockname()[1]
        with engine(models, tmp_path / "log", port=port) as server:
            assert server.process.wait(30) == 1
    assert f"couldn't bind HTTP server socket, hostname: 127.0.0.1, port: {port}" in server.log
    assert "loading model" not in server.log


def test_that_a_key_is_asked_for_on_all_but_health(models: Path, tmp_path: Path) -> None:
    with engine(
        models, tmp_path / "log", "--api-key", "secret,other", "--no-slots", "-kvu", "--tags", "tiny"
    ) as server:
        server.wait_for_health()
        assert server.client.get("/props").status_code == 401
        server.client.headers["Authorization"] = "Bearer other"
        assert server.client.get("/props").status_code == 200
        assert server.client.get("/slots").status_code == 501
        assert server.client.get("/metrics").status_code == 501
        assert server.client.get("/v1/models").json()["data"][0]["tags"] == ["tiny"]


@pytest.mark.parametrize(
    ("option", "layers"), [(("--n-cpu-moe", "1"), {0}), (("--cpu-moe",), {0, 1}), (("-ot", r"blk\.1\.ffn=CPU"), {1})]
)
def test_that_overridden_tensors_go_where_they_are_sent(
    models: Path, tmp_path: Path, option: tuple[str, ...], layers: set[int]
) -> None:
    with engine(models, tmp_path / "log", *option, "-lv", "5", model="experts.gguf") as server:
        server.wait_for_health()
    for layer in (0, 1):
        sent = f"tensor blk.{layer}.ffn_down_exps.weight (0 MiB f32) buffer type overridden to CPU" in server.log
        assert sent is (layer in layers)


def test_that_an_adapter_changes_the_answer(models: Path, tmp_path: Path) -> None:
    answers = []
    for options in ((), ("--lora-scaled", f"{models / 'adapter.gguf'}:4")):
        with engine(models, tmp_path / "log", *options) as server:
            answers.append(said(server.wait_for_health().chat("hello there", temperature=0)))
    assert answers[0] != answers[1]


def test_that_a_draft_model_drafts(models: Path, tmp_path: Path) -> None:
    options = ("-md", "text.gguf", "--spec-type", "draft-simple", "--spec-draft-n-max", "2")
    with engine(models, tmp_path / "log", *options, model="endless.gguf") as server:
        timings = server.wait_for_health().chat("go on", max_tokens=40)["timings"]
    assert timings["draft_n"] > timings["draft_n_accepted"] > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--device", "CUDA0"), "error: the embedded engine cannot honour --device"),
        (("--mmap",), "error: invalid argument: --mmap"),
        (("-mmdev", "CUDA7"), 'error while handling argument "-mmdev": invalid device: CUDA7'),
        (("-ot", "a=CUDA7"), 'error while handling argument "-ot": unknown buffer type'),
        (("-ts", ",".join(["1"] * 128)), 'error while handling argument "-ts": got 128 input configs'),
    ],
)
def test_that_what_cannot_be_honoured_ends_it_by_name(arguments: tuple[str, ...], reason: str) -> None:
    ended = run("-m", "model.gguf", *arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith(reason)


def test_that_the_probe_understands_its_help_and_its_version() -> None:
    told = run("--help")
    assert told.returncode == 0
    assert told.stderr == ""
    assert parse_help(told.stdout)[0] == OPTIONS.keys()
    version = run("--version")
    assert version.returncode == 0
    assert version.stdout == ""
    assert "embedded engine: xllamacpp" in version.stderr
    assert parse_version(version.stderr)[2] in version.stderr.splitlines()[-1]


def test_that_its_devices_are_listed_as_llama_server_lists_them() -> None:
    listed = run("--list-devices").stdout.splitlines()
    assert listed[0] == "Available devices:"
    assert len(listed) > 1


def test_that_every_flag_of_the_real_llama_server_is_honoured_or_refused_by_name(llama_server: Path) -> None:
    text = subprocess.run([llama_server, "--help"], capture_output=True, text=True, check=True).stdout
    flags, removed, hints = parse_help(text)
    assert not (flags | removed) - OPTIONS.keys() - REFUSED.keys()
    ours = dict(parse_help(run("--help").stdout)[2])
    theirs = dict(hints)
    assert {flag: hint for flag, hint in ours.items() if hint != theirs.get(flag, hint)} == {}


VALUES = {
    "N": "1", "P": "0.5", "M": "3", "lo-hi": "0-1", "<0|1>": "1", "<0...100>": "10", "INDEX": "0", "SEED": "7",
    "TYPE": "q8_0", "FNAME": "x.gguf", "FILE": "x.gguf", "FNAME:SCALE,...": "x.gguf:0.5", "MODE": "auto",
    "PORT": "8081", "SECONDS": "60", "SIMILARITY": "0.5", "FORMAT": "none", "LEVEL": "low", "[on|off]": "off",
    "[on|off|auto]": "on", "{none,linear,yarn}": "yarn", "{none,layer,row,tensor}": "row", "STRING": "word",
    "{greedy,probabilistic}": "probabilistic", "N0,N1,N2,...": "3,1", "MiB0,MiB1,MiB2,...": "512,256",
    "<tensor name pattern>=<buffer type>,...": "ffn=CPU", "<dev1,dev2,..>": "none", "DEVICE": "none",
    "SAMPLERS": "top_k;temperature", "HOST": "127.0.0.1", "JINJA_TEMPLATE": "chatml",
}  # fmt: skip
OWN_VALUES = {"--numa": "isolate", "--chat-template-kwargs": '{"a": 1}', "--spec-type": "ngram-mod"}


@pytest.mark.parametrize("option", dict.fromkeys(OPTIONS.values()), ids=lambda option: option.flags[-1])
def test_that_the_library_takes_every_option_of_the_table(option: Any, tmp_path: Path) -> None:
    import xllamacpp

    (tmp_path / "file").write_text("chatml", encoding="utf-8")
    flag = option.flags[-1]
    places = {"PATH": str(tmp_path), "JINJA_TEMPLATE_FILE": str(tmp_path / "file"), "KEY": "k"}
    if flag == "--api-key-file":
        places["FNAME"] = str(tmp_path / "file")
    known = {**VALUES, **places}
    values = [OWN_VALUES.get(flag) or known.get(option.hint, option.hint)] if option.hint else []
    invocation = parse(["-m", "model.gguf", flag, *values])
    plain = embedded.configure(parse(["-m", "model.gguf"]).settings, xllamacpp)
    changed = embedded.configure(invocation.settings, xllamacpp)
    for path, value in invocation.settings.values.items():
        read = read_path(changed, path)
        if isinstance(value, bool | int | float | str):
            assert read == (pytest.approx(value) if isinstance(value, float) else READS_AS.get(path, value)), path
        elif path not in parse(["-m", "x"]).settings.values:
            assert repr(read) != repr(read_path(plain, path)) or flag in UNCHANGED, path


READS_AS = {"speculative.draft.devices": ""}
"""What the library shows in place of the word it was given."""
UNCHANGED = {"--load-mode", "--lazy-mode", "--host"}
"""Flags whose value above is the library's own default."""


def read_path(parameters: Any, path: str) -> Any:
    for name in path.split("."):
        parameters = getattr(parameters, name)
    return parameters
