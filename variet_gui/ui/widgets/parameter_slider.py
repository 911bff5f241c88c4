"""A number: a slider that fits its meaning, and a typed field for the exact value."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from variet_gui.catalog.parameter_types import Kind, Parameter, Scale
from variet_gui.catalog.parameters import format_value
from variet_gui.events import ParameterValue
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.figures import THIN_SPACE, figure
from variet_gui.ui.widgets.parameter_editor import VALUE_WIDTH, ParameterEditor
from variet_gui.ui.widgets.slider_scale import SliderScale
from variet_gui.ui.widgets.track_slider import TrackSlider
from variet_gui.ui.widgets.unit_field import UnitField

CONTEXT_STEP = 256
"""llama.cpp rounds the context up to a multiple of this (llama-context.cpp, GGML_PAD(n_ctx, 256)), tokens."""


class ParameterSlider(ParameterEditor):
    """For INTEGER and FRACTION parameters with a range; a last word such as "all" stands at the right end."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self._maximum: float | None = None
        self._top_word: str | None = "all" if "all" in parameter.words else None
        self._showing = False
        self.slider = TrackSlider()
        self.field = UnitField()
        self.field.setFixedWidth(VALUE_WIDTH)
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(12)
        box.addWidget(self.slider, 1)
        box.addWidget(self.field)
        self.set_maximum(None)
        self.slider.valueChanged.connect(self._slid)
        self.slider.confirmed.connect(self._slid)
        self.slider.unset_asked.connect(lambda: self.offer(None))
        self.field.committed.connect(self._typed)

    def set_maximum(self, maximum: float | None) -> None:
        """End the slider at `maximum` (what this model can use); None: where the table ends. Typing is not limited."""
        parameter = self.parameter
        self._maximum = maximum
        low, high = parameter.slider_range or (0.0, 100.0)
        step = float(parameter.step or (1 if parameter.kind is Kind.INTEGER else 0.01))
        self._scale = SliderScale(
            float(low),
            max(float(low), float(high if maximum is None else maximum)),
            step,
            parameter.scale is Scale.POWER_OF_TWO,
        )
        self._showing = True
        self.slider.setRange(0, self._scale.positions)
        self.slider.setPageStep(max(1, self._scale.positions // 16))
        self._showing = False
        self.refresh()

    @property
    def gesture(self) -> object | None:
        return self.slider.gesture

    def controls(self) -> tuple[QWidget, ...]:
        return (self.slider, self.field)

    def refresh(self) -> None:
        self._showing = True
        position = self._number(self.value if self.value is not None else self.parameter.default)
        self.slider.setValue(0 if position is None else self._scale.position(position))
        self.slider.set_exact(None if position is None else self._scale.fraction(position))
        saved = self._number(self.saved)
        self.slider.set_tick(self._scale.fraction(saved) if saved is not None and self.changed else None)
        self.slider.set_hollow(self.value is None)
        self.field.setPlaceholderText(self._hint())
        self.field.show_text(*self._in_field())
        theme.mark(self.field, changed=self.changed, wrong=False)
        self._showing = False

    def _written(self, value: ParameterValue) -> str:
        text = self.written(value)
        if value == self._top_word and self._maximum is not None:
            # llama.cpp counts the output as one layer more than the model has.
            return tr("{word} ({layers})", word=text, layers=figure(self._maximum - 1))
        return text

    def _hint(self) -> str:
        """Return what stands in the empty field: as much of "default: automatic" as fits."""
        default = self.parameter.default
        note = self.unset_note()
        short = note if default is None or note == self.unset_text else format_value(self.parameter, default)
        return next((hint for hint in (note, short) if self.field.fits(hint)), self.unset_text)

    def _in_field(self) -> tuple[str, str]:
        """Return value and unit as they fit into the field: without the unit, or as a plain number, where need be."""
        if self.value is None:
            return "", ""
        words = self._written(self.value)
        forms = ((words, self.unit()), (words, ""), (str(self.value), ""))
        return next((form for form in forms if self.field.fits(*form)), forms[-1])

    def _whole(self) -> str:
        """Return what the field would say if it were wide enough."""
        if self.value is None:
            return self.unset_note()
        words, unit = self._written(self.value), self.unit()
        return tr("{value} {unit}", value=words, unit=unit) if unit else words

    def _number(self, value: ParameterValue | None) -> float | None:
        if value is not None and value == self._top_word:
            return self._scale.maximum
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value)

    def remark(self) -> str:
        if self.parameter.step == CONTEXT_STEP and isinstance(self.value, int) and self.value % CONTEXT_STEP:
            padded = -(-self.value // CONTEXT_STEP) * CONTEXT_STEP
            return tr("llama-server rounds this up to {tokens} tokens.", tokens=figure(padded))
        # What the narrow field has no room for is said below it.
        if self.value is None:
            cut = self.field.placeholderText() == self.unset_text != self.unset_note()
        else:
            cut = self._in_field() != (self._written(self.value), self.unit())
        return self._whole() if cut else ""

    def _slid(self, position: int) -> None:
        if self._showing:
            return
        if self._top_word is not None and position >= self._scale.positions:
            self.offer(self._top_word)
            return
        value = self._scale.value(position)
        self.offer(round(value) if self.parameter.kind is Kind.INTEGER else round(value, 6))

    def _typed(self, text: str) -> None:
        plain = text.split("(", maxsplit=1)[0].replace(THIN_SPACE, "")
        if not self.offer_text(plain):
            theme.mark(self.field, wrong=True)
