from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from tests.gui.real_bridge import ROLE, real_bridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import page_for
from tests.support.screenshots import until
from variet_gui.events import ServerState, ServerStatus
from variet_gui.ui import theme
from variet_gui.ui.bridge import Bridge
from variet_gui.ui.pages.tune import TunePage


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def real(tmp_path: Path, qapp: QApplication) -> Iterator[Bridge]:
    with real_bridge(tmp_path) as made:
        yield made


def stored(bridge: Bridge) -> dict[str, object]:
    entry = json.loads(bridge.panel.tune.catalog_path.read_text(encoding="utf-8"))["tiers"][0]
    assert isinstance(entry, dict)
    return entry


def page_of(qtbot: QtBot, bridge: Bridge) -> TunePage:
    page = TunePage(bridge)
    qtbot.addWidget(page)
    page.resize(1000, 760)
    page.show()
    page.show_role(ROLE)
    page.tier.open(True)
    return page


def answer(box: QMessageBox | None, words: str) -> None:
    assert box is not None
    next(button for button in box.buttons() if button.text() == words).click()


def test_that_what_is_turned_is_written_into_the_catalog_and_shown_then(qtbot: QtBot, real: Bridge) -> None:
    page = page_of(qtbot, real)
    assert not page.tier.keep.isChecked()
    QTest.mouseClick(page.tier.keep, Qt.MouseButton.LeftButton)
    until(page.tier.keep.isChecked, "the switch turned", 10)
    assert stored(real)["keep_running"] is True
    QTest.mouseClick(page.tier.start, Qt.MouseButton.LeftButton)
    until(page.tier.start.isChecked, "the other switch turned", 10)
    assert stored(real)["start_with_panel"] is True
    QTest.mouseClick(page.tier.keep, Qt.MouseButton.LeftButton)
    until(lambda: not page.tier.keep.isChecked(), "the switch turned back", 10)
    assert stored(real)["keep_running"] is False
    assert not real.panel.tune.can_undo(ROLE)


def test_that_a_tier_is_opened_only_after_a_question_and_its_key_is_shown_once(qtbot: QtBot, real: Bridge) -> None:
    page = page_of(qtbot, real)
    section, tools = page.tier, page.tier_tools
    assert section.new_key.isHidden()
    section.reach.chosen.emit("network")
    assert section.reach.current == "here"
    answer(tools.question, "Cancel")
    assert real.panel.tune.keys.read(ROLE) is None
    section.reach.chosen.emit("network")
    assert tools.question is not None
    assert "not encrypted" in tools.question.informativeText()
    answer(tools.question, "Open to the network")
    until(lambda: tools.key_dialog is not None, "the key is shown", 10)
    shown = tools.key_dialog
    assert shown is not None
    key = real.panel.tune.keys.read(ROLE)
    assert key
    assert shown.field.text() == key
    shown.copy.click()
    assert QGuiApplication.clipboard().text() == key
    shown.close()
    until(lambda: section.reach.current == "network", "the tier is open", 10)
    assert stored(real)["listen"] == "0.0.0.0"
    assert key not in real.panel.tune.catalog_path.read_text(encoding="utf-8")
    assert "--api-key-file" in page.command.text()
    assert key not in page.command.text()
    assert not section.new_key.isHidden()


def test_that_closing_needs_no_question_and_opening_again_keeps_the_key(qtbot: QtBot, real: Bridge) -> None:
    page = page_of(qtbot, real)
    told: list[str] = []
    real.notice_raised.connect(lambda notice: told.append(str(notice.text)))
    key = real.panel.tune.keys.ensure(ROLE)
    page.tier.reach.chosen.emit("network")
    answer(page.tier_tools.question, "Open to the network")
    until(lambda: page.tier.reach.current == "network", "open", 10)
    assert page.tier_tools.key_dialog is None
    assert f"The key that {ROLE} was given earlier still holds. If nobody has it, make a new one." in told
    page.tier.reach.chosen.emit("here")
    until(lambda: page.tier.reach.current == "here", "closed", 10)
    assert stored(real)["listen"] == "127.0.0.1"
    assert real.panel.tune.keys.read(ROLE) == key


