"""One tier in the rail: its state, its model, its speed against the target, and the one button that fits now."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from variet_gui.catalog.tiers import Tier
from variet_gui.events import Failure, ServerState, ServerStatus
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets import figures, tier_text
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.failure_view import FailureView
from variet_gui.ui.widgets.layout import column, label, row
from variet_gui.ui.widgets.meter_bar import MeterBar
from variet_gui.ui.widgets.state_badge import StateBadge

MAX_GPU_BARS = 8


class TierCard(QFrame):
    """Shows values that it is handed; says what was asked for and does nothing by itself."""

    selected = Signal(str)
    start_asked = Signal(str)
    stop_asked = Signal(str)
    """Stop, or Cancel while the tier is coming up."""
    restart_asked = Signal(str)
    step_asked = Signal(int)
    """Up (-1) or Down (1) was pressed."""
    fix_asked = Signal(str, object)
    """(role, `events.Fix`): a next step under the failure was pressed."""

    def __init__(self, tier: Tier, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.role = tier.role
        self._tier = tier
        self._status = ServerStatus(tier.role, port=tier.port)
        self._speed: float | None = None
        theme.mark(self, look="card", selected=False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

        self.badge = StateBadge(tier.role)
        self.button = Button(tr("Start"), "primary")
        self.button.setMinimumWidth(64)
        self.button.clicked.connect(self._pressed)
        self._model = label("", "quiet", wrap=True)
        self._figure = label("", "figure")
        self._unit = label("", "quiet")
        self._target = label("", "good")
        self.copy_url = CopyButton("", "", kind="quiet")
        theme.mark(self.copy_url, edge="right")
        self._loading = label("", "loading")
        self._loading_bar = MeterBar("caution")
        self._loading_row = QWidget()
        self._loading_row.setLayout(row(self._loading, self._loading_bar))
        self._speed_row = QWidget()
        self._speed_row.setLayout(row(self._figure, self._unit, self._target, None, self.copy_url, spacing=6))
        self.failure = FailureView()
        self.failure.fix_asked.connect(lambda fix: self.fix_asked.emit(self.role, fix))
        self._bars: list[MeterBar] = []
        self._bar_box = column(spacing=4)

        box = QVBoxLayout(self)
        box.setContentsMargins(12, 10, 12, 12)
        box.setSpacing(6)
        box.addLayout(row(self.badge, None, self.button))
        for part in (self._model, self._loading_row, self._speed_row, self.failure):
            box.addWidget(part)
        box.addLayout(self._bar_box)
        self.set_tier(tier)

    # ------------------------------------------------------------------------------------------------ values

    def set_tier(self, tier: Tier) -> None:
        """Show another version of the tier (after a save)."""
        self._tier = tier
        self._model.setText(tier_text.model_line(tier))
        self._model.setToolTip(tier.model_facts or "")
        self._show()

    def set_status(self, status: ServerStatus) -> None:
        """Show what the server is doing."""
        if not status.state.is_up and status.state is not self._status.state:
            self._speed = None
        self._status = status
        self._show()

    def set_speed(self, tokens_per_s: float | None) -> None:
        """Show the last generation speed that was really measured since the start; None: none yet."""
        if tokens_per_s != self._speed:
            self._speed = tokens_per_s
            self._show_speed()

    def set_gpus(self, bars: list[tuple[float | None, str, str]]) -> None:
        """Show one small bar per GPU: (fraction of its memory, colour, words for the tooltip)."""
        while len(self._bars) < min(len(bars), MAX_GPU_BARS):
            self._bars.append(MeterBar())
            self._bar_box.addWidget(self._bars[-1])
        for index, bar in enumerate(self._bars):
            bar.setVisible(index < len(bars))
            if index < len(bars):
                fraction, colour, words = bars[index]
                bar.set_fraction(fraction, colour)
                bar.setToolTip(words)
                bar.setAccessibleName(words)

    def set_selected(self, selected: bool) -> None:
        """Mark the card as the one whose pages are shown."""
        theme.mark(self, selected=selected)
        self._name()

    @property
    def tier(self) -> Tier:
        """The tier that is shown."""
        return self._tier

    @property
    def status(self) -> ServerStatus:
        """The status that is shown."""
        return self._status

    # ------------------------------------------------------------------------------------------------ showing

    def _show(self) -> None:
        state = self._status.state
        self.badge.set_state(state)
        text, kind, enabled = {
            ServerState.STOPPED: (tr("Start"), "primary", True),
            ServerState.FAILED: (tr("Restart"), "primary", True),
            ServerState.STOPPING: (tr("Stopping"), "plain", False),
            ServerState.READY: (tr("Stop"), "danger", True),
            ServerState.BUSY: (tr("Stop"), "danger", True),
        }.get(state, (tr("Cancel"), "plain", True))
        self.button.setText(text)
        self.button.set_kind(kind)
        self.button.setEnabled(enabled)
        self.button.setAccessibleName(tr("{action} {role}", action=text, role=self.role))

        self._loading_row.setVisible(state.is_coming_up)
        progress = self._status.progress
        if state is ServerState.LOADING and progress is not None:
            self._loading.setText(tr("Loading {percent} %", percent=f"{progress * 100:.0f}"))
        else:
            self._loading.setText({ServerState.PREFLIGHT: tr("Checking files and port")}.get(state, tr("Loading")))
        self._loading_bar.setVisible(progress is not None)
        self._loading_bar.set_fraction(progress)

        failure: Failure | None = self._status.failure if state is ServerState.FAILED else None
        self.failure.set_failure(failure)
        self._speed_row.setVisible(not state.is_coming_up and failure is None)
        port = self._status.port or self._tier.port
        url = f"http://127.0.0.1:{port}/v1"
        self.copy_url.set_text(f":{port}", url, tr("Copy the address of the OpenAI-compatible API: {url}", url=url))
        if not state.is_active:
            self.set_gpus([])
        self._show_speed()

    def _show_speed(self) -> None:
        target_tps = self._tier.acceptance.min_tps
        figure = self._tier.latest_figure
        self._speed_row.setToolTip("")
        target, look = "", "faint"
        if target_tps is not None:
            target = tr("target {target}", target=f"{target_tps:g}")
        if self._speed is not None:
            self._figure.setText(figures.rate(self._speed))
            self._unit.setText(tr("t/s"))
            if target_tps is not None:
                reached = self._speed >= target_tps
                look = "good" if reached else "caution"
                text = "✓ {target}" if reached else "▾ {target}"
                target = text.format(target=target)
        elif figure is not None:
            self._figure.setText(figures.rate(figure.generation_tps))
            self._unit.setText(tr("t/s · {month}", month=tier_text.month(figure.measured)))
            self._speed_row.setToolTip(tier_text.history_note(figure))
            target = ""
        else:
            self._figure.setText("")
            self._unit.setText(tr("not measured"))
        live = self._speed is not None
        theme.mark(self._figure, look="figure" if live else "figure-history")
        self._figure.setVisible(bool(self._figure.text()))
        self._target.setText(target)
        self._target.setVisible(bool(target))
        theme.mark(self._target, look=look)
        self._name()

    def _name(self) -> None:
        parts = [self.role, self.badge.word(), self._model.text()]
        if self._speed_row.isVisibleTo(self):
            parts.append(" ".join(t for t in (self._figure.text(), self._unit.text(), self._target.text()) if t))
        if self._loading_row.isVisibleTo(self):
            parts.append(self._loading.text())
        if self._status.failure is not None and self.failure.isVisibleTo(self):
            parts.append(str(self._status.failure.title))
        if self.property("selected"):
            parts.append(tr("selected"))
        self.setAccessibleName(", ".join(parts))

    # ------------------------------------------------------------------------------------------------ asking

    def _pressed(self) -> None:
        state = self._status.state
        if state is ServerState.FAILED:
            self.restart_asked.emit(self.role)
        elif state.is_active:
            self.stop_asked.emit(self.role)
        else:
            self.start_asked.emit(self.role)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.selected.emit(self.role)
        super().mousePressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        by_keyboard = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        theme.mark(self, ring=event.reason() in by_keyboard)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        theme.mark(self, ring=False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.selected.emit(self.role)
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.step_asked.emit(1 if event.key() == Qt.Key.Key_Down else -1)
        else:
            super().keyPressEvent(event)
