"""The devices of one computer as chips in an order: ticked ones are used, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

from variet_gui.i18n import tr
from variet_gui.ui.widgets.device_chip import CHIP_HEIGHT, Chip

_GAP = 6


@dataclass(frozen=True, slots=True)
class Device:
    """One device that llama.cpp may use."""

    name: str
    """llama.cpp's: "CUDA0"."""
    description: str = ""
    pci_bus_id: str | None = None
    simulated: bool = False


class DeviceChips(QWidget):
    """Space ticks a chip, Left and Right walk, Ctrl with them moves it; the mouse clicks and drags.

    One stop for Tab. Chosen names that no device has keep a chip of their own, so that they can be taken off.
    """

    chosen = Signal(object)
    """The names of the ticked chips, in their order: a tuple of texts."""
    unset_asked = Signal()
    rebuilt = Signal()
    """The chips are other widgets than before."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._devices: tuple[Device, ...] = ()
        self._names: tuple[str, ...] | None = None
        self._changed = False
        self._spoken = ""
        self._chips: list[Chip] = []
        self._pressed: QPoint | None = None
        self._dragged: Chip | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_chosen(
        self, devices: Sequence[Device], names: Sequence[str] | None, *, changed: bool = False, spoken: str = ""
    ) -> None:
        """Show `names` ticked, in that order, before the other `devices`; None: not set, all of them apply."""
        shown = (tuple(devices), None if names is None else tuple(dict.fromkeys(names)), changed, spoken)
        if shown == (self._devices, self._names, self._changed, self._spoken) or self._dragged is not None:
            return
        self._devices, self._names, self._changed, self._spoken = shown
        held = next((chip.name for chip in self._chips if chip.hasFocus()), None)
        self._rebuild()
        if held is not None and (chip := self.chip(held)) is not None:
            self._enter(chip)

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The chips in the order in which they stand."""
        return tuple(self._chips)

    def chip(self, name: str) -> Chip | None:
        """Return the chip of the device called `name`."""
        return next((chip for chip in self._chips if chip.name == name), None)

    def ticked(self) -> tuple[str, ...]:
        """Return the names of the ticked chips, in their order."""
        return tuple(chip.name for chip in self._chips if chip.isChecked())

    # ------------------------------------------------------------------------------------------------- edits

    def turn(self, chip: Chip) -> None:
        """Tick `chip`, or take its tick off."""
        names = [each.name for each in self._chips if each.isChecked() != (each is chip)]
        self.chosen.emit(tuple(names))

    def move_chip(self, chip: Chip, step: int) -> None:
        """Let `chip` change its place by `step`."""
        position = self._chips.index(chip)
        target = min(len(self._chips) - 1, max(0, position + step))
        if target != position:
            self._chips.insert(target, self._chips.pop(position))
            self._place()
            self.chosen.emit(self.ticked())

    def eventFilter(self, watched: QWidget, event: object) -> bool:
        if isinstance(watched, Chip):
            if isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.KeyPress:
                return self._key(watched, event)
            if isinstance(event, QMouseEvent):
                return self._mouse(watched, event)
        return False

    def _key(self, chip: Chip, event: QKeyEvent) -> bool:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        key = Qt.Key(event.key())
        if key in steps and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.move_chip(chip, steps[key])
        elif key in steps:
            position = self._chips.index(chip) + steps[key]
            if 0 <= position < len(self._chips):
                self._enter(self._chips[position])
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.unset_asked.emit()
        else:
            return False
        return True

    def _mouse(self, chip: Chip, event: QMouseEvent) -> bool:
        if event.type() == QMouseEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.position().toPoint()
        elif event.type() == QMouseEvent.Type.MouseMove and self._pressed is not None:
            far = (event.position().toPoint() - self._pressed).manhattanLength() >= QApplication.startDragDistance()
            if self._dragged is None and far:
                self._dragged = chip
                chip.raise_()
            if self._dragged is chip:
                self._drag_to(chip, chip.mapToParent(event.position().toPoint()))
                return True
        elif event.type() == QMouseEvent.Type.MouseButtonRelease:
            self._pressed = None
            if self._dragged is not None:
                self._dragged = None
                chip.setDown(False)
                if self.ticked() != tuple(self._names or (device.name for device in self._devices)):
                    self.chosen.emit(self.ticked())
                self._place()
                return True
        return False

    def _drag_to(self, chip: Chip, where: QPoint) -> None:
        mine = self._chips.index(chip)
        for position, other in enumerate(self._chips):
            if other is chip or not other.geometry().contains(where):
                continue
            # Past its middle only: a wide chip that gives way must not come back under the pointer.
            beyond = where.x() - other.geometry().center().x()
            if beyond * (position - mine) >= 0:
                self._chips.remove(chip)
                self._chips.insert(position, chip)
                self._place()
                return

    # ------------------------------------------------------------------------------------------------- shape

    def heightForWidth(self, width: int) -> int:
        return self._lay_out(width, place=False)

    def sizeHint(self) -> QSize:
        return QSize(240, self.heightForWidth(max(self.width(), 240)))

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self.heightForWidth(max(self.width(), 80)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        self._lay_out(self.width(), place=True)
        for position, chip in enumerate(self._chips):
            chip.set_place(position)

    def _lay_out(self, width: int, *, place: bool) -> int:
        x = y = 0
        for chip in self._chips:
            wide = min(chip.sizeHint().width(), width)
            if x and x + wide > width:
                x, y = 0, y + CHIP_HEIGHT + _GAP
            if place:
                chip.setGeometry(x, y, wide, CHIP_HEIGHT)
            x += wide + _GAP
        return y + CHIP_HEIGHT

    def _rebuild(self) -> None:
        for chip in self._chips:
            chip.removeEventFilter(self)
            chip.hide()
            chip.deleteLater()
        known = {device.name: device for device in self._devices}
        picked = self._names if self._names is not None else tuple(known)
        order = [*picked, *(name for name in known if name not in picked)]
        self._chips = []
        for name in order:
            device = known.get(name)
            chip = Chip(name, _address(device), _explained(name, device), self)
            chip.show_state(name in picked, is_set=self._names is not None, changed=self._changed, here=bool(device))
            chip.setAccessibleName(_said(name, device, name in picked))
            chip.setAccessibleDescription(self._spoken)
            chip.clicked.connect(lambda _=False, chip=chip: self.turn(chip))
            chip.installEventFilter(self)
            chip.show()
            self._chips.append(chip)
        if self._chips:
            self._rove(self._chips[0])
        self._place()
        self.updateGeometry()
        self.rebuilt.emit()

    def _enter(self, chip: Chip) -> None:
        self._rove(chip)
        chip.setFocus(Qt.FocusReason.TabFocusReason)

    def _rove(self, stop: Chip) -> None:
        # One stop for Tab, wherever in the row it was left.
        for chip in self._chips:
            chip.setFocusPolicy(Qt.FocusPolicy.StrongFocus if chip is stop else Qt.FocusPolicy.ClickFocus)
        self.setFocusProxy(stop)


def _address(device: Device | None) -> str:
    if device is None:
        return tr("not here")
    if device.simulated:
        return tr("simulated")
    return device.pci_bus_id or ""


def _explained(name: str, device: Device | None) -> str:
    if device is None:
        return tr("No device called {name} was seen on this computer.", name=name)
    parts = [part for part in (name, device.description, device.pci_bus_id) if part]
    return "\n".join([*parts, tr("A click ticks it; dragging it, or Ctrl with Left and Right, changes the order.")])


def _said(name: str, device: Device | None, ticked: bool) -> str:
    what = " ".join(part for part in (name, device.description if device else "", _address(device)) if part)
    return tr("{device}, used", device=what) if ticked else tr("{device}, not used", device=what)
