"""Quiet notices: one line under the top bar, with details on demand, never a dialog in the way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from variet_gui.events import NoticeRaised, Severity
from variet_gui.i18n import tr
from variet_gui.ui import icons, theme
from variet_gui.ui.widgets import plain_text
from variet_gui.ui.widgets.buttons import Button, IconButton
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.layout import label, row

_KEPT = 50
STORM_S = 10.0
"""The same words within this time are one notice, with how often they came."""
_DETAILS_PX = 140
_MOST_FIXES = 2


@dataclass(slots=True)
class _Kept:
    notice: NoticeRaised
    at: float
    count: int = 1


class NoticeBar(QFrame):
    """Shows the newest notice that was not put away; hidden when there is none. Older ones follow after closing it."""

    fix_asked = Signal(str, object)
    """(role, `events.Fix`) that the operator pressed; the notice is put away."""

    def __init__(self, parent: QWidget | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._clock = clock
        self._waiting: deque[_Kept] = deque(maxlen=_KEPT)
        theme.mark(self, look="notice")
        self._icon = QLabel()
        self._text = label("", wrap=True)
        self._count = label("", "faint")
        self.details_button = Button(tr("Details"), "quiet")
        self.copy_button = CopyButton(tr("Copy"), "", kind="quiet")
        self.close_button = IconButton("close", tr("Put this notice away"))
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setFixedHeight(_DETAILS_PX)
        self._details.setAccessibleName(tr("Details of the notice"))
        theme.mark(self._details, look="code")
        self._details.hide()
        self.fix_buttons = tuple(Button("", "quiet") for _ in range(_MOST_FIXES))
        for position, button in enumerate(self.fix_buttons):
            button.clicked.connect(lambda _=False, position=position: self._press_fix(position))
        last = (self.details_button, self.copy_button, self.close_button)
        line = row(self._icon, self._text, self._count, *self.fix_buttons, *last)
        line.setStretch(1, 1)
        line.setAlignment(self._icon, Qt.AlignmentFlag.AlignVCenter)
        box = QVBoxLayout(self)
        box.setContentsMargins(14, 6, 10, 6)
        box.setSpacing(6)
        box.addLayout(line)
        box.addWidget(self._details)
        self.details_button.clicked.connect(self._toggle_details)
        self.close_button.clicked.connect(self.dismiss)
        self.hide()

    def add(self, notice: NoticeRaised) -> None:
        """Show `notice`; the same words again within 10 s, or twice in a row, are one notice that counts."""
        now, words = self._clock(), _words(notice)
        for kept in self._waiting:
            again = _words(kept.notice) == words
            if again and (now - kept.at < STORM_S or kept is self._waiting[-1]):
                kept.count = kept.count + 1 if now - kept.at < STORM_S else 1
                kept.notice, kept.at = notice, now  # with the newest details and next steps
                if kept is self._waiting[-1]:
                    self._show_newest()
                return
        self._waiting.append(_Kept(notice, now))
        self._show_newest()

    def dismiss(self) -> None:
        """Put the shown notice away and show the one before it."""
        if self._waiting:
            self._waiting.pop()
        self._show_newest()

    def notices(self) -> tuple[NoticeRaised, ...]:
        """Return what was not put away, oldest first."""
        return tuple(kept.notice for kept in self._waiting)

    def text(self) -> str:
        """Return the text that is shown."""
        return self._text.text()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._waiting:
            self._show_newest()

    def _show_newest(self) -> None:
        self.setVisible(bool(self._waiting))
        if not self._waiting:
            self._details.hide()
            return
        kept = self._waiting[-1]
        notice = kept.notice
        details = plain_text.without_controls(notice.details)
        if details != self._details.toPlainText():
            self._details.hide()  # what is being read stays open while the same words come again
        colour = {Severity.WARNING: "caution", Severity.ERROR: "failure"}.get(notice.severity, "accent")
        theme.mark(self, severity=notice.severity.value)
        self._icon.setPixmap(icons.pixmap("warning" if notice.severity is not Severity.INFO else "check", colour))
        text = plain_text.without_controls(str(notice.text))
        self._text.setText(text)
        more = len(self._waiting) - 1
        times = [f"×{kept.count}"] if kept.count > 1 else []
        self._count.setText(" · ".join([*times, *([tr("{count} more", count=more)] if more else [])]))
        if details != self._details.toPlainText():
            self._details.setPlainText(details)
        self.details_button.setVisible(bool(notice.details))
        self.copy_button.setVisible(bool(notice.details))
        self.copy_button.set_text(tr("Copy"), f"{text}\n{details}")
        self.setAccessibleName(text)
        fixes = notice.fixes if notice.role is not None else ()
        for position, button in enumerate(self.fix_buttons):
            button.setVisible(position < len(fixes))
            button.setText(str(fixes[position].text) if position < len(fixes) else "")

    def _press_fix(self, position: int) -> None:
        notice = self._waiting[-1].notice
        self.dismiss()
        self.fix_asked.emit(notice.role, notice.fixes[position])

    def _toggle_details(self) -> None:
        self._details.setVisible(self._details.isHidden())


def _words(notice: NoticeRaised) -> tuple[Severity, str, str | None]:
    return notice.severity, str(notice.text), notice.role
