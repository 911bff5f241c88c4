"""One tier in the rail: its state, its model, its speed against the target, and the one button that fits now."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from variet_gui.catalog.tiers import Tier
from variet_gui.events import Failure, ServerState, ServerStatus
from variet_gui.i18n import tr
from variet_gui.panel.outlook_values import Outlook, Together
from variet_gui.ui import theme
from variet_gui.ui.widgets import figures, forecast_text, plain_text, tier_life, tier_text
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.card_life import CardLife
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.failure_view import FailureView
from variet_gui.ui.widgets.layout import column, label, row
from variet_gui.ui.widgets.meter_bar import MeterBar
from variet_gui.ui.widgets.state_badge import StateBadge
from variet_gui.ui.widgets.verdict_line import VerdictLine

MAX_GPU_BARS = 8


class TierCard(QFrame):
    """Shows values that it is handed; says what was asked for and does nothing by itself."""

    selected = Signal(str)
    start_asked = Signal(str)
    stop_asked = Signal(str)
    """Stop, Cancel while the tier is coming up, or Do not retry while another attempt waits."""
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
        self.life = CardLife()
        self.life.changed.connect(self._name)
        self._speed_row = QWidget()
        self._speed_row.setLayout(row(self._figure, self._unit, self._target, None, self.copy_url, spacing=6))
        self.failure = FailureView()
        self.failure.fix_asked.connect(lambda fix: self.fix_asked.emit(self.role, fix))
        self.fits = VerdictLine()
        self.fits.hide()
        self._bars: list[MeterBar] = []
        self._bar_box = column(spacing=4)

        box = QVBoxLayout(self)
        box.setContentsMargins(12, 10, 12, 12)
        box.setSpacing(6)
        box.addLayout(row(self.badge, None, self.button))
        for part in (self._model, self.life, self._speed_row, self.fits, self.failure):
            box.addWidget(part)
        box.addLayout(self._bar_box)
        self.set_tier(tier)

    # ------------------------------------------------------------------------------------------------ values

    def set_tier(self, tier: Tier) -> None:
        """Show another version of the tier (after a save)."""
        self._tier = tier
        self._model.setText(tier_text.model_line(tier))
        self._model.setToolTip(plain_text.tooltip(tier.model_facts or ""))
        self._show()

    def set_status(self, status: ServerStatus) -> None:
        """Show what the server is doing."""
        if not status.state.is_up and status.state is not self._status.state:
            self._speed = None
        self._status = status
        self._show()

    def wait_for(self, roles: Sequence[str]) -> None:
        """Say that the tier is started once the tiers `roles` have stopped; no roles: it is not any more."""
        self.life.wait_for(roles)
        self._show()

    def set_speed(self, tokens_per_s: float | None) -> None:
        """Show the last generation speed that was really measured since the start; None: none yet."""
        if tokens_per_s != self._speed:
            self._speed = tokens_per_s
            self._show_speed()

    def set_outlook(self, outlook: Outlook, together: Together | None = None) -> None:
        """Show whether the tier's draft would fit (beside what runs), and what it would hold on each device."""
        details = forecast_text.card_details(outlook, together)
        self.fits.show_verdict(outlook.verdict, forecast_text.card_words(outlook, together), quiet=True)
        self.fits.set_details(lambda: details)
        self.fits.setAccessibleDescription(details)
        self._show_fits()

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
        self.badge.set_state(state, tier_life.word(self._tier, self._status))
        self.life.show_life(self._tier, self._status)
        self._show_button()
        failed = state is ServerState.FAILED and not self.life.is_waiting
        failure: Failure | None = self._status.failure if failed else None
        self.failure.set_failure(failure)
        self._speed_row.setVisible(not self.life.is_coming and failure is None)
        elsewhere = self._status.attached_to or self._tier.url
        port = self._status.port or self._tier.port
        base, shown = (elsewhere, tr("Address")) if elsewhere else (f"http://127.0.0.1:{port}", f":{port}")
        tooltip = tr("Copy the address of the OpenAI-compatible API: {url}", url=f"{base}/v1")
        self.copy_url.set_text(shown, f"{base}/v1", tooltip)
        if not state.is_active:
            self.set_gpus([])
        self._show_fits()
        self._show_speed()

    def _show_button(self) -> None:
        action = tier_life.action(self._tier, self._status)
        self.button.setText(action.text)
        self.button.set_kind(action.kind)
        self.button.setEnabled(action.does is not None and not self.life.is_waiting)
        self.button.setAccessibleName(tr("{action} {role}", action=action.text, role=self.role))

    def _show_fits(self) -> None:
        # While the tier runs, its bars show what it really holds. What another computer holds is not ours to forecast.
        visible = bool(self.fits.text()) and self._tier.url is None and not self._status.state.is_active
        if visible == self.fits.isHidden():
            self.fits.setVisible(visible)
        self._name()

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
        if self.fits.isVisibleTo(self):
            parts.append(self.fits.text())
        parts += self.life.spoken()
        if self._status.failure is not None and self.failure.isVisibleTo(self):
            parts.append(str(self._status.failure.title))
        if self.property("selected"):
            parts.append(tr("selected"))
        self.setAccessibleName(", ".join(parts))

    # ------------------------------------------------------------------------------------------------ asking

    def _pressed(self) -> None:
        does = tier_life.action(self._tier, self._status).does
        if does is not None:
            {"start": self.start_asked, "stop": self.stop_asked, "restart": self.restart_asked}[does].emit(self.role)

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
