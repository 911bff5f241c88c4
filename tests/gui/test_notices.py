from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from variet_gui.events import Fix, NoticeRaised, Severity
from variet_gui.i18n import msg
from variet_gui.ui import theme
from variet_gui.ui.widgets import plain_text
from variet_gui.ui.widgets.log_view import LogView
from variet_gui.ui.widgets.notice_bar import NoticeBar


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(text: str, *fixes: Fix) -> NoticeRaised:
    return NoticeRaised(Severity.WARNING, msg(text), role="fast", fixes=fixes)


def test_that_the_same_words_within_ten_seconds_are_one_notice_that_counts(qtbot: QtBot) -> None:
    hands = Hands()
    bar = NoticeBar(clock=hands)
    qtbot.addWidget(bar)
    bar.add(told("It fell over."))
    assert bar._count.text() == ""
    bar.add(told("Something else."))
    hands.now += 4
    bar.add(told("It fell over."))
    hands.now += 9
    bar.add(told("It fell over.", Fix(msg("Show the log"), action="show_log")))
    assert [str(each.text) for each in bar.notices()] == ["It fell over.", "Something else."]
    assert bar.text() == "Something else."
    bar.dismiss()
    assert bar.text() == "It fell over."
    assert bar._count.text() == "×3"
    assert bar.fix_buttons[0].text() == "Show the log"


def test_that_the_same_words_much_later_are_news(qtbot: QtBot) -> None:
    hands = Hands()
    bar = NoticeBar(clock=hands)
    qtbot.addWidget(bar)
    bar.add(told("It fell over."))
    bar.add(told("Something else."))
    hands.now += 11
    bar.add(told("It fell over."))
    assert len(bar.notices()) == 3
    hands.now += 60
    bar.add(told("It fell over."))
    assert len(bar.notices()) == 3
    assert bar._count.text() == "2 more"


def test_that_a_storm_of_notices_is_bounded(qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    for number in range(2000):
        bar.add(told(f"Number {number}"))
    assert len(bar.notices()) == 50
    for _ in range(2000):
        bar.add(told("Number 1999"))
    assert len(bar.notices()) == 50
    assert bar._count.text() == "×2001 · 49 more"


def test_that_details_that_are_read_stay_open_while_the_same_words_come_again(qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    failed = NoticeRaised(Severity.ERROR, msg("It failed."), "why: \x1b[31mred")
    bar.add(failed)
    bar.details_button.click()
    bar.add(failed)
    assert not bar._details.isHidden()
    assert bar._details.toPlainText() == "why: red"
    bar.add(told("Something else."))
    assert bar._details.isHidden()


def test_that_log_lines_are_plain_text_without_control_characters(qtbot: QtBot) -> None:
    view = LogView()
    qtbot.addWidget(view)
    view.set_lines(["\x1b[31mred\x1b[0m <b>bold</b>", "a\x08b\x00c\rd\u202eE\u2028F"])
    view.append_lines(["\x1b]0;title\x07next", "tab\there", "two\nlines"])
    assert view.toPlainText().split("\n") == ["red <b>bold</b>", "abcdE F", "next", "tab\there", "two lines"]


def test_that_a_tooltip_shows_markup_as_it_is_written() -> None:
    assert "&lt;b&gt;x&lt;/b&gt;\n&amp;" in plain_text.tooltip("<b>x</b>\n&")
    assert plain_text.tooltip("") == ""
