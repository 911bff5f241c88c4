"""The Log page: bounded, followed, searchable, and free while nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_pages import PagesBridge, write_tiers
from variet_gui.ui import theme
from variet_gui.ui.pages.log import LogPage
from variet_gui.ui.widgets.log_lines import Level, at_least, level_of
from variet_gui.ui.widgets.log_view import MAX_LINES

ERROR = "0.01.394.231 E ggml_cuda: cudaMalloc failed: out of memory"
WARNING = "0.01.390.231 W srv  no API key is set and CORS allows all origins"


def info(number: int) -> str:
    return f"0.00.000.{number % 1000:03d} I srv  line {number}"


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[PagesBridge]:
    made = PagesBridge(write_tiers(tmp_path))
    made.log_dir = tmp_path / "logs"
    yield made
    made.finish()


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication, bridge: PagesBridge) -> LogPage:
    theme.apply(qapp, "dark")
    made = LogPage(bridge)
    qtbot.addWidget(made)
    made.resize(1000, 500)
    made.show_role("fast")
    return made


def opened(qtbot: QtBot, page: LogPage) -> LogPage:
    page.show()
    qtbot.waitExposed(page)
    QApplication.processEvents()
    return page


def shown(page: LogPage) -> list[str]:
    text = page.view.toPlainText()
    return text.split("\n") if text else []


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (ERROR, Level.ERROR),
        (WARNING, Level.WARNING),
        (info(1), Level.INFO),
        ("\x1b[31m0.00.001.002 E bad\x1b[0m", Level.ERROR),
        ("error: invalid argument: --nonsense", Level.ERROR),
        ("/src/ggml.c:12: GGML_ASSERT(x) failed", Level.ERROR),
        ("warning: no usable GPU found, --gpu-layers option will be ignored", Level.WARNING),
        ("0.00.001.002 I srv  stopped on error: no", Level.INFO),
        ("", Level.INFO),
    ],
)
def test_that_a_line_is_worth_what_it_says(line: str, level: Level) -> None:
    assert level_of(line) is level


def test_that_a_filter_keeps_what_is_worse_too() -> None:
    lines = [info(1), WARNING, ERROR]
    assert at_least(lines, Level.INFO) == lines
    assert at_least(lines, Level.WARNING) == [WARNING, ERROR]
    assert at_least(lines, Level.ERROR) == [ERROR]


def test_that_the_log_is_followed(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    bridge.log("fast", *(info(n) for n in range(100)))
    opened(qtbot, page)
    bridge.log("fast", "the newest line")
    qtbot.waitUntil(lambda: shown(page)[-1] == "the newest line")
    bar = page.view.verticalScrollBar()
    assert bar.value() == bar.maximum() > 0
    assert page._follow.isChecked()


def test_that_scrolling_up_ends_following_and_the_button_takes_it_up_again(
    qtbot: QtBot, page: LogPage, bridge: PagesBridge
) -> None:
    bridge.log("fast", *(info(n) for n in range(200)))
    opened(qtbot, page)
    bar = page.view.verticalScrollBar()
    bar.triggerAction(bar.SliderAction.SliderPageStepSub)
    assert not page._follow.isChecked()
    held = bar.value()
    bridge.log("fast", "more")
    qtbot.waitUntil(lambda: shown(page)[-1] == "more")
    assert bar.value() == held
    page._follow.click()
    assert bar.value() == bar.maximum()
    bar.triggerAction(bar.SliderAction.SliderToMinimum)
    bar.triggerAction(bar.SliderAction.SliderToMaximum)
    assert page._follow.isChecked()


def test_that_lines_of_other_tiers_are_not_mixed_in(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    opened(qtbot, page)
    bridge.log("balanced", "not mine")
    bridge.log("fast", "mine")
    qtbot.waitUntil(lambda: shown(page) == ["mine"])
    page.show_role("balanced")
    assert shown(page) == ["not mine"]


def test_that_a_hidden_page_does_nothing_and_is_filled_when_it_is_shown(
    qtbot: QtBot, page: LogPage, bridge: PagesBridge
) -> None:
    opened(qtbot, page)
    page.hide()
    bridge.log("fast", *(info(n) for n in range(50)))
    assert not page._flush_timer.isActive()
    assert shown(page) == []
    page.show()
    assert len(shown(page)) == 50


def test_that_a_flood_is_cut_and_says_how_much_is_missing(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    opened(qtbot, page)
    bridge.log("fast", *(info(n) for n in range(1500)))
    qtbot.waitUntil(lambda: len(shown(page)) == 201)
    assert shown(page)[0] == "… 1\u2009300 lines came too fast to be shown; the file has them"
    assert shown(page)[-1] == info(1499)


def test_that_no_more_than_ten_thousand_lines_are_kept(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    bridge.log("fast", *(info(n) for n in range(MAX_LINES + 500)))
    opened(qtbot, page)
    assert page.view.blockCount() == MAX_LINES
    bridge.log("fast", "one more")
    qtbot.waitUntil(lambda: shown(page)[-1] == "one more")
    assert page.view.blockCount() == MAX_LINES


def test_that_a_search_counts_and_goes_round(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    bridge.log("fast", *(info(n) for n in range(30)), "NEEDLE one", info(1), "a needle two", ERROR)
    opened(qtbot, page)
    qtbot.keyClicks(page._find, "needle")
    qtbot.waitUntil(lambda: page._count.text() == "1 of 2")
    qtbot.keyClick(page._find, Qt.Key.Key_Return)
    assert page._count.text() == "2 of 2"
    assert page.view.textCursor().block().text() == "a needle two"
    qtbot.keyClick(page._find, Qt.Key.Key_Return)
    assert page._count.text() == "1 of 2"
    page._previous.click()
    assert page._count.text() == "2 of 2"
    marked = [found.cursor.selectedText() for found in page.view.extraSelections()]
    assert marked == ["NEEDLE", "needle"]
    assert len({found.format.background().color().name() for found in page.view.extraSelections()}) == 2
    qtbot.keyClicks(page._find, "xyz")
    qtbot.waitUntil(lambda: page._count.text() == "not found")
    assert not page._next.isEnabled()
    qtbot.keyClick(page._find, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: page._count.text() == "")


def test_that_new_lines_are_searched_too(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    bridge.log("fast", "needle")
    opened(qtbot, page)
    page.view.find_text("needle")
    bridge.log("fast", "another needle")
    qtbot.waitUntil(lambda: page.view.match_count == 2)


def test_that_the_level_can_be_chosen(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    bridge.log("fast", info(1), WARNING, ERROR)
    opened(qtbot, page)
    page._levels.button("ERROR").click()
    assert shown(page) == [ERROR]
    bridge.log("fast", info(2), ERROR.replace("394", "395"))
    qtbot.waitUntil(lambda: len(shown(page)) == 2)
    page._levels.button("WARNING").click()
    assert shown(page)[0] == WARNING
    page._levels.button("INFO").click()
    assert len(shown(page)) == 5


def test_that_errors_are_coloured(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    bridge.log("fast", info(1), ERROR)
    opened(qtbot, page)
    block = page.view.document().lastBlock()
    spans = block.layout().formats()
    assert [span.format.foreground().color() for span in spans] == [theme.colour("failure_text")]
    assert page.view.document().firstBlock().layout().formats() == []


def test_that_an_empty_log_says_so(qtbot: QtBot, page: LogPage, bridge: PagesBridge) -> None:
    opened(qtbot, page)
    assert "fast has written nothing yet" in page._empty.text()
    assert page._empty.isVisible()
    bridge.log("fast", info(1))
    qtbot.waitUntil(page.view.isVisible)
    page._levels.button("ERROR").click()
    assert "No line of fast is of this kind" in page._empty.text()


def test_that_lines_can_be_copied_and_the_folder_opened(
    qtbot: QtBot, page: LogPage, bridge: PagesBridge, monkeypatch, tmp_path: Path
) -> None:
    folders: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: folders.append(url.toLocalFile()))
    bridge.log("fast", info(1), info(2))
    opened(qtbot, page)
    page._copy.click()
    assert QGuiApplication.clipboard().text() == f"{info(1)}\n{info(2)}"
    page._folder.click()
    assert folders == [str(tmp_path / "logs")]
    assert page._path.text() == str(tmp_path / "logs" / "fast.log")
