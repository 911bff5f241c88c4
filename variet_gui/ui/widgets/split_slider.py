"""How the layers are shared between two GPUs: one handle that snaps to whole layers."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.events import ParameterValue
from variet_gui.forecast.placement import DeviceShare, describe, gpu_layer_count, placement, split_for_layers
from variet_gui.i18n import ntr, tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.elided_label import ElidedLabel
from variet_gui.ui.widgets.layout import row
from variet_gui.ui.widgets.parameter_editor import VALUE_WIDTH, ParameterEditor
from variet_gui.ui.widgets.track_slider import TrackSlider
from variet_gui.ui.widgets.unit_field import UnitField

_HUNDREDTHS = 100


class SplitSlider(ParameterEditor):
    """For RATIO parameters. Without the model's layer count it moves in hundredths and speaks of per cent.

    With one or more than two parts the slider steps back and the typed field and the words remain.
    """

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self._layers: int | None = None
        self._n_gpu_layers = -1
        self._order: tuple[int, ...] = ()
        self._showing = False
        self.slider = TrackSlider("gpu0", "gpu1")
        self.field = UnitField()
        self.field.setFixedWidth(VALUE_WIDTH)
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.left = ElidedLabel("", "faint")
        self.right = ElidedLabel("", "faint", Qt.TextElideMode.ElideLeft)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self.slider, 0, 0)
        grid.addWidget(self.field, 0, 1)
        # Under the field too: beside a short slider the words would not fit.
        grid.addLayout(row(self.left, None, self.right), 1, 0, 1, 2)
        self.slider.valueChanged.connect(self._slid)
        self.slider.confirmed.connect(self._slid)
        self.slider.unset_asked.connect(lambda: self.offer(None))
        self.field.committed.connect(self._typed)

    def set_model(self, layers: int | None, n_gpu_layers: ParameterValue | None) -> None:
        """Say how many layers the model has (None: not known) and how many of them leave the CPU."""
        self._layers = layers or None
        self._n_gpu_layers = gpu_layer_count(n_gpu_layers)
        self.refresh()

    @property
    def gesture(self) -> object | None:
        return self.slider.gesture

    def set_order(self, numbers: Sequence[int]) -> None:
        """Say which GPU each part is for, where the devices are named in an order of their own."""
        if tuple(numbers) != self._order:
            self._order = tuple(numbers)
            self.refresh()

    def controls(self) -> tuple[QWidget, ...]:
        return (self.slider, self.field)

    @property
    def active_layers(self) -> int | None:
        """How many layers are shared between the GPUs, the output counted as one; None when not known."""
        if self._layers is None:
            return None
        everything = self._layers + 1
        return everything if self._n_gpu_layers < 0 else min(self._n_gpu_layers, everything)

    def refresh(self) -> None:
        self._showing = True
        active = self.active_layers
        self.slider.setRange(0, active or _HUNDREDTHS)
        parts = _parts(self.value)
        two = self.value is None or len(parts) == 2
        self.slider.setEnabled(two and self.isEnabled())
        self.slider.set_hollow(self.value is None)
        share = _first_share(parts)
        self.slider.set_exact(0.5 if share is None else share)
        self.slider.setValue(self._position(self.value))
        saved = _first_share(_parts(self.saved))
        self.slider.set_tick(saved if self.changed else None)
        self.field.setPlaceholderText(self.unset_note())
        self.field.show_text("" if self.value is None else self.written(self.value))
        theme.mark(self.field, changed=self.changed, wrong=False)
        self._describe(parts)
        self._showing = False

    def shares(self) -> tuple[DeviceShare, ...]:
        """Return what each GPU (and the CPU, where something stays there) gets; nothing while that is not known."""
        parts = _parts(self.value)
        if self._layers is None or not parts:
            return ()
        placed = placement(self._layers, self._n_gpu_layers, parts, [1.0] * len(parts))
        return describe(placed, len(parts))

    def spoken(self) -> str:
        where = ", ".join(text for text in (self.left.text(), self.right.text()) if text)
        return f"{super().spoken()} {where}"

    def _describe(self, parts: Sequence[float]) -> None:
        if self.value is None:
            self.left.setText(tr("llama-server shares the layers by free memory"))
            self.right.setText("")
            return
        shares = self.shares()
        if shares:
            words = [self._share_words(share) for share in shares]
        else:
            total = sum(parts) or 1.0
            words = [
                tr("{percent} % on GPU {index}", percent=f"{part / total * 100:.0f}", index=self._gpu(index))
                for index, part in enumerate(parts)
            ]
        self.left.setText(words[0])
        self.right.setText("  ·  ".join(words[1:]))

    def _gpu(self, part: int) -> int:
        return self._order[part] if part < len(self._order) else part

    def _share_words(self, share: DeviceShare) -> str:
        device = tr("the CPU") if share.device is None else tr("GPU {index}", index=self._gpu(share.device))
        if share.has_output:
            return ntr(
                "{count} layer + output on {device}", "{count} layers + output on {device}", share.layers, device=device
            )
        return ntr("{count} layer on {device}", "{count} layers on {device}", share.layers, device=device)

    def _position(self, value: ParameterValue | None) -> int:
        parts = _parts(value)
        active = self.active_layers
        if len(parts) != 2:
            return (active or _HUNDREDTHS) // 2
        if active is None or self._layers is None:
            return round((_first_share(parts) or 0.0) * _HUNDREDTHS)
        placed = placement(self._layers, self._n_gpu_layers, parts, [1.0, 1.0])
        return len(placed.layers_on(0)) + (1 if placed.output_device == 0 else 0)

    def _slid(self, position: int) -> None:
        if self._showing:
            return
        if self.saved is not None and len(_parts(self.saved)) == 2 and self._position(self.saved) == position:
            # Back where the saved split puts its layers: the saved figures themselves, so that nothing differs.
            self.offer(self.saved)
        elif self._layers is not None:
            self.offer(split_for_layers(position, self._layers, self._n_gpu_layers))
        else:
            self.offer((position / _HUNDREDTHS, (_HUNDREDTHS - position) / _HUNDREDTHS))

    def _typed(self, text: str) -> None:
        if not self.offer_text(text):
            theme.mark(self.field, wrong=True)


def _parts(value: ParameterValue | None) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else ()


def _first_share(parts: Sequence[float]) -> float | None:
    total = sum(parts)
    return parts[0] / total if total else None
