"""The Tune page's widgets in their places: tools on top, parameters at the left, panels at the right, Save below."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import actions, theme
from variet_gui.ui.widgets import tab_order
from variet_gui.ui.widgets.buttons import Button, IconButton
from variet_gui.ui.widgets.catalog_error_view import CatalogErrorView
from variet_gui.ui.widgets.command_view import CommandView
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.forecast_card import ForecastCard
from variet_gui.ui.widgets.history_panel import HistoryPanel
from variet_gui.ui.widgets.layout import Panel, label, row
from variet_gui.ui.widgets.note_popover import NotePopover
from variet_gui.ui.widgets.notes_panel import NotesPanel
from variet_gui.ui.widgets.parameter_list import ParameterList
from variet_gui.ui.widgets.tier_section import TierSection
from variet_gui.ui.widgets.tune_toolbar import TuneToolbar
from variet_gui.ui.widgets.unit_field import UnitField

SIDE_WIDTH = 400
SIDE_WIDTH_MIN = 300
SHORT_PX = 740
"""Below this height of the page the forecast takes less, so that the command can be seen without scrolling, px."""
LIST_WIDTH_MIN = 560
"""Below this width of the list the panels at its right move under it, px."""


class TuneFrame(QWidget):
    """Builds and arranges; what the widgets show and do is the page's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._narrow = False
        self.toolbar = TuneToolbar()
        self.search = self.toolbar.search
        self.list = ParameterList()
        self.tier = TierSection()
        self.differs = label("", "caution")
        self.error = CatalogErrorView()
        self.forecast = ForecastCard()
        self.command = CommandView()
        self.copy = CopyButton(tr("Copy"), "")
        self.command_notes = label("", "caution", wrap=True)
        self.history = HistoryPanel()
        self.notes = NotesPanel()
        self.advanced = Button("", icon="unfold")
        self.changes = label("", "quiet")
        self.revert = Button(tr("Revert"))
        self.save = Button(tr("Save"))
        self.save.setToolTip(actions.with_shortcut(tr("Save"), "save"))
        self.note = IconButton("note", tr("Save with a note"))
        self.note_popover = NotePopover(self)
        self.save_and_restart = Button(tr("Save & restart").replace("&", "&&"), "primary")
        self._order_soon = QTimer(self)
        self._order_soon.setSingleShot(True)
        self._order_soon.setInterval(0)
        self._order_soon.timeout.connect(self.order_stops)
        self.list.stops_changed.connect(self._order_soon.start)
        self._build()
        self.order_stops()

    def order_stops(self) -> None:
        """Let Tab walk down the tools, the parameters and the buttons below them, then down the panels."""
        below = (self.advanced, self.revert, self.save, self.note, self.save_and_restart)
        tab_order.follow(
            [
                *tab_order.stops(self.toolbar),
                *self.list.stops(),
                *self.tier.stops(),
                *below,
                *tab_order.stops(self._panels),
            ]
        )

    def finish_typing(self) -> None:
        """Commit what is being typed: something else is about to use it."""
        focused = QApplication.focusWidget()
        if isinstance(focused, UnitField) and self.isAncestorOf(focused):
            focused.finish()
        self.list.extra.finish()

    def show_catalog(self, usable: bool) -> None:
        """Show the parameters, or why there are none."""
        self._stack.setCurrentIndex(0 if usable else 1)

    def show_elsewhere(self, url: str | None) -> None:
        """Say that the tier's server is somebody else's at `url`, and offer no forecast, command, edit; None: ours."""
        self.elsewhere_note.setText(
            tr(
                "This tier is the server at {url}. Somebody else starts and stops it: here it is watched, talked to "
                "and measured. With which settings it runs is decided there, so there is no forecast and no command.",
                url=url,
            )
            if url is not None
            else ""
        )
        self.elsewhere.setVisible(url is not None)
        bar = (self.advanced, self.changes, self.revert, self.save, self.note, self.save_and_restart)
        for part in (self.toolbar, self.list, *bar, self.forecast, self.shown_command):
            if (url is None) == part.isHidden():
                part.setVisible(url is None)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        side = min(SIDE_WIDTH, max(SIDE_WIDTH_MIN, round(self.width() * 0.34)))
        narrow = self.width() < LIST_WIDTH_MIN + 16 + SIDE_WIDTH_MIN
        self.side_scroll.setFixedWidth(side)
        self.forecast.fixes.set_short(self.height() < SHORT_PX)
        if narrow != self._narrow:
            self._narrow = narrow
            self.side_scroll.setVisible(not narrow)
            (self._list_box if narrow else self._side_box).addWidget(self._panels)
            self._panels.show()  # a widget that changes its parent is hidden
            self._order_soon.start()  # and comes last for Tab

    def _build(self) -> None:
        self.list_scroll, self._list_box = _scroll()
        self.elsewhere = Panel(tr("Somebody else's server"))
        self.elsewhere_note = label("", "quiet", wrap=True)
        self.elsewhere.add(self.elsewhere_note)
        self.elsewhere.hide()
        self._list_box.addWidget(self.elsewhere)
        self._list_box.addWidget(self.list, 1)
        self._list_box.addWidget(self.tier)
        self._list_box.addStretch(0)  # takes the room where there is no list
        self.side_scroll, self._side_box = _scroll()
        self._panels = QWidget()
        theme.mark(self._panels, look="plain")
        panels = QVBoxLayout(self._panels)
        panels.setContentsMargins(0, 0, 0, 12)
        panels.setSpacing(12)
        shown = self.shown_command = Panel(tr("Command"))
        shown.head.addWidget(self.copy)
        shown.add(self.command)
        shown.add(self.command_notes)
        self.command.setAccessibleName(tr("The exact command that starts this tier"))
        for panel in (self.forecast, shown, self.history, self.notes):
            panels.addWidget(panel)
        panels.addStretch(1)
        self._side_box.addWidget(self._panels)

        bar = row(self.advanced, None, self.changes, self.revert, self.save, self.note, self.save_and_restart)
        bar.setContentsMargins(0, 8, 0, 12)
        left = QVBoxLayout()
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(0)
        left.addWidget(self.toolbar)
        left.addSpacing(12)
        left.addWidget(self.list_scroll, 1)
        # Below the list: a line that comes and goes above it would move the slider that is being dragged.
        self.differs.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.differs.setContentsMargins(0, 6, 0, 0)
        left.addWidget(self.differs)
        left.addLayout(bar)
        content = QWidget()
        columns = QHBoxLayout(content)
        columns.setContentsMargins(0, 12, 0, 0)
        columns.setSpacing(16)
        columns.addLayout(left, 1)
        columns.addWidget(self.side_scroll)
        self._stack = QStackedWidget()
        self._stack.addWidget(content)
        self._stack.addWidget(self.error)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self._stack, 1)
        self._arrange()


def _scroll() -> tuple[QScrollArea, QVBoxLayout]:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    inner = QWidget()
    theme.mark(inner, look="plain")
    box = QVBoxLayout(inner)
    box.setContentsMargins(0, 0, 4, 0)
    box.setSpacing(12)
    area.setWidget(inner)
    return area, box
