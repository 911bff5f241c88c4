"""What a preflight costs beside what it saves: a start of llama-server that fails at once.

Run: python -m tests.benchmarks.bench_preflight [PATH OF LLAMA-SERVER]
Read the ratio; the milliseconds are this machine's. Without a llama-server, the embedded engine's `--help` stands for
the shortest life of a server.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.profiles import current_build
from tests.support.spawned import EMBEDDED, free_port
from tests.support.tiny_models import write_projector, write_text_model
from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.preflight import check
from variet_gui.events import GpuSample
from variet_gui.i18n import msg

ROUNDS = 50
CARDS = tuple(GpuSample(index, "a card", 0.0, 12288.0) for index in (0, 1))


async def preflight_ms(folder: Path, rounds: int) -> list[float]:
    """Return how long each of `rounds` checks of one tier took, the first with a cold cache of headers."""
    values = {"model": "text.gguf", "mmproj": "mmproj.gguf", "ctx_size": 4096, "cache_type_k": "q8_0"}
    tier = Tier(role="fast", model_name="tiny", port=free_port(), expected_gpus=2)
    binary = EngineBinary((sys.executable,), Path(sys.executable), embedded=False, source=msg("a benchmark"))
    build = current_build()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await check(LaunchProfile("fast", values), tier, binary, build, folder, gpus=CARDS, environ={})
        took.append((time.perf_counter() - began) * 1000)
    return took


def spawn_ms(command: Sequence[str]) -> float:
    """Return how long a server lives that is told of a model that does not exist."""
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=False, timeout=60)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print both, and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text_model(folder / "text.gguf")
        write_projector(folder / "mmproj.gguf")
        first, *rest = asyncio.run(preflight_ms(folder, ROUNDS))
    server = [sys.argv[1], "-m", "gone.gguf", "--port", str(free_port())] if sys.argv[1:] else [*EMBEDDED, "--help"]
    spawned = statistics.median(spawn_ms(server) for _ in range(10))
    again = statistics.median(rest)
    print(f"preflight, headers not read yet {first:8.2f} ms")
    print(f"preflight, headers known        {again:8.2f} ms  (median of {len(rest)})")
    print(f"a server that fails at once     {spawned:8.2f} ms  (median of 10)")
    print(f"ratio: a failing start takes {spawned / again:.1f} times as long as a preflight")


if __name__ == "__main__":
    main()
