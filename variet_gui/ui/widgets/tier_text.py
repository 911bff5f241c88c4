"""What is written about a tier wherever it is named: the card, the tab line, the recorded figures."""

from __future__ import annotations

from PySide6.QtCore import QDate, QLocale

from variet_gui.catalog.tiers import HistoricalFigure, Tier
from variet_gui.i18n import current_language, tr


def model_line(tier: Tier) -> str:
    """Return the model and what is special about it: "Gemma 4 26B-A4B · Q4_K_M · vision"."""
    parts = [tier.model_name]
    if tier.quantisation:
        parts.append(tier.quantisation)
    # A projector whose file was not recorded may still have a recorded place.
    if tier.parameters.get("mmproj") or "mmproj_offload" in tier.parameters:
        parts.append(tr("vision (CPU)") if tier.parameters.get("mmproj_offload") is False else tr("vision"))
    if tier.main_gpu_only is not None:
        parts.append(tr("GPU {index} only", index=tier.main_gpu_only))
    return " · ".join(parts)


def history_note(figure: HistoricalFigure) -> str:
    """Return why a recorded figure is shown as history and is not a pass."""
    return tr(
        "History: measured in {month}, without a record of the exact files, settings, build and driver. "
        "It is not a pass.",
        month=month(figure.measured),
    )


def month(iso: str) -> str:
    """Return "2026-04" or "2026-04-11" as people write it ("April 2026"); anything else as it is."""
    locale = QLocale(current_language())
    day = QDate.fromString(iso, "yyyy-MM-dd")
    if day.isValid():
        # The pattern is Qt's own: its translation gives the order and the words of a language, QLocale the month.
        return locale.toString(day, tr("d MMMM yyyy"))
    first = QDate.fromString(iso, "yyyy-MM")
    return locale.toString(first, tr("MMMM yyyy")) if first.isValid() else iso
