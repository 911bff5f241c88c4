"""A llama-server that is started only to say something: its output is read, and nothing of it stays.

It lives under a lifeline like a server that serves (`engine.process`): however the panel ends, so does it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from variet_gui.engine.log_tail import LogTail
from variet_gui.engine.process import ServerProcess

_POLL_S = 0.01
"""What it is asked for stands in its output some hundredths of a second after the start."""
_ANSWERS_ARRIVE_S = 0.25
"""How long an RPC worker gets to answer what it was asked last."""


class ShortRun:
    """A program that runs, and the file with everything that it prints (standard output and error together)."""

    def __init__(self, process: ServerProcess, output: Path) -> None:
        self.process = process
        self._tail = LogTail(output)

    async def lines(self) -> AsyncGenerator[str, None]:
        """Yield what it prints, line by line, until it has ended and all is read."""
        ended = asyncio.ensure_future(self.process.wait())
        try:
            while True:
                # Looked at before reading: what was written until then is in the file.
                is_over = ended.done()
                before = self._tail.position
                for line in self._tail.read():
                    yield line
                if self._tail.position != before:
                    continue
                if is_over:
                    break
                await asyncio.wait({ended}, timeout=_POLL_S)
            for line in self._tail.last_words():
                yield line
        finally:
            ended.cancel()


@asynccontextmanager
async def short_run(
    argv: Sequence[str], environment: Mapping[str, str], *, remote: bool = False
) -> AsyncIterator[ShortRun]:
    """Start `argv` with exactly `environment`; at the end of the block it is gone, with all that it started.

    Args:
        argv: the program and its arguments.
        environment: all of it.
        remote: it talks to RPC workers. A worker that answers somebody who is gone dies of it (`ggml-rpc`'s transport
            sends without MSG_NOSIGNAL, b11434): the program is stopped for a moment, until all answers have arrived,
            before it is killed.

    Raises:
        SpawnError: it could not be started.
    """
    with tempfile.TemporaryDirectory(prefix="variet-", ignore_cleanup_errors=True) as folder:
        output = Path(folder) / "said.log"
        process = await ServerProcess.spawn(argv, environment, output)
        try:
            yield ShortRun(process, output)
        finally:
            await _end(process, remote=remote)


async def _end(process: ServerProcess, *, remote: bool) -> None:
    """Kill it and wait until it is gone, also when the caller is cancelled once more meanwhile."""
    ending = asyncio.ensure_future(_kill(process, remote=remote))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _kill(process: ServerProcess, *, remote: bool) -> None:
    if remote and process.exit_code is None and _suspend(process):
        await asyncio.sleep(_ANSWERS_ARRIVE_S)  # nothing tells when a worker has no more to say
    await process.terminate(grace_s=0.0)


def _suspend(process: ServerProcess) -> bool:
    """Stop it and its children where they are; False when it is gone already."""
    try:
        leader = psutil.Process(process.pid)
        if leader.create_time() != process.created_at:
            return False
        for member in (leader, *leader.children(recursive=True)):
            member.suspend()
    except psutil.NoSuchProcess:
        return False
    return True
