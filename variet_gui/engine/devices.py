"""The devices that a llama-server would use, by its own `--list-devices`.

The output since it exists (`common/arg.cpp`, b4227; `common/common.cpp` common_print_available_devices, b11434):

    Available devices:
      CUDA0: NVIDIA GeForce RTX 3060 (12059 MiB, 11800 MiB free)
      RPC0: 127.0.0.1:50052 (24105 MiB, 24105 MiB free)

Newer builds say `  (none)` where there is none; older ones say nothing, and call remote devices `RPC[host:port]`.

Asking costs: a build with CUDA makes a context on every card, some 300 MiB each, for the moment that it runs.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from variet_gui.catalog.command import FIXED_ENVIRONMENT, is_scrubbed
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.diagnosis import explain
from variet_gui.engine.load_report import is_gpu
from variet_gui.engine.probe_cache import Stamp, stamp_of
from variet_gui.engine.process import SpawnError
from variet_gui.engine.short_run import short_run
from variet_gui.i18n import Message, msg

_LONGEST_RUN_S = 20.0
_HEADING = "Available devices:"
_DEVICE = re.compile(
    r" +(?P<name>\S+): (?P<description>.*?)(?: \((?P<pci>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d)\))?"
    r" \((?P<total>\d+) MiB, (?P<free>\d+) MiB free\)\s*"
)
_MOST_REMEMBERED = 32


class DevicesError(Exception):
    """A llama-server that does not tell its devices. The message says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


@dataclass(frozen=True, slots=True)
class EngineDevice:
    """One device that a model may be placed on; the CPU is not among them."""

    name: str
    """llama.cpp's name, as `--device` takes it: "CUDA0", "RPC1", "Vulkan0"."""
    description: str
    """What it is; of an RPC device its address."""
    total_mib: int
    """What a program may have of it: on NVIDIA cards less than the card has."""
    free_mib: int
    """When it was asked."""
    pci_bus_id: str | None = None
    """"0000:01:00.0"; None where the build does not say, which is every build known so far: the log of a start does."""


@dataclass(frozen=True, slots=True)
class _Question:
    stamp: Stamp
    environment: frozenset[tuple[str, str]]
    rpc: str | None


_remembered: dict[_Question, tuple[EngineDevice, ...]] = {}


async def list_devices(
    binary: EngineBinary, *, environment: Mapping[str, str] | None = None, rpc: str | None = None, fresh: bool = False
) -> tuple[EngineDevice, ...]:
    """Return the devices of `binary` in llama.cpp's order; RPC devices come last here and first when a model is placed.

    Remembered while the file is the same (path, size, mtime), and the variables of `environment` that choose devices
    (CUDA_*, GGML_* and their like), and `rpc`. A wrapper script counts as one file.

    Args:
        binary: from `engine.binary`; the embedded engine as well.
        environment: the whole environment of the server to be; None: that of this process, as a server would get it.
        rpc: what `--rpc` is given: addresses of remote devices, with commas between.
        fresh: ask again, for what is free now.

    Raises:
        DevicesError: it cannot be run, does not end within 20 s, does not know the question, or an address of `rpc`
            does not answer.
    """
    if environment is None:
        inherited = {name: value for name, value in os.environ.items() if not is_scrubbed(name)}
        environment = {**inherited, **FIXED_ENVIRONMENT}
    question = _Question(await asyncio.to_thread(stamp_of, binary), _choosing(environment), rpc or None)
    if not fresh and (known := _remembered.get(question)) is not None:
        return known
    found = await _ask(binary, environment, rpc)
    _remembered.pop(question, None)
    _remembered[question] = found
    while len(_remembered) > _MOST_REMEMBERED:
        del _remembered[next(iter(_remembered))]
    return found


def parse_devices(lines: Iterable[str]) -> tuple[EngineDevice, ...] | None:
    """Read what `--list-devices` prints, amid whatever back ends say; None when it is not there."""
    found: list[EngineDevice] | None = None
    for line in lines:
        if line.strip() == _HEADING:
            found = []
        elif found is not None and (match := _DEVICE.fullmatch(line)) is not None and is_gpu(match["name"]):
            pci = match["pci"]
            found.append(
                EngineDevice(
                    match["name"],
                    match["description"],
                    int(match["total"]),
                    int(match["free"]),
                    pci.lower() if pci else None,
                )
            )
    return None if found is None else tuple(found)


async def _ask(binary: EngineBinary, environment: Mapping[str, str], rpc: str | None) -> tuple[EngineDevice, ...]:
    # The list is printed as soon as its flag is read: what it depends on must stand before.
    argv = [*binary.program, *(["--rpc", rpc] if rpc else []), "--list-devices"]
    program = binary.path if binary.path is not None else binary.source
    try:
        async with asyncio.timeout(_LONGEST_RUN_S), short_run(argv, environment, remote=bool(rpc)) as run:
            lines = [line async for line in run.lines()]
            exit_code = await run.process.wait()
    except SpawnError as error:
        raise DevicesError(error.message) from error
    except TimeoutError:
        raise DevicesError(
            msg("{program} did not list its devices within {seconds} s.", program=program, seconds=int(_LONGEST_RUN_S))
        ) from None
    found = parse_devices(lines)
    if found is not None and exit_code == 0:
        return found
    failure = explain(role="--list-devices", exit_code=exit_code, lines=lines, was_ready=False)
    if failure.code == "unknown":
        raise DevicesError(msg("{program} does not list its devices.", program=program))
    raise DevicesError(failure.title)


def _choosing(environment: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    prefixes = ("CUDA_", "GGML_", "HIP_", "ROCR_", "NVIDIA_", "LD_LIBRARY_PATH")
    return frozenset((name, value) for name, value in environment.items() if name.startswith(prefixes))
