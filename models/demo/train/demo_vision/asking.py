"""A llama-server, or the embedded engine, with the demo's two models: started, asked, ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo_vision.drawing import Pixels
from demo_vision.picture_files import data_url

ROOT = Path(__file__).resolve().parents[4]
PROJECTOR = ROOT / "models" / "demo" / "mmproj-variet-demo-vision-F16.gguf"
LANGUAGE_MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
_READY_WITHIN_S = 60.0


def program(engine: str) -> list[str]:
    """Return how the command line of `engine` begins: "embedded", or the path of a llama-server."""
    if engine != "embedded":
        return [engine]
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from variet_gui.engine.binary import embedded_engine

    return list(embedded_engine().program)


class Engine:
    """A running server; use it in a `with` statement."""

    def __init__(
        self,
        engine: str,
        model: Path,
        projector: Path,
        *,
        log: Path,
        more: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._log = log
        command = [*program(engine), "-m", str(model), "--mmproj", str(projector), "--host", "127.0.0.1"]
        command += ["--port", str(port), "-c", "2048", "-np", "1", *more]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                command, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": paths, **(environment or {})}
            )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self._url}/health", timeout=5):  # noqa: S310 - our own http address
                    return self
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        self._end()
        said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"the engine did not become ready:\n{said}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, text: str, picture: Pixels, most: int = 48) -> str:
        """Return the answer to one question about one picture; always the likeliest words (greedy)."""
        return self.say([_question(text, picture)], most)

    def say(self, messages: list[dict[str, Any]], most: int = 48) -> str:
        """Return the answer to a conversation."""
        body = {"messages": messages, "temperature": 0, "max_tokens": most, "cache_prompt": True}
        request = urllib.request.Request(  # noqa: S310 - our own http address
            f"{self._url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310
            answer: str = json.load(reply)["choices"][0]["message"]["content"]
        return answer.strip()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _question(text: str, picture: Pixels) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data_url(picture)}}]
    if text:
        content.append({"type": "text", "text": text})
    return {"role": "user", "content": content}
