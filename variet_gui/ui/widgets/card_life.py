"""The part of a tier's card that comes and goes with its server's life: countdowns, marks, how a stop went."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.catalog.tiers import Tier
from variet_gui.events import ServerState, ServerStatus
from variet_gui.forecast.values import Verdict
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets import plain_text, tier_life
from variet_gui.ui.widgets.countdown import LoadCountdown
from variet_gui.ui.widgets.layout import column, label
from variet_gui.ui.widgets.mark_line import Mark, MarkLine
from variet_gui.ui.widgets.meter_bar import MeterBar
from variet_gui.ui.widgets.verdict_line import VerdictLine

TICK_MS = 1000
"""Of a countdown; nothing ticks while there is none."""
STOPPED_SHOWN_MS = 60_000
"""For how long a card says how the stop went. That memory is not free stays until the next start."""
_WORDS_PX = 240
"""Room for words on a card, for how many lines they need."""


class CardLife(QWidget):
    """Shows what it is handed, and counts down by itself. Hidden while there is nothing to say."""

    changed = Signal()
    """Its words are others than before."""

    def __init__(self, clock: Callable[[], float] = time.time, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._clock = clock
        self._tier: Tier | None = None
        self._status: ServerStatus | None = None
        self._waits_for: tuple[str, ...] = ()
        self.countdown = LoadCountdown()
        self.marks = {mark: MarkLine(mark) for mark in Mark}
        self.differs = VerdictLine()
        self.words = label("", "loading", wrap=True)
        self.bar = MeterBar("caution")
        self.stopped = label("", "faint", wrap=True)
        self._coming = QWidget()
        self._coming.setLayout(column(self.words, self.bar, spacing=4))
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(4)
        for part in (*self.marks.values(), self._coming, self.stopped, self.differs):
            box.addWidget(part)
            part.hide()
        self.hide()
        self.tick = QTimer(self)
        self.tick.setInterval(TICK_MS)
        self.tick.timeout.connect(self._count)
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.timeout.connect(self.show_all)

    def show_life(self, tier: Tier, status: ServerStatus) -> None:
        """Show what the server of `tier` is at."""
        self._tier, self._status = tier, status
        if status.state.is_active:
            self._waits_for = ()
        self.countdown.take(status)
        self.show_all()

    def wait_for(self, roles: Sequence[str]) -> None:
        """Say that the tier is started once these have stopped; until its own start is under way."""
        self._waits_for = tuple(roles)
        self.show_all()

    @property
    def is_waiting(self) -> bool:
        """Whether other tiers are stopped first."""
        return bool(self._waits_for)

    @property
    def is_coming(self) -> bool:
        """Whether a start is under way, or waits for others to stop."""
        return self._status is not None and (self._status.state.is_coming_up or self.is_waiting)

    def spoken(self) -> list[str]:
        """Return all that is shown, in words."""
        texts = [line.text() for line in (*self.marks.values(), self.stopped, self.differs) if not line.isHidden()]
        return [*([self.words.text()] if not self._coming.isHidden() else []), *texts]

    def show_all(self) -> None:
        """Show everything as it is now."""
        if self._tier is None or self._status is None:
            return
        tier, status = self._tier, self._status
        self._show_marks(tier, status)
        short, every = tier_life.differing(status) if status.state.is_up else ("", "")
        self.differs.show_verdict(Verdict.TIGHT, short)
        self.differs.set_lines(max(1, math.ceil(self.differs.room_needed() / _WORDS_PX)))
        self.differs.set_details(lambda: plain_text.tooltip(every))
        self.differs.setAccessibleDescription(every)
        self.differs.setVisible(bool(short))
        self._show_stopped(status)
        self._count()
        parts = (*self.marks.values(), self._coming, self.stopped, self.differs)
        self.setVisible(any(not part.isHidden() for part in parts))

    def _show_marks(self, tier: Tier, status: ServerStatus) -> None:
        taken = tr("taken over") if status.adopted and status.state.is_active else ""
        self.marks[Mark.TAKEN_OVER].say(
            taken, tr("It was still running when the panel was opened; an earlier panel had started it.")
        )
        address = (status.attached_to or tier.url or "") if tier_life.is_elsewhere(tier, status) else ""
        self.marks[Mark.ELSEWHERE].say(
            address.removeprefix("http://"), tr("Somebody else runs this server: it is used, never started or stopped.")
        )
        is_open = tier.is_open_to_the_network and not address
        self.marks[Mark.OPEN].say(
            tr("open to the network") if is_open else "",
            tr("Other computers can reach it with its API key, on port {port}.", port=tier.port),
        )

    def _show_stopped(self, status: ServerStatus) -> None:
        line, full = tier_life.stopped(status)
        shown_ms = STOPPED_SHOWN_MS - round(max(0.0, self._clock() - status.since) * 1000)
        wanted = bool(line) and not self.is_waiting and (status.memory_back is False or shown_ms > 0)
        self.stopped.setText(line)
        self.stopped.setToolTip(full)
        theme.mark(self.stopped, look="caution" if status.memory_back is False else "faint")
        self.stopped.setVisible(wanted)
        if wanted and status.memory_back is not False:
            self._quiet.start(shown_ms)
        else:
            self._quiet.stop()

    def _count(self) -> None:
        if self._tier is None or self._status is None:
            return
        status, left_s = self._status, self.countdown.left_s()
        retrying = tier_life.retrying(status, self._clock())
        if self.is_waiting:
            words = tr("Waiting until {others} has stopped", others=", ".join(self._waits_for))
        else:
            words = tier_life.coming(self._tier, status, left_s) if status.state.is_coming_up else retrying
        self._coming.setVisible(bool(words))
        progress = status.progress if status.state is ServerState.LOADING and not self.is_waiting else None
        self.bar.setVisible(progress is not None)
        self.bar.set_fraction(progress)
        ticks = bool(words) and not self.is_waiting and (left_s is not None or bool(retrying))
        if ticks and not self.tick.isActive():
            self.tick.start()
        elif not ticks:
            self.tick.stop()
        if words != self.words.text():
            self.words.setText(words)
            self.changed.emit()
