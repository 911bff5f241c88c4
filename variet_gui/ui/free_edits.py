"""Brings edits of extra arguments and environment from the Tune page to the draft, and what was refused back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt

from variet_gui.panel.free_settings import ENVIRONMENT, EXTRA_ARGUMENTS
from variet_gui.ui.widgets.extra_section import ExtraSection
from variet_gui.ui.widgets.variable_line import VariableLine

if TYPE_CHECKING:
    from variet_gui.ui.bridge import Bridge


class FreeEdits(QObject):
    """Acts on one tier at a time."""

    def __init__(self, bridge: Bridge, section: ExtraSection, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._section = section
        self._role: str | None = None
        arguments, environment = section.arguments, section.environment
        arguments.read = bridge.panel.tune.free.read_extra
        arguments.committed.connect(self._set_extra)
        arguments.move_asked.connect(self._move_extra)
        arguments.revert_clicked.connect(self._revert_extra)
        environment.committed.connect(self._set_variable)
        environment.removed.connect(self._remove_variable)
        environment.move_asked.connect(self._move_variable)
        environment.revert_clicked.connect(self._revert_environment)

    def show_role(self, role: str) -> None:
        """Show the draft of `role` as it is now."""
        tune = self._bridge.panel.tune
        if role != self._role:
            self._role = role
            self._section.forget()
        draft = tune.draft(role)
        self._section.show_profile(draft, tune.saved(role), tune.free.extra_text(draft))

    def _set_extra(self, text: str) -> None:
        if self._role is None:
            return
        reading = self._bridge.panel.tune.free.set_extra(self._role, text)
        if reading.usable:
            self._section.arguments.forget_refusal()
            self._bridge.announce_draft(self._role)
        else:
            self._section.arguments.refuse(reading)

    def _move_extra(self, text: str) -> None:
        if self._role is not None:
            self._bridge.panel.tune.free.move_extra(self._role, text)
            self._section.arguments.forget_refusal()
            self._section.arguments.field.setFocus(Qt.FocusReason.OtherFocusReason)  # the button goes
            self._bridge.announce_draft(self._role)

    def _revert_extra(self) -> None:
        if self._role is not None:
            self._section.arguments.forget()
            self._bridge.revert(self._role, EXTRA_ARGUMENTS)

    def _set_variable(self, line: VariableLine) -> None:
        if self._role is None:
            return
        name, value = line.typed()
        reading = self._bridge.panel.tune.free.set_variable(self._role, name, value, line.before)
        if reading.problem is not None:
            line.refuse()
        else:
            line.take(name, value)
            self._bridge.announce_draft(self._role)
        self._section.environment.tell(line, reading)

    def _remove_variable(self, line: VariableLine) -> None:
        if self._role is not None and line.before is not None:
            self._bridge.panel.tune.free.remove_variable(self._role, line.before)
            self._bridge.announce_draft(self._role)

    def _move_variable(self, line: VariableLine) -> None:
        if self._role is None:
            return
        name, value = line.typed()
        self._bridge.panel.tune.free.move_variable(self._role, name, value, line.before)
        if line.before is None:
            self._section.environment.drop(line)
        self._bridge.announce_draft(self._role)

    def _revert_environment(self) -> None:
        if self._role is not None:
            self._section.environment.forget()
            self._bridge.revert(self._role, ENVIRONMENT)
