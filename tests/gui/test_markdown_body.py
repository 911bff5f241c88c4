"""The text of a message: rendered as it grows exactly as if it had come at once, and nothing loaded from outside."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QUrl
from PySide6.QtGui import QImage, QTextCursor, QTextDocument, QTextFormat
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from variet_gui.ui import theme
from variet_gui.ui.widgets.markdown_body import MarkdownBody
from variet_gui.ui.widgets.markdown_cut import settled_length

TEXT = """# Heading

text **bold** `code` and a [link](https://example.org/page)

- a
- b
  - c

Paragraph after the list.

1. x
2. y

```python
def f():
    return 1

x = "```"
```

after the code

> a quotation
> in two lines

| a | b |
|---|---|
| 1 | `2` |

## Second heading

---

~~~
first

```
still code
~~~

- loose

- list

    indented in the list

end

1. one

   ```sh
   ls

   pwd
   ```

2. two

last *words*"""


@pytest.fixture
def body(qtbot: QtBot, qapp: QApplication) -> MarkdownBody:
    theme.apply(qapp, "dark")
    made = MarkdownBody()
    qtbot.addWidget(made)
    made.resize(520, 100)
    return made


def described(document: QTextDocument, *, without_caret: bool = False) -> list[tuple]:
    """Return what every block looks like."""
    found = []
    block = document.begin()
    while block.isValid():
        shape, text = block.blockFormat(), block.text()
        if without_caret and not block.next().isValid():
            text = text.removesuffix("\u258d")
        runs, step = [], block.begin()
        while not step.atEnd():
            letters = step.fragment().charFormat()
            shown = step.fragment().text().removesuffix("\u258d")
            if shown:
                runs.append((shown, letters.fontWeight(), letters.fontItalic(), letters.anchorHref()))
            step += 1
        found.append(
            (
                text,
                shape.headingLevel(),
                shape.hasProperty(QTextFormat.Property.BlockCodeFence),
                shape.leftMargin(),
                block.textList().itemNumber(block) if block.textList() else None,
                QTextCursor(block).currentTable() is not None,
                runs,
            )
        )
        block = block.next()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_that_a_growing_text_looks_as_if_it_had_come_at_once(body: MarkdownBody, qtbot: QtBot, seed: int) -> None:
    pieces = random.Random(seed)
    whole = MarkdownBody()
    qtbot.addWidget(whole)
    whole.resize(520, 100)
    position = 0
    while position < len(TEXT):
        position = min(len(TEXT), position + pieces.randint(1, 60))
        body.stream_markdown(TEXT[:position])
        body._timer.stop()
        body._flush()
        whole.set_markdown(TEXT[:position])
        streamed, expected = described(body.document(), without_caret=True), described(whole.document())
        # The caret needs a block to stand in, where Markdown itself leaves none behind (an open fence, a rule).
        if len(streamed) == len(expected) + 1 and streamed[-1][0] == "":
            streamed.pop()
        assert streamed == expected, TEXT[:position][-60:]
    body.set_markdown(TEXT)
    assert described(body.document()) == described(whole.document())


@given(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)))
def test_that_what_is_settled_stays_settled(first: int, second: int) -> None:
    early, late = sorted((first, second))
    settled = settled_length(TEXT[:early])
    assert settled <= early
    assert settled_length(TEXT[:late], settled) == settled_length(TEXT[:late]) >= settled


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("one\n\ntwo", "one\n\n"),
        ("one\n\n", ""),
        ("one\n\n- item", ""),
        ("- a\n\n- b\n\nnext", "- a\n\n- b\n\n"),
        ("```\none\n\ntwo\n", ""),
        ("```\none\n\ntwo\n```\n\nthree", "```\none\n\ntwo\n```\n\n"),
        ("````\n```\n\nx", ""),
        ("a `` ``` `` b\n\nnext", "a `` ``` `` b\n\n"),
        ("one\n\n    code", ""),
        ("one\n\n> said", ""),
    ],
)
def test_that_only_what_later_text_cannot_change_is_settled(text: str, settled: str) -> None:
    assert text[: settled_length(text)] == settled


def test_that_html_is_shown_and_not_interpreted(body: MarkdownBody) -> None:
    body.set_markdown("before <b>bold</b> <script>alert(1)</script> <img src=x> after")
    assert "<b>bold</b>" in body.toPlainText()
    assert "<script>" in body.toPlainText()


def test_that_no_picture_is_loaded_from_anywhere(body: MarkdownBody, tmp_path) -> None:
    picture = tmp_path / "secret.png"
    image = QImage(40, 40, QImage.Format.Format_RGB32)
    image.fill(0xFF0000)
    assert image.save(str(picture))
    asked: list[str] = []
    load = body.loadResource
    body.loadResource = lambda kind, name: (asked.append(str(name)), load(kind, name))[1]
    for url in (f"file://{picture}", str(picture), "http://127.0.0.1:9/x.png"):
        body.set_markdown(f"look ![my picture]({url}) here")
        body.show()
        shown = body.grab().toImage()
        assert "\ufffc" not in body.toPlainText()
        assert "[picture not loaded: " in body.toPlainText()
        reds = sum(
            shown.pixelColor(x, y).red() > 200 > 60 > shown.pixelColor(x, y).green()
            for x in range(0, 400, 4)
            for y in range(0, shown.height(), 4)
        )
        assert reds == 0
    kept = body.document().resource(QTextDocument.ResourceType.ImageResource, QUrl.fromLocalFile(str(picture)))
    assert kept is None or kept.isNull() or kept.size().width() == 1


def test_that_a_link_is_asked_about_and_never_followed(body: MarkdownBody, qtbot: QtBot) -> None:
    body.set_markdown("[a](https://example.org/)")
    with qtbot.waitSignal(body.link_asked) as asked:
        body.anchorClicked.emit(QUrl("https://example.org/"))
    assert asked.args == [QUrl("https://example.org/")]
    assert body.source == "[a](https://example.org/)"


def test_that_long_code_lines_wrap_inside_the_bubble(body: MarkdownBody) -> None:
    body.show()
    body.set_markdown("```\n" + "x" * 400 + "\n```")
    assert body.document().size().width() <= body.viewport().width()


def test_that_the_height_follows_the_text(body: MarkdownBody) -> None:
    body.show()
    body.set_markdown("one line")
    low = body.height()
    body.set_markdown("many\n\nlines\n\nof\n\ntext\n\nhere")
    assert body.height() > 3 * low


def test_that_what_the_operator_wrote_is_not_interpreted(body: MarkdownBody) -> None:
    body.set_plain("# not a heading <b>\n* star")
    assert body.toPlainText() == "# not a heading <b>\n* star"


def test_that_a_flood_of_text_is_rendered_in_few_steps(body: MarkdownBody, qtbot: QtBot) -> None:
    body.show()
    flushes = 0
    flush = body._flush

    def counted() -> None:
        nonlocal flushes
        flushes += 1
        flush()

    body._timer.timeout.disconnect()
    body._timer.timeout.connect(counted)
    text = ""
    for index in range(2000):
        text += f"word{index} "
        body.stream_markdown(text)
        if index % 100 == 0:
            QApplication.processEvents()
    qtbot.waitUntil(lambda: "word1999" in body.toPlainText(), timeout=5000)
    assert flushes <= 30


def test_that_a_change_of_theme_reaches_rendered_text(body: MarkdownBody, qapp: QApplication) -> None:
    body.show()
    body.set_markdown("text with `code`")

    def code_background() -> str:
        step = body.document().begin().begin()
        while not step.atEnd():
            if step.fragment().text() == "code":
                return step.fragment().charFormat().background().color().name()
            step += 1
        raise AssertionError("no code there")

    dark = code_background()
    theme.apply(qapp, "light")
    QApplication.processEvents()
    assert code_background() != dark
    theme.apply(qapp, "dark")


def test_that_an_enormous_answer_is_shown_as_plain_text(body: MarkdownBody) -> None:
    body.set_markdown("**word** " * 30_000)
    assert body.toPlainText().startswith("**word**")
