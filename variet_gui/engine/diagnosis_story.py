"""What a server was doing line by line: the phases of a load and of a request, read from its log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cached_property

from variet_gui.engine import log_facts as facts
from variet_gui.engine.failure_lines import Aborted, FailureFact, Frame, failure_fact
from variet_gui.engine.load_report import LoadReport, is_gpu
from variet_gui.engine.log_parser import LogLine, parse, split_line
from variet_gui.i18n import Message, msg

_NEAR, _BEHIND_AN_ABORT = 8, 60
"""So far apart stand lines of one event. An abort is written past the log's own thread, which may be lines behind."""


_SUSPECTS = 400
"""So many lines are held against all rules, which takes a millisecond each."""

TELLING = re.compile(
    r"error|fail|unable|abort|assert|invalid|unknown|illegal|not (?:found|within|supported|implemented|compatible)"
    r"|cannot|can't|couldn't|exceed|denied|missing|mismatch|lost|refus|does ?n[o']t|unsupported|require|needs|no longer"
    r"|terminate|what\(\)|shared librar|is assigned to|malformed|space left|allocat|only supports|wrong|incompat"
    r"|memory|running out|unauthorized|not a |too (?:large|big|long)|crash|kill",
    re.IGNORECASE,
)
"""A line without any of these tells of no failure; most of a log is passed over by it."""


class Phase(Enum):
    """What a server is doing."""

    ARGUMENTS = "arguments"
    OPENING = "opening"
    """The model is named, and nothing of it is read yet; b11434 measures the projector here."""
    TRIAL = "trial"
    """--fit tries the settings without allocating anything."""
    WEIGHTS = "weights"
    CONTEXT = "context"
    COMPUTE = "compute"
    WARM_UP = "warm_up"
    PROJECTOR = "projector"
    READY = "ready"
    PROMPT = "prompt"
    PICTURE = "picture"
    GENERATION = "generation"

    @property
    def is_work(self) -> bool:
        """Whether a request is under way."""
        return self in (Phase.PROMPT, Phase.PICTURE, Phase.GENERATION)

    @property
    def is_load(self) -> bool:
        """Whether the server is not up yet, or loads again."""
        return not self.is_work and self is not Phase.READY


PHASES: Mapping[Phase, Message] = {
    Phase.ARGUMENTS: msg("it was reading its command line"),
    Phase.OPENING: msg("it was opening the model"),
    Phase.TRIAL: msg("it was looking whether the model fits"),
    Phase.WEIGHTS: msg("it was loading the weights"),
    Phase.CONTEXT: msg("it was making the context"),
    Phase.COMPUTE: msg("it was making the compute buffers"),
    Phase.WARM_UP: msg("it was making its first calculation"),
    Phase.PROJECTOR: msg("it was loading the projector"),
    Phase.READY: msg("it was ready"),
    Phase.PROMPT: msg("it was reading a prompt"),
    Phase.PICTURE: msg("it was looking at a picture"),
    Phase.GENERATION: msg("it was writing an answer"),
}
_NEEDLES: tuple[tuple[re.Pattern[str], Phase], ...] = (
    (re.compile(r"llama_model_loader: |getting device memory data|fitting params to"), Phase.TRIAL),
    (re.compile(r"loading model tensors|llm_load_tensors:|load_tensors: "), Phase.WEIGHTS),
    (re.compile(r"llama_kv_cache|llama_memory_recurrent|llama_new_context_with_model: n_ctx"), Phase.CONTEXT),
    (re.compile(r"compute buffer size|pipeline parallelism enabled"), Phase.COMPUTE),
    (re.compile(r"warming up the model"), Phase.WARM_UP),
    (re.compile(r"load_hparams: |clip_model_load|clip_ctx: |\bwarmup: |_compute_meta: "), Phase.PROJECTOR),
    (re.compile(r"new prompt, n_ctx_slot|launch_slot_.*processing task"), Phase.PROMPT),
    (re.compile(r"encode_image|process_chunk|processing image"), Phase.PICTURE),
    (re.compile(r"all slots are idle|stop processing: n_tokens"), Phase.READY),
)
"""Lines that are no facts of their own, in builds old and new."""


