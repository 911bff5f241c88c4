"""Real `ggml-rpc-server`s on this computer's processor: devices of their own for a real llama-server, without a GPU."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until
from variet_gui.engine.process import ServerProcess


def free_ports(count: int) -> list[int]:
    """Return ports on 127.0.0.1 that nobody has; taken together, so that all differ."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass(frozen=True, slots=True)
class RpcWorkers:
    """Workers that listen."""

    ports: tuple[int, ...]
    processes: tuple[ServerProcess, ...] = ()

    @property
    def addresses(self) -> str:
        """Return what `--rpc` is given."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @classmethod
    @asynccontextmanager
    async def of(cls, llama_server: Path, count: int, logs: Path) -> AsyncIterator[RpcWorkers]:
        """Start `count` of the program that lies beside `llama_server`; at the end of the block they are gone."""
        program = llama_server.parent / "ggml-rpc-server"
        assert program.is_file(), f"{program} is not there: the build needs -DGGML_RPC=ON"
        ports = free_ports(count)
        async with AsyncExitStack() as stack:
            workers = []
            for port in ports:
                argv = [str(program), "-H", "127.0.0.1", "-p", str(port)]
                worker = await ServerProcess.spawn(argv, os.environ, logs / f"rpc-{port}.log")
                stack.push_async_callback(worker.terminate, 0.0)
                workers.append(worker)
            for port in ports:
                await wait_until(lambda port=port: _listens(port), what=f"the worker on port {port}")
            yield cls(tuple(ports), tuple(workers))


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
