"""What a line of a failing server says, as a fact: allocations, GPU errors, aborts, frames of a backtrace. Pure.

Shapes: b11434's `ggml/src/ggml-cuda/ggml-cuda.cu` (ggml_cuda_error, alloc_buffer), `ggml/src/ggml-backend.cpp`,
`ggml-alloc.c`, `ggml.c` (ggml_abort, ggml_print_backtrace), `ggml-vulkan.cpp`, and older builds' wordings.

llama-server writes its log in a thread of its own, and an abort writes past it: what led to the abort stands *behind*
the abort's own line, or is lost with the process. Of 31 recorded CUDA errors the reason was lost in 15 of the 16 with
GGML_NO_BACKTRACE set, and in none of the 15 without.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from variet_gui.i18n import Message, msg

_MIB = 2**20
_LONGEST = 400
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b."
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
"""Terminal sequences, control characters, and characters that reorder or hide text."""
_SECRET = re.compile(r"(--api-key[ =]+|[Bb]earer +|api_key[\"']?[=:] *[\"']?)[^\s\"']+")
_HOST_NAMES = re.compile(r"CPU\w*|Host|\w+_Host|BLAS|AMX|CANN_Host")


@dataclass(frozen=True, slots=True)
class AllocationFailed:
    """A buffer could not be had."""

    device: str | None
    """llama.cpp's name: "CUDA1", "RPC0[127.0.0.1:50052]", "CPU"; None where the line does not say."""
    mib: float | None

    @property
    def on_host(self) -> bool:
        """Whether it is the computer's own memory."""
        return self.device is not None and _HOST_NAMES.fullmatch(self.device) is not None


@dataclass(frozen=True, slots=True)
class GpuErrorSaid:
    """A GPU back end failed; what follows the colon."""

    reason: str
    device: int | None = None
    """Only the oldest builds say it in the same line."""


@dataclass(frozen=True, slots=True)
class GpuErrorPlace:
    """Where that was."""

    device: int
    function: str


@dataclass(frozen=True, slots=True)
class Aborted:
    """The program gave up by itself at this place in its source."""

    file: str
    """Without folders."""
    text: str
    """"GGML_ASSERT(buffer) failed", "CUDA error", "fatal error"."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One function of a backtrace."""

    symbol: str


FailureFact: TypeAlias = AllocationFailed | GpuErrorSaid | GpuErrorPlace | Aborted | Frame


def plain(line: str) -> str:
    """Return `line` as text that can be shown anywhere: no control characters, no keys, not longer than a few lines."""
    text = _SECRET.sub(r"\1…", _CONTROL.sub("", line.replace("\t", " ")).strip())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def device_text(name: str) -> Message | str:
    """Return a device as people read it: "GPU 1" for llama.cpp's CUDA1, other names as they are."""
    match = re.fullmatch(r"(?:CUDA|ROCm|MUSA)(\d+)", name)
    return msg("GPU {index}", index=match[1]) if match else name


def failure_fact(text: str) -> FailureFact | None:
    """Return what `text` (a line without time stamp and level) says of a failure, or None."""
    for needles, pattern, make in _SHAPES:
        if any(needle in text for needle in needles):
            match = pattern.search(text)
            if match is not None:
                return make(match)
    return None


def _number(text: str) -> float:
    return float(text.replace(",", "."))


_Make: TypeAlias = Callable[[re.Match[str]], FailureFact]
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str], _Make], ...] = (
    (
        ("Malloc",),
        re.compile(
            r"allocating (?P<mib>[\d.,]+) MiB on device (?P<gpu>\d+): (?P<kind>cuda|hip|musa)Malloc\w* failed: .*memory"
        ),
        lambda m: AllocationFailed(
            f"{ {'cuda': 'CUDA', 'hip': 'ROCm', 'musa': 'MUSA'}[m['kind']] }{m['gpu']}", _number(m["mib"])
        ),
    ),
    (
        ("failed to allocate ",),
        re.compile(r"failed to allocate (?P<device>[^\s(]+) buffer of size (?P<bytes>\d+)"),
        lambda m: AllocationFailed(m["device"], int(m["bytes"]) / _MIB),
    ),
    (
        ("allocation of size",),
        re.compile(r"ggml_(?P<kind>vulkan|sycl): Device memory allocation of size (?P<bytes>\d+) failed"),
        lambda m: AllocationFailed(None, int(m["bytes"]) / _MIB),
    ),
    (
        ("OutOfDeviceMemory",),
        re.compile(r"(?:ErrorOutOfDeviceMemory|OutOfDeviceMemoryError)"),
        lambda _: AllocationFailed(None, None),
    ),
    (
        ("insufficient memory",),
        re.compile(r"ggml_aligned_malloc: insufficient memory(?: \(attempted to allocate +(?P<mib>[\d.]+) MB)?"),
        lambda m: AllocationFailed("CPU", float(m["mib"]) if m["mib"] else None),
    ),
    (
        (" error", " ERROR"),
        re.compile(r"(?:CUDA|ROCm|HIP|MUSA|cuBLAS) error(?: \d+)?(?: at [^:]+:\d+)?: (?P<reason>\S.*)", re.IGNORECASE),
        lambda m: GpuErrorSaid(m["reason"]),
    ),
    (
        ("current device",),
        re.compile(r"current device: (?P<gpu>-?\d+)(?:, in function (?P<function>\S+))?"),
        lambda m: GpuErrorPlace(int(m["gpu"]), m["function"] or ""),
    ),
    (
        ("GGML_ASSERT: ",),
        re.compile(r"GGML_ASSERT: (?P<file>\S+?):\d+: (?P<text>.+)"),
        lambda m: Aborted(_base(m["file"]), m["text"].strip('!"')),
    ),
    (
        (".c", ".h", ".m"),
        re.compile(
            r"(?:^|\s)(?P<file>(?:[A-Za-z]:)?[^\s:]+\.(?:c|cc|cpp|cu|cuh|h|hpp|m|mm))"
            r":\d+: (?P<text>\S.*)"
        ),
        lambda m: Aborted(_base(m["file"]), m["text"]),
    ),
    (
        ("(", "#"),
        re.compile(r"^(?:\S*lib[\w.+-]+\.so[\w.]*\((?P<one>\w+)\+0x|#\d+ +(?:0x[0-9a-f]+ in +)?(?P<two>[\w:~]+) ?\()"),
        lambda m: Frame(m["one"] or m["two"]),
    ),
)


def _base(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
