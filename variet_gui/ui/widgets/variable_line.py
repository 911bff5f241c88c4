"""One variable of a server's environment: name, value, and a button that takes it away."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtWidgets import QApplication, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import IconButton
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.unit_field import UnitField

_NAME_SHARE, _VALUE_SHARE = 10, 3


class VariableLine(QWidget):
    """A line that is set commits each field by itself; a new one commits when the keyboard leaves it, or on Enter."""

    committed = Signal()
    removed = Signal()
    restored = Signal()
    """What was typed and refused was taken back."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.before: str | None = None
        """The name under which it is set; None for a new line."""
        self.refused = False
        self._value = ""
        self.name = UnitField()
        self.value = UnitField()
        self.remove = IconButton("close", tr("Take this variable away"))
        for field in (self.name, self.value):
            field.setFont(theme.mono_font())
            field.installEventFilter(self)
            field.returnPressed.connect(self._entered)
            field.committed.connect(self._committed)
            field.textChanged.connect(self._text_changed)
        self.name.setPlaceholderText(tr("name"))
        self.value.setPlaceholderText(tr("empty"))
        line = row(self.name, label("=", "faint"), self.value, self.remove, spacing=4)
        line.setStretch(0, _NAME_SHARE)
        line.setStretch(2, _VALUE_SHARE)
        self.setLayout(line)
        self.remove.clicked.connect(self.removed)
        self._speak()

    def show_variable(self, name: str, value: str, *, changed: bool) -> None:
        """Show a variable that is set; what was typed and refused stays as long as it is the same one."""
        if self.refused and (name, value) == (self.before, self._value):
            return
        self.before, self._value, self.refused = name, value, False
        for field, text in ((self.name, name), (self.value, value)):
            field.show_text(text)
            field.setToolTip(text)
            if not field.hasFocus():
                field.home(False)
            theme.mark(field, changed=changed, wrong=False)
        self._speak()

    def take(self, name: str, value: str) -> None:
        """Note that what was typed is set now."""
        self.before, self._value, self.refused = name, value, False
        for field in (self.name, self.value):
            field.setModified(False)

    def refuse(self) -> None:
        """Keep what was typed, marked as wrong."""
        self.refused = True
        for field in (self.name, self.value):
            field.setModified(True)  # Escape brings back what is set
            theme.mark(field, wrong=True)

    def typed(self) -> tuple[str, str]:
        """Return name and value as they stand in the fields."""
        return self.name.text().strip(), self.value.text()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut and self.before is None:
            QTimer.singleShot(0, self, self._left)  # by then it is known where the keyboard has gone
        return super().eventFilter(watched, event)

    def _left(self) -> None:
        focused = QApplication.focusWidget()
        inside = focused is not None and self.isAncestorOf(focused)
        if self.before is None and not inside and self.name.text().strip() and not self.refused:
            self.committed.emit()

    def _entered(self) -> None:
        if self.before is None and (self.name.text().strip() or self.value.text()):
            self.committed.emit()

    def _committed(self, _text: str) -> None:
        if self.before is not None:
            self.committed.emit()

    def _text_changed(self, _text: str) -> None:
        if self.refused and self.typed() == (self.before or "", self._value):
            self.refused = False
            for field in (self.name, self.value):
                theme.mark(field, wrong=False)
            self.restored.emit()
        elif self.refused and self.before is None:
            self.refused = False  # it is being mended: leaving it asks again

    def _speak(self) -> None:
        effect = tr("Takes effect at the next start.")
        named, what = self.before or tr("new variable"), tr("Name of a variable")
        self.name.setAccessibleName(tr("{name}: {value}. {effect}", name=what, value=named, effect=effect))
        value = self._value or tr("empty")
        self.value.setAccessibleName(tr("{name}: {value}. {effect}", name=named, value=value, effect=effect))
        self.remove.setAccessibleName(tr("Take {name} away", name=named))
