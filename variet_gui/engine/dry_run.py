"""The exact check: llama-server itself is asked what a command takes, and ended before it reads a weight.

`--fit`, which is on unless switched off, makes the model and its context without allocating anything and says what they
would take, for the parameters as given, before it changes any (`engine.breakdown`). What follows is not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import HOST, Command
from variet_gui.catalog.spelling import Speller
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.breakdown import Breakdown, BreakdownReader, MeasuredDevice
from variet_gui.engine.diagnosis import explain
from variet_gui.engine.process import SpawnError
from variet_gui.engine.short_run import short_run
from variet_gui.i18n import Message, msg

LONGEST_RUN_S = 60.0
"""Some tenths of a second are usual; the libraries of a GPU build, read for the first time, take longest."""
KEPT_FREE_MIB = 250.0
"""What has to stay free on a card beside the check: below it, a server that works may fail (cuBLAS and the pools of
a long prompt take some 200 MiB), and on Windows the driver begins to move memory out of the card."""

_FIT_FLAGS = frozenset({"-fit", "--fit"})
_LOG_FLAGS = frozenset({"--log-file", "-lv", "--verbosity", "--log-verbosity"})
_BARE_LOG_FLAGS = frozenset({"-v", "--verbose", "--log-verbose", "--log-disable", "--no-log-jsonl", "--log-jsonl"})
_DRAFT_MODEL_FLAGS = frozenset({"-md", "--model-draft", "--spec-draft-model"})
_PROJECTOR_FLAGS = frozenset({"-mm", "--mmproj"})
_PORT = "--port"


class DryRunError(Exception):
    """The check gave no figures. The message says why, and names the build where that is the reason."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


@dataclass(frozen=True, slots=True)
class DryRun:
    """What llama-server says that a command takes, on every device, without having loaded anything."""

    devices: tuple[MeasuredDevice, ...]
    """In llama.cpp's order; empty when everything stays on the CPU."""
    host: MeasuredDevice
    """Host memory: what stays on the CPU, mapped or not, and pinned buffers."""
    others: tuple[MeasuredDevice, ...]
    """Buffers of a kind that belongs to no device: weights that are packed anew for the CPU, shared splits."""
    second: Breakdown | None
    """A second context that comes on top, of multi-token prediction or a draft model; None: there is none, or the
    build does not count it. Weights that both share are counted in the first alone."""
    projector: bool
    """Whether the command loads a projector, which is in none of these figures: the forecast's own stands."""
    projector_estimate_mib: float | None
    """The most that the projector may need on its device, by llama-server's estimate."""
    build: int | None
    seconds: float
    """How long it took."""
    notes: tuple[Message, ...]
    """What the figures leave out."""

    def device(self, name: str) -> MeasuredDevice | None:
        """Return the device of this name."""
        return next((device for device in self.devices if device.name == name), None)


def may_run(
    free_mib: Iterable[tuple[object, float | None]],
    overhead_mib: float,
    *,
    rpc: str | None = None,
    workers_in_use: Mapping[str, str] | None = None,
) -> Message | None:
    """Return why a check must not run now, or None when it may.

    A check makes a context on every card that it sees; nothing else is allocated. An RPC worker serves one program at
    a time (`ggml_backend_rpc_start_server`): while it serves a running tier, a check would only wait.

    Args:
        free_mib: (name for people, free memory) of every card that the server to be sees; None: not known, and then
            it may run.
        overhead_mib: what such a context takes on a card (330 MiB where it was never measured).
        rpc: the addresses of the command's `--rpc`.
        workers_in_use: address of a worker -> role of the running tier that it serves.
    """
    needed = overhead_mib + KEPT_FREE_MIB
    for name, free in free_mib:
        if free is not None and free < needed:
            return msg(
                "{device} has {free} MiB free; the exact check needs {needed} MiB there for a moment, and what runs "
                "must not be disturbed.",
                device=name,
                free=f"{max(0.0, free):.0f}",
                needed=f"{needed:.0f}",
            )
    for address in (rpc or "").split(","):
        role = (workers_in_use or {}).get(address.strip())
        if role is not None:
            return msg(
                "The worker at {address} serves {role}, and it serves one program at a time.",
                address=address.strip(),
                role=role,
            )
    return None


