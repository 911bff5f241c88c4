"""What happened: a failure in full, with the lines of the log that prove it and everything that would help."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from variet_gui.events import Failure, Fix
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets import failure_text
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.copy_button import CopyButton
from variet_gui.ui.widgets.evidence_box import EvidenceBox
from variet_gui.ui.widgets.layout import column, label, row, rule
from variet_gui.ui.widgets.step_button import StepButton

_SIZE = QSize(720, 620)


class AutopsyDialog(QDialog):
    """Not modal. A fix that is pressed is asked for, and the dialog closes."""

    fix_asked = Signal(object)
    """An `events.Fix` was pressed."""
    log_asked = Signal()

    def __init__(self, role: str, failure: Failure, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.role = role
        self.failure = failure
        self._steps: list[StepButton] = []
        self.setWindowTitle(tr("What happened to {role}", role=role))
        self.setModal(False)
        self.resize(_SIZE)
        self.title = label("", "title", wrap=True)
        self.certainty = label("", "quiet", wrap=True)
        self.detail = label("", wrap=True)
        self._places = QGridLayout()
        self._places.setHorizontalSpacing(12)
        self._places.setVerticalSpacing(2)
        self._places.setColumnStretch(1, 1)
        self._evidence_head = label(tr("The lines of the log that say so"), "group")
        self.evidence = EvidenceBox()
        self._steps_head = label(tr("What would help"), "group")
        self._step_box = column(spacing=6)
        self.copy = CopyButton(tr("Copy"), "")
        self.open_log = Button(tr("Open the log"))
        self.open_log.clicked.connect(self._ask_for_log)
        close = Button(tr("Close"))
        close.clicked.connect(self.close)
        self._build(close)
        self.show_failure(failure)

    def show_failure(self, failure: Failure) -> None:
        """Show another state of the same failure: the panel has looked closer meanwhile."""
        self.failure = failure
        self.title.setText(str(failure.title))
        self.certainty.setText(f"{failure_text.certainty_line(failure)} · {failure_text.certainty_meaning(failure)}")
        self.detail.setText(str(failure.detail or ""))
        self.detail.setVisible(failure.detail is not None)
        self._show_places(failure)
        self.evidence.show_lines(failure.evidence)
        for part in (self._evidence_head, self.evidence):
            part.setVisible(bool(failure.evidence))
        self._show_steps(failure)
        what = tr("Copy all of this as text")
        self.copy.set_text(tr("Copy"), failure_text.as_text(self.role, failure), what)

    def steps(self) -> tuple[StepButton, ...]:
        """Return the buttons of the next steps, best first."""
        return tuple(self._steps)

    def _show_places(self, failure: Failure) -> None:
        while (item := self._places.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        pairs = failure_text.places(failure)
        pairs += [(tr("Seen by the panel"), str(seen)) for seen in failure.observed]
        for number, (what, value) in enumerate(pairs):
            self._places.addWidget(label(what, "faint"), number, 0, Qt.AlignmentFlag.AlignTop)
            said = label(value, "small", wrap=True)
            said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._places.addWidget(said, number, 1)

    def _show_steps(self, failure: Failure) -> None:
        for old in self._steps:
            self._step_box.removeWidget(old)
            old.hide()
            old.deleteLater()
        self._steps = []
        # The log has a button of its own below.
        for fix in (fix for fix in failure.fixes if fix.action != "show_log"):
            button = StepButton(fix)
            button.clicked.connect(lambda _=False, fix=fix: self._ask_for(fix))
            self._step_box.addWidget(button)
            self._steps.append(button)
        self._steps_head.setVisible(bool(self._steps))

    def _ask_for(self, fix: Fix) -> None:
        self.close()
        self.fix_asked.emit(fix)

    def _ask_for_log(self) -> None:
        self.close()
        self.log_asked.emit()

    def _build(self, close: Button) -> None:
        inside = QWidget()
        theme.mark(inside, look="plain")
        column_box = QVBoxLayout(inside)
        column_box.setContentsMargins(16, 16, 16, 8)
        column_box.setSpacing(8)
        for part in (self.title, self.certainty, self.detail):
            column_box.addWidget(part)
        column_box.addLayout(self._places)
        column_box.addWidget(self._evidence_head)
        column_box.addWidget(self.evidence)
        column_box.addWidget(self._steps_head)
        column_box.addLayout(self._step_box)
        column_box.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        foot = row(self.copy, self.open_log, None, close)
        foot.setContentsMargins(16, 8, 16, 12)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(scroll, 1)
        box.addWidget(rule())
        box.addLayout(foot)
