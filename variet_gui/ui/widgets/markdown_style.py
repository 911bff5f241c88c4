"""The look of rendered Markdown: headings, code, tables and links in the theme's own measures and colours."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QFont,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrameFormat,
    QTextTable,
)

from variet_gui.i18n import tr
from variet_gui.ui import theme

FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
"""GitHub's dialect; HTML is shown as the text that it is, never interpreted."""

CODE_PADDING = 10
QUOTE_INDENT = 14
_HEADING_PX = {1: 18, 2: 16, 3: 14}
_CODE_PX = 12
_PARAGRAPH_GAP = 8
_ITEM_GAP = 3
_LINE_PERCENT = 118.0
_PROPORTIONAL = QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
_PROPERTY = QTextFormat.Property
_FRAME_BEGINS = "\ufdd0"


def is_code(block: QTextBlock) -> bool:
    """Whether `block` is a line of a fenced or indented code block."""
    return block.isValid() and (
        block.blockFormat().hasProperty(_PROPERTY.BlockCodeFence) or block.blockFormat().nonBreakableLines()
    )


def insert_markdown(document: QTextDocument, text: str) -> None:
    """Append rendered `text` to `document` exactly as if both had been rendered together.

    Qt drops the block format (heading, code, quotation) of the first block of what it inserts, so a word goes ahead
    and is taken away again.
    """
    cursor = QTextCursor(document)
    cursor.movePosition(QTextCursor.MoveOperation.End)
    if document.characterCount() > 1:
        cursor.insertBlock(QTextBlockFormat(), QTextCharFormat())
    start = cursor.position()
    cursor.insertMarkdown("x\n\n" + text, FEATURES)
    cursor.setPosition(start)
    block = cursor.block()
    # Inside an edit block the document does not know its tables yet, but their borders are characters already.
    before_table = document.characterAt(block.position() + block.length() - 1) == _FRAME_BEGINS
    if before_table or not block.next().isValid():
        cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
    else:
        cursor.movePosition(QTextCursor.MoveOperation.NextBlock, QTextCursor.MoveMode.KeepAnchor)
    cursor.removeSelectedText()


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring blocks that get something painted behind or beside them; block numbers, both included."""

    first: int
    last: int
    is_quote: bool = False


def dress(document: QTextDocument, first: QTextBlock, end: int | None = None, *, growing: bool = False) -> list[Run]:
    """Give the blocks from `first` on their look and return the runs of code and of quotation among them.

    Args:
        document: what they are part of.
        first: where to begin.
        end: the position up to which is dressed; None: to the end of the document.
        growing: text (or a caret) will be put into the last block.
    """
    runs: list[Run] = []
    block = first
    while block.isValid() and (end is None or block.position() <= end):
        last = block
        if is_code(block):
            while is_code(last.next()):
                last = last.next()
            _dress_code(document, block, last)
            runs.append(Run(block.blockNumber(), last.blockNumber()))
        else:
            _dress_text(block)
            if block.length() == 1 and _ends_table(block.previous()) and not (growing and not block.next().isValid()):
                _flatten(block)
            if _is_quote(block):
                joins = bool(runs) and runs[-1].is_quote and runs[-1].last == block.blockNumber() - 1
                start = runs.pop().first if joins else block.blockNumber()
                runs.append(Run(start, block.blockNumber(), is_quote=True))
        block = last.next()
    return runs


def _flatten(block: QTextBlock) -> None:
    """Hide the empty block that Qt insists on behind a table."""
    shape = block.blockFormat()
    shape.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
    shape.setBottomMargin(0)
    QTextCursor(block).setBlockFormat(shape)


def _ends_table(block: QTextBlock) -> bool:
    return block.isValid() and QTextCursor(block).currentTable() is not None


def _is_quote(block: QTextBlock) -> bool:
    return bool(block.blockFormat().property(_PROPERTY.BlockQuoteLevel))


def _dress_code(document: QTextDocument, first: QTextBlock, last: QTextBlock) -> None:
    cursor = QTextCursor(document)
    letters = _mono()
    letters.setForeground(theme.colour("code"))
    block = first
    while block.isValid() and block.blockNumber() <= last.blockNumber():
        cursor.setPosition(block.position())
        shape = block.blockFormat()
        shape.setProperty(_PROPERTY.BlockCodeFence, shape.property(_PROPERTY.BlockCodeFence) or "`")
        # Long lines wrap: a bubble has no sideways scroll bar, and what cannot be seen is lost.
        shape.setNonBreakableLines(False)
        shape.setLeftMargin(CODE_PADDING)
        shape.setRightMargin(CODE_PADDING)
        shape.setTopMargin(CODE_PADDING if block == first else 0)
        shape.setBottomMargin(CODE_PADDING + _PARAGRAPH_GAP if block == last else 0)
        shape.setLineHeight(_LINE_PERCENT, _PROPORTIONAL)
        cursor.setBlockFormat(shape)
        cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
        cursor.mergeCharFormat(letters)
        cursor.setBlockCharFormat(letters)
        block = block.next()


def _dress_text(block: QTextBlock) -> None:
    cursor = QTextCursor(block)
    level = block.blockFormat().headingLevel()
    shape = block.blockFormat()
    shape.setTopMargin(6 if level and block.blockNumber() else 0)
    goes_on = block.textList() is not None and block.next().isValid() and block.next().textList() is not None
    shape.setBottomMargin(_ITEM_GAP if goes_on else _PARAGRAPH_GAP)
    shape.setLineHeight(_LINE_PERCENT, _PROPORTIONAL)
    if shape.hasProperty(_PROPERTY.BlockTrailingHorizontalRulerWidth):
        shape.setBackground(theme.colour("button_line"))  # the colour of the rule itself
    if _is_quote(block):
        shape.setLeftMargin(QUOTE_INDENT)
    cursor.setBlockFormat(shape)
    if level:
        letters = QTextCharFormat()
        letters.setProperty(_PROPERTY.FontSizeAdjustment, 0)
        letters.setProperty(_PROPERTY.FontPixelSize, _HEADING_PX.get(level, 13))
        letters.setFontWeight(QFont.Weight.DemiBold)
        cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
        cursor.mergeCharFormat(letters)
    for start, length, shown in _spans(block):
        cursor.setPosition(start)
        cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
        if shown.isImageFormat():
            described = shown.toImageFormat().property(_PROPERTY.ImageAltText) or shown.toImageFormat().name()
            quiet = QTextCharFormat()
            quiet.setForeground(theme.colour("quiet"))
            cursor.insertText(tr("[picture not loaded: {name}]", name=described), quiet)
        elif shown.fontFixedPitch():
            letters = _mono()
            letters.setBackground(theme.colour("window"))
            cursor.mergeCharFormat(letters)


def _spans(block: QTextBlock) -> list[tuple[int, int, QTextCharFormat]]:
    """Return (position, length, format) of what needs a look of its own, last first so that edits do not shift it."""
    found = []
    step = block.begin()
    while not step.atEnd():
        fragment = step.fragment()
        shown = fragment.charFormat()
        if shown.isImageFormat() or shown.fontFixedPitch():
            found.append((fragment.position(), fragment.length(), shown))
        step += 1
    return found[::-1]


def dress_tables(document: QTextDocument, first: QTextBlock, end: int | None = None) -> None:
    """Give the tables from `first` up to the position `end` their look.

    Ahead of `dress` and not in the edit block in which they came: it may take an empty line away.
    """
    for frame in document.rootFrame().childFrames():
        behind = frame.lastPosition() >= first.position() and (end is None or frame.lastPosition() <= end)
        if isinstance(frame, QTextTable) and behind:
            shape = frame.format()
            shape.setBorder(1)
            shape.setBorderBrush(QBrush(theme.colour("line")))
            shape.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
            shape.setBorderCollapse(True)
            shape.setCellPadding(5)
            shape.setCellSpacing(0)
            # The margin of the block above does not reach a table.
            above = frame.firstCursorPosition().block().previous()
            shape.setTopMargin(CODE_PADDING + _PARAGRAPH_GAP if is_code(above) else 2)
            shape.setBottomMargin(_PARAGRAPH_GAP)
            frame.setFormat(shape)
            _dress_cells(frame)


def _dress_cells(table: QTextTable) -> None:
    """Make all cells alike: Qt leaves the first one with the margins and the weight of a paragraph."""
    flat = QTextBlockFormat()
    flat.setTopMargin(0)
    flat.setBottomMargin(0)
    bold = QTextCharFormat()
    bold.setFontWeight(QFont.Weight.DemiBold)
    corner = table.cellAt(0, 0).firstCursorPosition()
    if corner.block().length() == 1 and corner.block() != table.cellAt(0, 0).lastCursorPosition().block():
        corner.deleteChar()  # an empty line that Qt leaves there behind a quotation
    for line in range(table.rows()):
        for column in range(table.columns()):
            cell = table.cellAt(line, column)
            cursor = cell.firstCursorPosition()
            cursor.setPosition(cell.lastCursorPosition().position(), QTextCursor.MoveMode.KeepAnchor)
            cursor.mergeBlockFormat(flat)
            if line == 0:
                cursor.mergeCharFormat(bold)


def _mono() -> QTextCharFormat:
    letters = QTextCharFormat()
    letters.setFontFamilies(theme.mono_font().families())
    letters.setProperty(_PROPERTY.FontPixelSize, _CODE_PX)
    return letters


def caret_format() -> QTextCharFormat:
    """Return the look of the caret that shows where the answer grows."""
    letters = QTextCharFormat()
    letters.setForeground(theme.colour("accent"))
    letters.setBackground(QBrush(Qt.BrushStyle.NoBrush))
    return letters
