"""The forecast of one tier: bars per device, the verdict, what llama-server itself says, and what would help."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from variet_gui.forecast.fixes import Fix
from variet_gui.forecast.values import Verdict
from variet_gui.i18n import Message, ntr, tr
from variet_gui.panel.outlook_values import ExactFigures, Outlook
from variet_gui.ui.widgets import forecast_text
from variet_gui.ui.widgets.bar_legend import BarLegend
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.exact_check import ExactCheck
from variet_gui.ui.widgets.fix_list import FixList
from variet_gui.ui.widgets.layout import GRID, Panel, column, label, row
from variet_gui.ui.widgets.memory_bar import MemoryBar
from variet_gui.ui.widgets.painted_line import PANEL_GROUND, PaintedLine
from variet_gui.ui.widgets.speed_text import speed_lines, speed_words
from variet_gui.ui.widgets.verdict_line import WORDS, VerdictLine

MANY_DEVICES = 4
"""Above this many, bars are thin."""


class ForecastCard(Panel):
    """Shows values that it is handed; says what was asked for and does nothing by itself."""

    fix_asked = Signal(object)
    """A `forecast.fixes.Fix` was pressed."""
    start_asked = Signal()
    """Start although it does not fit, or nobody knows."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("VRAM forecast"), parent)
        self._outlook: Outlook | None = None
        self._followed: Outlook | None = None
        """Whose verdict and bars are shown: while a slider moves, a step ahead of the rest."""
        self._stopped = True
        self._verdict = Verdict.UNKNOWN
        self._beside: bool | None = None
        self._unfolded = False
        self.verdict = VerdictLine()
        self.bars: list[MemoryBar] = []
        self._bar_box = column(spacing=8)
        self.legend = BarLegend()
        self._speed = PaintedLine()
        self._speed.set_details(self._speed_details)
        self._speed.hide()
        self._host = PaintedLine()
        self.verdict.set_ground(PANEL_GROUND)
        self._host.set_ground(PANEL_GROUND)
        self._host.set_details(self._host_details)
        self._simulated = label(tr("simulated"), "tag")
        self._source = PaintedLine()
        self._source.set_details(self._source_details)
        self._beside_running = label("", "caution", wrap=True)
        self._beside_running.hide()
        self._why = label("", "caution", wrap=True)
        self.fixes = FixList()
        self.exact = ExactCheck()
        self.start_anyway = Button(tr("Start anyway"))
        self.start_anyway.setToolTip(tr("Starts the tier with what the sliders show, whatever the forecast says."))
        self._fold = Button("", "group", icon="unfold")
        self._notes = label("", "faint", wrap=True)
        self._notes.hide()
        self.remark.hide()
        self._heading = self.head.itemAt(0).widget()
        self.head.setStretch(1, 0)
        self.add(self._bar_box)
        source = row(self._simulated, self._source)
        source.setStretch(1, 1)
        for part in (self.legend, self._speed, self._host, source, self._why, self._beside_running, self.fixes):
            self.add(part)
        exact = row(self.exact, self._fold)
        exact.setStretch(0, 1)
        exact.setAlignment(self._fold, Qt.AlignmentFlag.AlignTop)
        self.add(exact)
        self.add(self._notes)
        self.add(row(self.exact.button, self.start_anyway, None))
        self._measure()
        self._place_verdict(anew=True)
        self._fold.clicked.connect(self._toggle_notes)
        self.fixes.fix_asked.connect(self.fix_asked)
        self.start_anyway.clicked.connect(self.start_asked)

    # ------------------------------------------------------------------------------------------------- values

    @property
    def outlook(self) -> Outlook | None:
        """What is shown."""
        return self._outlook

    def follow(self, outlook: Outlook) -> None:
        """Show the verdict and the bars of `outlook`, and leave the rest to `set_outlook`: a slider is moving."""
        if outlook is self._followed:
            return
        before, self._followed = self._followed, outlook
        self._verdict = outlook.verdict
        self._show_verdict(outlook, another=before is None or before.role != outlook.role)
        self._show_bars(outlook)

    def set_outlook(self, outlook: Outlook) -> None:
        """Show `outlook`. Cheap where only figures change: bars are painted, and nothing is laid out anew."""
        self.follow(outlook)
        if outlook is self._outlook:
            return
        self._outlook = outlook
        for bar in self.bars:
            bar.tell()
        self._show_legend(outlook)
        forecast = outlook.forecast if outlook.devices else None
        _say(self._speed, speed_words(outlook.speed, fits=self._verdict is not Verdict.DOES_NOT_FIT))
        _say(self._host, forecast_text.host_words(forecast.host) if forecast is not None else "")
        _show(self._simulated, outlook.simulated)
        _say(self._source, forecast_text.source_words(outlook) if forecast is not None else "")
        unknown = self._verdict is Verdict.UNKNOWN
        _say(self._why, "\n".join(forecast_text.reasons(outlook)) if unknown else "")
        self._show_notes(forecast_text.notes(outlook))
        self._show_start()

    def show_fixes(self, fixes: Sequence[Fix]) -> None:
        """Offer `fixes`, which are of what is shown."""
        if self._outlook is not None:
            self.fixes.show_fixes(fixes, self._outlook)

    def show_exact(self, figures: ExactFigures) -> None:
        """Show what llama-server itself said of what is shown."""
        forecast = self._outlook.forecast if self._outlook is not None else None
        self.exact.show_figures(figures, on_gpus=forecast is not None and bool(forecast.devices))

    def set_stopped(self, stopped: bool) -> None:
        """Say whether the tier could be started now."""
        if stopped != self._stopped:
            self._stopped = stopped
            self._show_start()

    def set_beside(self, text: Message | None) -> None:
        """Say why the tier does not fit beside those that run; None: nothing is in the way."""
        _say(self._beside_running, str(text or ""))

    def beside(self) -> str:
        """Return why the tier does not fit beside those that run; empty where nothing is in the way."""
        return self._beside_running.text()

    def why(self) -> str:
        """Return why something is not known; empty where everything is."""
        return self._why.text()

    def notes(self) -> str:
        """Return the notes, also while they are folded away."""
        return self._notes.text()

    def speed_text(self) -> str:
        """Return the likely speed; empty where there is no estimate."""
        return self._speed.text()

    def host_text(self) -> str:
        """Return the line about the computer's own memory."""
        return self._host.text()

    def source_text(self) -> str:
        """Return where the figures come from and how far they may be off."""
        return self._source.text()

    @property
    def simulated_shown(self) -> bool:
        """Whether the card says that its devices are simulated."""
        return not self._simulated.isHidden()

    # ------------------------------------------------------------------------------------------------ showing

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._measure()
            self._place_verdict(anew=True)

    def _measure(self) -> None:
        sides = self.layout().contentsMargins()
        self._inside = self.width() - sides.left() - sides.right() - 2
        self._right_of_heading = self._inside - self._heading.sizeHint().width() - 2 * GRID

    def _place_verdict(self, *, anew: bool) -> None:
        """Put the verdict beside the heading, below it where it needs more room, over two lines where even more.

        Unless `anew`, it never goes back to less: words that get shorter while a slider moves leave what stands below
        in its place.
        """
        needed = self.verdict.room_needed()
        beside = needed <= self._right_of_heading
        lines = 2 if not beside and needed > self._inside else 1
        if not anew:
            beside, lines = beside and self._beside is not False, max(lines, self.verdict.lines)
        self.verdict.set_lines(lines)
        if beside != self._beside:
            self._beside = beside
            self.body.removeWidget(self.verdict)
            self.head.removeWidget(self.verdict)
            if beside:
                self.head.addWidget(self.verdict, 1)
            else:
                self.body.insertWidget(0, self.verdict)
            self.verdict.set_alignment(Qt.AlignmentFlag.AlignRight if beside else Qt.AlignmentFlag.AlignLeft)

    def _show_verdict(self, outlook: Outlook, *, another: bool) -> None:
        # Why something is not known stands below, in full.
        words = str(WORDS[Verdict.UNKNOWN] if self._verdict is Verdict.UNKNOWN else outlook.summary)
        self.verdict.show_verdict(self._verdict, words)
        self._place_verdict(anew=another)

    def _show_bars(self, outlook: Outlook) -> None:
        shown = [forecast_text.bar_values(device) for device in outlook.devices]
        while len(self.bars) < len(shown):
            self.bars.append(MemoryBar())
            self._bar_box.addWidget(self.bars[-1])
        stretch = max((values.total_mib / values.capacity_mib for values in shown if values.capacity_mib), default=1.0)
        for position, bar in enumerate(self.bars):
            _show(bar, position < len(shown))
            if position < len(shown):
                bar.set_thin(len(shown) > MANY_DEVICES)
                bar.set_values(shown[position], stretch, tell=False)

    def _show_legend(self, outlook: Outlook) -> None:
        devices = [device.forecast for device in outlook.devices]
        present = [
            kind for kind in forecast_text.PARTS if any(forecast_text.part_mib(device, kind) for device in devices)
        ]
        self.legend.set_kinds(present)
        _show(self.legend, bool(present))

    def _show_notes(self, notes: Sequence[str]) -> None:
        _say(self._notes, "\n".join(notes), visible=bool(notes) and self._unfolded)
        _say(self._fold, ntr("{count} note", "{count} notes", len(notes)) if notes else "")

    def _toggle_notes(self) -> None:
        self._unfolded = not self._unfolded
        self._notes.setVisible(self._unfolded)
        self._fold.set_icon("fold" if self._unfolded else "unfold")

    def _show_start(self) -> None:
        _show(self.start_anyway, self._stopped and self._verdict is not Verdict.FITS)

    def _speed_details(self) -> str:
        return "\n".join(speed_lines(self._outlook.speed)) if self._outlook is not None else ""

    def _host_details(self) -> str:
        forecast = self._outlook.forecast if self._outlook is not None else None
        return "\n".join(forecast_text.host_lines(forecast.host)) if forecast is not None else ""

    def _source_details(self) -> str:
        return str(self._outlook.source) if self._outlook is not None else ""


def _say(shown: QWidget, text: str, *, visible: bool | None = None) -> None:
    """Let a label or button say `text`; one that has nothing to say is hidden. No text, no layout."""
    if text != shown.text():
        shown.setText(text)
    _show(shown, bool(text) if visible is None else visible)


def _show(shown: QWidget, wanted: bool) -> None:
    if wanted == shown.isHidden():
        shown.setVisible(wanted)
