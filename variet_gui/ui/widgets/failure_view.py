"""Why something failed, in plain words, how sure that is, and the best next steps as buttons."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from variet_gui.events import Failure, Fix
from variet_gui.i18n import msg
from variet_gui.ui.widgets import failure_text, plain_text
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.step_button import StepButton

WHAT_HAPPENED = Fix(msg("What happened"), action="what_happened")
"""Opens the whole story in a dialog."""
_MOST = 2
"""A rail holds five cards; the dialog has all."""


class FailureView(QWidget):
    """Hidden while there is no failure."""

    fix_asked = Signal(object)
    """An `events.Fix` was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._failure: Failure | None = None
        self._title = label("", "failure", wrap=True)
        self._certainty = label("", "faint", wrap=True)
        self._detail = label("", "faint", wrap=True)
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(4)
        for part in (self._title, self._certainty, self._detail):
            self._box.addWidget(part)
        self._buttons: list[QPushButton] = []
        self.hide()

    def set_failure(self, failure: Failure | None) -> None:
        """Show `failure`, or nothing."""
        if failure == self._failure:
            return
        self._failure = failure
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = []
        if failure is not None:
            self._title.setText(str(failure.title))
            self._title.setToolTip(plain_text.tooltip("\n".join(failure.evidence)))
            # What stops a start before it begins is not a matter of opinion.
            ran = failure.exit_code is not None or bool(failure.evidence)
            self._certainty.setText(failure_text.certainty_line(failure))
            self._certainty.setToolTip(failure_text.certainty_meaning(failure))
            self._certainty.setVisible(ran)
            self._detail.setText(str(failure.detail or ""))
            self._detail.setVisible(failure.detail is not None)
            best = [fix for fix in failure.fixes if not (ran and fix.action == "show_log")]
            for fix in (*best[:_MOST], WHAT_HAPPENED) if ran else best:
                self._add(fix)
        self.setVisible(failure is not None)

    def buttons(self) -> tuple[QPushButton, ...]:
        """Return the buttons of the next steps, in order."""
        return tuple(self._buttons)

    def _add(self, fix: Fix) -> None:
        # A card is narrow: a step says in as many lines as it needs what it does; what it buys stands in the dialog.
        button = Button(str(fix.text), "link") if fix is WHAT_HAPPENED else StepButton(fix, brief=True)
        button.clicked.connect(lambda: self.fix_asked.emit(fix))
        self._box.addWidget(button)
        self._buttons.append(button)