def test_that_a_new_key_is_made_after_a_question(qtbot: QtBot, real: Bridge) -> None:
    page = page_of(qtbot, real)
    before = real.panel.tune.keys.ensure(ROLE)
    page.tier.new_key.click()
    answer(page.tier_tools.question, "Make a new key")
    until(lambda: page.tier_tools.key_dialog is not None, "the new key is shown", 10)
    dialog = page.tier_tools.key_dialog
    assert dialog is not None
    assert dialog.field.text() == real.panel.tune.keys.read(ROLE) != before
    dialog.close()


def test_that_what_holds_only_from_the_next_start_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    page = page_for(qtbot, bridge)
    bridge.really_saves = True
    bridge.show(ServerStatus("fast", ServerState.READY, port=8081))
    assert page.tier.keep_row.note() == page.tier.reach_row.note() == ""
    page.tier.keep_asked.emit(True)
    qtbot.waitUntil(page.tier.keep.isChecked)
    assert page.tier.keep_row.note() == "From its next start on; what runs now ends with the panel."
    page.tier_tools._run("fast", bridge.panel.tune.options.open_to_network("fast"), lambda *_: None)
    qtbot.waitUntil(lambda: page.tier.reach.current == "network")
    assert page.tier.reach_row.note().endswith("From its next start on.")
    bridge.staying = ("fast",)
    bridge.show(ServerStatus("fast", ServerState.BUSY, port=8081, argv=("llama-server", "--host", "0.0.0.0")))
    assert page.tier.keep_row.note() == ""
    assert page.tier.reach_row.note() == "Others use this computer's address and port 8081."


def test_that_a_change_that_cannot_be_saved_turns_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    page = page_for(qtbot, bridge)
    told: list[object] = []
    bridge.notice_raised.connect(told.append)
    bridge.panel.tune.catalog_path.write_text("{nonsense", encoding="utf-8")
    page.tier.keep_asked.emit(True)
    assert told
    assert not page.tier.keep.isChecked()


def test_that_the_group_is_found_by_its_words_and_can_be_walked_by_keyboard(qtbot: QtBot, tmp_path: Path) -> None:
    page = page_for(qtbot, make_bridge(tmp_path))
    assert not page.tier.is_open
    page.search.setText("network")
    assert page.tier.reach.isVisible()
    page.search.setText("temperature")
    assert not page.tier.isVisible()
    page.search.setText("")
    assert page.tier.isVisible()
    assert not page.tier.reach.isVisible()
    page.tier.open(True)
    stops = page.tier.stops()
    assert page.tier.keep in stops
    assert page.tier.keep.accessibleName() == "Keep running"


def test_that_a_tier_that_is_a_url_shows_a_note_and_no_forecast_or_command(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    page = page_for(qtbot, bridge)
    assert page.elsewhere.isHidden()
    catalog = json.loads(bridge.panel.tune.catalog_path.read_text(encoding="utf-8"))
    catalog["tiers"][1]["url"] = "http://192.168.1.20:8081"
    bridge.panel.tune.catalog_path.write_text(json.dumps(catalog), encoding="utf-8")
    bridge.call(bridge.panel.tune.load())
    bridge.catalog_changed.emit()
    page.show_role("ultra")
    assert "http://192.168.1.20:8081" in page.elsewhere_note.text()
    assert page.forecast.isHidden()
    assert page.shown_command.isHidden()
    assert page.list.isHidden()
    assert page.save_and_restart.isHidden()
    assert not page.tier.start_row.isHidden()
    assert page.tier.keep_row.isHidden()
    assert page.tier.reach_row.isHidden()
    bridge.show(ServerStatus("ultra", ServerState.READY, attached_to="http://192.168.1.20:8081", values={}))
    assert page.differs.text() == ""
    page.show_role("fast")
    assert page.elsewhere.isHidden()
    assert not page.forecast.isHidden()
    assert not page.list.isHidden()
    assert not page.save_and_restart.isHidden()
