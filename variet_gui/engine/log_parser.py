"""llama-server's log, one line at a time: what a line says, as a fact. Pure.

The shapes are those of b11434 (`-lv 4`) and of older builds back to 2025, with or without level letter, time stamp and
colour. Sources: `src/llama*.cpp`, `common/fit.cpp`, `tools/server/server-context.cpp`, `tools/mtmd/clip.cpp`,
`ggml/src/ggml-cuda/ggml-cuda.cu`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from variet_gui.engine.load_report import LoadReport
from variet_gui.engine.log_facts import (
    BufferAllocated,
    BufferKind,
    ConfigFileUsed,
    ContextBegun,
    ContextShrunk,
    ContextSize,
    DeviceListed,
    DevicesFound,
    DeviceUsed,
    ErrorSaid,
    Fact,
    FlashAttention,
    GpuUnavailable,
    ImageDecodeBegun,
    ImageDecoded,
    ImageEncodeBegun,
    ImageEncoded,
    LayersOffloaded,
    Listening,
    LoadBegun,
    LoadProgress,
    MemoryRow,
    ModelLoaded,
    ModelLoading,
    Phase,
    PhaseTimed,
    PipelineCopies,
    PipelineDropped,
    ProjectorBegun,
    ProjectorDevice,
    ProjectorLoaded,
    ProjectorMemory,
    ProjectorWeights,
    ReserveBegun,
    SpeedSaid,
    WarningSaid,
)

__all__ = [
    "BufferAllocated",
    "BufferKind",
    "ConfigFileUsed",
    "ContextBegun",
    "ContextShrunk",
    "ContextSize",
    "DeviceListed",
    "DeviceUsed",
    "DevicesFound",
    "ErrorSaid",
    "Fact",
    "FlashAttention",
    "GpuUnavailable",
    "ImageDecodeBegun",
    "ImageDecoded",
    "ImageEncodeBegun",
    "ImageEncoded",
    "LayersOffloaded",
    "Listening",
    "LoadBegun",
    "LoadProgress",
    "LoadReport",
    "LogLine",
    "MemoryRow",
    "ModelLoaded",
    "ModelLoading",
    "Phase",
    "PhaseTimed",
    "PipelineCopies",
    "PipelineDropped",
    "ProjectorBegun",
    "ProjectorDevice",
    "ProjectorLoaded",
    "ProjectorMemory",
    "ProjectorWeights",
    "ReserveBegun",
    "SpeedSaid",
    "WarningSaid",
    "parse",
    "split_line",
]

_Match: TypeAlias = re.Match[str]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"(?:(?P<min>\d+)\.(?P<s>\d\d)\.(?P<ms>\d{3})\.(?P<us>\d{3}) )?(?:(?P<level>[IWEDT]) )?")
_STATE = "cmd_child_to_router:state:"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line without its decoration."""

    text: str
    level: str | None = None
    """I, W, E, D or T; None where the line has none (older builds, continuation lines, raw prints)."""
    at_ms: float | None = None
    """Since the server's start, where the line has a time stamp."""


@dataclass(frozen=True, slots=True)
class _Shape:
    needle: str
    """A part that every such line has: most lines are told apart by it alone, without a regular expression."""
    pattern: re.Pattern[str]
    make: Callable[[_Match], Fact]


def parse(line: str) -> Fact | None:
    """Return what `line` says, or None when it says nothing that matters."""
    if _STATE in line:
        return _progress(line)
    found = split_line(line)
    for shape in _SHAPES:
        if shape.needle in found.text:
            match = shape.pattern.search(found.text)
            if match is not None:
                return _timed_fact(shape.make(match), found)
    if found.level == "E" or (found.level is None and _BARE_ERROR.match(found.text)):
        return ErrorSaid(found.text)
    if found.level == "W" or (found.level is None and _BARE_WARNING.match(found.text)):
        return WarningSaid(found.text)
    return None


def split_line(line: str) -> LogLine:
    """Take colour, time stamp and level off `line`."""
    bare = _COLOUR.sub("", line).rstrip("\r\n")
    match = _PREFIX.match(bare)
    if match is None or not match.group():
        return LogLine(bare)
    at_ms = None
    if match["min"] is not None:
        at_ms = int(match["min"]) * 60_000 + int(match["s"]) * 1000 + int(match["ms"]) + int(match["us"]) / 1000
    return LogLine(bare[match.end() :], match["level"], at_ms)


def _timed_fact(fact: Fact, line: LogLine) -> Fact:
    if isinstance(fact, ImageEncodeBegun | ImageDecodeBegun):
        return replace(fact, at_ms=line.at_ms)
    return fact


