"""One choice out of a few, side by side; those that do not fit stand in a menu at the end."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QSizePolicy, QToolButton, QWidget

from variet_gui.i18n import tr
from variet_gui.ui import theme


class Segments(QFrame):
    """Left and Right move the choice, as in a group of radio buttons; Tab enters and leaves it as one stop."""

    chosen = Signal(str)
    """The operator chose this key (also the one that is chosen already)."""
    unset_asked = Signal()
    """Delete or Backspace was pressed."""

    def __init__(
        self, choices: Sequence[tuple[str, str]], more: Sequence[tuple[str, str]] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._texts = dict([*choices, *more])
        self._keys = [key for key, _ in choices]
        self._more_keys = [key for key, _ in more]
        self._current: str | None = None
        theme.mark(self, look="segments")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        box = QHBoxLayout(self)
        box.setContentsMargins(1, 1, 1, 1)
        box.setSpacing(0)
        self._buttons: dict[str, QToolButton] = {}
        for key, text in choices:
            button = self._button(text)
            button.clicked.connect(lambda _=False, key=key: self.chosen.emit(key))
            self._buttons[key] = button
            box.addWidget(button)
        self._more: QToolButton | None = None
        if more:
            self._more = self._button("…")
            self._more.setAccessibleName(tr("More choices"))
            self._more.clicked.connect(self.popup_more)
            box.addWidget(self._more)
        self._rove()

    @property
    def current(self) -> str | None:
        """The chosen key; None when nothing is."""
        return self._current

    def options(self) -> tuple[str, ...]:
        """Return all keys, those of the menu last."""
        return (*self._keys, *self._more_keys)

    def button(self, key: str) -> QToolButton:
        """Return the button of `key` (of the menu, where it stands there)."""
        button = self._buttons.get(key) or self._more
        if button is None:
            raise KeyError(key)
        return button

    def share_width(self) -> None:
        """Fill the width that there is, in equal parts."""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for button in self._buttons.values():
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_current(self, key: str | None, *, changed: bool = False, saved: str | None = None) -> None:
        """Show `key` as chosen (None: nothing); `changed` marks it as an edit and `saved` as what it was."""
        self._current = key if key in self._texts else None
        for name, button in self._buttons.items():
            button.setChecked(name == self._current)
            theme.mark(button, changed=changed and name == self._current, saved=changed and name == saved)
        if self._more is not None:
            in_menu = self._current in self._more_keys
            self._more.setText(self._texts[self._current] if in_menu and self._current else "…")
            self._more.setChecked(in_menu)
            theme.mark(self._more, changed=changed and in_menu, saved=changed and saved in self._more_keys)
        self._rove()

    def set_accessible_names(self, name: str) -> None:
        """Let every segment speak `name` before its own text."""
        self.setAccessibleName(name)
        for key, button in self._buttons.items():
            button.setAccessibleName(f"{name} – {self._texts[key]}")

    def popup_more(self) -> QMenu:
        """Open the menu with the choices that have no segment."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for key in self._more_keys:
            action = menu.addAction(self._texts[key], lambda key=key: self.chosen.emit(key))
            action.setCheckable(True)
            action.setChecked(key == self._current)
        if self._more is not None:
            self._more.setChecked(self._current in self._more_keys)
            menu.popup(self._more.mapToGlobal(QPoint(0, self._more.height())))
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        key = Qt.Key(event.key())
        if key in steps:
            self._move(steps[key])
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.unset_asked.emit()
        else:
            super().keyPressEvent(event)

    def _move(self, step: int) -> None:
        keys = self.options()
        if self._current is None:
            target = keys[0] if step > 0 else keys[-1]
        else:
            target = keys[min(len(keys) - 1, max(0, keys.index(self._current) + step))]
        self.chosen.emit(target)
        self.button(target).setFocus(Qt.FocusReason.OtherFocusReason)

    def _button(self, text: str) -> QToolButton:
        button = _Segment(self)
        button.setText(text)
        button.setCheckable(True)
        theme.mark(button, kind="segment")
        return button

    def _rove(self) -> None:
        # One stop for Tab: the chosen segment, or the first one.
        stop = self._current if self._current is not None else next(iter(self._keys), None)
        entered = None if stop is None else self.button(stop)
        for button in (*self._buttons.values(), *([self._more] if self._more else [])):
            policy = Qt.FocusPolicy.StrongFocus if button is entered else Qt.FocusPolicy.ClickFocus
            button.setFocusPolicy(policy)
        if entered is not None:
            self.setFocusProxy(entered)


class _Segment(QToolButton):
    """A tool button that leaves the arrow keys to its group."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def nextCheckState(self) -> None:
        # The group shows what was chosen once it really is; a click alone changes nothing here.
        return
