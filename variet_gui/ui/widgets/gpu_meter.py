"""The top bar's meters: one per GPU, or the computer's memory and processor where there is no driver."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from variet_gui.events import GpuSample, GpusSampled, HostSample
from variet_gui.i18n import Message, tr
from variet_gui.ui import icons, theme
from variet_gui.ui.widgets import figures
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.meter_bar import MeterBar


class GpuMeter(QWidget):
    """Name, bar, used and total memory, the PCIe link, and a warning where the slot gives fewer lanes than it could."""

    def __init__(self, colour: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = label("", "quiet")
        self._bar = MeterBar(colour, 8)
        self._bar.setMaximumWidth(110)
        self._bar.setMinimumWidth(48)
        self._figures = label("", "quiet")
        self._warning = QLabel()
        self._simulated = label(tr("simulated"), "tag")
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(8)
        box.addWidget(self._name)
        box.addWidget(self._bar, 1)
        for part in (self._figures, self._warning, self._simulated):
            box.addWidget(part, 0, Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def set_sample(self, sample: GpuSample) -> None:
        """Show `sample`."""
        used, total = sample.memory_used_mib, sample.memory_total_mib
        self._name.setText(tr("GPU {index}", index=sample.index))
        self._bar.set_fraction(used / total if used is not None and total else None)
        memory = tr("{used} / {total} GiB", used=figures.gibibytes(used), total=figures.gibibytes(total))
        link = ""
        if sample.pcie_generation is not None and sample.pcie_width is not None:
            link = tr("PCIe {generation}.0 ×{width}", generation=sample.pcie_generation, width=sample.pcie_width)
        self._figures.setText(" · ".join(part for part in (memory, link) if part))
        # Generation drops on every idle card; only the width says that the slot or riser is at fault.
        narrow = (
            sample.pcie_width is not None
            and sample.pcie_width_max is not None
            and sample.pcie_width < sample.pcie_width_max
        )
        explained = [sample.name]
        if narrow:
            explained.append(
                tr(
                    "The link has {width} of {maximum} lanes: this slot limits how fast data reaches the GPU.",
                    width=sample.pcie_width,
                    maximum=sample.pcie_width_max,
                )
            )
        if sample.simulated:
            explained.append(tr("Simulated: no such card exists; it stands in for a real one in the demo."))
        self._warning.setVisible(narrow)
        if narrow:
            self._warning.setPixmap(icons.pixmap("warning", "caution", 14))
        self._simulated.setVisible(sample.simulated)
        self.setToolTip("\n".join(explained))
        self.setAccessibleName(f"{self._name.text()}: {self._figures.text()}")
        self.setAccessibleDescription(" ".join(explained))

    def text(self) -> str:
        """Return the figures that are shown."""
        return self._figures.text()

    def warns(self) -> bool:
        """Whether the warning about the PCIe link is shown."""
        return not self._warning.isHidden()


class HostMeter(QWidget):
    """The computer's memory and processor, with the reason why no GPU is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._memory_bar = MeterBar("gpu0", 8)
        self._cpu_bar = MeterBar("gpu1", 8)
        self._memory = label("", "quiet")
        self._cpu = label("", "quiet")
        self._reason = label("", "faint")
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(8)
        for name, bar, value in ((tr("RAM"), self._memory_bar, self._memory), (tr("CPU"), self._cpu_bar, self._cpu)):
            bar.setMaximumWidth(110)
            bar.setMinimumWidth(48)
            box.addWidget(label(name, "quiet"))
            box.addWidget(bar, 1)
            box.addWidget(value)
            box.addSpacing(8)
        box.addWidget(self._reason)
        box.addStretch(1)

    def set_sample(self, sample: HostSample) -> None:
        """Show `sample`."""
        self._memory_bar.set_fraction(sample.memory_used_mib / sample.memory_total_mib)
        self._cpu_bar.set_fraction(sample.cpu_percent / 100)
        used, total = figures.gibibytes(sample.memory_used_mib), figures.gibibytes(sample.memory_total_mib)
        self._memory.setText(tr("{used} / {total} GiB", used=used, total=total))
        self._cpu.setText(tr("{percent} %", percent=f"{sample.cpu_percent:.0f}"))
        self.setAccessibleName(f"{tr('RAM')} {self._memory.text()}, {tr('CPU')} {self._cpu.text()}")

    def set_problem(self, problem: Message | None) -> None:
        """Say why there are no GPU figures; the whole reason is the tooltip."""
        self._reason.setText(tr("no GPU figures") if problem is not None else "")
        self.setToolTip(str(problem or ""))
        self.setAccessibleDescription(str(problem or ""))


class MeterStrip(QWidget):
    """As many GPU meters as there are GPUs; the host's figures while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.meters: list[GpuMeter] = []
        self.host = HostMeter()
        self._sampled: GpusSampled | None = None
        self._box = QHBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(20)
        self._box.addWidget(self.host)
        self.host.hide()

    def minimumSizeHint(self) -> QSize:
        # The strip gives way before the buttons beside it do: bars shrink first, then the last words are cut.
        return QSize(120, super().minimumSizeHint().height())

    def show_gpus(self, sampled: GpusSampled) -> None:
        """Show one round of the GPU sampler."""
        self._sampled = sampled
        while len(self.meters) < len(sampled.samples):
            meter = GpuMeter(theme.SERIES[len(self.meters) % len(theme.SERIES)])
            self.meters.append(meter)
            self._box.addWidget(meter, 0, Qt.AlignmentFlag.AlignLeft)
        for meter, sample in zip(self.meters, sampled.samples, strict=False):
            meter.set_sample(sample)
        for index, meter in enumerate(self.meters):
            meter.setVisible(index < len(sampled.samples))
        self.host.set_problem(sampled.problem)
        self.host.setVisible(not sampled.samples)

    def show_host(self, sample: HostSample) -> None:
        """Show the computer's own figures; they are visible only while no GPU is."""
        self.host.set_sample(sample)
        self.host.setVisible(self._sampled is None or not self._sampled.samples)


def gpu_bars(sampled: GpusSampled | None) -> list[tuple[float | None, str, str]]:
    """Return one (fraction of memory in use, colour, words) per GPU, as a tier's card shows them."""
    bars = []
    for position, gpu in enumerate(sampled.samples if sampled else ()):
        used, total = gpu.memory_used_mib, gpu.memory_total_mib
        words = tr(
            "GPU {index}: {used} of {total} GiB in use by everything on it",
            index=gpu.index,
            used=figures.gibibytes(used),
            total=figures.gibibytes(total),
        )
        fraction = used / total if used is not None and total else None
        bars.append((fraction, theme.SERIES[position % len(theme.SERIES)], words))
    return bars
