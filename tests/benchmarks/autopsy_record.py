"""Bring about failures with a real llama-server and record them, ready for `autopsy_score`: those that need no GPU.

Run: python -m tests.benchmarks.autopsy_record --engine LLAMA_SERVER DIR
Writes a log for each scene and an index.json. A scene that does not fail with this build is left out and named. Scenes
that a build may take differently (a flag that it knows) are judged by the score, not here.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx

from tests.support.spawned import free_port
from tests.support.tiny_models import (
    png,
    truncate,
    write_adapter,
    write_mismatched_projector,
    write_projector,
    write_text_model,
)

LIMIT_S = 30.0
TEXT = ("-m", "text.gguf", "-c", "512")
Act = Callable[[subprocess.Popen[bytes], int], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """One way to fail."""

    name: str
    code: str
    arguments: Sequence[str]
    act: Act | None = None
    """What is done once it is ready; None: it fails by itself."""
    alive: bool = False
    """The server lives on: a request goes wrong."""
    limits: str = ""
    """For the shell's ulimit."""
    taken: bool = False
    """Its port is held by somebody else."""


def scenes() -> Iterator[Scene]:
    """Yield every scene."""
    for code, arguments in {
        "flag_unknown": "--no-such-flag",
        "flag_removed": "--draft-max 8",
        "value_refused": "-c lots",
        "device_unknown": "-dev CUDA7",
        "file_missing": "--chat-template-file /nowhere/t.jinja",
        "cache_needs_flash_attention": "-fa off -ctv q8_0",
        "split_mode_unfit": "-sm tensor",
        "chat_template": "--chat-template {%for%}",
        "projector_missing": "--mmproj /nowhere/p.gguf",
        "projector_unusable": "--mmproj page.gguf",
        "projector_mismatch": "--mmproj other_mm.gguf",
        "draft_model": "-md /nowhere/d.gguf",
        "adapter_unusable": "--lora wide_adapter.gguf",
        "address_refused": "--host 203.0.113.7",
        "rpc_unreachable": "--rpc 127.0.0.1:1",
    }.items():
        yield Scene(code.replace("_", "-"), code, (*TEXT, *arguments.split(" ")))
    for name, code in {
        "gone": "model_missing",
        "page": "model_not_gguf",
        "cut": "model_truncated",
        "mm": "model_is_projector",
        "architecture": "model_unknown_architecture",
        "tensor": "model_unsuitable",
    }.items():
        yield Scene(f"model-{name}", code, ("-m", f"{name}.gguf", "-c", "512"))
    yield Scene("port-in-use", "port_in_use", TEXT, taken=True)
    yield Scene("no-memory", "out_of_host_memory", ("-m", "text.gguf", "-c", "90000000"), limits="-v 3000000")
    for number, code in {4: "engine_wrong_cpu", 9: "killed", 11: "crashed", 15: "stopped_from_outside"}.items():
        yield Scene(f"signal-{number}", code, TEXT, lambda process, _, number=number: process.send_signal(number))
    yield Scene("model-vanished", "model_file_vanished", ("-m", "vanishing.gguf", "-c", "512", "--no-warmup"), _vanish)
    yield Scene("context-full", "context_full", TEXT, _say("the cat sees the dog " * 400), alive=True)
    yield Scene("api-key", "api_key_refused", (*TEXT, "--api-key", "recorded"), _say("hello"), alive=True)
    yield Scene("picture-to-text", "picture_to_text_model", TEXT, _say("look", png(64, 64)), alive=True)
    broken = png(64, 64)[:20]
    yield Scene(
        "picture-broken", "picture_unreadable", (*TEXT, "--mmproj", "mm.gguf"), _say("look", broken), alive=True
    )


def write_models(folder: Path) -> None:
    """Write the models that the scenes load, sound and broken."""
    text = write_text_model(folder / "text.gguf").read_bytes()
    for name in ("cut", "vanishing"):
        write_text_model(folder / f"{name}.gguf", embedding=128)
    truncate(folder / "cut.gguf", 0.7)
    write_projector(folder / "mm.gguf")
    write_mismatched_projector(folder / "other_mm.gguf")
    write_adapter(folder / "wide_adapter.gguf", embedding=128)
    (folder / "page.gguf").write_bytes(b"<!DOCTYPE html><title>404</title>")
    architecture = text.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0nobod", 1)
    (folder / "architecture.gguf").write_bytes(architecture)
    (folder / "tensor.gguf").write_bytes(text.replace(b"blk.1.ffn_down.weight", b"blk.1.ffn_dawn.weight", 1))


def record(scene: Scene, engine: str, folder: Path, log: Path) -> dict[str, Any] | None:
    """Play the scene and return its entry for the index; None when it did not fail."""
    with socket.socket() as holder:
        port = free_port()
        if scene.taken:
            holder.bind(("127.0.0.1", port))
            holder.listen()
        argv = [engine, "-lv", "4", "--offline", "--host", "127.0.0.1", "--port", str(port), "-np", "1"]
        argv += scene.arguments
        if scene.limits:
            argv = ["sh", "-c", f'ulimit {scene.limits}; exec "$@"', "sh", *argv]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        try:
            was_ready = _until_ready(process, port)
            if was_ready and scene.act is not None:
                scene.act(process, port)
            ended = _ended(process, 0.5 if scene.alive else LIMIT_S) if not was_ready or scene.act else False
            if ended == scene.alive:
                return None
            entry: dict[str, Any] = {"file": log.name, "code": scene.code, "exit_code": process.returncode}
            return {**entry, "was_ready": was_ready, "alive": scene.alive, "source": f"recorded with {engine}"}
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=1.0, trust_env=False).status_code == 200:
                return True
        except httpx.HTTPError:
            time.sleep(0.02)  # it does not listen yet
    return False


def _ended(process: subprocess.Popen[bytes], limit_s: float) -> bool:
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _say(text: str, picture: bytes | None = None) -> Act:
    def act(_: subprocess.Popen[bytes], port: int) -> None:
        content: Any = text
        if picture is not None:
            encoded = base64.b64encode(picture).decode("ascii")
            url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}
            content = [{"type": "text", "text": text}, url]
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": 8}
        httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=LIMIT_S, trust_env=False)

    return act


def _vanish(process: subprocess.Popen[bytes], port: int) -> None:
    os.truncate(Path(f"/proc/{process.pid}/cwd") / "vanishing.gguf", 4096)
    try:
        _say("the cat")(process, port)
    except httpx.HTTPError as error:
        print(f"  the answer broke off, as it should: {type(error).__name__}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Record all scenes; 1 when one did not fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    index, missing = [], []
    with tempfile.TemporaryDirectory() as models:
        write_models(Path(models))
        for scene in scenes():
            log = options.folder / f"{scene.name}.txt"
            entry = record(scene, options.engine, Path(models), log)
            if entry is None:
                log.unlink()
                missing.append(scene.name)
            else:
                index.append(entry)
                print(f"{scene.name}: exit code {entry['exit_code']}")
    (options.folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    for name in missing:
        print(f"did not fail: {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
