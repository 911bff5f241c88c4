"""Failures of memory and of GPUs, read from facts and from what the server was doing, not from one line's wording.

Where a buffer could not be had, what it was for shows in what follows, in the backtrace, or in the phase of the load.
Where CUDA gave up and the reason did not reach the log (see `failure_lines`), only the circumstances tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from variet_gui.engine import diagnosis_texts as texts
from variet_gui.engine.circumstances import Circumstances
from variet_gui.engine.diagnosis_story import Phase, Story
from variet_gui.engine.failure_lines import Aborted, AllocationFailed, GpuErrorPlace, GpuErrorSaid, device_text
from variet_gui.events import Certainty
from variet_gui.i18n import Message

F = TypeVar("F", GpuErrorSaid, GpuErrorPlace)

_AHEAD = 40
"""Lines behind a failed allocation that may tell what it was for."""
_TIGHT_MIB = 1024.0
"""By its own account so little was left; what it does not count (a CUDA context, cuBLAS) takes half of it."""
_RETRIED = "retrying without pipeline parallelism"
_BACK_ENDS = "CUDA|ROCm|HIP|MUSA"
_UNSAID = re.compile(rf"[!\"]*(?:{_BACK_ENDS}) error\"?")
_NO_BUFFER = re.compile(
    r"GGML_ASSERT\(\(?(?:[\w.>\[\]-]*\b(?:buffer|buf|bufs)(?:\[\w+\])?|[\w.>-]*mem_buffer)"
    r" *(?:!= *(?:NULL|nullptr|0))?\)"
)
"""An assertion that a buffer is there: it is what a failed allocation looks like where nobody checks for it."""
_OWN_MEMORY = re.compile(
    r"std::bad_alloc|mmap failed: Cannot allocate memory|failed to allocate (?:CPU\w*|\w+_Host) buffer"
    r"|cpu_buffer_type_alloc_buffer: failed to allocate|Cannot allocate memory|not enough memory|insufficient memory"
    r"|GGML_ASSERT\(ctx->mem_buffer != NULL\)|bad allocation",
)

_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"out of memory|allocation failed|ALLOC_FAILED|NOT_INITIALIZED|library was not initialized"), "memory"),
    (
        re.compile(
            r"no kernel image|unsupported toolchain|kernel image is invalid|invalid device function|ARCH_MISMATCH"
            r"|not compiled for|architecture feature"
        ),
        "engine_wrong_gpu",
    ),
    (
        re.compile(r"driver version is insufficient|forward compatibility|driver is a stub|unsupported display driver"),
        "driver_too_old",
    ),
    (
        re.compile(
            r"ECC|fallen off|[Dd]evice.?[Ll]ost|DEVICE_LOST|driver shutting down|no CUDA-capable device|GPU is lost"
            r"|busy or unavailable|unknown error|not yet initialized|[Xx]id|reset|[Uu]ncorrectable|NVLink"
            r"|hardware stack"
        ),
        "gpu_lost",
    ),
)
"""What a back end's own words mean; anything else is a fault while calculating. The names of `cudaError` in words."""