def _progress(line: str) -> Fact | None:
    try:
        said = json.loads(line[line.index(_STATE) + len(_STATE) :])
        value = said["payload"]["value"]
    except (ValueError, KeyError, TypeError):
        # Other states ("ready") have no payload, and the protocol is internal: what does not fit is not for us.
        return None
    return LoadProgress(float(value)) if isinstance(value, int | float) else None


def _buffer(kind: BufferKind) -> Callable[[_Match], Fact]:
    return lambda match: BufferAllocated(match[1], kind, float(match[2]))


def _timed(phase: Phase) -> Callable[[_Match], Fact]:
    return lambda match: PhaseTimed(int(match[1]), int(match[2]), phase, int(match[4]), float(match[3]))


def _memory_row(match: _Match) -> Fact:
    total, free = match["total"], match["free"]
    return MemoryRow(
        match["device"],
        match["description"] or "",
        int(total) if total else None,
        int(free) if free else None,
        int(match["weights"]),
        int(match["context"]),
        int(match["compute"]),
    )


_BARE_ERROR = re.compile(
    r"error: |error while handling argument|terminate called|Error: |RuntimeError: |Segmentation fault"
    r"|.*(?:GGML_ASSERT\(|error loading model|failed to load|error while loading shared libraries)"
)
_BARE_WARNING = re.compile(r"(?:warn|warning|WARNING): ")

_MIB = r" *= *([\d.]+) MiB"
_SLOT = r"id +(\d+) \| task +(-?\d+) \| *"


def _shape(needle: str, pattern: str, make: Callable[[_Match], Fact]) -> _Shape:
    return _Shape(needle, re.compile(pattern), make)


