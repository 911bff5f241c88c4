"""The catalog file was changed by another program: told at the head of the window, whatever page is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import Shown, make_window, settled
from variet_gui.ui import theme
from variet_gui.ui.main_window import MainWindow, Page
from variet_gui.ui.pages.tune import TunePage


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    data = tmp_path / "data"
    data.mkdir()
    made = make_bridge(tmp_path, data)
    made.really_saves = True
    return made


def opened(qtbot: QtBot, bridge: FakeBridge) -> tuple[MainWindow, TunePage]:
    """Return a window that shows the Tune page, and that page."""
    page = TunePage(bridge)  # type: ignore[arg-type]
    return make_window(qtbot, bridge, [Page("tune", "Tune", page), Page("log", "Log", Shown())]), page


def change_outside(bridge: FakeBridge, **parameters: Any) -> None:
    """Let another program write parameters of the first tier into the file, and let that be noticed."""
    path = bridge.panel.tune.catalog_path
    document = json.loads(path.read_text(encoding="utf-8"))
    document["tiers"][0]["parameters"].update(parameters)
    path.write_text(json.dumps(document, indent=3), encoding="utf-8")


def notice_change(bridge: FakeBridge) -> None:
    bridge.call(bridge.panel.tune.outside.check())


def test_that_the_banner_is_seen_on_every_page(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = opened(qtbot, bridge)
    for key in ("tune", "log"):
        window.show_page(key)
        assert not window.banner.isVisible()
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    for key in ("tune", "log"):
        window.show_page(key)
        assert window.banner.isVisible()


def test_that_a_window_that_is_built_anew_shows_what_waits_for_a_decision(qtbot: QtBot, bridge: FakeBridge) -> None:
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    window, _ = opened(qtbot, bridge)
    assert window.banner.isVisible()


def test_that_a_change_from_outside_is_offered_as_a_merge(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, page = opened(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    assert window.banner.isVisible()
    assert window.banner.text() == "The catalog was changed outside: 1 difference."
    window.banner.unfold(True)
    assert any("4\u2009096" in line for line in window.banner.details())
    window.banner.merge.click()
    settled(qtbot, page)
    assert not window.banner.isVisible()
    draft = bridge.panel.tune.draft("fast")
    assert (draft.get("ubatch_size"), draft.get("batch_size")) == (1024, 4096)


def test_that_a_conflict_is_shown_and_can_be_decided_for_the_other_side(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = opened(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    change_outside(bridge, ubatch_size=256)
    notice_change(bridge)
    box = window.banner.choice("fast", "ubatch_size")
    assert box.isVisible()
    assert "1\u2009024" in box.text()
    box.click()
    window.banner.merge.click()
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 256


def test_that_theirs_can_be_taken_and_undo_has_the_edits(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = opened(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    window.banner.theirs.click()
    assert bridge.panel.tune.changed("fast") == ()
    bridge.undo("fast")
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 1024


def test_that_a_save_onto_a_changed_file_loses_nothing_and_shows_the_banner(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, page = opened(qtbot, bridge)
    said: list[object] = []
    bridge.notice_raised.connect(said.append)
    bridge.edit("fast", "ubatch_size", 1024)
    settled(qtbot, page)
    change_outside(bridge, batch_size=4096)
    page.save.click()
    assert window.banner.isVisible()
    assert said == []
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 1024
    window.banner.ours.click()
    assert not window.banner.isVisible()
    written = json.loads(bridge.panel.tune.catalog_path.read_text(encoding="utf-8"))
    assert written["tiers"][0]["parameters"]["batch_size"] == 2048
    assert bridge.panel.tune.draft("fast").get("ubatch_size") == 1024


def test_that_a_broken_file_can_only_be_overwritten(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = opened(qtbot, bridge)
    bridge.panel.tune.catalog_path.write_text("{", encoding="utf-8")
    notice_change(bridge)
    notice_change(bridge)  # the first look at a bad file waits for the rest of it
    assert window.banner.isVisible()
    assert window.banner.merge.isHidden()
    assert not window.banner.ours.isHidden()


def test_that_a_change_that_goes_away_takes_the_banner_along(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = opened(qtbot, bridge)
    path = bridge.panel.tune.catalog_path
    before = path.read_bytes()
    change_outside(bridge, batch_size=4096)
    notice_change(bridge)
    assert window.banner.isVisible()
    path.write_bytes(before)
    notice_change(bridge)
    qtbot.waitUntil(lambda: not window.banner.isVisible())
