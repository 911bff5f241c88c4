"""What is known of the computer and the model that an editor can offer: devices, and projectors that fit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QObject

from variet_gui.panel.projectors import fitting_projectors
from variet_gui.ui.widgets.device_chips import Device
from variet_gui.ui.widgets.parameter_list import ParameterList

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


class ModelHints(QObject):
    """Fills the list's offers for one tier at a time; the models folder is looked at once for each model."""

    def __init__(self, bridge: Bridge, shown: ParameterList, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._list = shown
        self._projectors: dict[tuple[Path, Path], tuple[str, ...]] = {}
        self._wanted: tuple[Path, Path] | None = None

    def show_role(self, role: str) -> None:
        """Offer what fits the draft of `role`."""
        tune = self._bridge.panel.tune
        self.show_devices(role)
        model = tune.model_path(tune.draft(role))
        self._wanted = None if model is None else (model, tune.models_dir)
        if self._wanted is not None and self._wanted not in self._projectors:
            self._look(self._wanted)
        self._list.set_projectors(self._projectors.get(self._wanted, ()) if self._wanted else ())

    def show_devices(self, role: str) -> None:
        """Offer the devices that are known by now."""
        self._list.set_devices(known_devices(self._bridge, role))

    def forget(self) -> None:
        """Look at the models folder again the next time."""
        self._projectors.clear()

    def _look(self, asked: tuple[Path, Path]) -> None:
        self._projectors[asked] = ()

        def found(fitting: tuple[str, ...]) -> None:
            self._projectors[asked] = fitting
            # The window may have been built anew meanwhile, in another language.
            if asked == self._wanted and shiboken6.isValid(self._list):
                self._list.set_projectors(fitting)

        self._bridge.call(asyncio.to_thread(fitting_projectors, *asked), done=found)


def known_devices(bridge: Bridge, role: str) -> tuple[Device, ...] | None:
    """Return the devices that the tier may use, by llama.cpp's own names and in its order; None where nobody knows."""
    seen = bridge.panel.outlook.choosable(role)
    if seen is None:
        return None
    return tuple(Device(each.name, each.description, each.pci_bus_id, each.simulated) for each in seen)
