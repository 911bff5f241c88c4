"""A stand-in for llama-server that misbehaves on command. Standard library only; started as a script of its own.

It takes llama-server's own flags (those it does not need are passed over) and these:

    --stub-polls N          answer 503 "Loading model" to the first N requests
    --stub-never-ready      answer 503 for ever
    --stub-silent           accept connections and never answer
    --stub-no-port          run without ever listening
    --stub-broken-props     /health is fine and /props is a 500
    --stub-model PATH       claim to run another model
    --stub-say LINE         write LINE to the log at the start (may be repeated; \\xNN escapes make any byte)
    --stub-exit CODE        exit with CODE as soon as the load is asked about for the first time; negative: by signal
    --stub-exit-at-once CODE  exit with CODE after what it had to say, before it listens
    --stub-ignore-term      ignore SIGTERM and SIGINT
    --stub-child            start a child that ignores SIGTERM too, and name its pid in the log
    --stub-flood N          write N lines to the log as fast as possible once it listens

Once it is up, GET /stub/exit/CODE makes it die, and POST /v1/chat/completions is answered with a stream that never
ends: as with the real server, SIGTERM then works only after the client has gone, or when it comes twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

IGNORE_TERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def say(line: str, level: str = "I") -> None:
    """Write one log line in llama-server's shape."""
    sys.stderr.buffer.write(f"0.00.001.000 {level} {line}\n".encode())
    sys.stderr.buffer.flush()


def die(code: int) -> None:
    """End at once with an exit code, or by a signal."""
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


class StubServer:
    """One HTTP server with the misbehaviour that `options` ask for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.asked = 0
        self.streams = 0
        self.told = False
        self.terminated = asyncio.Event()

    async def run(self) -> None:
        """Load, listen, and serve until SIGTERM."""
        options = self.options
        loop = asyncio.get_running_loop()
        if options.stub_ignore_term:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            loop.add_signal_handler(signal.SIGTERM, self.on_term)
        say(f"srv    load_model: loading model '{options.model}'")
        for line in options.stub_say:
            sys.stderr.buffer.write(line.encode("ascii").decode("unicode_escape").encode("latin-1") + b"\n")
            sys.stderr.buffer.flush()
        if options.stub_exit_at_once is not None:
            die(options.stub_exit_at_once)
        if options.stub_no_port:
            await self.terminated.wait()
            return
        try:
            server = await asyncio.start_server(self.serve, options.host, options.port)
        except OSError:
            say(
                f"srv  start: couldn't bind HTTP server socket, hostname: {options.host}, port: {options.port}",
                "E",
            )
            say("srv  llama_server: exiting due to HTTP server error", "E")
            die(1)
            return
        for number in range(options.stub_flood):
            sys.stderr.buffer.write(b"0.00.002.000 D flood line %d of many, as long as lines of a log are\n" % number)
        sys.stderr.buffer.flush()
        await self.terminated.wait()
        say("srv  operator(): cleaning up before exit...")
        server.close()

    def on_term(self) -> None:
        """End now, or with the last stream; the second time at once."""
        if self.told:
            say("Received second interrupt, terminating immediately.")
            os._exit(1)
        self.told = True
        if self.streams:
            say("stub waits for its open requests", "W")
        else:
            self.terminated.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            await self.answer(method, path, reader, writer)
        writer.close()

    async def answer(self, method: str, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Route one request."""
        options = self.options
        self.asked += 1
        if options.stub_silent:
            await reader.read()
            return
        if options.stub_exit is not None:
            die(options.stub_exit)
        if options.stub_never_ready or self.asked <= options.stub_polls:
            error = {"message": "Loading model", "type": "unavailable_error", "code": 503}
            await self.send(writer, 503, {"error": error})
        elif path.startswith("/stub/exit/"):
            die(int(path.rsplit("/", 1)[1]))
        elif path == "/health":
            await self.send(writer, 200, {"status": "ok"})
        elif path == "/props":
            if options.stub_broken_props:
                await self.send(writer, 500, {"error": {"message": "stub", "type": "server_error", "code": 500}})
            else:
                await self.send(writer, 200, self.props())
        elif method == "POST":
            await self.stream(reader, writer)
        else:
            await self.send(writer, 404, {"error": {"message": "no", "type": "not_found_error", "code": 404}})

    def props(self) -> dict[str, object]:
        """Return /props in the shape of b11434."""
        options = self.options
        return {
            "default_generation_settings": {"n_ctx": 2048, "params": {}},
            "total_slots": 1,
            "model_alias": options.alias,
            "model_path": options.stub_model or options.model,
            "modalities": {"vision": False, "video": False, "audio": False},
            "media_marker": "<__media__>",
            "build_info": "b1-stub",
            "is_sleeping": False,
        }

    async def send(self, writer: asyncio.StreamWriter, status: int, body: dict[str, object]) -> None:
        """Send one JSON answer."""
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} Stub\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + data)
        await writer.drain()

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin an answer that goes on until the client goes away."""
        self.streams += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n')
        await writer.drain()
        while await reader.read(4096):
            continue  # the rest of the request; an empty read is the client's goodbye
        self.streams -= 1
        if self.told and not self.streams:
            self.terminated.set()


def main() -> None:
    """Read the command line and misbehave."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--alias", default="stub")
    parser.add_argument("-m", "--model", default="stub.gguf")
    parser.add_argument("--stub-polls", type=int, default=0)
    parser.add_argument("--stub-never-ready", action="store_true")
    parser.add_argument("--stub-silent", action="store_true")
    parser.add_argument("--stub-no-port", action="store_true")
    parser.add_argument("--stub-broken-props", action="store_true")
    parser.add_argument("--stub-model")
    parser.add_argument("--stub-say", action="append", default=[])
    parser.add_argument("--stub-exit", type=int)
    parser.add_argument("--stub-exit-at-once", type=int)
    parser.add_argument("--stub-ignore-term", action="store_true")
    parser.add_argument("--stub-child", action="store_true")
    parser.add_argument("--stub-flood", type=int, default=0)
    options, _ = parser.parse_known_args()
    if options.stub_child:
        child = subprocess.Popen([sys.executable, "-c", IGNORE_TERM])
        say(f"stub child {child.pid}")
    asyncio.run(StubServer(options).run())


if __name__ == "__main__":
    main()
