"""How a tier's settings came to be: the tuning steps that the catalog holds."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.catalog.tiers import Tier, TuningNote
from variet_gui.i18n import ntr, tr
from variet_gui.ui.widgets import tier_text
from variet_gui.ui.widgets.layout import Panel, label, row


class NotesPanel(Panel):
    """Hidden for a tier without notes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Tuning notes"), parent)
        self._tier: Tier | None = None
        self._list: QWidget | None = None

    def set_tier(self, tier: Tier) -> None:
        """Show the notes of `tier`, in the order of the catalog."""
        if tier is self._tier:
            return
        self._tier = tier
        if self._list is not None:
            self.body.removeWidget(self._list)
            self._list.hide()
            self._list.deleteLater()
            self._list = None
        self.setVisible(bool(tier.tuning))
        self.remark.setText(ntr("{count} step", "{count} steps", len(tier.tuning)) if tier.tuning else "")
        if not tier.tuning:
            return
        self._list = QWidget()
        box = QVBoxLayout(self._list)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(10)
        for note in tier.tuning:
            box.addWidget(_note(note))
        self.add(self._list)


def _note(note: TuningNote) -> QWidget:
    made = QWidget()
    box = QVBoxLayout(made)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(2)
    setting = label(note.setting, "small", wrap=True)
    head = row(setting, label(tier_text.month(note.date), "faint"))
    head.setStretch(0, 1)
    box.addLayout(head)
    change = _change(note)
    if change:
        box.addWidget(label(change, "small-quiet", wrap=True))
    if note.why:
        box.addWidget(label(note.why, "faint", wrap=True))
    return made


def _change(note: TuningNote) -> str:
    if note.before is not None and note.after is not None:
        return f"{note.before} → {note.after}"
    return note.after or note.before or ""
