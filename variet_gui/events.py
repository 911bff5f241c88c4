"""What can happen: frozen events and one stream of them for window, terminal and tests.

Producers publish and do not know who listens. Everything here is a plain value: no service, no widget. The types that
events carry are in `event_values`, and can be had from here too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from variet_gui.event_values import (
    Certainty,
    DeviceBuffers,
    Failure,
    Fix,
    GpuProcess,
    GpuSample,
    HostSample,
    ParameterValue,
    ServerState,
    ServerStatus,
    Severity,
    Timings,
)
from variet_gui.i18n import Message

__all__ = [
    "AnswerChanged",
    "AnswerTimed",
    "CatalogChanged",
    "CatalogFileChanged",
    "Certainty",
    "DeviceBuffers",
    "Event",
    "EventStream",
    "Failure",
    "Fix",
    "GpuProcess",
    "GpuSample",
    "GpusSampled",
    "HostSample",
    "HostSampled",
    "LogAppended",
    "MarkAdded",
    "MarkKind",
    "NoticeRaised",
    "OutlookChanged",
    "ParameterValue",
    "PictureRead",
    "ServerState",
    "ServerStateChanged",
    "ServerStatus",
    "Severity",
    "SpeedSampled",
    "Timings",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerStateChanged:
    """A server changed its state, its progress, or learned something about itself."""

    status: ServerStatus
    previous: ServerState


@dataclass(frozen=True, slots=True)
class LogAppended:
    """New lines of a server's own log, oldest first, without line ends."""

    role: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GpusSampled:
    """One round of the GPU sampler. A `problem` without samples: no driver, and why; with samples: one card is lost."""

    at: float
    samples: tuple[GpuSample, ...]
    driver: str | None = None
    problem: Message | None = None


@dataclass(frozen=True, slots=True)
class HostSampled:
    """One round of the host sampler."""

    at: float
    sample: HostSample


@dataclass(frozen=True, slots=True)
class SpeedSampled:
    """Tokens per second of one server at one moment. None: unknown, drawn as a gap, never as 0."""

    at: float
    role: str
    generation_tps: float | None
    prefill_tps: float | None


class MarkKind(Enum):
    """What a mark on the time axis stands for."""

    START = "start"
    READY = "ready"
    STOP = "stop"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class MarkAdded:
    """Something worth a line on the plots."""

    at: float
    kind: MarkKind
    role: str
    text: Message


@dataclass(frozen=True, slots=True)
class CatalogChanged:
    """The tiers were loaded, saved, or edited (a draft changed). `role` None: all of them."""

    role: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogFileChanged:
    """Another program wrote the catalog file. Nothing was taken over; `panel.tune.outside` offers what can be done."""

    text: Message
    """What happened, in one sentence."""
    roles: tuple[str, ...] = ()
    """The tiers that are not what they were."""
    conflicts: int = 0
    """Settings that were changed there and are being edited here."""
    usable: bool = True
    """Whether the new file is a catalog that this program reads."""


@dataclass(frozen=True, slots=True)
class NoticeRaised:
    """Something to tell the operator quietly. `details` is for the log dialog: a traceback, a path."""

    severity: Severity
    text: Message
    details: str = ""
    role: str | None = None
    """The tier that `fixes` are for."""
    fixes: tuple[Fix, ...] = ()
    """Next steps that can be pressed, best first."""


@dataclass(frozen=True, slots=True)
class OutlookChanged:
    """A forecast may say something else: a model's header was read, a start has taught. `role` None: any tier's."""

    role: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerChanged:
    """An answer grew, finished, failed or was stopped. The conversation itself holds the text."""

    conversation_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class AnswerTimed:
    """An answer came to its own end, and the server has said how long it took."""

    role: str
    timings: Timings


@dataclass(frozen=True, slots=True)
class PictureRead:
    """A server has read a picture; its log says how long that took, encoding and decoding together."""

    role: str
    milliseconds: float


Event: TypeAlias = (
    ServerStateChanged
    | LogAppended
    | GpusSampled
    | HostSampled
    | SpeedSampled
    | MarkAdded
    | CatalogChanged
    | CatalogFileChanged
    | NoticeRaised
    | OutlookChanged
    | AnswerChanged
    | AnswerTimed
    | PictureRead
)


class EventStream:
    """Hands every published event to every subscriber, in order, on the publisher's thread (the core's)."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, receive: Callable[[Event], None]) -> Callable[[], None]:
        """Call `receive` for every event from now on; the returned function ends that."""
        self._subscribers.append(receive)

        def unsubscribe() -> None:
            if receive in self._subscribers:
                self._subscribers.remove(receive)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Hand `event` to all subscribers. One that raises is logged and does not keep it from the others."""
        for receive in tuple(self._subscribers):
            try:
                receive(event)
            except Exception:
                log.exception("a subscriber failed on %s", type(event).__name__)
