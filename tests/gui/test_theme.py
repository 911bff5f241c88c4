from __future__ import annotations

import re

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPalette
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from variet_gui import assets
from variet_gui.ui import icons, stylesheet, theme
from variet_gui.ui.theme_tokens import DARK, LIGHT, Tokens
from variet_gui.ui.widgets.buttons import Button, IconButton

# (text, surface) pairs that occur on the screen.
TEXT_ON_SURFACE = [
    *((text, surface) for text in ("text", "quiet", "faint") for surface in ("window", "rail", "bar", "card", "field")),
    *((text, "card_selected") for text in ("text", "quiet", "good_text", "caution_text")),
    *((text, "card") for text in ("good_text", "caution_text", "failure_text", "strong")),
    *((text, "bar") for text in ("good_text", "caution_text", "failure_text", "code", "strong")),
    *((text, "window") for text in ("good_text", "caution_text", "failure_text", "strong")),
    ("on_primary", "primary"),
    ("on_primary", "primary_hover"),
    ("on_danger", "danger"),
    ("text", "button"),
    ("strong", "chosen"),
    ("caution_text", "chosen"),
    ("caution_text", "caution_panel"),
    ("text", "failure_panel"),
]
SHAPES_ON_SURFACE = [
    *((shape, "bar") for shape in ("gpu0", "gpu1", "context", "good", "failure", "accent")),
    ("idle", "card"),
    ("failure", "card"),
    ("good", "card"),
]


