"""What llama-server itself says that the settings take: asked for by a button or after a slider came to rest."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.i18n import tr
from variet_gui.panel.outlook_values import ExactFigures
from variet_gui.ui import theme
from variet_gui.ui.widgets import figures
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.layout import label


class ExactCheck(QWidget):
    """The sentence, and the button that asks or gives up; the card places the button.

    There is always a sentence, so that nothing below moves when one goes.
    """

    asked = Signal()
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._asking = False
        self._shown: tuple[str, str, str, bool] | None = None
        self._text = label("", "faint", wrap=True)
        self.button = Button()
        self.button.clicked.connect(self._pressed)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._text)
        self.show_nothing()

    @property
    def asking(self) -> bool:
        """Whether llama-server is being asked."""
        return self._asking

    def text(self) -> str:
        """Return the sentence."""
        return self._text.text()

    def show_nothing(self) -> None:
        """Nothing was asked of these values."""
        self._show(tr("Not checked with llama-server."), "faint")

    def show_asking(self) -> None:
        """llama-server is being asked."""
        self._show(tr("Asking llama-server …"), "faint", asking=True)

    def show_figures(self, exact: ExactFigures, *, on_gpus: bool = True) -> None:
        """Show what it said of these values; `on_gpus`: the forecast on the card is one for GPUs."""
        details = "\n".join(exact_lines(exact))
        if on_gpus and not exact.devices:
            # Its figures are for another machine than the bars: they must not look like a confirmation of them.
            text = tr("llama-server saw no GPU here: it counted for the processor alone.")
            self._show(text, "faint", details)
        elif exact.agrees:
            totals = [device.total_mib / figures.MIB_PER_GIB for device in exact.devices]
            held = " / ".join(figures.figure(gib, 2) for gib in totals)
            text = tr("checked with llama-server: {gib} GiB", gib=held) if held else str(exact.summary)
            self._show(text, "good", details)
        else:
            self._show(str(exact.summary), "caution", details)

    def show_refusal(self, why: str) -> None:
        """Say quietly why it was not asked, or gave no answer."""
        self._show(why, "faint")

    def _show(self, text: str, look: str, details: str = "", *, asking: bool = False) -> None:
        shown = (text, look, details, asking)
        if shown == self._shown:
            return
        self._shown = shown
        self._asking = asking
        if text != self._text.text():
            self._text.setText(text)
        theme.mark(self._text, look=look)
        self._text.setToolTip(details)
        words = tr("Cancel the check") if asking else tr("Check exactly")
        if words != self.button.text():
            self.button.setText(words)
            self.button.setToolTip(
                "" if asking else tr("Asks llama-server itself; it counts, says so and ends before it loads anything.")
            )

    def _pressed(self) -> None:
        if self._asking:
            self.cancelled.emit()
        else:
            self.asked.emit()


def exact_lines(exact: ExactFigures) -> list[str]:
    """Return every figure of an exact check, one device a line."""
    lines = []
    for device in (*exact.devices, *((exact.host,) if exact.host is not None else ())):
        line = tr(
            "{name}: {total} MiB (weights {weights}, KV cache {context}, compute {compute})",
            name=device.label,
            total=figures.figure(device.total_mib),
            weights=figures.figure(device.weights_mib),
            context=figures.figure(device.context_mib),
            compute=figures.figure(device.compute_mib),
        )
        if device.difference_mib is not None:
            line = tr("{line}; the forecast says {mib} MiB", line=line, mib=figures.figure(device.forecast_mib))
        lines.append(line)
    if exact.devices:
        lines.append(tr("What CUDA takes for itself and the projector come on top."))
    lines += [str(note) for note in exact.notes]
    lines.append(tr("llama-server answered in {time}.", time=figures.seconds(exact.seconds * 1000)))
    return lines
