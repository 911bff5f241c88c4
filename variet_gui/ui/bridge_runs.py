"""The bridge's part for servers: start, stop and switch tiers, keep evidence, end what runs outside of the panel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal

from variet_gui.engine.found import FoundServer
from variet_gui.engine.launch import StartFailed
from variet_gui.events import Fix, NoticeRaised, Severity
from variet_gui.i18n import msg
from variet_gui.panel import switching
from variet_gui.panel.panel import Panel
from variet_gui.panel.switching import SwitchPlan
from variet_gui.ui.core_calls import CoreCalls

OPEN_FOLDER = "open_folder"
"""The action of a fix that shows a folder; its path follows after a colon."""


class RunCalls(CoreCalls):
    """What an operator does to servers. Lives in the GUI thread."""

    switch_offered = Signal(object)
    """A start was not tried: the `SwitchPlan` says what could be done."""
    switching = Signal(str, object)
    """(role, the tiers that are being stopped for it): empty when they have, or when that failed."""

    panel: Panel

    def start(self, role: str) -> None:
        """Start the tier with what the sliders show; where it does not fit beside others, `switch_offered` follows."""
        self._begin(role, self.panel.run.start(role, ask=True))

    def start_anyway(self, role: str) -> None:
        """Start the tier beside whatever runs, as the operator chose in so many words."""
        self._begin(role, self.panel.run.start(role))

    def stop_first(self, role: str) -> None:
        """Stop the tiers that the tier does not fit beside, and start it then."""
        self._plan(role, lambda plan: self.switch(role, plan.stopping))

    def switch(self, role: str, stopping: Iterable[str]) -> None:
        """Stop the tiers `stopping`, and start `role` once their memory is free."""
        others = tuple(stopping)
        self.switching.emit(role, others)

        def failed(error: BaseException) -> None:
            self.switching.emit(role, ())
            self._start_failed(role, error)

        self.call(self.panel.run.switch(role, others), done=lambda _: self.switching.emit(role, ()), failed=failed)

    def start_on_cpu(self, role: str) -> None:
        """Start the tier on the embedded engine, as the operator chose in so many words."""
        self.panel.run.allow_cpu(role)
        self.start(role)

    def start_with_present_gpus(self, role: str) -> None:
        """Start the tier with fewer GPUs than it expects, as the operator chose, this once."""
        self._begin(role, self.panel.run.start(role, fewer_gpus_will_do=True))

    def stop(self, role: str) -> None:
        """Stop the tier, cancel its start, or give up starting it again."""
        self.call(self.panel.run.stop(role))

    def restart(self, role: str) -> None:
        """Stop the tier and start it with what the sliders show."""
        self._begin(role, self.panel.run.restart(role, ask=True))

    def stop_all(self) -> None:
        """Stop every tier."""
        self.call(self.panel.run.stop_all())

    # ------------------------------------------------------------------------------------------------- evidence

    def save_evidence(self, role: str) -> None:
        """Write down what is known of the tier's server, and say where."""

        def saved(path: Path) -> None:
            text = msg("What is known of {role} was written to {file}.", role=role, file=path)
            folder = Fix(msg("Open folder"), action=f"{OPEN_FOLDER}:{path.parent}")
            self.notice_raised.emit(NoticeRaised(Severity.INFO, text, role=role, fixes=(folder,)))

        self.call(self.panel.save_evidence(role), done=saved)

    # ------------------------------------------------------------------------------------------------ elsewhere

    def look_elsewhere(self, done: Callable[[tuple[FoundServer, ...]], None]) -> None:
        """Look for model servers that are not this panel's."""
        self.call(self.panel.recovery.look(), done=done)

    def end_found(self, pid: int, done: Callable[[], None] | None = None) -> None:
        """End a server that was found, as the operator chose in so many words; `done` follows, whatever came of it."""

        def ended(was_there: bool) -> None:
            text = msg("Process {pid} was ended.", pid=pid) if was_there else msg("Process {pid} is gone.", pid=pid)
            self.notice_raised.emit(NoticeRaised(Severity.INFO, text))
            if done is not None:
                done()

        def failed(error: BaseException) -> None:
            if isinstance(error, PermissionError):
                text = msg(
                    "Process {pid} belongs to another user of this computer: only they, or an administrator, can end "
                    "it.",
                    pid=pid,
                )
                self.notice_raised.emit(NoticeRaised(Severity.WARNING, text))
            else:
                self.show_error(error)
            if done is not None:
                done()

        self.call(self.panel.recovery.end(pid), done=ended, failed=failed)

    # -------------------------------------------------------------------------------------------------- results

    def _begin(self, role: str, start: Coroutine[Any, Any, None]) -> None:
        self.call(start, failed=lambda error: self._start_failed(role, error))

    def _start_failed(self, role: str, error: BaseException) -> None:
        # The tier's card tells a failed start; anything else is news.
        if not isinstance(error, StartFailed):
            self.show_error(error)
        elif error.failure.code == switching.DOES_NOT_FIT:
            self._plan(role, self._offer)

    def _offer(self, plan: SwitchPlan) -> None:
        if plan.stopping:
            self.switch_offered.emit(plan)

    def _plan(self, role: str, then: Callable[[SwitchPlan], None]) -> None:
        panel = self.panel
        self.call(asyncio.to_thread(switching.plan, panel.outlook, panel.tune, panel.run.load_times, role), done=then)
