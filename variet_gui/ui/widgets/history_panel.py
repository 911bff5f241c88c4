"""What was measured of a tier, and what it must reach. A figure without a fingerprint is history, never a pass."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from variet_gui.catalog.tiers import Acceptance, HistoricalFigure, Tier
from variet_gui.i18n import tr
from variet_gui.ui.widgets import figures, tier_text
from variet_gui.ui.widgets.layout import Panel, label


class HistoryPanel(Panel):
    """Shows a tier's recorded figures as a small table, newest first, over its acceptance."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Recorded figures"), parent)
        self._tier: Tier | None = None
        self._table: QWidget | None = None
        self._wanted = label("", "faint", wrap=True)
        self._note = label("", "faint", wrap=True)
        self.add(self._wanted)
        self.add(self._note)

    def set_tier(self, tier: Tier) -> None:
        """Show the figures of `tier`."""
        if tier is self._tier:
            return
        self._tier = tier
        if self._table is not None:
            self.body.removeWidget(self._table)
            self._table.hide()
            self._table.deleteLater()
            self._table = None
        recorded = sorted(tier.history, key=lambda figure: figure.measured, reverse=True)
        if recorded:
            self._table = _table(recorded)
            self.body.insertWidget(0, self._table)
        unproven = [figure for figure in recorded if not figure.fingerprint]
        self.remark.setText(tr("history") if unproven else "")
        self._wanted.setText(tr("Accepted when: {conditions}.", conditions=acceptance_text(tier.acceptance)))
        if not recorded:
            self._note.setText(tr("Nothing was measured yet."))
        elif unproven:
            self._note.setText(tier_text.history_note(unproven[0]))
        self._note.setVisible(not recorded or bool(unproven))

    def text(self) -> str:
        """Return the sentences under the table."""
        return f"{self._wanted.text()} {self._note.text() if not self._note.isHidden() else ''}".strip()


def acceptance_text(acceptance: Acceptance) -> str:
    """Return what a tier must reach, in one line."""
    parts = []
    if acceptance.min_tps is not None:
        parts.append(tr("at least {target} t/s", target=f"{acceptance.min_tps:g}"))
    if acceptance.stable:
        parts.append(tr("runs stably"))
    if acceptance.starts:
        parts.append(tr("starts and answers"))
    if acceptance.vram_limit_mib is not None:
        parts.append(tr("at most {mib} MiB on each GPU", mib=figures.figure(acceptance.vram_limit_mib)))
    return ", ".join(parts) or tr("nothing is asked of it")


def _table(recorded: list[HistoricalFigure]) -> QWidget:
    table = QWidget()
    grid = QGridLayout(table)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(0, 1)
    for column, head in enumerate((tr("measured"), tr("t/s"), tr("context"), tr("GPUs"))):
        grid.addWidget(label(head, "faint"), 0, column, _side(column))
    for line, figure in enumerate(recorded, 1):
        cells = (
            tier_text.month(figure.measured),
            figures.UNKNOWN if figure.generation_tps is None else f"{figure.generation_tps:g}",
            figures.UNKNOWN if figure.context is None else figures.figure(figure.context),
            figure.gpus or figures.UNKNOWN,
        )
        for column, text in enumerate(cells):
            cell = label(text, "small")
            cell.setToolTip(figure.note or "")
            grid.addWidget(cell, 2 * line - 1, column, _side(column))
        if figure.note:
            grid.addWidget(label(figure.note, "faint", wrap=True), 2 * line, 0, 1, len(cells))
    return table


def _side(column: int) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
