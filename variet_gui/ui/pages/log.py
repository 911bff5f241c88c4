"""The Log page: what the tier's server itself writes, followed, filtered and searched."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.i18n import ntr, tr
from variet_gui.ui.widgets.buttons import Button, IconButton
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.figures import figure
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.log_lines import Level, at_least
from variet_gui.ui.widgets.log_view import MAX_LINES, LogView
from variet_gui.ui.widgets.search_field import SearchField
from variet_gui.ui.widgets.segments import Segments

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge

FLUSH_MS = 100
LINES_PER_FLUSH = 200
_FIND_MS = 120


class LogPage(QWidget):
    """Lines wait while the page is hidden; when it is shown it is filled anew from what the core keeps."""

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._role = ""
        self._waiting: deque[str] = deque(maxlen=MAX_LINES)
        self._arrived = 0
        self._seen = 0
        self._flush_timer = QTimer(self)
        self._flush_timer.setSingleShot(True)
        self._flush_timer.setInterval(FLUSH_MS)
        self._flush_timer.timeout.connect(self._flush)
        self._find_timer = QTimer(self)
        self._find_timer.setSingleShot(True)
        self._find_timer.setInterval(_FIND_MS)
        self._find_timer.timeout.connect(self._search)
        self._build()
        bridge.log_appended.connect(self._on_lines)

    def _build(self) -> None:
        self._view = LogView()
        self._view.follow_changed.connect(self._show_follow)
        self._view.matches_changed.connect(self._show_matches)
        self._empty = label("", "quiet", wrap=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._find = SearchField(tr("Find in the log"))
        self._find.setMinimumWidth(160)
        self._find.textChanged.connect(self._find_soon)
        self._find.returnPressed.connect(self._find_now)
        self._count = label("", "faint")
        self._count.setMinimumWidth(64)
        self._previous = IconButton("fold", tr("Previous match (Shift+Enter)"))
        self._previous.clicked.connect(self._find_previous)
        self._next = IconButton("unfold", tr("Next match (Enter)"))
        self._next.clicked.connect(self._find_next)
        self._levels = Segments(
            [(Level.INFO.name, tr("All")), (Level.WARNING.name, tr("Warnings")), (Level.ERROR.name, tr("Errors"))]
        )
        self._levels.set_accessible_names(tr("Lines shown"))
        self._levels.set_current(Level.INFO.name)
        self._levels.chosen.connect(self._choose_level)
        self._follow = Button(tr("Follow"), "segment")
        self._follow.setCheckable(True)
        self._follow.setChecked(True)
        self._follow.setToolTip(tr("Keep the newest line in view"))
        self._follow.toggled.connect(self._view.set_follows)
        self._copy = Button(tr("Copy"), icon="copy")
        self._copy.setToolTip(tr("Copy what is selected, or all lines that are shown"))
        self._copy.clicked.connect(self._copy_lines)
        self._folder = Button(tr("Open folder"), icon="folder")
        self._folder.clicked.connect(self._open_folder)
        self._path = ElidedLabel("", "faint", Qt.TextElideMode.ElideMiddle)
        self._path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 12, 0, 12)
        box.setSpacing(8)
        tools = row(self._find, self._previous, self._next, self._count, self._levels, self._follow, spacing=8)
        tools.setStretch(0, 1)
        box.addLayout(tools)
        box.addWidget(self._view, 1)
        box.addWidget(self._empty, 1)
        foot = row(self._path, self._copy, self._folder)
        foot.setStretch(0, 1)
        box.addLayout(foot)
        for keys, act in (
            (QKeySequence.StandardKey.Find, self._focus_find),
            (QKeySequence(Qt.KeyboardModifier.ShiftModifier | Qt.Key.Key_Return), self._find_previous),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    # --------------------------------------------------------------------------------------------------------- showing

    def show_role(self, role: str) -> None:
        """Show the log of `role`."""
        if role != self._role:
            self._role = role
            self._view.set_follows(True)
            self._refill()

    @property
    def view(self) -> LogView:
        """The lines."""
        return self._view

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._refill()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._flush_timer.stop()
        self._waiting.clear()

    def _level(self) -> Level:
        return Level[self._levels.current or Level.INFO.name]

    def _refill(self) -> None:
        if not self._role or not self.isVisible():
            return
        self._waiting.clear()
        self._arrived = 0
        server = self._bridge.panel.run.server(self._role)
        self._seen, lines = server.lines_since(0)
        self._view.set_lines(at_least(lines, self._level()))
        path = server.log_path
        self._path.setText(str(path))
        self._path.setToolTip(str(path))
        self._show_emptiness()

    def _show_emptiness(self) -> None:
        empty = self._view.document().isEmpty()
        if self._level() is Level.INFO:
            self._empty.setText(
                tr("{role} has written nothing yet. Its log appears here as it starts.", role=self._role)
            )
        else:
            self._empty.setText(tr("No line of {role} is of this kind.", role=self._role))
        self._empty.setVisible(empty)
        self._view.setVisible(not empty)
        self._copy.setEnabled(not empty)

    # ---------------------------------------------------------------------------------------------------------- events

    def _on_lines(self, role: str) -> None:
        # A hidden page does nothing; it is filled when it is shown. What comes is fetched by number: the fill may have
        # shown a part of it already.
        if role == self._role and self.isVisible():
            seen, lines = self._bridge.panel.run.server(role).lines_since(self._seen)
            self._waiting.extend(lines)
            self._arrived += seen - self._seen
            self._seen = seen
            if not self._flush_timer.isActive():
                self._flush_timer.start()

    def _flush(self) -> None:
        lines = list(self._waiting)
        self._waiting.clear()
        arrived, self._arrived = self._arrived, 0
        shown = lines[-LINES_PER_FLUSH:]
        skipped = arrived - len(shown)
        added = at_least(shown, self._level())
        if skipped:
            note = ntr(
                "… {number} line came too fast to be shown; the file has it",
                "… {number} lines came too fast to be shown; the file has them",
                skipped,
                number=figure(skipped),
            )
            added.insert(0, note)
        self._view.append_lines(added)
        self._show_emptiness()

    def _choose_level(self, name: str) -> None:
        self._levels.set_current(name)
        self._refill()

    def _show_follow(self, follows: bool) -> None:
        blocked = self._follow.blockSignals(True)
        self._follow.setChecked(follows)
        self._follow.blockSignals(blocked)

    def _show_matches(self, current: int, count: int) -> None:
        if not self._find.text():
            self._count.setText("")
        elif not count:
            self._count.setText(tr("not found"))
        elif current:
            self._count.setText(tr("{current} of {count}", current=figure(current), count=figure(count)))
        else:
            self._count.setText(ntr("{number} match", "{number} matches", count, number=figure(count)))
        for button in (self._previous, self._next):
            button.setEnabled(count > 0)

    def _find_now(self) -> None:
        if self._find_timer.isActive():
            self._find_timer.stop()
            self._search()
        else:
            self._find_next()

    def _search(self) -> None:
        self._view.find_text(self._find.text())

    def _find_soon(self) -> None:
        self._find_timer.start()

    def _find_next(self) -> None:
        self._view.find_next(1)

    def _find_previous(self) -> None:
        self._view.find_next(-1)

    def _focus_find(self) -> None:
        self._find.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._find.selectAll()

    def _copy_lines(self) -> None:
        selected = self._view.textCursor().selectedText().replace("\u2029", "\n")
        QGuiApplication.clipboard().setText(selected or self._view.toPlainText())

    def _open_folder(self) -> None:
        if self._role:
            folder = self._bridge.panel.run.server(self._role).log_path.parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
