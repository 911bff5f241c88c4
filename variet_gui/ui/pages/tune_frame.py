"""The Tune page's widgets in their places: tools on top, parameters at the left, panels at the right, Save below."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import actions, theme
from variet_gui.ui.widgets.buttons import Button, IconButton
from variet_gui.ui.widgets.catalog_error_view import CatalogErrorView
from variet_gui.ui.widgets.command_view import CommandView
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.history_panel import HistoryPanel
from variet_gui.ui.widgets.layout import Panel, label, row
from variet_gui.ui.widgets.note_popover import NotePopover
from variet_gui.ui.widgets.notes_panel import NotesPanel
from variet_gui.ui.widgets.outside_banner import OutsideBanner
from variet_gui.ui.widgets.parameter_list import ParameterList
from variet_gui.ui.widgets.tune_toolbar import TuneToolbar

SIDE_WIDTH = 400
SIDE_WIDTH_MIN = 300
LIST_WIDTH_MIN = 560
"""Below this width of the list the panels at its right move under it, px."""


class TuneFrame(QWidget):
    """Builds and arranges; what the widgets show and do is the page's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._narrow = False
        self.banner = OutsideBanner()
        self.toolbar = TuneToolbar()
        self.search = self.toolbar.search
        self.list = ParameterList()
        self.differs = label("", "caution")
        self.error = CatalogErrorView()
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
        self._build()

    def show_catalog(self, usable: bool) -> None:
        """Show the parameters, or why there are none."""
        self._stack.setCurrentIndex(0 if usable else 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        side = min(SIDE_WIDTH, max(SIDE_WIDTH_MIN, round(self.width() * 0.34)))
        narrow = self.width() < LIST_WIDTH_MIN + 16 + SIDE_WIDTH_MIN
        self.side_scroll.setFixedWidth(side)
        if narrow != self._narrow:
            self._narrow = narrow
            self.side_scroll.setVisible(not narrow)
            (self._list_box if narrow else self._side_box).addWidget(self._panels)
            self._panels.show()  # a widget that changes its parent is hidden

    def _build(self) -> None:
        self.list_scroll, self._list_box = _scroll()
        self._list_box.addWidget(self.list)
        self.side_scroll, self._side_box = _scroll()
        self._panels = QWidget()
        theme.mark(self._panels, look="plain")
        panels = QVBoxLayout(self._panels)
        panels.setContentsMargins(0, 0, 0, 12)
        panels.setSpacing(12)
        shown = Panel(tr("Command"))
        shown.head.addWidget(self.copy)
        shown.add(self.command)
        shown.add(self.command_notes)
        self.command.setAccessibleName(tr("The exact command that starts this tier"))
        for panel in (shown, self.history, self.notes):
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
        around = QVBoxLayout()
        around.setContentsMargins(0, 12, 0, 0)
        around.addWidget(self.banner)
        self._banner_box = QWidget()
        self._banner_box.setLayout(around)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self._banner_box)
        box.addWidget(self._stack, 1)
        self._banner_box.hide()
        self.banner.shown.connect(self._banner_box.setVisible)
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
