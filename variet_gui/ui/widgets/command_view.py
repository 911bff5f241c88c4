"""The exact command line, with what was changed set off."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import QEvent, QMimeData, QSize, Qt
from PySide6.QtGui import QColor, QFont, QResizeEvent, QTextBlockFormat, QTextCharFormat, QTextCursor, QTextOption
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextEdit, QWidget

from variet_gui.ui import theme

_LINE_PX = 18
_JOINER = "\u2060"
"""Forbids a line break behind the dashes of a flag; taken out again of everything that is copied."""


class CommandView(QTextEdit):
    """Read-only, selectable, as tall as its text. Changed tokens are amber and bold."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._prefix: tuple[str, ...] = ()
        self._spans: tuple[tuple[str, str | None], ...] = ()
        self._changed: frozenset[str] = frozenset()
        self._heights: dict[int, int] = {}
        theme.mark(self, look="code")
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(1)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self._restyle()

    def show_command(
        self, spans: Sequence[tuple[str, str | None]], changed: Collection[str] = (), environment: Sequence[str] = ()
    ) -> None:
        """Show the tokens of `spans` (text, parameter key or None); those whose key is in `changed` are set off.

        `environment` stands before the program, quietly, as a shell would take it: "NAME=value". Its keys are
        "environment.NAME".
        """
        shown = (tuple(environment), tuple(spans), frozenset(changed))
        if shown != (self._prefix, self._spans, self._changed):
            self._prefix, self._spans, self._changed = shown
            self._write()

    def text(self) -> str:
        """Return the whole text that is shown."""
        return self.toPlainText().replace(_JOINER, "")

    def changed_tokens(self) -> tuple[str, ...]:
        """Return the tokens that are set off."""
        return tuple(token for token, key in self._spans if key in self._changed)

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(self.textCursor().selection().toPlainText().replace(_JOINER, ""))
        return data

    def sizeHint(self) -> QSize:
        return QSize(240, self.heightForWidth(self.width()))

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.heightForWidth(max(120, self.width())))

    def heightForWidth(self, width: int) -> int:
        if width not in self._heights:
            # On a copy: the shown document is laid out to the widget's own width behind our back.
            copy = self.document().clone()
            copy.setTextWidth(max(80, width - 2))
            self._heights[width] = round(copy.size().height()) + 4
            copy.deleteLater()
        return self._heights[width]

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._restyle()

    def _restyle(self) -> None:
        self.setFont(theme.mono_font())
        self.document().setDefaultFont(theme.mono_font())
        self._write()

    def _write(self) -> None:
        self._heights.clear()
        self.clear()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        plain, quiet, marked = _format("code"), _format("faint"), _format("caution_text", bold=True)
        for assignment in self._prefix:
            name = f"environment.{assignment.partition('=')[0]}"
            cursor.insertText(f"{assignment} ", marked if name in self._changed else quiet)
        for position, (token, key) in enumerate(self._spans):
            if position:
                cursor.insertText(" ", plain)
            cursor.insertText(_unbroken(token), marked if key in self._changed else plain)
        spaced = QTextBlockFormat()
        # Fixed: the joiner may come from another font, whose height must not move the lines apart.
        spaced.setLineHeight(_LINE_PX, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.mergeBlockFormat(spaced)
        cursor.endEditBlock()
        self.updateGeometry()


def _unbroken(token: str) -> str:
    """Return `token` with no place to break behind a dash or behind the first slash of a path."""
    joined = token.replace("-", f"-{_JOINER}")
    return f"/{_JOINER}{joined[1:]}" if joined.startswith("/") else joined


def _format(colour: str, *, bold: bool = False) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(QColor(theme.colour(colour)))
    if bold:
        made.setFontWeight(QFont.Weight.Bold)
    return made
