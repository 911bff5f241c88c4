"""A next step as a button: what it does, and under it what it buys and what it costs."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

from variet_gui.events import Fix
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import label

_SIDE, _EDGE = 10, 5


class StepButton(QPushButton):
    """Says what it would do; a press is carried out by whoever shows it."""

    def __init__(self, fix: Fix, parent: QWidget | None = None, *, brief: bool = False) -> None:
        """Make the button; `brief`: what it buys and costs is in its tooltip alone."""
        super().__init__(parent)
        self.fix = fix
        self._lines = [label(str(fix.text), "small" if brief else None, wrap=True)]
        if fix.gain is not None and not brief:
            self._lines.append(label(str(fix.gain), "faint", wrap=True))
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(_SIDE, _EDGE, _SIDE, _EDGE)
        self._box.setSpacing(1)
        for line in self._lines:
            line.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            self._box.addWidget(line)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAutoDefault(False)
        theme.mark(self, kind="fix")
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setAccessibleName(str(fix.text))
        self.setAccessibleDescription(str(fix.gain or ""))
        explained = [str(fix.gain)] if fix.gain is not None and brief else []
        if fix.changes_settings:
            explained.append(tr("Changes the settings and starts the tier again. Undo takes the change back."))
        self.setToolTip("\n".join(explained))

    def words(self) -> tuple[str, ...]:
        """Return the lines that are shown."""
        return tuple(line.text() for line in self._lines)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._box.totalHeightForWidth(width)

    def sizeHint(self) -> QSize:
        width = max(160, self.width())
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.heightForWidth(max(160, self.width())))
