"""Why something failed, in plain words, with each next step as a button."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.events import Failure, Fix
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label


class FailureView(QWidget):
    """Hidden while there is no failure."""

    fix_asked = Signal(object)
    """An `events.Fix` was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._failure: Failure | None = None
        self._title = label("", "failure", wrap=True)
        self._detail = label("", "faint", wrap=True)
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(4)
        self._box.addWidget(self._title)
        self._box.addWidget(self._detail)
        self._buttons: list[Button] = []
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
            self._title.setToolTip("\n".join(failure.evidence))
            self._detail.setText(str(failure.detail or ""))
            self._detail.setVisible(failure.detail is not None)
            for fix in failure.fixes:
                self._add(fix)
        self.setVisible(failure is not None)

    def buttons(self) -> tuple[Button, ...]:
        """Return the buttons of the next steps, in order."""
        return tuple(self._buttons)

    def _add(self, fix: Fix) -> None:
        button = Button(str(fix.text), "plain")
        button.clicked.connect(lambda: self.fix_asked.emit(fix))
        self._box.addWidget(button)
        self._buttons.append(button)
