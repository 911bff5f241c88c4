"""A change that would help, as a button: what it is, what it buys and what it costs, in as many lines as that needs."""

from __future__ import annotations

from PySide6.QtCore import QMargins
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from variet_gui.forecast.fixes import Fix
from variet_gui.forecast.values import Verdict
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.lines_button import LinesButton
from variet_gui.ui.widgets.verdict_line import COLOURS, SHAPE_PX, paint_shape

_LEFT, _RIGHT, _EDGE = 28, 10, 6
_NARROWEST = 120


class FixButton(LinesButton):
    """Says what it would do; a press is the page's to carry out."""

    def __init__(self, fix: Fix, gain: str, parent: QWidget | None = None) -> None:
        cost = tr("costs: {cost}", cost=fix.cost) if fix.cost is not None else ""
        price = " · ".join(text for text in (gain, cost) if text)
        lines = (label(str(fix.text), "small", wrap=True), label(price, "faint", wrap=True))
        super().__init__(lines, QMargins(_LEFT, _EDGE, _RIGHT, _EDGE), _NARROWEST, parent)
        self.fix = fix
        self.setAccessibleName(tr("Apply: {change}", change=fix.text))
        self.setAccessibleDescription(price)
        self.setToolTip(tr("Changes the settings above; nothing is started or saved. Undo takes it back."))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        verdict = self.fix.verdict
        if verdict not in (Verdict.FITS, Verdict.TIGHT):
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shape = theme.colour(COLOURS[verdict] if self.isEnabled() else "idle")
        paint_shape(painter, verdict, (_LEFT - SHAPE_PX) / 2, _EDGE + 2, shape)
        painter.end()
