"""A quiet list of the model servers that run on this computer and are not this panel's."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QDialog, QFrame, QScrollArea, QVBoxLayout, QWidget

from variet_gui.engine.found import FoundServer
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets import figures
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import column, label, row

_SIZE = QSize(560, 320)


class ElsewhereDialog(QDialog):
    """Not modal. Shows what it is handed; says what was asked for."""

    look_asked = Signal()
    end_asked = Signal(object)
    """The `FoundServer`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Running elsewhere"))
        self.setModal(False)
        self.resize(_SIZE)
        about = tr("Model servers on this computer that this panel did not start. They are left alone.")
        self.empty = label("", "quiet", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.again = Button(tr("Look again"))
        close = Button(tr("Close"), "primary")
        self.rows: list[FoundRow] = []
        inner = QWidget()
        theme.mark(inner, look="plain")
        self._box = QVBoxLayout(inner)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(8)
        self._box.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(inner)
        box = QVBoxLayout(self)
        box.setContentsMargins(16, 16, 16, 16)
        box.setSpacing(12)
        box.addWidget(label(about, "quiet", wrap=True))
        box.addWidget(self.empty, 1)
        box.addWidget(self._scroll, 1)
        box.addLayout(row(None, self.again, close))
        self.again.clicked.connect(self.look_asked)
        close.clicked.connect(self.close)
        self.show_looking()

    def show_looking(self) -> None:
        """Say that it is being looked; what was found before stays until there is an answer."""
        self.again.setEnabled(False)
        if not self.rows:
            self._say(tr("Looking…"))

    def show_found(self, found: Sequence[FoundServer]) -> None:
        """List `found`."""
        self.again.setEnabled(True)
        for each in self.rows:
            self._box.removeWidget(each)
            each.hide()
            each.deleteLater()
        self.rows = [FoundRow(one) for one in found]
        for position, each in enumerate(self.rows):
            each.end_asked.connect(self.end_asked)
            self._box.insertWidget(position, each)
        self._say("" if found else tr("Nothing was found: no other model server runs on this computer."))

    def _say(self, text: str) -> None:
        self.empty.setText(text)
        self.empty.setVisible(bool(text))
        self._scroll.setVisible(not text)


class FoundRow(QFrame):
    """One server: what it is, what it holds, and the way to end it where that is allowed."""

    end_asked = Signal(object)

    def __init__(self, found: FoundServer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="panel")
        self.found = found
        self.title = label(" · ".join(part for part in (found.name, found.alias, found.model) if part), "heading")
        self.title.setMinimumWidth(1)
        facts = [tr("process {pid}", pid=found.pid)]
        facts.append(tr("port {port}", port=found.port) if found.port is not None else tr("no port known"))
        if found.memory_mib is not None:
            facts.append(tr("holds {gib} GiB of the computer's memory", gib=figures.gibibytes(found.memory_mib)))
        if not found.own_user:
            facts.append(tr("belongs to another user"))
        self.facts = label(" · ".join(facts), "faint", wrap=True)
        self.end = Button(tr("End…"))
        self.end.setAccessibleName(tr("End {program}, process {pid}", program=found.name, pid=found.pid))
        self.end.setVisible(found.own_user)
        self.end.clicked.connect(lambda: self.end_asked.emit(self.found))
        words = column(self.title, self.facts, spacing=2)
        line = row(words, self.end)
        line.setStretch(0, 1)
        line.setContentsMargins(12, 8, 12, 8)
        self.setLayout(line)
