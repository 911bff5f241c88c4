"""A next step as a button: what it does, and under it what it buys and what it costs."""

from __future__ import annotations

from PySide6.QtCore import QMargins
from PySide6.QtWidgets import QWidget

from variet_gui.events import Fix
from variet_gui.i18n import tr
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.lines_button import LinesButton

_SIDE, _EDGE = 10, 5
_NARROWEST = 160


class StepButton(LinesButton):
    """Says what it would do; a press is carried out by whoever shows it."""

    def __init__(self, fix: Fix, parent: QWidget | None = None, *, brief: bool = False) -> None:
        """Make the button; `brief`: what it buys and costs is in its tooltip alone."""
        lines = [label(str(fix.text), "small" if brief else None, wrap=True)]
        if fix.gain is not None and not brief:
            lines.append(label(str(fix.gain), "faint", wrap=True))
        super().__init__(lines, QMargins(_SIDE, _EDGE, _SIDE, _EDGE), _NARROWEST, parent)
        self.fix = fix
        self.setAccessibleName(str(fix.text))
        self.setAccessibleDescription(str(fix.gain or ""))
        explained = [str(fix.gain)] if fix.gain is not None and brief else []
        if fix.changes_settings:
            explained.append(tr("Changes the settings and starts the tier again. Undo takes the change back."))
        self.setToolTip("\n".join(explained))