def luminance(colour: str) -> float:
    channels = [channel / 255 for channel in QColor(colour).getRgb()[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("tokens", [DARK, LIGHT], ids=lambda tokens: tokens.name)
def test_that_all_text_is_readable_on_its_surface(tokens: Tokens) -> None:
    named = tokens.named()
    weak = {
        f"{text} on {surface}": round(contrast(named[text], named[surface]), 2)
        for text, surface in TEXT_ON_SURFACE
        if contrast(named[text], named[surface]) < 4.5
    }
    assert weak == {}


@pytest.mark.parametrize("tokens", [DARK, LIGHT], ids=lambda tokens: tokens.name)
def test_that_shapes_stand_out_from_their_surface(tokens: Tokens) -> None:
    named = tokens.named()
    weak = {
        f"{shape} on {surface}": round(contrast(named[shape], named[surface]), 2)
        for shape, surface in SHAPES_ON_SURFACE
        if contrast(named[shape], named[surface]) < (3.0 if shape != "idle" else 2.0)
    }
    assert weak == {}


def test_that_both_themes_name_the_same_colours_and_all_of_them_are_colours() -> None:
    assert DARK.named().keys() == LIGHT.named().keys()
    for tokens in (DARK, LIGHT):
        assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in tokens.named().values())


def test_that_the_dark_tokens_are_those_of_the_design() -> None:
    named = DARK.named()
    assert (named["window"], named["bar"], named["card"], named["line"]) == ("#0f1216", "#151a20", "#181d24", "#252c35")
    assert (named["text"], named["quiet"], named["accent"]) == ("#e6e9ee", "#9aa5b1", "#4c9aff")
    series = [named[name] for name in ("gpu0", "gpu1", "context", "compute", "other", "failure")]
    assert series == ["#4c9aff", "#3ecf8e", "#9b7bff", "#f0b429", "#3a4653", "#ff6b6b"]


@pytest.mark.parametrize(("choice", "expected"), [("dark", DARK), ("light", LIGHT)])
def test_that_a_choice_dresses_the_application(qapp: QApplication, choice: str, expected: Tokens) -> None:
    theme.apply(qapp, choice)
    assert theme.manager().tokens is expected
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == expected.window
    assert theme.colour("accent").name() == expected.accent
    assert theme.is_dark() is (expected is DARK)
    assert expected.window in qapp.styleSheet()


def test_that_an_unknown_choice_means_the_system(qapp: QApplication) -> None:
    theme.apply(qapp, "sepia")
    assert theme.manager().choice is theme.ThemeChoice.SYSTEM


def test_that_a_change_of_theme_is_announced_after_it_happened(qapp: QApplication, qtbot: QtBot) -> None:
    theme.apply(qapp, "dark")
    seen: list[str] = []
    connection = theme.manager().changed.connect(lambda: seen.append(theme.colour("window").name()))
    theme.apply(qapp, "light")
    theme.manager().changed.disconnect(connection)
    assert seen == [LIGHT.window]


def test_that_an_unknown_colour_is_an_error_and_not_black() -> None:
    with pytest.raises(KeyError):
        theme.colour("pink")


def test_that_digits_are_tabular_in_labels_of_every_size(qapp: QApplication, qtbot: QtBot) -> None:
    theme.apply(qapp, "dark")
    for look in ("", "figure", "faint", "quiet"):
        label = QLabel("8")
        qtbot.addWidget(label)
        theme.mark(label, look=look)
        label.ensurePolished()
        metrics = QFontMetricsF(label.font())
        assert metrics.horizontalAdvance("1111") == pytest.approx(metrics.horizontalAdvance("0808"), abs=0.01), look


def test_that_no_placeholder_is_left_in_the_style_sheet() -> None:
    for tokens in (DARK, LIGHT):
        assert "$" not in stylesheet.build(tokens)


def test_that_every_icon_that_is_shipped_can_be_drawn_in_a_theme_colour(qapp: QApplication) -> None:
    names = sorted(path.stem for path in assets.resource("icons").glob("*.svg"))
    wanted = {"app", "play", "stop", "copy", "revert", "warning", "picture", "send", "search", "moon", "sun", "globe"}
    assert wanted <= set(names)
    for name in names:
        image = icons.pixmap(name, "accent", 32).toImage()
        opaque = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
        assert any(colour.alpha() > 200 for colour in opaque), name


def test_that_an_unknown_icon_is_an_error(qapp: QApplication) -> None:
    with pytest.raises(FileNotFoundError):
        icons.icon("no-such-icon")


@pytest.mark.parametrize("shown_before", [True, False])
def test_that_buttons_take_their_icons_along_into_the_other_theme(
    qapp: QApplication, qtbot: QtBot, shown_before: bool
) -> None:
    theme.apply(qapp, "dark")
    buttons = [Button("Copy", icon="copy"), IconButton("revert", "Back")]
    for button in buttons:
        qtbot.addWidget(button)
        button.setVisible(shown_before)
    before = [button.icon().pixmap(16).toImage() for button in buttons]
    theme.apply(qapp, "light")
    for button in buttons:
        button.show()
    after = [button.icon().pixmap(16).toImage() for button in buttons]
    assert all(one != other for one, other in zip(before, after, strict=True))


class _Counting(QWidget):
    """Counts how often it is restyled."""

    restyled = 0

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        self.restyled += event.type() == QEvent.Type.StyleChange


def test_that_a_change_of_theme_restyles_a_widget_as_often_however_deep_it_lies(
    qapp: QApplication, qtbot: QtBot
) -> None:
    theme.apply(qapp, "dark")
    levels = [_Counting()]
    qtbot.addWidget(levels[0])
    for _ in range(12):
        levels.append(_Counting(levels[-1]))
    levels[0].show()
    for each in levels:
        each.restyled = 0
    theme.apply(qapp, "light")
    assert {each.restyled for each in levels} == {2}  # the old sheet off, the new one on
    theme.apply(qapp, "light")
    assert {each.restyled for each in levels} == {2}  # the same again is nothing to do


def test_that_there_and_back_again_looks_as_before(qapp: QApplication, qtbot: QtBot) -> None:
    theme.apply(qapp, "dark")
    box = QWidget()
    qtbot.addWidget(box)
    heading, figure, field = QLabel("GROUP", box), QLabel("71.9", box), QLineEdit("text", box)
    theme.mark(heading, look="group")
    theme.space_letters(heading)
    theme.mark(figure, look="figure")
    field.setPlaceholderText("hint")
    for number, part in enumerate((heading, figure, field, Button("Save", "primary", "copy", box))):
        part.move(10, 10 + 40 * number)
    box.resize(240, 180)
    box.show()
    before = box.grab().toImage()
    theme.apply(qapp, "light")
    assert box.grab().toImage() != before
    theme.apply(qapp, "dark")
    assert box.grab().toImage() == before


def test_that_an_icon_button_speaks(qapp: QApplication, qtbot: QtBot) -> None:
    button = IconButton("globe", "Language")
    qtbot.addWidget(button)
    assert button.accessibleName() == "Language"
    assert button.focusPolicy() & Qt.FocusPolicy.TabFocus
