"""Gathers the lines of server logs, so that a flood of them reaches the window ten times a second at most."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from variet_gui.i18n import msg

FLUSH_MS = 100
LINES_PER_FLUSH = 200


class LogGatherer(QObject):
    """Lives in the GUI thread. Of more lines than a person can read in a tenth of a second, the last are shown."""

    gathered = Signal(str, list)
    """(role, lines)."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lines: dict[str, list[str]] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(FLUSH_MS)
        self._timer.timeout.connect(self.flush)

    def add(self, role: str, lines: Sequence[str]) -> None:
        """Take lines of one tier; they are announced together with what follows shortly."""
        self._lines.setdefault(role, []).extend(lines)
        if not self._timer.isActive():
            self._timer.start()

    def stop(self) -> None:
        """Announce nothing more."""
        self._timer.stop()

    @Slot()
    def flush(self) -> None:
        """Announce what was gathered."""
        lines, self._lines = self._lines, {}
        for role, added in lines.items():
            shown = added[-LINES_PER_FLUSH:]
            if len(shown) < len(added):
                skipped = msg("… {count} lines not shown; the file has them", count=len(added) - len(shown))
                shown = [str(skipped), *shown]
            self.gathered.emit(role, shown)
