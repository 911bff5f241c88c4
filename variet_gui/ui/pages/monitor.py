"""The Monitor page: memory of every GPU, tokens per second, and the computer itself, live."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QScrollArea, QVBoxLayout, QWidget

from variet_gui.events import GpuSample, GpusSampled, HostSampled
from variet_gui.i18n import Message, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.figures import MIB_PER_GIB, figure, rate
from variet_gui.ui.widgets.layout import label, row
from variet_gui.ui.widgets.plot_clock import SPANS_S, PlotClock
from variet_gui.ui.widgets.plot_model import Curve, Limit
from variet_gui.ui.widgets.segments import Segments

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge
    from variet_gui.ui.widgets.time_plot import TimePlot

_NARROW = 760
"""Below this width of the page the two small plots stand below each other, px."""
_GIB_PER_MIB = 1.0 / MIB_PER_GIB


class MonitorPage(QWidget):
    """Plots pull from the store; the page only decides which ones there are.

    The plots are made after the page was first painted: importing pyqtgraph takes longer than opening the window.
    """

    def __init__(self, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._role = ""
        self._clock = PlotClock(parent=self)
        self._vram: TimePlot | None = None
        self._speed: TimePlot | None = None
        self._load: TimePlot | None = None
        self._host: TimePlot | None = None
        self._ram_total_mib: float | None = None
        self._shown: object = None
        self.corner = self._build_corner()
        self._reason = label("", "quiet", wrap=True)
        self._reason.hide()
        self._bottom = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._plots = QVBoxLayout()
        self._plots.setSpacing(12)
        inner = QWidget()
        theme.mark(inner, look="plain")
        box = QVBoxLayout(inner)
        box.setContentsMargins(0, 12, 0, 12)
        box.setSpacing(10)
        box.addLayout(row(None, self.corner))
        box.addWidget(self._reason)
        box.addLayout(self._plots, 1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        bridge.gpus_sampled.connect(self._on_gpus)
        bridge.host_sampled.connect(self._on_host)
        bridge.catalog_changed.connect(self._refresh_speed)

    def show_role(self, role: str) -> None:
        """Show the tokens per second of `role`; memory and load are those of the whole computer."""
        if role != self._role:
            self._role = role
            self._refresh_speed()

    def prepare(self) -> None:
        """Make the plots (imports pyqtgraph, takes half a second). Called by itself when the page is first shown."""
        if self._vram is not None:
            return
        from variet_gui.ui.widgets.time_plot import TimePlot

        store = self._bridge.panel.watch.store
        self._vram = TimePlot(tr("VRAM per GPU"), store, self._clock)
        self._speed = TimePlot(tr("Tokens per second"), store, self._clock, height=150)
        self._load = TimePlot(tr("GPU utilisation"), store, self._clock, height=92)
        self._host = TimePlot(tr("This computer"), store, self._clock, height=92)
        self._bottom.setSpacing(14)
        self._bottom.addWidget(self._load, 1)
        self._bottom.addWidget(self._host, 1)
        self._plots.addWidget(self._vram, 19)
        self._plots.addWidget(self._speed, 15)
        self._plots.addLayout(self._bottom, 10)
        self._refresh_speed()
        self._on_gpus(self._bridge.gpus())

    @property
    def clock(self) -> PlotClock:
        """The span and pause of all plots of this page."""
        return self._clock

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._vram is None:
            QTimer.singleShot(0, self, self.prepare)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        below = self.width() < _NARROW
        self._bottom.setDirection(QBoxLayout.Direction.TopToBottom if below else QBoxLayout.Direction.LeftToRight)

    # ---------------------------------------------------------------------------------------------------------- corner

    def _build_corner(self) -> QWidget:
        corner = QWidget()
        spans = zip(SPANS_S, (tr("10 min"), tr("1 h"), tr("24 h")), strict=True)
        self._spans = Segments([(str(span_s), text) for span_s, text in spans])
        self._spans.set_accessible_names(tr("Time shown"))
        self._spans.set_current(str(self._clock.span_s))
        self._spans.chosen.connect(self._choose_span)
        self._pause = Button(tr("Pause"), "segment")
        self._pause.setCheckable(True)
        self._pause.setToolTip(tr("Hold the picture. Sampling goes on."))
        self._pause.toggled.connect(self._clock.set_paused)
        corner.setLayout(row(self._spans, self._pause, spacing=8))
        return corner

    def _choose_span(self, key: str) -> None:
        self._clock.set_span(int(key))
        self._spans.set_current(key)

    # ---------------------------------------------------------------------------------------------------------- content

    def _on_gpus(self, sampled: GpusSampled | None) -> None:
        samples = sampled.samples if sampled else ()
        problem = sampled.problem if sampled else None
        kind = (
            [(s.index, s.memory_total_mib, s.simulated, s.utilisation_percent is not None) for s in samples],
            str(problem) if problem else "",
            self._ram_total_mib,
        )
        if self._vram is None or kind == self._shown:
            return
        self._shown = kind
        if samples:
            self._show_gpus(samples)
        else:
            self._show_host_instead(problem)

    def _on_host(self, sampled: HostSampled) -> None:
        if sampled.sample.memory_total_mib != self._ram_total_mib:
            self._ram_total_mib = sampled.sample.memory_total_mib
            self._on_gpus(self._bridge.gpus())

    def _show_gpus(self, samples: tuple[GpuSample, ...]) -> None:
        assert self._vram is not None and self._load is not None and self._host is not None  # noqa: PT018
        self._reason.hide()
        simulated = tr("simulated") if any(sample.simulated for sample in samples) else ""
        totals = sorted({s.memory_total_mib * _GIB_PER_MIB for s in samples if s.memory_total_mib})
        self._vram.set_title(tr("VRAM per GPU"))
        self._vram.set_note(simulated)
        self._vram.set_content(
            [
                Curve(
                    f"gpu{sample.index}.vram_mib",
                    tr("GPU {index}", index=sample.index),
                    theme.SERIES[position % len(theme.SERIES)],
                    _GIB_PER_MIB,
                    _one_digit,
                )
                for position, sample in enumerate(samples)
            ],
            unit=tr("GiB"),
            limits=[Limit(t, tr("{amount} GiB", amount=figure(t, 1)), "failure_text") for t in totals],
            capacity=totals[-1] if totals else None,
            empty_text=tr("No figures yet"),
        )
        with_load = [(p, s) for p, s in enumerate(samples) if s.utilisation_percent is not None]
        self._load.setVisible(bool(with_load))
        self._load.set_title(tr("GPU utilisation"))
        self._load.set_note(simulated)
        self._load.set_content(
            [
                Curve(
                    f"gpu{sample.index}.utilisation",
                    tr("GPU {index}", index=sample.index),
                    theme.SERIES[position % len(theme.SERIES)],
                    show=_percent,
                )
                for position, sample in with_load
            ],
            capacity=100.0,
            mark_labels=False,
        )
        memory = [self._memory_share_curve(self._ram_total_mib)] if self._ram_total_mib else []
        self._host.set_title(tr("This computer"))
        self._host.set_content([*memory, self._processor_curve(tr("processor"))], capacity=100.0, mark_labels=False)
        self._host.show()

    def _show_host_instead(self, problem: Message | None) -> None:
        assert self._vram is not None and self._load is not None and self._host is not None  # noqa: PT018
        if problem is not None:
            self._reason.setText(
                tr(
                    "No GPU figures: {reason} The memory and the processor of this computer are shown instead.",
                    reason=problem,
                )
            )
        self._reason.setVisible(problem is not None)
        total = self._ram_total_mib * _GIB_PER_MIB if self._ram_total_mib else None
        self._vram.set_title(tr("Memory of this computer"))
        self._vram.set_note("")
        self._vram.set_content(
            [Curve("host.memory_mib", tr("in use"), "gpu0", _GIB_PER_MIB, _one_digit)],
            unit=tr("GiB"),
            limits=[Limit(total, tr("{amount} GiB", amount=figure(total, 1)), "failure_text")] if total else [],
            capacity=total,
            empty_text=tr("No figures yet"),
        )
        self._load.hide()
        self._host.set_title(tr("Processor"))
        self._host.set_content([self._processor_curve()], capacity=100.0, mark_labels=False)
        self._host.show()

    def _refresh_speed(self) -> None:
        if self._speed is None or not self._role:
            return
        catalog = self._bridge.panel.tune.catalog
        tier = next((tier for tier in catalog.tiers if tier.role == self._role), None) if catalog else None
        target = tier.acceptance.min_tps if tier else None
        self._speed.set_title(tr("Tokens per second · {role}", role=self._role))
        self._speed.set_content(
            [
                Curve(f"{self._role}.prefill_tps", tr("prefill"), "context", show=rate, filled=True, right=True),
                Curve(f"{self._role}.generation_tps", tr("generation"), "compute", show=rate, filled=True),
            ],
            limits=[Limit(target, tr("target {speed}", speed=_target(target)), "good_text")] if target else [],
            empty_text=tr("Nothing yet. The curves begin with the first answer of {role}.", role=self._role),
        )

    def _processor_curve(self, label_text: str = "") -> Curve:
        return Curve("host.cpu", label_text, "compute", show=_percent)

    def _memory_share_curve(self, total_mib: float) -> Curve:
        """Memory in percent, so that it shares a scale with the processor; its figure is in GiB all the same."""

        def show(percent: float | None) -> str:
            used = None if percent is None else percent / 100.0 * total_mib * _GIB_PER_MIB
            return tr("{used} of {total} GiB", used=figure(used, 1), total=figure(total_mib * _GIB_PER_MIB, 1))

        return Curve("host.memory_mib", tr("memory"), "context", 100.0 / total_mib, show)


def _one_digit(value: float | None) -> str:
    return figure(value, 1)


def _percent(value: float | None) -> str:
    return figure(value) if value is None or not math.isfinite(value) else tr("{percent} %", percent=figure(value))


def _target(tokens_per_s: float) -> str:
    return figure(tokens_per_s, 0 if tokens_per_s == int(tokens_per_s) else 1)
