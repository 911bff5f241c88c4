"""A bridge without a core: the contract's signals, a real catalog behind them, and a record of what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import QObject, Signal

from tests.gui.outlook_kit import KitOutlooks
from variet_gui.catalog.parameters import ParameterError
from variet_gui.catalog.store import CatalogChangedOutside, CatalogStore
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.found import FoundServer
from variet_gui.events import (
    CatalogChanged,
    CatalogFileChanged,
    EventStream,
    Failure,
    GpusSampled,
    NoticeRaised,
    ParameterValue,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import Message
from variet_gui.panel.tune import Tune


class FakeRun:
    """What the window reads of `panel.run`."""

    def __init__(self, bridge: FakeBridge) -> None:
        self._bridge = bridge
        self.engines: dict[str, SimpleNamespace] = {}

    def engine(self, role: str) -> SimpleNamespace:
        return self.engines.get(role, SimpleNamespace(binary=None, failure=None))

    def running_differences(self, role: str) -> tuple[str, ...]:
        values = self._bridge.status(role).values
        if values is None:
            return ()
        return self._bridge.panel.tune.draft(role).changed_keys(LaunchProfile(role, values))


@dataclass
class FakeStore:
    """What the window reads of `panel.watch.store`."""

    figures: dict[str, float] = field(default_factory=dict)

    def last(self, name: str) -> float | None:
        return self.figures.get(name)


class FakeBridge(QObject):
    """Edits and reverts are real (in memory); everything that would start or write something is only noted."""

    server_changed = Signal(object)
    log_appended = Signal(str, list)
    gpus_sampled = Signal(object)
    host_sampled = Signal(object)
    mark_added = Signal(object)
    catalog_changed = Signal()
    catalog_file_changed = Signal()
    draft_changed = Signal(str)
    notice_raised = Signal(object)
    answer_changed = Signal(str, str)
    outlook_changed = Signal(object, object)
    switch_offered = Signal(object)
    switching = Signal(str, object)

    def __init__(
        self, catalog: Path, models_dir: Path, parent: QObject | None = None, data_dir: Path | None = None
    ) -> None:
        super().__init__(parent)
        self.asked: list[tuple[Any, ...]] = []
        self.really_saves = False
        self.found: tuple[FoundServer, ...] = ()
        self.staying: tuple[str, ...] = ()
        self._calling = False
        self._heard: list[object] = []
        self._statuses: dict[str, ServerStatus] = {}
        self._gpus: GpusSampled | None = None
        events = EventStream()
        events.subscribe(self._receive)
        tune = Tune(CatalogStore(catalog, catalog), models_dir, events, data_dir)
        asyncio.run(tune.load())
        self.panel = SimpleNamespace(
            tune=tune,
            run=FakeRun(self),
            watch=SimpleNamespace(store=FakeStore(), gpus=None),
            outlook=KitOutlooks(tune),
            options=None,
            staying=lambda: self.staying,
        )

    # what tests do to it

    def show(self, status: ServerStatus) -> None:
        """Let a server change its state."""
        self._statuses[status.role] = status
        self.server_changed.emit(status)

    def sample(self, sampled: GpusSampled) -> None:
        """Let the GPU sampler speak."""
        self._gpus = sampled
        self.panel.outlook.sight = replace(self.panel.outlook.sight, gpus=sampled)
        self.gpus_sampled.emit(sampled)

    def _receive(self, event: object) -> None:
        # The real bridge hears of events in the window's thread, outside of the coroutine that published them.
        if self._calling:
            self._heard.append(event)
        else:
            self._announce(event)

    def _announce(self, event: object) -> None:
        if isinstance(event, CatalogFileChanged):
            self.catalog_file_changed.emit()
        elif self.really_saves and isinstance(event, CatalogChanged):
            if event.role is None:
                self.catalog_changed.emit()
            else:
                self.draft_changed.emit(event.role)

    # what the window calls

    def status(self, role: str) -> ServerStatus:
        return self._statuses.get(role) or ServerStatus(role)

    def gpus(self) -> GpusSampled | None:
        return self._gpus

    def call(
        self,
        coroutine: Coroutine[Any, Any, Any],
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._calling = True
        try:
            result = asyncio.run(coroutine)
        except Exception as error:  # noqa: BLE001 - whatever a call raises is its caller's, as with the real bridge
            self._hear()
            (failed or self.show_error)(error)
            return
        self._hear()
        if done is not None:
            done(result)

    def _hear(self) -> None:
        self._calling = False
        while self._heard:
            self._announce(self._heard.pop(0))

    def edit(self, role: str, key: str, value: ParameterValue | None, gesture: object | None = None) -> Message | None:
        try:
            self.panel.tune.edit(role, key, value, gesture)
        except ParameterError as error:
            return error.message
        self.draft_changed.emit(role)
        return None

    def revert(self, role: str, key: str | None = None) -> None:
        self.panel.tune.revert(role, key)
        self.draft_changed.emit(role)

    def undo(self, role: str) -> None:
        if self.panel.tune.undo(role):
            self.draft_changed.emit(role)

    def redo(self, role: str) -> None:
        if self.panel.tune.redo(role):
            self.draft_changed.emit(role)

    def announce_draft(self, role: str) -> None:
        self.draft_changed.emit(role)

    def find_engines(self) -> None:
        self.asked.append(("find_engines",))

    def notify(self, severity: Severity, text: Message, details: str = "") -> None:
        self.notice_raised.emit(NoticeRaised(severity, text, details))

    def show_error(self, error: BaseException) -> None:
        told = getattr(error, "message", None)
        self.notify(Severity.ERROR, told if isinstance(told, Message) else Message(repr(error)))

    def show_save_error(self, error: BaseException) -> None:
        if isinstance(error, CatalogChangedOutside) and self.panel.tune.outside.change is not None:
            self.catalog_file_changed.emit()
        else:
            self.show_error(error)

    def start(self, role: str) -> None:
        self.asked.append(("start", role))

    def start_with_present_gpus(self, role: str) -> None:
        self.asked.append(("start_with_present_gpus", role))

    def start_on_cpu(self, role: str) -> None:
        self.asked.append(("start_on_cpu", role))

    def start_anyway(self, role: str) -> None:
        self.asked.append(("start_anyway", role))

    def stop_first(self, role: str) -> None:
        self.asked.append(("stop_first", role))

    def switch(self, role: str, stopping: Iterable[str]) -> None:
        self.asked.append(("switch", role, tuple(stopping)))

    def save_evidence(self, role: str) -> None:
        self.asked.append(("save_evidence", role))

    def look_elsewhere(self, done: Callable[[tuple[FoundServer, ...]], None]) -> None:
        self.asked.append(("look_elsewhere",))
        done(self.found)

    def end_found(self, pid: int, done: Callable[[], None] | None = None) -> None:
        self.asked.append(("end_found", pid))
        self.found = tuple(one for one in self.found if one.pid != pid)
        if done is not None:
            done()

    def stop(self, role: str) -> None:
        self.asked.append(("stop", role))

    def restart(self, role: str) -> None:
        self.asked.append(("restart", role))

    def stop_all(self) -> None:
        self.asked.append(("stop_all",))

    def save(self, role: str, note: str | None = None) -> None:
        self.asked.append(("save", role) if note is None else ("save", role, note))
        if self.really_saves:
            self.call(self.panel.tune.save(role, note), failed=self.show_save_error)

    def save_and_restart(self, role: str) -> None:
        self.asked.append(("save_and_restart", role))

    def reload_catalog(self) -> None:
        self.asked.append(("reload_catalog",))


def no_engine(text: Message) -> SimpleNamespace:
    """Return what `panel.run.engine` gives when there is no llama-server."""
    return SimpleNamespace(binary=None, failure=Failure("no_engine", text))
