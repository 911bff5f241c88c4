"""How the next answer is generated: temperature, length, system prompt. What is not set is as the server is set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QPlainTextEdit, QWidget

from variet_gui.i18n import tr
from variet_gui.ui.widgets.buttons import Button
from variet_gui.ui.widgets.figures import THIN_SPACE, figure
from variet_gui.ui.widgets.layout import Panel, label, row
from variet_gui.ui.widgets.slider_scale import SliderScale
from variet_gui.ui.widgets.track_slider import TrackSlider
from variet_gui.ui.widgets.unit_field import UnitField

_FIELD_WIDTH = 76


@dataclass(frozen=True, slots=True)
class _Setting:
    """One number. `usual` is where the slider starts when it is set for the first time."""

    key: str
    scale: SliderScale
    limit: float
    digits: int
    usual: float


_TEMPERATURE = _Setting("temperature", SliderScale(0.0, 2.0, 0.05), 10.0, 2, 0.8)
_MAX_TOKENS = _Setting("max_tokens", SliderScale(16, 32768, powers_of_two=True), 1_000_000, 0, 1024)


class SettingRow(QWidget):
    """A name, a slider and a typed field for one number that may also be "as set": hollow and empty."""

    changed = Signal()

    def __init__(self, name: str, setting: _Setting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._setting = setting
        self._value: float | None = None
        self._showing = False
        self.slider = TrackSlider()
        self.slider.setRange(0, setting.scale.positions)
        self.slider.setAccessibleName(name)
        self.field = UnitField()
        self.field.setFixedWidth(_FIELD_WIDTH)
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.field.setAccessibleName(name)
        self.field.setPlaceholderText(tr("as set"))
        self.setLayout(row(self.slider, self.field, spacing=10))
        self.slider.valueChanged.connect(self._slid)
        self.slider.sliderMoved.connect(self._slid)
        self.slider.unset_asked.connect(lambda: self.set_value(None))
        self.field.committed.connect(self._typed)
        self._show()

    @property
    def value(self) -> float | None:
        """The number, or None: as the server is set."""
        return self._value

    def set_value(self, value: float | None) -> None:
        """Set the number, or with None leave it to the server."""
        if value != self._value:
            self._value = value
            self._show()
            self.changed.emit()

    def _slid(self, position: int) -> None:
        if not self._showing:
            self.set_value(self._setting.scale.value(position))

    def _typed(self, text: str) -> None:
        plain = text.strip().replace(THIN_SPACE, "").replace(" ", "").replace(",", ".")
        try:
            value = float(plain) if plain else None
        except ValueError:
            value = self._value
        if value is not None and not self._setting.scale.minimum <= value <= self._setting.limit:
            # Below the slider's own end only what makes sense: one token is an answer, a negative temperature is not.
            value = max(1.0, value) if self._setting.digits == 0 and value >= 1 else self._value
        self.set_value(value)
        self._show()

    def _show(self) -> None:
        self._showing = True
        shown = self._setting.usual if self._value is None else self._value
        self.slider.setValue(self._setting.scale.position(shown))
        self.slider.set_exact(self._setting.scale.fraction(shown))
        self.slider.set_hollow(self._value is None)
        self.field.setText("" if self._value is None else figure(self._value, self._setting.digits))
        self.field.setModified(False)
        spoken = tr("as the server is set") if self._value is None else figure(self._value, self._setting.digits)
        self.slider.setAccessibleDescription(spoken)
        self._showing = False


class GenerationPanel(Panel):
    """Values by the names of llama-server's request; only what the operator set is among them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("Generation"), parent)
        self._temperature = SettingRow(tr("Temperature"), _TEMPERATURE)
        self._max_tokens = SettingRow(tr("Max tokens"), _MAX_TOKENS)
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(6)
        for line, (name, setting) in enumerate(
            ((tr("Temperature"), self._temperature), (tr("Max tokens"), self._max_tokens))
        ):
            grid.addWidget(label(name), line, 0)
            grid.addWidget(setting, line, 1)
            setting.changed.connect(self._refresh)
        grid.setColumnStretch(1, 1)
        self.add(grid)
        self.add(label(tr("System prompt"), "small"))
        self._system = QPlainTextEdit()
        self._system.setFixedHeight(76)
        self._system.setTabChangesFocus(True)
        self._system.setAccessibleName(tr("System prompt"))
        self._system.setPlaceholderText(tr("none"))
        self._system.textChanged.connect(self._refresh)
        self.add(self._system)
        self._state = label("", "faint", wrap=True)
        self._reset = Button(tr("Set nothing"), "quiet", "revert")
        self._reset.clicked.connect(self.clear)
        self.add(self._state)
        self.add(row(self._reset, None))
        self._refresh()

    def values(self) -> dict[str, Any]:
        """Return what is set: `temperature`, `max_tokens`, `system_prompt`."""
        found: dict[str, Any] = {}
        if self._temperature.value is not None:
            found["temperature"] = self._temperature.value
        if self._max_tokens.value is not None:
            found["max_tokens"] = round(self._max_tokens.value)
        system = self._system.toPlainText().strip()
        if system:
            found["system_prompt"] = system
        return found

    def set_values(self, values: dict[str, Any]) -> None:
        """Show these values; what is missing is as the server is set."""
        self._temperature.set_value(values.get("temperature"))
        self._max_tokens.set_value(values.get("max_tokens"))
        self._system.setPlainText(values.get("system_prompt", ""))

    def clear(self) -> None:
        """Set nothing: everything as the server is set."""
        self.set_values({})

    @property
    def temperature(self) -> SettingRow:
        """The temperature's row."""
        return self._temperature

    @property
    def max_tokens(self) -> SettingRow:
        """The row of the longest answer."""
        return self._max_tokens

    @property
    def system_prompt(self) -> QPlainTextEdit:
        """Where the system prompt is written."""
        return self._system

    def _refresh(self) -> None:
        is_set = bool(self.values())
        self._state.setText(
            tr("What is empty stays as the server is set.") if is_set else tr("All as the server is set.")
        )
        self._reset.setVisible(is_set)