_SHAPES: tuple[_Shape, ...] = (
    # Devices
    _shape(" devices", r"[Ff]ound (\d+) (\w+) devices", lambda m: DevicesFound(int(m[1]), m[2])),
    _shape("no usable GPU", r"warning: (no usable GPU found)", lambda m: GpuUnavailable(m[1])),
    _shape("failed to initialize ", r"failed to initialize (?:CUDA|ROCm|MUSA): (.+)", lambda m: GpuUnavailable(m[1])),
    _shape(
        " MiB free",
        r"using device (\S+) \((.*?)\)(?: \((?:([0-9A-Fa-f]{4,8}:[\w:.]+)|[^()]*)\))? - (\d+) MiB free",
        lambda m: DeviceUsed(m[1], m[2], m[3].lower() if m[3] else None, int(m[4])),
    ),
    _shape(
        " MiB free)",
        r"(?:^|:) +(?:- )?(\w+) *: (.*) \((\d+) MiB, (\d+) MiB free\)$",
        lambda m: DeviceListed(m[1], m[2], int(m[3]), int(m[4])),
    ),
    _shape(
        "memory_breakdown_print: |   - ",
        r"\|   - (?P<device>\S+)(?: \((?P<description>.*?)\))? *\| *(?:(?P<total>\d+) = *(?P<free>\d+) \+ \( *)?\d+ = *"
        r"(?P<weights>\d+) \+ *(?P<context>\d+) \+ *(?P<compute>\d+)",
        _memory_row,
    ),
    # Loading
    _shape("loading model '", r"load_model: loading model '(.*)'", lambda m: ModelLoading(m[1])),
    _shape("no_alloc ", r"print_info: no_alloc *= (\d)", lambda m: LoadBegun(m[1] == "0")),
    _shape("offloaded ", r"offloaded (\d+)/(\d+) layers", lambda m: LayersOffloaded(int(m[1]), int(m[2]))),
    _shape(" model buffer size", r"(\S+) model buffer size" + _MIB, _buffer(BufferKind.WEIGHTS)),
    _shape("load_tensors:", r"load_tensors: +(\S+) buffer size" + _MIB, _buffer(BufferKind.WEIGHTS)),
    _shape(" LoRA buffer size", r"(\S+) LoRA buffer size" + _MIB, _buffer(BufferKind.WEIGHTS)),
    _shape("constructing llama_context", r"constructing", lambda _: ContextBegun()),
    _shape(" KV buffer size", r"(\S+) KV buffer size" + _MIB, _buffer(BufferKind.CONTEXT)),
    _shape(" RS buffer size", r"(\S+) RS buffer size" + _MIB, _buffer(BufferKind.CONTEXT)),
    _shape(" state buffer size", r"(\S+) DSV4 \S+ state buffer size" + _MIB, _buffer(BufferKind.CONTEXT)),
    _shape("_compute_meta:", r"_compute_meta: +(\S+) compute buffer size" + _MIB, _buffer(BufferKind.PROJECTOR)),
    _shape(" compute buffer size =", r"(\S+) compute buffer size" + _MIB, _buffer(BufferKind.COMPUTE)),
    _shape(" output buffer size", r"(\S+) +output buffer size" + _MIB, _buffer(BufferKind.OUTPUT)),
    _shape("sched_reserve: reserving ...", r"reserving", lambda _: ReserveBegun()),
    _shape("flash_attn", r"flash_attn\s*= (enabled|disabled)", lambda m: FlashAttention(m[1] == "enabled")),
    _shape("Flash Attention", r"Flash Attention .*?\b(enabled|disabled)$", lambda m: FlashAttention(m[1] == "enabled")),
    _shape("sched copies", r"sched copies = (\d+)", lambda m: PipelineCopies(int(m[1]))),
    _shape("n_copies", r"pipeline parallelism enabled \(n_copies=(\d+)", lambda m: PipelineCopies(int(m[1]))),
    _shape("retrying without pipeline", r"", lambda _: PipelineDropped()),
    _shape(
        "context size reduced",
        r"context size reduced from (\d+) to (\d+)",
        lambda m: ContextShrunk(int(m[1]), int(m[2])),
    ),
    _shape("n_ctx_slot", r"n_slots = (\d+), n_ctx_slot = (\d+)", lambda m: ContextSize(int(m[2]), int(m[1]))),
    _shape("n_ctx_slot", r"new slot n_ctx_slot = (\d+)", lambda m: ContextSize(int(m[1]))),
    # Projector
    _shape("of mmproj is", r"memory usage of mmproj is ([\d.]+) MiB", lambda m: ProjectorMemory(float(m[1]))),
    _shape("clip_model_loader: model name:", r"", lambda _: ProjectorBegun()),
    _shape("CLIP using ", r"CLIP using (\S+) backend", lambda m: ProjectorDevice(m[1])),
    _shape("load_hparams: model size:", r"model size: +([\d.]+) MiB", lambda m: ProjectorWeights(float(m[1]))),
    _shape("loaded multimodal", r"loaded multimodal model, '(.*)'", lambda m: ProjectorLoaded(m[1])),
    # Ready. Old builds say "HTTP server is listening, hostname: …" long before they answer: that is not meant.
    _shape("model loaded", r"(?:llama_server|main): model loaded$", lambda _: ModelLoaded()),
    _shape("listening on ", r"listening on (\w+://\S+|\S+\.sock)", lambda m: Listening(m[1])),
    # Work
    _shape(
        "tg_3s",
        _SLOT + r"n_gen = +(\d+), tg = +([\d.]+) t/s, tg_3s = +([\d.]+)",
        lambda m: SpeedSaid(int(m[1]), int(m[2]), Phase.GENERATION, int(m[3]), float(m[5])),
    ),
    _shape(
        "prompt processing, n_tokens",
        _SLOT + r"prompt processing, n_tokens = +(\d+), progress = ([\d.]+), t = +[\d.]+ s / ([\d.]+) tokens",
        lambda m: SpeedSaid(int(m[1]), int(m[2]), Phase.PREFILL, int(m[3]), float(m[5]), float(m[4])),
    ),
    _shape("prompt eval time", _SLOT + r"prompt eval time = +([\d.]+) ms / +(\d+) tokens", _timed(Phase.PREFILL)),
    _shape("eval time", _SLOT + r"eval time = +([\d.]+) ms / +(\d+) tokens", _timed(Phase.GENERATION)),
    _shape("encoding mtmd batch", r"", lambda _: ImageEncodeBegun()),
    _shape("encoding image", r"encoding image slice", lambda _: ImageEncodeBegun()),
    _shape("encoded in", r"image(?:/slice| slice)? encoded in (\d+) ms", lambda m: ImageEncoded(float(m[1]))),
    _shape(
        "decoding image batch",
        r"decoding image batch (\d+)/(\d+), n_tokens_batch = (\d+)",
        lambda m: ImageDecodeBegun(int(m[3]), int(m[1]), int(m[2])),
    ),
    _shape("image decoded", r"image decoded \(batch \d+/\d+\) in (\d+) ms", lambda m: ImageDecoded(float(m[1]))),
    # Surroundings
    _shape("using config file:", r"using config file: (.+)", lambda m: ConfigFileUsed(m[1])),
)
