"""The parts of the window in their places: bar on top, rail at the left, tabs and pages, line at the bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import actions, theme
from variet_gui.ui.widgets import tab_order
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.layout import row
from variet_gui.ui.widgets.notice_bar import NoticeBar
from variet_gui.ui.widgets.outside_banner import OutsideBanner
from variet_gui.ui.widgets.status_line import StatusLine
from variet_gui.ui.widgets.tier_rail import TierRail
from variet_gui.ui.widgets.top_bar import TopBar


class Page(NamedTuple):
    """One page of the tab strip. Its widget has `show_role(role)`."""

    key: str
    title: str
    widget: QWidget


class WindowFrame(QWidget):
    """Holds the parts and turns pages with the tabs; knows nothing of what they show."""

    def __init__(self, title: str, language: str, pages: Sequence[Page], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.top = TopBar(title, language)
        self.notices = NoticeBar()
        self.banner = OutsideBanner()
        self.rail = TierRail()
        self.tabs = QTabBar()
        self.stack = QStackedWidget()
        self.status = StatusLine()
        self.subject = ElidedLabel("", "quiet")
        self.subject.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setAccessibleName(tr("Pages"))
        for number, page in enumerate(pages, 1):
            index = self.tabs.addTab(page.title.replace("&", "&&"))
            self.tabs.setTabToolTip(index, actions.with_shortcut(page.title, f"page_{number}"))
            self.stack.addWidget(page.widget)
        self.tabs.currentChanged.connect(self.stack.setCurrentIndex)
        strip = row(self.tabs, self.subject, spacing=16)
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
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        grid.addWidget(self.top, 0, 0, 1, 2)
        grid.addWidget(self.notices, 1, 0, 1, 2)
        grid.addWidget(self.banner, 2, 0, 1, 2)
        grid.addWidget(self.rail, 3, 0)
        grid.addWidget(main, 3, 1)
        grid.addWidget(self.status, 4, 0, 1, 2)
        grid.setRowStretch(3, 1)
        grid.setColumnStretch(1, 1)

    def order_stops(self) -> None:
        """Let Tab walk from the top down: bar, notices, tiers, tabs, and then the page. Cards come and go."""
        parts = (self.top, self.notices, self.banner, self.rail, self.tabs)
        tab_order.follow([stop for part in parts for stop in tab_order.stops(part)])
