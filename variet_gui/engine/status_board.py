"""What is known of one server, changed in one place and announced once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from variet_gui.client.api import Props
from variet_gui.engine.image_timer import ImageTimer
from variet_gui.engine.launch import Launch
from variet_gui.engine.log_parser import Fact, LoadProgress, LoadReport, ModelLoading
from variet_gui.events import (
    EventStream,
    Failure,
    MarkAdded,
    MarkKind,
    PictureRead,
    ServerState,
    ServerStateChanged,
    ServerStatus,
)
from variet_gui.i18n import Message, msg


class StatusBoard:
    """Holds the status of one role's server. Only the server's own life changes its state."""

    def __init__(self, role: str, events: EventStream, clock: Callable[[], float]) -> None:
        self.role = role
        self.status = ServerStatus(role, since=clock())
        self.report = LoadReport()
        """What its log said of the load: devices, layers, buffers."""
        self._events = events
        self._clock = clock
        self._pictures = ImageTimer()

    def change(self, state: ServerState, *, of: ServerStatus | None = None, **updates: Any) -> None:
        """The one place where the state changes; announced once, and only if something did change."""
        before = self.status
        since = before.since if state is before.state else self._clock()
        self.status = replace(of or before, state=state, since=since, **updates)
        if self.status != before:
            self._events.publish(ServerStateChanged(self.status, before.state))

    def note(self, **updates: Any) -> None:
        """Change what is known and leave the state as it is."""
        self.change(self.status.state, **updates)

    def spawning(self, launch: Launch) -> None:
        """A process of `launch` is about to be spawned, or taken over."""
        self.report, self._pictures = LoadReport(), ImageTimer()
        self.change(
            ServerState.STARTING,
            port=None if launch.url else launch.port,
            attached_to=launch.url,
            values=launch.values,
            argv=launch.command.argv,
            embedded=launch.binary.embedded,
            expected_load_s=launch.expected_load_s,
            adopted=launch.running is not None,
        )

    def spawned(self, pid: int) -> None:
        """The process runs."""
        self.change(ServerState.STARTING, pid=pid)
        if not self.status.adopted:
            self.mark(MarkKind.START, msg("{role} started", role=self.role))

    def loading(self) -> None:
        """It says that it loads."""
        if self.status.state is ServerState.STARTING:
            self.change(ServerState.LOADING)

    def ready(self, props: Props, seconds: float) -> None:
        """It answers, `seconds` after it was spawned."""
        adopted, attached = self.status.adopted, self.status.attached_to
        self.change(
            ServerState.READY,
            progress=None,
            vision=props.vision,
            context_size=props.context_size,
            slots=props.total_slots,
            model_path=props.model_path,
            build=props.build_info,
            load_seconds=None if adopted or attached else seconds,
        )
        if attached:
            text = msg("{role} is connected to {url}", role=self.role, url=attached)
        elif adopted:
            text = msg("{role} was running and is taken over", role=self.role)
        else:
            text = msg("{role} ready after {seconds} s", role=self.role, seconds=f"{seconds:.1f}")
        self.mark(MarkKind.READY, text)

    def learn(self, facts: Sequence[Fact]) -> None:
        """Take over what the log says of the load."""
        progress = self.status.progress
        for fact in facts:
            self.report.add(fact)
            picture_ms = self._pictures.add(fact)
            if picture_ms is not None:
                self._events.publish(PictureRead(self.role, picture_ms))
            if isinstance(fact, ModelLoading):
                self.loading()
            elif isinstance(fact, LoadProgress):
                progress = fact.fraction
        if self.status.state.is_coming_up:
            self.note(buffers=self.report.buffers, progress=progress)
        elif self.status.state.is_up:
            self.note(buffers=self.report.buffers)

    def finish(self, failure: Failure | None, *, kept: bool) -> None:
        """The last change of a life, and its mark if there was a process at all and it is gone."""
        last = self.status
        if failure is None:
            gone = ServerStatus(self.role, stop_seconds=last.stop_seconds, memory_back=last.memory_back)
            self.change(ServerState.STOPPED, of=gone)
        else:
            failed = ServerStatus(
                self.role,
                argv=last.argv,
                port=last.port,
                attached_to=last.attached_to,
                embedded=last.embedded,
                failure=failure,
            )
            self.change(ServerState.FAILED, of=failed)
        if last.pid is None or kept:
            return
        if failure is None:
            self.mark(MarkKind.STOP, msg("{role} stopped", role=self.role))
        else:
            self.mark(MarkKind.CRASH, failure.title)

    def mark(self, kind: MarkKind, text: Message) -> None:
        """Put a mark on the time axis."""
        self._events.publish(MarkAdded(self._clock(), kind, self.role, text))
