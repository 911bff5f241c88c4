"""The window: meters on top, tiers at the left, pages in the middle, a status line below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

from variet_gui.catalog.tiers import Tier
from variet_gui.events import Fix, GpusSampled, HostSampled, ServerStatus
from variet_gui.i18n import tr
from variet_gui.ui import actions, icons, theme
from variet_gui.ui.card_speeds import CardSpeeds
from variet_gui.ui.fix_router import FixRouter
from variet_gui.ui.found_tools import FoundTools
from variet_gui.ui.outside_tools import OutsideTools
from variet_gui.ui.status_text import engine_text, saved_at, short_path
from variet_gui.ui.switch_tools import SwitchTools
from variet_gui.ui.widgets import tier_text
from variet_gui.ui.widgets.closing_veil import ClosingVeil
from variet_gui.ui.widgets.gpu_meter import gpu_bars
from variet_gui.ui.widgets.unit_field import UnitField
from variet_gui.ui.widgets.window_frame import Page, WindowFrame

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

__all__ = ["MainWindow", "Page"]

_PREFERRED = QSize(1440, 900)
_SMALLEST = QSize(960, 600)
_DECORATION = QSize(8, 40)
"""Room for a title bar: the size of a window is that of its inside."""


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
        self._active: set[str] = set()
        self._staying: tuple[str, ...] = ()
        title = tr("Variet Control Panel")
        self.setWindowTitle(title)
        self.setWindowIcon(icons.app_icon())
        frame = WindowFrame(title, language, self._pages)
        self.top, self.notices, self.rail = frame.top, frame.notices, frame.rail
        self.banner = frame.banner
        self.tabs, self.stack, self.status = frame.tabs, frame.stack, frame.status
        self._subject, self._order_stops = frame.subject, frame.order_stops
        self.setCentralWidget(frame)
        self.setMinimumSize(_SMALLEST)
        screen = QGuiApplication.primaryScreen()
        self.resize(_PREFERRED.boundedTo(screen.availableSize() - _DECORATION) if screen is not None else _PREFERRED)
        self.top.stop_all.setEnabled(False)
        self.veil = ClosingVeil(frame)
        self.speeds = CardSpeeds(bridge, self.rail, self)
        self.outside = OutsideTools(bridge, frame.banner, self)
        self.found = FoundTools(bridge, self)
        self.switches = SwitchTools(bridge, self.rail, self)
        self._fixes = FixRouter(bridge, self.found, self._show_log)
        self.status.elsewhere.clicked.connect(self.found.open_list)
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
        self.speeds.follow(False)
        self.close()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        first = self.tabs if self.role is None else self.rail.cards[self.role]
        if self.focusWidget() is None:
            first.setFocus(Qt.FocusReason.OtherFocusReason)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._may_close:
            event.accept()
            return
        event.ignore()
        if self.veil.isHidden():
            self._staying = self._bridge.panel.staying()
            self._cover()
            self.closing.emit()

    def _cover(self) -> None:
        ending = [role for role in self._active if self._bridge.status(role).attached_to is None]
        self.veil.cover(len(set(ending).difference(self._staying)), self._staying)

    # ------------------------------------------------------------------------------------------------ showing

    def _select(self, role: str) -> None:
        for page in self._pages:
            page.widget.show_role(role)
        self._show_subject(self._bridge.panel.tune.tier(role))
        self._show_engine()

    def _show_subject(self, tier: Tier) -> None:
        self._subject.setText(f"{tier.role} · {tier_text.model_line(tier)}")

    def _catalog_changed(self) -> None:
        tune = self._bridge.panel.tune
        catalog = tune.catalog
        self.rail.set_tiers(catalog.tiers if catalog is not None else ())
        self._order_stops()
        self._subject.setText("")
        for role in catalog.roles if catalog is not None else ():
            self._server_changed(self._bridge.status(role))
        if self.rail.current is not None:
            self._select(self.rail.current)
        elif tune.catalog_error is not None:
            self.show_page("tune")
        self._look_when_saved()

    def _look_when_saved(self) -> None:
        path = self._bridge.panel.tune.catalog_path
        self._bridge.call(saved_at(path), done=self._show_saved)

    def _show_saved(self, saved: str) -> None:
        if shiboken6.isValid(self.status):
            self.status.set_catalog(short_path(self._bridge.panel.tune.catalog_path), saved)

    def _draft_changed(self, role: str) -> None:
        # A save or an engine that was found announces itself this way too.
        catalog = self._bridge.panel.tune.catalog
        card = self.rail.cards.get(role)
        if catalog is None or card is None or role not in catalog.roles:
            return
        tier = catalog.tier(role)
        if tier is not card.tier:
            card.set_tier(tier)
            self._look_when_saved()
        if role == self.role:
            self._show_subject(tier)
            self._show_engine()

    def _server_changed(self, status: ServerStatus) -> None:
        self.rail.set_status(status)
        # Kept apart from the cards: what runs must stay stoppable when a bad catalog has taken the cards away.
        self._active.discard(status.role)
        if status.state.is_active:
            self._active.add(status.role)
        running = len(self._active)
        self.status.set_running(running)
        self.top.stop_all.setEnabled(running > 0)
        self.speeds.follow(running > 0)
        if not self.veil.isHidden():
            self._cover()
        self._show_gpu_bars()
        if status.role == self.role:
            self._show_engine()

    def _gpus_sampled(self, sampled: GpusSampled) -> None:
        self.top.meters.show_gpus(sampled)
        self._show_gpu_bars()
        self._show_engine()

    def _host_sampled(self, sampled: HostSampled) -> None:
        self.top.meters.show_host(sampled.sample)

    def _show_gpu_bars(self) -> None:
        bars = gpu_bars(self._bridge.gpus())
        for card in self.rail.cards.values():
            ours = card.status.state.is_up and card.status.attached_to is None
            card.set_gpus(bars if ours else [])

    def _show_engine(self) -> None:
        role = self.role
        if role is None:
            self.status.set_engine("")
            return
        self.status.set_engine(*engine_text(self._bridge, role))

    # ------------------------------------------------------------------------------------------------- asking

    def _fix(self, role: str, fix: Fix) -> None:
        if not self._fixes.carry_out(role, fix):
            self.fix_asked.emit(role, fix)

    def _show_log(self, role: str) -> None:
        self.rail.select(role)
        self.show_page("log")

    def _start(self, role: str) -> None:
        self._finish_typing()
        self.rail.select(role)  # whoever starts a tier wants to see that one
        self._bridge.start(role)

    def _with_role(self, do: str) -> None:
        if self.role is not None:
            getattr(self._bridge, do)(self.role)

    def _restart(self, role: str) -> None:
        self._finish_typing()
        self._bridge.restart(role)

    def _finish_typing(self) -> None:
        """Take what is being typed on the page: Start uses what the fields show."""
        focused = QApplication.focusWidget()
        if isinstance(focused, UnitField) and self.isAncestorOf(focused):
            focused.finish()

    def _toggle_start(self) -> None:
        self._finish_typing()
        # F5 on a tier that runs must not be an error: it means "with what the sliders show now".
        active = self.role is not None and self._bridge.status(self.role).state.is_active
        self._with_role("restart" if active else "start")

    def _handlers(self) -> dict[str, Callable[[], object]]:
        handlers: dict[str, Callable[[], object]] = {
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
        self.rail.start_asked.connect(self._start)
        self.rail.stop_asked.connect(bridge.stop)
        self.rail.restart_asked.connect(self._restart)
        self.rail.fix_asked.connect(self._fix)
        self.top.stop_all_asked.connect(bridge.stop_all)
        self.top.language_chosen.connect(self.language_chosen)
        self.top.theme_chosen.connect(self._choose_theme)
        bridge.server_changed.connect(self._server_changed)
        bridge.gpus_sampled.connect(self._gpus_sampled)
        bridge.host_sampled.connect(self._host_sampled)
        bridge.catalog_changed.connect(self._catalog_changed)
        bridge.draft_changed.connect(self._draft_changed)
        bridge.notice_raised.connect(self.notices.add)
        self.notices.fix_asked.connect(self._fix)
