"""Everything that has a shortcut, as data: one table that the window, its tooltips and the manual read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from variet_gui.i18n import Message, msg

MAX_TIERS = 9
MAX_PAGES = 9


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done from the keyboard."""

    key: str
    text: Message
    shortcut: str
    """As QKeySequence reads it: "Ctrl+1"."""


ACTIONS: tuple[Action, ...] = (
    Action("start", msg("Start the selected tier"), "F5"),
    Action("stop", msg("Stop the selected tier or cancel its start"), "Shift+F5"),
    Action("next_tier", msg("Next tier"), "Alt+Down"),
    Action("previous_tier", msg("Previous tier"), "Alt+Up"),
    Action("copy_url", msg("Copy the address of the selected tier"), "Ctrl+Shift+U"),
    Action("find", msg("Find on this page"), "Ctrl+F"),
    Action("save", msg("Save the changes"), "Ctrl+S"),
    Action("undo", msg("Undo the last change"), "Ctrl+Z"),
    Action("redo", msg("Redo what was undone"), "Ctrl+Shift+Z"),
    Action("history", msg("What was saved before"), "Ctrl+H"),
    Action("paste_command", msg("Paste a command line"), "Ctrl+Shift+V"),
    Action("stop_all", msg("Stop all tiers"), "Ctrl+Shift+F5"),
    Action("quit", msg("Quit"), "Ctrl+Q"),
    *(Action(f"tier_{n}", msg("Tier {number}", number=n), f"Ctrl+{n}") for n in range(1, MAX_TIERS + 1)),
    *(Action(f"page_{n}", msg("Page {number}", number=n), f"Alt+{n}") for n in range(1, MAX_PAGES + 1)),
)


def action(key: str) -> Action:
    """Return the action called `key`.

    Raises:
        KeyError: there is none.
    """
    for each in ACTIONS:
        if each.key == key:
            return each
    raise KeyError(key)


def install(
    widget: QWidget,
    handlers: Mapping[str, Callable[[], object]],
    context: Qt.ShortcutContext = Qt.ShortcutContext.WindowShortcut,
) -> dict[str, QAction]:
    """Give `widget` a shortcut for every handler and return the Qt actions by key.

    Raises:
        KeyError: a handler has a key that no action has.
    """
    made: dict[str, QAction] = {}
    for key, handler in handlers.items():
        described = action(key)
        qt_action = QAction(str(described.text), widget)
        qt_action.setShortcut(QKeySequence(described.shortcut))
        qt_action.setShortcutContext(context)
        qt_action.triggered.connect(lambda _=False, handler=handler: handler())
        widget.addAction(qt_action)
        made[key] = qt_action
    return made


def with_shortcut(text: str, key: str) -> str:
    """Return a tooltip that ends in the shortcut of the action `key`, as this platform writes it."""
    keys = QKeySequence(action(key).shortcut).toString(QKeySequence.SequenceFormat.NativeText)
    return f"{text}  ({keys})"
