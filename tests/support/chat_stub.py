"""A small HTTP server in the test's own event loop: answers chat requests by a script, and misbehaves on purpose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

Script: TypeAlias = Callable[["Exchange"], Awaitable[None]]


def event(value: Any) -> bytes:
    """Write one server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def piece(text: str, **more: Any) -> bytes:
    """Write one chunk of an answer."""
    return event({"choices": [{"index": 0, "finish_reason": None, "delta": {"content": text}}], **more})


DONE = b"data: [DONE]\n\n"


class Exchange:
    """One request and the line back to whoever sent it."""

    def __init__(
        self,
        path: str,
        headers: dict[str, str],
        body: Any,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ):
        self.path, self.headers, self.body = path, headers, body
        self._reader, self._writer = reader, writer

    async def reply(self, status: int, value: Any) -> None:
        """Answer with JSON, or with ready-made text."""
        body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        kind = "text/html" if isinstance(value, str) else "application/json; charset=utf-8"
        self._writer.write(
            f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        self._writer.write(body)
        await self._writer.drain()

    async def begin_stream(self) -> None:
        """Send the head of a stream; `send` follows."""
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._writer.write(head.encode())
        await self._writer.drain()

    async def send(self, *parts: bytes) -> None:
        """Send each part as a network chunk of its own."""
        for part in parts:
            self._writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await self._writer.drain()

    async def end_stream(self) -> None:
        """End the stream properly, as HTTP has it; whether [DONE] was sent is another matter."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def drop(self) -> None:
        """Break the connection, as a killed server does."""
        self._writer.transport.abort()

    async def hung_up(self) -> None:
        """Return when the other side has closed the connection."""
        while await self._reader.read(65536):
            pass


class ChatStub:
    """Serves until left. `scripts` answers the paths that it names; every request is kept in `requests`."""

    def __init__(self, chat: Script, scripts: dict[str, Script] | None = None):
        self._scripts = {"/v1/chat/completions": chat, **(scripts or {})}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.requests: list[Exchange] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Return the address of this server."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        path = first.split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        exchange = Exchange(path, headers, json.loads(raw) if raw else None, reader, writer)
        self.requests.append(exchange)
        script = self._scripts.get(path)
        if script is None:
            await exchange.reply(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}})
        else:
            await script(exchange)
        return not writer.is_closing()
