"""All launch parameters by group: the essential ones first, the rest under a fold, a filter across both."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameter_types import Group, Parameter
from variet_gui.catalog.parameters import PARAMETERS, parameter
from variet_gui.events import ParameterValue
from variet_gui.i18n import tr
from variet_gui.panel.free_settings import ENVIRONMENT, EXTRA_ARGUMENTS
from variet_gui.ui import theme
from variet_gui.ui.widgets.device_chips import Device
from variet_gui.ui.widgets.device_editor import DeviceEditor
from variet_gui.ui.widgets.extra_section import ExtraSection
from variet_gui.ui.widgets.layout import label
from variet_gui.ui.widgets.parameter_row import ParameterRow, UnsetText, make_row
from variet_gui.ui.widgets.parameter_section import ParameterSection
from variet_gui.ui.widgets.parameter_slider import ParameterSlider
from variet_gui.ui.widgets.path_field import PathField
from variet_gui.ui.widgets.split_slider import SplitSlider

COMPANIONS = {"mmproj": "mmproj_offload"}
"""Parameters whose row ends in a second one: the projector and where it lies."""

_LAYER_KEYS = frozenset({"n_gpu_layers"})
_LAYERS_ON_CPU_KEYS = frozenset({"n_cpu_moe", "n_cpu_ffn"})


class ParameterList(QWidget):
    """Knows values; what is edited is said by `edited` and shown only once `show_profile` brings it back."""

    edited = Signal(str, object)
    """(key, value or None)."""
    revert_asked = Signal(str)
    advanced_shown = Signal(bool)
    released = Signal()
    """A slider was let go."""
    stops_changed = Signal()
    """There are other widgets than before that take the keyboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, look="plain")
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(0)
        self._nothing = label(tr("No parameter has that in its name, flag or help."), "quiet", wrap=True)
        self._nothing.hide()
        self._box.addWidget(self._nothing)
        self._box.addStretch(1)
        self._filter = ""
        self._advanced_open = False
        self._values: Mapping[str, ParameterValue] = {}
        self._saved: Mapping[str, ParameterValue] = {}
        self._unset: UnsetText = lambda _: tr("default")
        self._capabilities: Capabilities | None = None
        self._model: tuple[int | None, int | None] = (None, None)
        self._folder: Path | None = None
        self._devices: tuple[Device, ...] | None = None
        self._projectors: tuple[str, ...] = ()
        self._essential = self._build([p for p in PARAMETERS if p.essential])
        self._advanced: list[ParameterSection] = []
        self.extra = ExtraSection()
        self.extra.hide()
        self.extra.built.connect(self.stops_changed)
        self._box.insertWidget(self._box.count() - 1, self.extra)

    # ------------------------------------------------------------------------------------------------- values

    def show_profile(
        self, values: Mapping[str, ParameterValue], saved: Mapping[str, ParameterValue], unset: UnsetText
    ) -> None:
        """Show the edited values beside the saved ones."""
        self._values, self._saved, self._unset = values, saved, unset
        for each in self.rows():
            each.show_values(values, saved, unset)
            self._show_model(each)
        self._show_counts()

    def set_model(self, layers: int | None, max_context: int | None) -> None:
        """Fit the sliders to the model: its layers and longest context, None where not known."""
        if (layers, max_context) != self._model:
            self._model = (layers, max_context)
            for each in self.rows():
                self._fit(each)
                self._show_model(each)

    def set_capabilities(self, capabilities: Capabilities | None) -> None:
        """Grey out what this build of llama-server does not know; None: not known yet, everything stays."""
        self._capabilities = capabilities
        for each in self.rows():
            each.set_unsupported(_unsupported(each, capabilities))

    def set_devices(self, devices: Sequence[Device] | None) -> None:
        """Offer these devices, in llama.cpp's order; None: not known, and names are typed."""
        self._devices = None if devices is None else tuple(devices)
        for each in self.rows():
            self._set_devices(each)

    def set_projectors(self, fitting: Sequence[str]) -> None:
        """Propose these projectors, as they would stand in the catalog: they fit the model."""
        self._projectors = tuple(fitting)
        for each in self.rows():
            self._set_folder(each)

    def gesture(self, key: str) -> object | None:
        """Return what makes the edits of one drag of `key`'s slider one step; None while nobody holds it."""
        held = (editor.gesture for editor in self.row(key).editors if editor.parameter.key == key)
        return next(held, None)

    @property
    def held(self) -> bool:
        """Whether a slider is being dragged."""
        return any(editor.gesture is not None for each in self.rows() for editor in each.editors)

    def set_folder(self, folder: Path | None) -> None:
        """Let file pickers start at `folder`."""
        self._folder = folder
        for each in self.rows():
            self._set_folder(each)

    # ----------------------------------------------------------------------------------------------- showing

    def rows(self) -> tuple[ParameterRow, ...]:
        """Return the rows that exist; those under a fold are made when it is first opened."""
        return tuple(row for section in (*self._essential, *self._advanced) for row in section.rows)

    def row(self, key: str) -> ParameterRow:
        """Return the row that holds `key`, also one under a fold.

        Raises:
            KeyError: no such parameter.
        """
        parameter(key)
        for each in self.rows():
            if key in each.keys:
                return each
        self._build_advanced()
        section = next(section for section in self._advanced if key in section.keys)
        section.build({key})
        return next(row for row in section.rows if key in row.keys)

    def stops(self) -> list[QWidget]:
        """Return what takes the keyboard, in the order in which it stands on the page."""
        found: list[QWidget] = []
        for section in (*self._essential, *self._advanced, self.extra):
            found += section.stops()
        return found

    @property
    def sections(self) -> tuple[ParameterSection, ...]:
        """The groups under the fold; empty before it is first opened."""
        return tuple(self._advanced)

    @property
    def advanced_count(self) -> int:
        """How many settings stand under the fold: parameters, extra arguments and environment."""
        return len(_advanced_parameters()) + 2

    @property
    def advanced_open(self) -> bool:
        """Whether the fold is open."""
        return self._advanced_open

    def open_advanced(self, wanted: bool) -> None:
        """Open or close the fold."""
        self._advanced_open = wanted
        self._show_sections()
        self.advanced_shown.emit(wanted)

    def set_filter(self, text: str) -> None:
        """Show only what `text` finds, under the folds too; an empty text shows everything as before."""
        self._filter = text.strip()
        self._show_sections()

    def changed_under_fold(self, changed: Collection[str]) -> int:
        """Return how many of the changed keys nobody sees while the fold is closed."""
        if self._advanced_open:
            return 0
        hidden = {p.key for p in _advanced_parameters()} & set(changed)
        return len(hidden) + sum(key.partition(".")[0] in (EXTRA_ARGUMENTS, ENVIRONMENT) for key in changed)

    # ------------------------------------------------------------------------------------------------ building

    def _show_sections(self) -> None:
        if self._advanced_open or self._filter:
            self._build_advanced()
        found = 0
        for section in (*self._essential, *self._advanced, self.extra):
            hits = section.filter(self._filter)
            open_now = section in self._essential or self._advanced_open or bool(self._filter)
            section.setVisible(open_now and hits > 0)
            found += hits
        self._nothing.setVisible(bool(self._filter) and found == 0)

    def _build_advanced(self) -> None:
        if not self._advanced:
            self._advanced = self._build(_advanced_parameters(), folded=True)
            self.stops_changed.emit()
            for section in self._advanced:
                section.setVisible(self._advanced_open)
            self._show_counts()

    def _build(self, parameters: Sequence[Parameter], *, folded: bool = False) -> list[ParameterSection]:
        made = []
        taken = set(COMPANIONS.values())
        for group in Group:
            members = [p for p in parameters if p.group is group and p.key not in taken]
            if members:
                section = ParameterSection(group, members, self._make, folded=folded)
                section.built.connect(self.stops_changed)
                self._box.insertWidget(self._box.count() - (2 if folded else 1), section)
                made.append(section)
        return made

    def _make(self, described: Parameter) -> ParameterRow:
        companion = COMPANIONS.get(described.key)
        made = make_row(described, parameter(companion) if companion else None)
        made.edited.connect(self.edited)
        made.revert_asked.connect(self.revert_asked)
        for editor in made.editors:
            if isinstance(editor, ParameterSlider | SplitSlider):
                editor.slider.sliderReleased.connect(self.released)
            elif isinstance(editor, DeviceEditor):
                editor.chips.rebuilt.connect(self.stops_changed)
        self._fit(made)
        made.set_unsupported(_unsupported(made, self._capabilities))
        self._set_folder(made)
        self._set_devices(made)
        made.show_values(self._values, self._saved, self._unset)
        self._show_model(made)
        return made

    def _show_counts(self) -> None:
        keys = self._values.keys() | self._saved.keys()
        changed = {key for key in keys if self._values.get(key) != self._saved.get(key)}
        for section in self._advanced:
            section.count(self._values.keys(), changed)

    def _set_folder(self, each: ParameterRow) -> None:
        for editor in each.editors:
            if isinstance(editor, PathField):
                editor.set_folder(self._folder)
                if editor.parameter.key == "mmproj":
                    editor.set_proposals(self._projectors)

    def _set_devices(self, each: ParameterRow) -> None:
        for editor in each.editors:
            if isinstance(editor, DeviceEditor):
                editor.set_devices(self._devices)
                each.show_remarks()

    def _fit(self, each: ParameterRow) -> None:
        layers, max_context = self._model
        editor, key = each.editors[0], each.keys[0]
        if not isinstance(editor, ParameterSlider):
            return
        if key in _LAYER_KEYS:
            # The output head counts as one layer more.
            editor.set_maximum(layers + 1 if layers else None)
        elif key in _LAYERS_ON_CPU_KEYS:
            editor.set_maximum(layers or None)
        elif key == "ctx_size":
            editor.set_maximum(max_context)

    def _show_model(self, each: ParameterRow) -> None:
        editor = each.editors[0]
        if isinstance(editor, SplitSlider):
            editor.set_model(self._model[0], self._values.get("n_gpu_layers"))
            editor.set_order(_gpu_numbers(self._values.get("device")))


def _advanced_parameters() -> list[Parameter]:
    companions = {key for host, key in COMPANIONS.items() if parameter(host).essential}
    return [p for p in PARAMETERS if not p.essential and p.key not in companions]


def _gpu_numbers(devices: ParameterValue | None) -> tuple[int, ...]:
    """Return the numbers of CUDA devices that are named in an order of their own; nothing where that is not told."""
    found = [re.fullmatch(r"CUDA(\d+)", name) for name in str(devices or "").split(",")]
    return tuple(int(match[1]) for match in found if match) if all(found) else ()


def _unsupported(row: ParameterRow, capabilities: Capabilities | None) -> str:
    if capabilities is None or not capabilities.flags:
        return ""
    shown = row.editors[0].parameter
    # A build that says it in an older way can be told; the command card notes how.
    older = [flag for form in shown.older_forms for flag in form.flags]
    older += [flag for gone in shown.replaced if gone.takes_value for flag in (gone.flag, *gone.aliases)]
    if any(capabilities.knows(flag) for flag in (*shown.spellings, *shown.negatives, *older)):
        return ""
    return tr("This llama-server ({build}) does not know {flag}.", build=capabilities.label, flag=shown.flag)
