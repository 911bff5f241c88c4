"""Which devices are used, and in which order: chips where the devices are known, else a typed list of names."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QStackedLayout, QWidget

from variet_gui.catalog.parameter_types import Parameter
from variet_gui.i18n import tr
from variet_gui.ui import theme
from variet_gui.ui.widgets.device_chips import Device, DeviceChips
from variet_gui.ui.widgets.parameter_editor import ParameterEditor
from variet_gui.ui.widgets.unit_field import UnitField

DEVICE_KEYS = frozenset({"device", "spec_draft_device"})
"""The parameters that name devices."""

_NONE = "none"
"""llama-server's word for no device at all."""


class DeviceEditor(ParameterEditor):
    """For the TEXT parameters that name devices, joined by commas."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self._devices: tuple[Device, ...] = ()
        self._known = False
        self.chips = DeviceChips()
        self.field = UnitField()
        self._stack = QStackedLayout(self)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.addWidget(self.field)
        self._stack.addWidget(self.chips)
        self.chips.chosen.connect(lambda names: self.offer(",".join(names) or _NONE))
        self.chips.unset_asked.connect(lambda: self.offer(None))
        self.field.committed.connect(self._typed)

    def set_devices(self, devices: Sequence[Device] | None) -> None:
        """Offer `devices`, in llama.cpp's order; where they are not known (None) or none is there, names are typed."""
        self._known = devices is not None
        if tuple(devices or ()) != self._devices:
            self._devices = tuple(devices or ())
            self._stack.setCurrentWidget(self.chips if self._devices else self.field)
            self.refresh()

    def controls(self) -> tuple[QWidget, ...]:
        return (self.chips,) if self._devices else (self.field,)

    def names(self) -> tuple[str, ...] | None:
        """Return the devices of the value, in their order; None where it is not set."""
        if self.value is None:
            return None
        return tuple(name for name in str(self.value).split(",") if name and name != _NONE)

    def refresh(self) -> None:
        self.field.setPlaceholderText(self.unset_note())
        self.field.show_text("" if self.value is None else self.written(self.value))
        theme.mark(self.field, changed=self.changed, wrong=False)
        self.chips.show_chosen(self._devices, self.names(), changed=self.changed, spoken=self.spoken())

    def remark(self) -> str:
        if self._known and not self._devices:
            return tr("This llama-server sees no GPU.")
        if not self._devices or self.value is None:
            return ""
        names = self.names() or ()
        if not names:
            return tr("No GPU is used: everything runs on the CPU.")
        return tr("Tensor split counts in this order: {names}", names=", ".join(names)) if len(names) > 1 else ""

    def _typed(self, text: str) -> None:
        if not self.offer_text(text):
            theme.mark(self.field, wrong=True)
