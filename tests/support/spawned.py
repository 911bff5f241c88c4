"""A server program spawned plainly by a test, without anything of the panel in between, and asked over HTTP."""

from __future__ import annotations

import base64
import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

EMBEDDED = (sys.executable, "-m", "variet_gui.engine.embedded")
"""The embedded engine as a program."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has at this moment.

    It lies below the ports that the system hands to clients: a client that knocks at one of those before the server
    is up can be connected to itself, and then keeps the server from listening.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


class Spawned:
    """One running program; leaving its `with` block kills it if the test has not ended it."""

    def __init__(self, command: Sequence[str], log: Path, port: int) -> None:
        self._log = log
        self.url = f"http://127.0.0.1:{port}"
        with log.open("wb") as stderr:
            self.process = subprocess.Popen([*command, "--port", str(port)], stderr=stderr, stdout=subprocess.PIPE)
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    @property
    def log(self) -> str:
        """What it said on stderr so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for_health(self, status: int = 200, timeout_s: float = 30.0) -> Self:
        """Return when `/health` answers with `status`; fail when the program ends or the time is up."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log[-2000:]}"
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/health").status_code == status:
                    return self
            time.sleep(0.01)
        raise AssertionError(f"/health did not answer {status} within {timeout_s:g} s:\n{self.log[-2000:]}")

    def chat(self, text: str, picture: bytes | None = None, **more: Any) -> dict[str, Any]:
        """Ask one question and return the whole answer."""
        reply = self.client.post("/v1/chat/completions", json=request(text, picture, **more))
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    @contextlib.contextmanager
    def stream(self, text: str, **more: Any) -> Iterator[Iterator[str]]:
        """Ask one question and yield the lines of the stream as they arrive."""
        body = {**request(text, **more), "stream": True}
        with self.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            assert reply.status_code == 200
            yield (line for line in reply.iter_lines() if line)


def request(text: str, picture: bytes | None = None, **more: Any) -> dict[str, Any]:
    """Return the body of a chat request: 16 tokens unless told otherwise, a fixed seed, no cache."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if picture is not None:
        url = "data:image/png;base64," + base64.b64encode(picture).decode()
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    messages = [{"role": "user", "content": content}]
    return {"messages": messages, "max_tokens": 16, "seed": 1, "cache_prompt": False, **more}


def said(answer: dict[str, Any]) -> str:
    """Return the text of an answer."""
    text: str = answer["choices"][0]["message"]["content"]
    return text
