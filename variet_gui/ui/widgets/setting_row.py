"""One line of the Tune page: a name and its flag, whatever edits it, the way back to what is saved, a note below."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QLayout, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets import tab_order
from variet_gui.ui.widgets.buttons import IconButton
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.parameter_name import LINE_HEIGHT, ParameterName

LABEL_WIDTH = 184
_REVERT_WIDTH = 28
_GAP = 12


class SettingRow(QWidget):
    """Knows no values. The revert button and the note are made when they are first needed: most rows never do."""

    revert_clicked = Signal()

    def __init__(self, name: str, flag: str, explained: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = ParameterName(name, flag, LABEL_WIDTH)
        self.name.setToolTip(explained)
        self._note: QLabel | None = None
        self._revert: IconButton | None = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 2, 0, 2)
        # No spacing between columns: a layout leaves it out beside one that is empty, and fields would change their
        # width when the button comes.
        self._grid.setHorizontalSpacing(0)
        self._grid.setColumnMinimumWidth(0, LABEL_WIDTH + _GAP)
        self._grid.setColumnMinimumWidth(2, _GAP + _REVERT_WIDTH)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self._grid.setRowMinimumHeight(0, LINE_HEIGHT)
        self._grid.addWidget(self.name, 0, 0, Qt.AlignmentFlag.AlignTop)

    def set_content(self, content: QWidget | QLayout) -> None:
        """Put what edits the setting between name and revert button."""
        if isinstance(content, QLayout):
            self._grid.addLayout(content, 0, 1)
        else:
            self._grid.addWidget(content, 0, 1)

    def set_below(self, widget: QWidget) -> None:
        """Put `widget` below the note."""
        self._grid.addWidget(widget, 2, 1, Qt.AlignmentFlag.AlignLeft)

    @property
    def revert(self) -> IconButton:
        """The button that brings the saved value back."""
        if self._revert is None:
            self._revert = IconButton("revert", tr("Back to the saved value"), "caution_text")
            self._revert.setAccessibleName(tr("{name}: back to the saved value", name=self.name.name))
            self._revert.setFixedWidth(_REVERT_WIDTH)
            self._revert.hide()
            self._grid.addWidget(self._revert, 0, 2, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight)
            tab_order.put_last(self, self._revert)
            self._revert.clicked.connect(self.revert_clicked)
        return self._revert

    def offer_revert(self, wanted: bool) -> None:
        """Show the way back, or hide it."""
        if wanted or self._revert is not None:
            if not wanted and self.revert.hasFocus():
                tab_order.stops(self)[0].setFocus(Qt.FocusReason.OtherFocusReason)  # the keyboard stays in its row
            self.revert.setVisible(wanted)

    def note(self) -> str:
        """Return the line below the editor."""
        return "" if self._note is None else self._note.text()

    def show_note(self, text: str, *, wrong: bool = False) -> None:
        """Write a line below the editor; an empty one takes it away."""
        if self._note is None:
            if not text:
                return
            self._note = label("", "faint", wrap=True)
            self._grid.addWidget(self._note, 1, 1)
        theme.mark(self._note, look="failure" if wrong else "faint")
        self._note.setText(text)
        self._note.setVisible(bool(text))