class Story:
    """A log, read once: its lines without decoration, the phase at each, and what a load amounted to."""

    def __init__(self, lines: Sequence[str], *, was_ready: bool) -> None:
        """Read `lines`; with `was_ready` the server had been up, whether its log begins before that or after."""
        self.lines: list[LogLine] = [split_line(line) for line in lines]
        self.report = LoadReport()
        self.phases: list[Phase] = []
        self.ready_at: int | None = None
        """Index of the newest line that says it is up; None where none does."""
        self.free_mib: dict[str, float] = {}
        """What was free on each device when the server looked, by llama.cpp's name; it says so before it allocates."""
        self._failures: dict[int, FailureFact | None] = {}
        begins = any("loading model '" in line or "listening on " in line for line in lines)
        phase = Phase.READY if was_ready and not begins else Phase.ARGUMENTS
        for index, line in enumerate(lines):
            fact = parse(line)
            if fact is not None:
                self.report.add(fact)
            if isinstance(fact, facts.DeviceListed | facts.DeviceUsed):
                self.free_mib[fact.name] = fact.free_mib
            phase = self._next(phase, fact, self.lines[index])
            if isinstance(fact, facts.Listening):
                self.ready_at = index
            self.phases.append(phase)

    def _next(self, phase: Phase, fact: facts.Fact | None, line: LogLine) -> Phase:
        match fact:
            case facts.ErrorSaid():
                return phase  # it tells of what was being done, and begins nothing
            case facts.ModelLoading():
                return Phase.OPENING
            case facts.LoadBegun(real):
                return Phase.WEIGHTS if real else Phase.TRIAL
            case facts.ContextBegun():
                return Phase.CONTEXT
            case facts.ReserveBegun():
                return Phase.COMPUTE if not phase.is_work else phase
            case facts.ProjectorBegun():
                return Phase.PROJECTOR
            case facts.Listening():
                return Phase.READY
            case facts.ImageEncodeBegun() | facts.ImageDecodeBegun():
                return Phase.PICTURE
            case facts.SpeedSaid(phase=facts.Phase.GENERATION):
                return Phase.GENERATION
            case _:
                return self._by_needle(phase, line)

    def _by_needle(self, phase: Phase, line: LogLine) -> Phase:
        working = phase.is_work or phase is Phase.READY
        for pattern, then in _NEEDLES:
            # While it works the same words tell of buffers that grow, not of a load.
            if not (working and then.is_load) and pattern.search(line.text):
                return then
        return phase

    def suspects(self, begin: int) -> list[int]:
        """Return the indices from `begin` on of lines that may tell why; of a flood the first and the last.

        Only what is not mere information can be a cause; lines without a level are raw prints or from older builds.
        """
        found = [
            index
            for index in range(begin, len(self.lines))
            if self.lines[index].level not in ("I", "D", "T") and TELLING.search(self.lines[index].text)
        ]
        return found if len(found) <= _SUSPECTS else [*found[: _SUSPECTS // 2], *found[-_SUSPECTS // 2 :]]

    def failure(self, index: int) -> FailureFact | None:
        """Return what the line at `index` says of a failure."""
        if index not in self._failures:
            self._failures[index] = failure_fact(self.lines[index].text)
        return self._failures[index]

    def near(self, index: int) -> range:
        """Return the indices of the lines that may tell of the same event as the one at `index`."""
        ahead = _BEHIND_AN_ABORT if isinstance(self.failure(index), Aborted) else _NEAR
        return range(max(0, index - _NEAR), min(len(self.lines), index + ahead + 1))

    def spare_mib(self) -> dict[str, float]:
        """Return what its own lines leave free on each GPU, by what was free before less what it allocated."""
        held = {part.device: part.total_mib for part in self.report.buffers}
        return {
            name: free - held.get(name, 0.0)
            for name, free in self.free_mib.items()
            if is_gpu(name) and name in self._used
        }

    @property
    def _used(self) -> frozenset[str]:
        used = frozenset(device.name for device in self.report.devices)
        return used or frozenset(self.free_mib)

    @property
    def end(self) -> Phase:
        """Return what it was doing last."""
        return self.phases[-1] if self.phases else Phase.ARGUMENTS

    @cached_property
    def backtrace(self) -> frozenset[str]:
        """Return the names of the functions of a backtrace, innermost and outermost alike."""
        found = (self.failure(index) for index in range(max(0, len(self.lines) - 300), len(self.lines)))
        return frozenset(fact.symbol for fact in found if isinstance(fact, Frame))

    @property
    def in_projector(self) -> bool:
        """Whether the backtrace leads through the projector."""
        return any("clip_" in symbol or "mtmd_" in symbol for symbol in self.backtrace)