async def measure(
    command: Command,
    environment: Mapping[str, str],
    binary: EngineBinary,
    capabilities: Capabilities | None,
    *,
    limit_s: float = LONGEST_RUN_S,
) -> DryRun:
    """Run `command` until llama-server has said what it takes, and end it.

    The caller asks `may_run` first. The process runs on a port of its own, under a lifeline, and is gone when this
    returns, raises or is cancelled.

    Args:
        command: of the launch, from `catalog.command`; its port and settings of the log are replaced, and `--fit` is
            switched on (it changes nothing before the figures are said).
        environment: the whole environment of the server, as for a start.
        binary: for its name.
        capabilities: of the build; None: not known.
        limit_s: after that it is given up.

    Raises:
        DryRunError: the build cannot tell, the model or a flag is refused, there is no room for the contexts, or it
            takes too long.
    """
    refusal = _cannot_tell(command.argv, binary, capabilities)
    if refusal is not None:
        raise DryRunError(refusal)
    began_at = time.monotonic()
    argv = dry_argv(command.argv, _free_port(), capabilities, command.program_words)
    has_second = _has_second_context(command.argv)
    reader, exit_code = BreakdownReader(), None
    try:
        async with (
            asyncio.timeout(limit_s),
            short_run(argv, environment, remote="--rpc" in argv) as run,
            contextlib.aclosing(run.lines()) as lines,
        ):
            async for line in lines:
                reader.add(line)
                if reader.is_loading or (reader.first and (reader.second or not has_second)):
                    break
            else:
                reader.finish()
                exit_code = await run.process.wait()
    except SpawnError as error:
        raise DryRunError(error.message) from error
    except TimeoutError:
        raise DryRunError(
            msg(
                "{program} did not say within {seconds} s what it would take.",
                program=_name(binary),
                seconds=f"{limit_s:.0f}",
            )
        ) from None
    if reader.first is None:
        raise DryRunError(_why_none(reader, exit_code, binary, capabilities))
    projector = not _PROJECTOR_FLAGS.isdisjoint(command.argv)
    return DryRun(
        reader.first.devices,
        reader.first.host,
        reader.first.others,
        reader.second,
        projector,
        reader.projector_mib,
        None if capabilities is None else capabilities.build,
        time.monotonic() - began_at,
        tuple(_notes(projector=projector, second_missing=has_second and reader.second is None)),
    )


def dry_argv(
    argv: Sequence[str], port: int, capabilities: Capabilities | None, program_words: int = 1
) -> tuple[str, ...]:
    """Return the command line of a check: `argv` on another port, with the log that tells most, and `--fit` on.

    The first `program_words` words name the program. What is not known of the build is taken for the current one's.
    """
    speller = Speller(capabilities)
    kept = _without(argv[program_words:], _LOG_FLAGS | _FIT_FLAGS | {_PORT}, _BARE_LOG_FLAGS)
    said = ["-lv", "4"] if speller.says_info_at_level_4 else []
    if speller.knows("--log-jsonl"):
        said.append("--log-jsonl")
    # The threshold of the log counts from where it stands on the line: before the flags that wake the GPUs.
    fit = ["--fit", "on"] if speller.knows("--fit") else []
    return (*argv[:program_words], *said, *kept, _PORT, str(port), *fit)


def _without(argv: Sequence[str], with_value: frozenset[str], bare: frozenset[str]) -> Iterable[str]:
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in with_value:
            skip = True
        elif word not in bare:
            yield word


def _cannot_tell(argv: Sequence[str], binary: EngineBinary, capabilities: Capabilities | None) -> Message | None:
    if not Speller(capabilities).knows("--fit"):
        return msg(
            "{program} ({build}) does not count its memory before it loads: builds before December 2025 cannot. "
            "The forecast stands alone.",
            program=_name(binary),
            build=_build(capabilities),
        )
    if any(flag in ("-sm", "--split-mode") and value == "tensor" for flag, value in itertools.pairwise(argv)):
        return msg("llama-server does not count its memory beforehand when tensors are split (split mode tensor).")
    return None


def _has_second_context(argv: Sequence[str]) -> bool:
    return not _DRAFT_MODEL_FLAGS.isdisjoint(argv) or any(
        flag == "--spec-type" and "draft-mtp" in value.split(",") for flag, value in itertools.pairwise(argv)
    )


def _why_none(
    reader: BreakdownReader, exit_code: int | None, binary: EngineBinary, capabilities: Capabilities | None
) -> Message:
    failure = explain(role=str(_name(binary)), exit_code=exit_code, lines=reader.lines, was_ready=False)
    if failure.code != "unknown":
        return failure.title if failure.detail is None else msg("{a} {b}", a=failure.title, b=failure.detail)
    if failure.evidence:
        return msg(
            "{program} ({build}) did not say what it would take. Its last words: {words}",
            program=_name(binary),
            build=_build(capabilities),
            words=failure.evidence[-1],
        )
    return msg("{program} ({build}) did not say what it would take.", program=_name(binary), build=_build(capabilities))


def _notes(*, projector: bool, second_missing: bool) -> Iterable[Message]:
    if projector:
        yield msg("The projector is not among llama-server's figures; the forecast's figure for it stands.")
    if second_missing:
        yield msg("The second context of speculative decoding is not among llama-server's figures.")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _name(binary: EngineBinary) -> object:
    return binary.path if binary.path is not None else binary.source


def _build(capabilities: Capabilities | None) -> str:
    return "build unknown" if capabilities is None else capabilities.label