_WANTED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"failed to load draft model"), "draft"),
    (re.compile(r"unable to allocate \S+ buffer|unable to allocate backend buffer"), "weights"),
    (re.compile(r"rs cache|recurrent"), "recurrent"),
    (re.compile(r"kv cache|kv_cache_init|self-attention cache"), "context"),
    (re.compile(r"compute (?:pp |tg )?buffers"), "compute"),
    (re.compile(r"clip|mtmd|multimodal|mmproj"), "projector"),
)
_BY_PHASE: Mapping[Phase, str] = {
    Phase.OPENING: "projector",
    Phase.PROJECTOR: "projector",
    Phase.WEIGHTS: "weights",
    Phase.CONTEXT: "context",
    Phase.COMPUTE: "compute",
    Phase.WARM_UP: "warm_up",
    Phase.PICTURE: "picture",
}
WHAT: Mapping[str, Message] = {
    "draft": texts.DRAFT,
    "weights": texts.WEIGHTS,
    "recurrent": texts.RECURRENT,
    "context": texts.CONTEXT,
    "compute": texts.COMPUTE,
    "projector": texts.PROJECTOR,
    "warm_up": texts.WARM_UP,
    "picture": texts.PICTURE,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A cause, with what fills its text and the lines that prove it."""

    cause: str
    index: int
    """Of the line that tells most."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    certainty: Certainty = Certainty.CERTAIN
    also: tuple[int, ...] = ()
    """Lines that belong to it."""
    device: str | None = None
    part: str | None = None


def memory_or_gpu(story: Story, index: int, circumstances: Circumstances) -> Found | None:
    """Return what the line at `index` tells of memory or of a GPU's failure, with what its neighbours add; or None."""
    fact = story.failure(index)
    if isinstance(fact, AllocationFailed):
        return _host(story, index) if fact.on_host else _allocation(story, index, Certainty.CERTAIN)
    if isinstance(fact, Aborted) and _NO_BUFFER.search(fact.text):
        return _no_buffer(story, index, fact)
    if isinstance(fact, GpuErrorSaid):
        return _gpu_error(story, index, fact)
    if isinstance(fact, Aborted) and _UNSAID.match(fact.text):
        said = _first(story, index, GpuErrorSaid)
        return _unsaid(story, index, circumstances) if said is None else _gpu_error(story, *said)
    return _host(story, index) if _OWN_MEMORY.search(story.lines[index].text) else None


def _host(story: Story, index: int) -> Found | None:
    if _device_allocation(story, index) is not None:
        return None  # a worker or a card ran out; what follows on the host is its echo
    part = _part(story, index)
    return Found("out_of_host_memory", index, certainty=Certainty.CERTAIN, part=part)


def _no_buffer(story: Story, index: int, fact: Aborted) -> Found | None:
    if "mem_buffer" in fact.text:
        return _host(story, index)
    allocation = _device_allocation(story, index)
    if allocation is not None:
        found = _allocation(story, allocation, Certainty.CERTAIN)
        return found if found is None or index in found.also else _also(found, index)
    if any(_is_host(story, near) for near in story.near(index)):
        return _host(story, index)
    return _allocation(story, index, Certainty.LIKELY)


def _allocation(story: Story, index: int, certainty: Certainty) -> Found | None:
    """Return the failure of the allocation at `index`, unless the server helped itself."""
    following = [line.text for line in story.lines[index + 1 : index + 1 + _AHEAD]]
    helped = next((n for n, text in enumerate(following) if _RETRIED in text), None)
    if helped is not None and helped < 4:
        return None
    if story.ready_at is not None and story.ready_at > index:
        return None
    facts = [fact for near in story.near(index) if isinstance(fact := story.failure(near), AllocationFailed)]
    own = story.failure(index)
    mib = own.mib if isinstance(own, AllocationFailed) else None
    # The line with the device's name and the line with the size are not the same in all back ends.
    device = next((fact.device for fact in (own, *facts) if isinstance(fact, AllocationFailed) and fact.device), None)
    mib = mib if mib is not None else next((fact.mib for fact in facts if fact.mib is not None), None)
    also = tuple(
        n for n in story.near(index) if n != index and isinstance(story.failure(n), AllocationFailed | Aborted)
    )
    return _no_room(story, index, device, mib, certainty, also)


def _no_room(
    story: Story, index: int, device: str | None, mib: float | None, certainty: Certainty, also: tuple[int, ...]
) -> Found:
    part = _part(story, index)
    parameters: dict[str, object] = {
        "device": texts.A_GPU if device is None else device_text(device),
        "what": texts.SOMETHING if part is None else WHAT[part],
    }
    if mib is not None:
        parameters["mib"] = f"{mib:.0f}"
    if story.phases[index].is_load:
        return Found("out_of_gpu_memory", index, parameters, certainty, also, device, part)
    cause = "out_of_gpu_memory_at_picture" if part in ("picture", "projector") else "out_of_gpu_memory_while_working"
    return Found(cause, index, parameters, certainty, also, device, "picture" if "picture" in cause else part)


def _part(story: Story, index: int) -> str | None:
    """Return what the memory was wanted for: as what follows says, by the backtrace, or by what it was doing."""
    if story.phases[index].is_load:
        following = [line.text for line in story.lines[index + 1 : index + 1 + _AHEAD]]
        for pattern, part in _WANTED:
            if any(pattern.search(text) for text in following):
                return part
        if story.in_projector:
            return "projector"
    elif story.in_projector:
        return "picture"
    if story.phases[index] is Phase.OPENING and not story.free_mib:
        return None  # a log that is not detailed: everything happens in this phase
    return _BY_PHASE.get(story.phases[index])


def _gpu_error(story: Story, index: int, said: GpuErrorSaid) -> Found:
    reason = said.reason.strip()
    kind = next((kind for pattern, kind in _KINDS if pattern.search(reason)), "gpu_fault")
    place = _first(story, index, GpuErrorPlace)
    number = said.device if place is None else place[1].device
    device = None if number is None or number < 0 else f"CUDA{number}"
    near = [n for n in story.near(index) if isinstance(story.failure(n), GpuErrorSaid | GpuErrorPlace | Aborted)]
    also = tuple(n for n in near if n != index)
    if kind == "memory":
        certainty = Certainty.LIKELY if re.search(r"INITIALIZED|not initialized", reason) else Certainty.CERTAIN
        return _no_room(story, index, device, None, certainty, also)
    parameters = {"device": texts.A_GPU if device is None else device_text(device), "reason": reason.rstrip(".")}
    vague = kind == "gpu_lost" and re.search(r"unknown error|busy|initialized|reset", reason)
    return Found(kind, index, parameters, Certainty.LIKELY if vague else Certainty.CERTAIN, also, device)


def _unsaid(story: Story, index: int, circumstances: Circumstances) -> Found:
    """CUDA gave up, and its reason is lost."""
    last = tuple(range(max(0, index - 2), index))
    full = circumstances.full_gpus or tuple(name for name, mib in story.spare_mib().items() if mib < _TIGHT_MIB)
    if full:
        return _no_room(story, index, full[0], None, Certainty.LIKELY, last)
    return Found("gpu_error_unsaid", index, {}, Certainty.GUESS, last)


def _device_allocation(story: Story, index: int) -> int | None:
    for near in story.near(index):
        fact = story.failure(near)
        if isinstance(fact, AllocationFailed) and not fact.on_host and fact.device is not None:
            return near
    return None


def _is_host(story: Story, index: int) -> bool:
    fact = story.failure(index)
    return isinstance(fact, AllocationFailed) and fact.on_host


def _first(story: Story, index: int, kind: type[F]) -> tuple[int, F] | None:
    for near in sorted(story.near(index), key=lambda n: (n < index, abs(n - index))):
        fact = story.failure(near)
        if isinstance(fact, kind):
            return near, fact
    return None


def _also(found: Found, index: int) -> Found:
    return Found(
        found.cause, found.index, found.parameters, found.certainty, (index, *found.also), found.device, found.part
    )
