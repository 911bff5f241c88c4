"""The window: meters on top, tiers at the left, pages in the middle, a status line below."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QGridLayout,
    QMainWindow,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from variet_gui.events import Fix, GpusSampled, ServerStatus
from variet_gui.i18n import tr
from variet_gui.ui import actions, icons, theme
from variet_gui.ui.widgets import figures, tier_text
from variet_gui.ui.widgets.closing_veil import ClosingVeil
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.layout import row
from variet_gui.ui.widgets.notice_bar import NoticeBar
from variet_gui.ui.widgets.status_line import StatusLine
from variet_gui.ui.widgets.tier_rail import TierRail
from variet_gui.ui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

SPEED_PERIOD_MS = 500
_PREFERRED = QSize(1440, 900)
_SMALLEST = QSize(960, 600)


class Page(NamedTuple):
    """One page of the tab strip. Its widget has `show_role(role)`."""

    key: str
    title: str
    widget: QWidget


class MainWindow(QMainWindow):
    """Shows what the bridge tells and asks it for what the operator wants.

    Closing: the first close is refused and `closing` is emitted; whoever listens ends the servers and then calls
    `finish_close`.
    """

    closing = Signal()
    language_chosen = Signal(str)
    theme_chosen = Signal(str)
    fix_asked = Signal(str, object)
    """(role, `events.Fix`) whose `action` this window does not know itself: "pick_engine", "start_on_cpu", ..."""

    def __init__(
        self, bridge: Bridge, pages: Sequence[Page], *, language: str = "system", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._pages = tuple(Page(*page) for page in pages)
        self._may_close = False
        title = tr("Variet Control Panel")
        self.setWindowTitle(title)
        self.setWindowIcon(icons.app_icon())
        self.top = TopBar(title, language)
        self.notices = NoticeBar()
        self.rail = TierRail()
        self.tabs = QTabBar()
        self.stack = QStackedWidget()
        self.status = StatusLine()
        self._subject = ElidedLabel("", "quiet")
        self._build()
        self.veil = ClosingVeil(self.centralWidget())
        self._speeds = QTimer(self)
        self._speeds.setInterval(SPEED_PERIOD_MS)
        self._speeds.timeout.connect(self._show_speeds)
        self._connect()
        self.actions_by_key = actions.install(self, self._handlers())
        self._catalog_changed()

    # ------------------------------------------------------------------------------------------------- pages

    @property
    def role(self) -> str | None:
        """The selected tier."""
        return self.rail.current

    def show_page(self, key: str) -> None:
        """Turn to the page called `key`; an unknown one is ignored."""
        for index, page in enumerate(self._pages):
            if page.key == key:
                self.tabs.setCurrentIndex(index)

    def page(self, key: str) -> QWidget:
        """Return the widget of the page called `key`.

        Raises:
            KeyError: there is none.
        """
        for page in self._pages:
            if page.key == key:
                return page.widget
        raise KeyError(key)

    # ------------------------------------------------------------------------------------------------ closing

    def finish_close(self) -> None:
        """Close for good: nothing of ours is left running."""
        self._may_close = True
        self._speeds.stop()
        self.close()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.focusWidget() is None and self.role is not None:
            self.rail.cards[self.role].setFocus(Qt.FocusReason.OtherFocusReason)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._may_close:
            event.accept()
            return
        event.ignore()
        if self.veil.isHidden():
            self.veil.cover(self._count_running())
            self.closing.emit()

    # ------------------------------------------------------------------------------------------------ showing

    def _select(self, role: str) -> None:
        for page in self._pages:
            page.widget.show_role(role)
        tier = self._bridge.panel.tune.tier(role)
        self._subject.setText(f"{role} · {tier_text.model_line(tier)}")
        self._show_engine()

    def _catalog_changed(self) -> None:
        tune = self._bridge.panel.tune
        catalog = tune.catalog
        self.rail.set_tiers(catalog.tiers if catalog is not None else ())
        self._subject.setText("")
        for role in catalog.roles if catalog is not None else ():
            self._server_changed(self._bridge.status(role))
        if self.rail.current is not None:
            self._select(self.rail.current)
        elif tune.catalog_error is not None:
            self.show_page("tune")
        self.status.set_catalog(_short(tune.catalog_path))
        self._bridge.call(_saved_at(tune.catalog_path), done=self._show_saved)

    def _show_saved(self, saved: str) -> None:
        self.status.set_catalog(_short(self._bridge.panel.tune.catalog_path), saved)

    def _draft_changed(self, role: str) -> None:
        # A save or an engine that was found announces itself this way too.
        catalog = self._bridge.panel.tune.catalog
        if catalog is not None and role in self.rail.cards:
            self.rail.cards[role].set_tier(catalog.tier(role))
            if role == self.role:
                self._show_engine()

    def _server_changed(self, status: ServerStatus) -> None:
        self.rail.set_status(status)
        running = self._count_running()
        self.status.set_running(running)
        self.top.stop_all.setEnabled(running > 0)
        if running and not self._speeds.isActive():
            self._speeds.start()
        elif not running:
            self._speeds.stop()
        if not self.veil.isHidden():
            self.veil.cover(running)
        self._show_gpu_bars()
        if status.role == self.role:
            self._show_engine()

    def _gpus_sampled(self, sampled: GpusSampled) -> None:
        self.top.meters.show_gpus(sampled)
        self._show_gpu_bars()
        self._show_engine()

    def _show_gpu_bars(self) -> None:
        sampled = self._bridge.gpus()
        bars = []
        for position, gpu in enumerate(sampled.samples if sampled else ()):
            used, total = gpu.memory_used_mib, gpu.memory_total_mib
            words = tr(
                "GPU {index}: {used} of {total} GiB in use by everything on it",
                index=gpu.index,
                used=figures.gibibytes(used),
                total=figures.gibibytes(total),
            )
            fraction = used / total if used is not None and total else None
            bars.append((fraction, theme.SERIES[position % 2], words))
        for card in self.rail.cards.values():
            card.set_gpus(bars if card.status.state.is_up else [])

    def _show_speeds(self) -> None:
        store = self._bridge.panel.watch.store
        for role, card in self.rail.cards.items():
            speed = store.last(f"{role}.generation_tps") if card.status.state.is_up else None
            # The last speed that was measured stays: between two answers there is none, and that is not 0.
            if speed is not None:
                card.set_speed(speed)

    def _show_engine(self) -> None:
        role = self.role
        if role is None:
            self.status.set_engine("")
            return
        panel, parts = self._bridge.panel, []
        engine = panel.run.engine(role)
        status, capabilities = self._bridge.status(role), panel.tune.capabilities(role)
        if engine.binary is not None and engine.binary.embedded:
            parts.append(tr("embedded engine (CPU)"))
        elif engine.binary is not None:
            build = status.build or (capabilities.label if capabilities else "")
            parts.append(tr("llama-server {build}", build=build).strip())
        elif engine.failure is not None:
            parts.append(str(engine.failure.title))
        sampled = self._bridge.gpus()
        if sampled is not None and sampled.driver:
            parts.append(tr("driver {version}", version=sampled.driver))
        path = engine.binary.path if engine.binary is not None else None
        self.status.set_engine(" · ".join(parts), str(path or ""))

    def _count_running(self) -> int:
        return sum(card.status.state.is_active for card in self.rail.cards.values())

    # ------------------------------------------------------------------------------------------------- asking

    def _fix(self, role: str, fix: Fix) -> None:
        for key, value in fix.set_values.items():
            self._bridge.edit(role, key, value)
        if fix.action == "show_log":
            self.rail.select(role)
            self.show_page("log")
        elif fix.action == "restart" or (fix.action is None and fix.set_values):
            self._bridge.restart(role)
        elif fix.action == "start_on_cpu":
            self._bridge.start_on_cpu(role)
        else:
            self.fix_asked.emit(role, fix)

    def _with_role(self, do: str) -> None:
        if self.role is not None:
            getattr(self._bridge, do)(self.role)

    def _toggle_start(self) -> None:
        # F5 on a tier that runs must not be an error: it means "with what the sliders show now".
        active = self.role is not None and self._bridge.status(self.role).state.is_active
        self._with_role("restart" if active else "start")

    def _handlers(self) -> dict:
        handlers = {
            "start": self._toggle_start,
            "stop": lambda: self._with_role("stop"),
            "next_tier": lambda: self.rail.select_by_step(1),
            "previous_tier": lambda: self.rail.select_by_step(-1),
            "copy_url": lambda: self.role and self.rail.cards[self.role].copy_url.copy(),
            "stop_all": self._bridge.stop_all,
            "quit": self.close,
        }
        for position in range(actions.MAX_TIERS):
            handlers[f"tier_{position + 1}"] = lambda position=position: self._select_position(position)
        for position in range(min(len(self._pages), actions.MAX_PAGES)):
            handlers[f"page_{position + 1}"] = lambda position=position: self.tabs.setCurrentIndex(position)
        return handlers

    def _select_position(self, position: int) -> None:
        roles = list(self.rail.cards)
        if position < len(roles):
            self.rail.select(roles[position])

    def _choose_theme(self, choice: str) -> None:
        theme.apply(QApplication.instance(), choice)
        self.theme_chosen.emit(choice)

    # ------------------------------------------------------------------------------------------------ building

    def _connect(self) -> None:
        bridge = self._bridge
        self.rail.selected.connect(self._select)
        self.rail.start_asked.connect(bridge.start)
        self.rail.stop_asked.connect(bridge.stop)
        self.rail.restart_asked.connect(bridge.restart)
        self.rail.fix_asked.connect(self._fix)
        self.top.stop_all_asked.connect(bridge.stop_all)
        self.top.language_chosen.connect(self.language_chosen)
        self.top.theme_chosen.connect(self._choose_theme)
        self.tabs.currentChanged.connect(self.stack.setCurrentIndex)
        bridge.server_changed.connect(self._server_changed)
        bridge.gpus_sampled.connect(self._gpus_sampled)
        bridge.host_sampled.connect(lambda event: self.top.meters.show_host(event.sample))
        bridge.catalog_changed.connect(self._catalog_changed)
        bridge.draft_changed.connect(self._draft_changed)
        bridge.notice_raised.connect(self.notices.add)

    def _build(self) -> None:
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setAccessibleName(tr("Pages"))
        for number, page in enumerate(self._pages, 1):
            index = self.tabs.addTab(page.title.replace("&", "&&"))
            self.tabs.setTabToolTip(index, actions.with_shortcut(page.title, f"page_{number}"))
            self.stack.addWidget(page.widget)
        self._subject.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        strip = row(self.tabs, self._subject, spacing=16)
        strip.setStretch(1, 1)
        line = QFrame()
        theme.mark(line, look="rule")
        main = QWidget()
        inside = QVBoxLayout(main)
        inside.setContentsMargins(16, 0, 16, 0)
        inside.setSpacing(0)
        inside.addLayout(strip)
        inside.addWidget(line)
        inside.addWidget(self.stack, 1)
        centre = QWidget()
        grid = QGridLayout(centre)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        grid.addWidget(self.top, 0, 0, 1, 2)
        grid.addWidget(self.notices, 1, 0, 1, 2)
        grid.addWidget(self.rail, 2, 0)
        grid.addWidget(main, 2, 1)
        grid.addWidget(self.status, 3, 0, 1, 2)
        grid.setRowStretch(2, 1)
        grid.setColumnStretch(1, 1)
        self.setCentralWidget(centre)
        self.setMinimumSize(_SMALLEST)
        screen = QGuiApplication.primaryScreen()
        self.resize(_PREFERRED.boundedTo(screen.availableSize()) if screen is not None else _PREFERRED)


async def _saved_at(path: Path) -> str:
    """Return when `path` was last written, as hours and minutes today or as a date; empty when it cannot be read."""
    try:
        modified = (await asyncio.to_thread(path.stat)).st_mtime
    except OSError:
        return ""
    at = dt.datetime.fromtimestamp(modified).astimezone()
    today = dt.datetime.now().astimezone().date()
    return at.strftime("%H:%M") if at.date() == today else at.strftime("%Y-%m-%d %H:%M")


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
