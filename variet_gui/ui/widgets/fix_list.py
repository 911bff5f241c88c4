"""What would make a tier fit: the best changes as buttons, the rest behind one more."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.forecast.fixes import Fix
from variet_gui.i18n import ntr, tr
from variet_gui.panel.outlook_values import Outlook
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.fix_button import FixButton
from variet_gui.ui.widgets.forecast_text import fix_gain
from variet_gui.ui.widgets.layout import label

SHOWN_AT_FIRST = 2
SHOWN_WHERE_SHORT = 1
"""Where there is little height, so that what stands below can be seen too."""


class FixList(QWidget):
    """Hidden while there is nothing to say. Fixes of other values than those that are set now are greyed out."""

    fix_asked = Signal(object)
    """A `forecast.fixes.Fix` was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fixes: tuple[Fix, ...] = ()
        self._at_first = SHOWN_AT_FIRST
        self._unfolded = False
        self._buttons: list[FixButton] = []
        self._heading = label(tr("What would help"), "group")
        self._remark = label("", "faint", wrap=True)
        self._more = Button("", "link")
        self._more.clicked.connect(self._unfold)
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 4, 0, 0)
        self._box.setSpacing(4)
        for part in (self._heading, self._remark, self._more):
            self._box.addWidget(part)
        self._more.hide()
        self.hide()

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """What is offered, best first."""
        return self._fixes

    def buttons(self) -> tuple[FixButton, ...]:
        """Return the buttons, also those that are folded away."""
        return tuple(self._buttons)

    def remark(self) -> str:
        """Return the sentence under the heading; empty when there are buttons."""
        return self._remark.text()

    def show_fixes(self, fixes: Sequence[Fix], outlook: Outlook) -> None:
        """Offer `fixes` of exactly the values of `outlook`."""
        self._clear()
        self._fixes = tuple(fixes)
        for fix in self._fixes:
            button = FixButton(fix, fix_gain(fix, outlook))
            button.clicked.connect(lambda _=False, fix=fix: self.fix_asked.emit(fix))
            self._buttons.append(button)
            self._box.insertWidget(self._box.count() - 1, button)
        self._unfolded = False
        self._show_first()
        self._say("" if fixes else tr("No change was found that would be enough."))
        self.show()

    def show_searching(self) -> None:
        """Say that fixes are being looked for; earlier ones stay greyed out until then."""
        self.set_stale()
        self._say("" if self._buttons else tr("Looking for what would help …"))
        self.show()

    def set_short(self, short: bool) -> None:
        """Say whether there is little height."""
        at_first = SHOWN_WHERE_SHORT if short else SHOWN_AT_FIRST
        if at_first != self._at_first:
            self._at_first = at_first
            self._show_first()

    def set_stale(self) -> None:
        """Grey out what was offered: the values are no longer those."""
        for button in self._buttons:
            button.setEnabled(False)

    def clear(self) -> None:
        """Show nothing."""
        self._clear()
        self.hide()

    def _clear(self) -> None:
        for button in self._buttons:
            self._box.removeWidget(button)
            button.hide()
            button.deleteLater()
        self._buttons, self._fixes = [], ()
        self._more.hide()

    def _say(self, text: str) -> None:
        self._remark.setText(text)
        self._remark.setVisible(bool(text))

    def _show_first(self) -> None:
        shown = len(self._buttons) if self._unfolded else self._at_first
        for position, button in enumerate(self._buttons):
            button.setVisible(position < shown)
        hidden = len(self._buttons) - shown
        self._more.setText(ntr("{count} more", "{count} more", hidden) if hidden > 0 else "")
        self._more.setVisible(hidden > 0)

    def _unfold(self) -> None:
        self._unfolded = True
        self._show_first()
