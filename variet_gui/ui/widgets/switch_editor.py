"""A parameter that is on or off."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.noted_editor import NotedEditor
from variet_gui.ui.widgets.parameter_editor import VALUE_WIDTH, ParameterEditor
from variet_gui.ui.widgets.segments import Segments
from variet_gui.ui.widgets.switch import Switch


class SwitchEditor(NotedEditor):
    """For SWITCH parameters: a switch and the word for its state."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.switch = Switch()
        self._word = label("", "quiet")
        self.set_parts(self.switch, self._word)
        self.switch.switched.connect(self.offer)
        self.switch.unset_asked.connect(lambda: self.offer(None))

    def controls(self) -> tuple[QWidget, ...]:
        return (self.switch,)

    def written_state(self) -> str:
        """Return "on" or "off" for what applies."""
        applies = self.value if self.value is not None else self.parameter.default
        return tr("on") if applies else tr("off")

    def refresh(self) -> None:
        applies = self.value if self.value is not None else self.parameter.default
        self.switch.show_state(bool(applies), self.value is not None)
        self._word.setText(self.written_state())
        theme.mark(self._word, look="changed" if self.changed else "quiet")
        self.show_side_note(self.unset_text if self.value is None else "")


class PlaceEditor(ParameterEditor):
    """A SWITCH whose two states are places, as segments: the projector's GPU or CPU. Sits beside another editor."""

    def __init__(self, parameter: Parameter, on: str, off: str, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self._words = {"on": on, "off": off}
        self.segments = Segments([("on", on), ("off", off)])
        self.setFixedWidth(VALUE_WIDTH)
        self.segments.share_width()
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.segments)
        self.segments.chosen.connect(lambda key: self.offer(key == "on"))
        self.segments.unset_asked.connect(lambda: self.offer(None))

    def controls(self) -> tuple[QWidget, ...]:
        return (self.segments,)

    def refresh(self) -> None:
        self.segments.set_current(_key(self.value), changed=self.changed, saved=_key(self.saved))
        self.segments.set_accessible_names(self.spoken())
        applies = _key(self.parameter.default)
        if self.value is None and applies is not None:
            self.setToolTip(tr("{unset}: {value} applies", unset=self.unset_text, value=self._words[applies]))
        else:
            self.setToolTip(str(self.parameter.help))


def _key(value: object) -> str | None:
    return None if value is None else ("on" if value else "off")
