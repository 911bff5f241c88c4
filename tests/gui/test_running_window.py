"""Running, in the window: switching, evidence, servers that run elsewhere, and what stays when it closes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.real_bridge import open_bridge, real_bridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import Shown, make_window, running
from tests.support.catalogs import tier, write_catalog
from tests.support.screenshots import until
from tests.support.spawned import free_port
from tests.support.tiny_models import write_text_model
from variet_gui.engine.found import FoundServer
from variet_gui.events import Fix, NoticeRaised, ServerState, ServerStatus, Severity
from variet_gui.i18n import msg
from variet_gui.panel.outlook_values import Together
from variet_gui.panel.switching import SwitchPlan
from variet_gui.ui import theme
from variet_gui.ui.bridge import Bridge
from variet_gui.ui.main_window import MainWindow, Page
from variet_gui.ui.switch_tools import switch_words

STRANGER = FoundServer(4711, 1.0, "llama-server", 8099, "other.gguf", None, 5120.0, own_user=True)
SOMEBODYS = FoundServer(4712, 1.0, "ollama", None, None, None, None, own_user=False)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    return make_bridge(tmp_path)


def question(window: MainWindow) -> QMessageBox:
    """Return the one question that is open."""
    (box,) = (box for box in window.findChildren(QMessageBox) if box.isVisible())
    return box


def press(box: QMessageBox, words: str) -> None:
    next(button for button in box.buttons() if button.text() == words).click()


# --------------------------------------------------------------------------------------------------------- switching


def test_that_the_first_answer_switches_and_says_for_how_long(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    plan = SwitchPlan("ultra", ("fast",), msg("ultra does not fit beside fast: 4.1 GiB too much on GPU 1."), 41.2)
    bridge.switch_offered.emit(plan)
    box = question(window)
    assert box.text() == "ultra does not fit beside fast: 4.1 GiB too much on GPU 1."
    assert box.defaultButton().text() == "Switch: stop fast, start ultra (about 42 s)"
    bridge.switch_offered.emit(plan)
    assert question(window) is box
    box.defaultButton().click()
    assert bridge.asked == [("switch", "ultra", ("fast",))]


def test_that_the_other_answers_start_it_anyway_or_do_nothing(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    plan = SwitchPlan("ultra", ("fast", "fresh"), msg("No room."), None)
    assert switch_words(plan) == "Switch: stop fast, fresh, start ultra"
    bridge.switch_offered.emit(plan)
    press(question(window), "Cancel")
    assert bridge.asked == []
    bridge.switch_offered.emit(plan)
    press(question(window), "Start anyway")
    assert bridge.asked == [("start_anyway", "ultra")]


def test_that_the_cards_show_how_a_switch_goes(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    card = window.rail.cards["ultra"]
    bridge.switching.emit("ultra", ("fast",))
    assert card.life.words.text() == "Waiting until fast has stopped"
    bridge.show(ServerStatus("ultra", ServerState.STARTING, since=time.time(), expected_load_s=39.5))
    assert card.life.words.text() == "Loading, about 40 s left"
    bridge.switching.emit("ultra", ())
    bridge.switching.emit("nobody", ("fast",))
    bridge.show(ServerStatus("ultra", ServerState.READY))
    assert card.life.isHidden()


@pytest.mark.engine
def test_that_one_click_stops_the_other_tier_and_starts_this_one(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, llama_server: Path
) -> None:
    model = write_text_model(tmp_path / "text.gguf")
    rows = [tier("fast", model), tier("ultra", model)]
    catalog = write_catalog(tmp_path / "catalog.json", rows, str(llama_server), simulated_gpus=[100])
    with open_bridge(catalog, tmp_path / "data") as bridge:
        window = real_window(qtbot, bridge)
        window.rail.cards["fast"].button.click()
        until(lambda: bridge.status("fast").state.is_up, "fast is up", 60)
        in_the_way = Together("ultra", False, (), ("fast",), msg("ultra does not fit beside fast."))
        outlook = bridge.panel.outlook
        outlook.together_of = lambda profile: in_the_way if profile.role == "ultra" else Together(profile.role, True)  # type: ignore[method-assign]
        outlook.together = lambda role: in_the_way  # type: ignore[method-assign]
        waited: list[str] = []
        window.rail.cards["ultra"].life.changed.connect(
            lambda: waited.append(window.rail.cards["ultra"].life.words.text())
        )
        window.rail.cards["ultra"].button.click()
        until(lambda: window.switches.box is not None, "the question", 30)
        assert window.switches.box is not None
        window.switches.box.defaultButton().click()
        until(lambda: bridge.status("ultra").state.is_up, "ultra is up", 60)
        assert bridge.status("fast").state is ServerState.STOPPED
        assert "Waiting until fast has stopped" in waited
        assert window.rail.cards["fast"].life.stopped.text().startswith("stopped in ")
        window.finish_close()


# ---------------------------------------------------------------------------------------------------------- evidence


def test_that_saved_evidence_says_where_it_is_and_opens_the_folder(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    with real_bridge(tmp_path) as bridge:
        window = real_window(qtbot, bridge)
        saving = Fix(msg("Save evidence"), action="save_evidence")
        stuck = NoticeRaised(Severity.WARNING, msg("balanced is stuck."), role="balanced", fixes=(saving,))
        bridge.notice_raised.emit(stuck)
        window.notices.fix_buttons[0].click()
        until(lambda: "What is known of balanced" in window.notices.text(), "the evidence is saved", 20)
        (written,) = (tmp_path / "data" / "reports").iterdir()
        assert str(written) in window.notices.text()
        assert json.loads(written.read_text(encoding="utf-8").split("\n\n")[0])["role"] == "balanced"
        assert window.notices.fix_buttons[0].text() == "Open folder"
        window.notices.fix_buttons[0].click()
        assert opened == [QUrl.fromLocalFile(str(written.parent))]
        window.finish_close()


# --------------------------------------------------------------------------------------------------------- elsewhere


def test_that_what_runs_elsewhere_is_listed_and_only_ours_can_be_ended(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.found = (STRANGER, SOMEBODYS)
    window.status.elsewhere.click()
    dialog = window.found.dialog
    assert dialog is not None
    assert [row.facts.text() for row in dialog.rows] == [
        "process 4711 · port 8099 · holds 5.0 GiB of the computer's memory",
        "process 4712 · no port known · belongs to another user",
    ]
    assert [row.end.isHidden() for row in dialog.rows] == [False, True]
    dialog.rows[0].end.click()
    box = question(window)
    assert "process 4711, port 8099" in box.text()
    assert box.defaultButton().text() == "Cancel"
    press(box, "Cancel")
    assert ("end_found", 4711) not in bridge.asked
    dialog.rows[0].end.click()
    press(question(window), "End it")
    assert ("end_found", 4711) in bridge.asked
    assert [row.found for row in dialog.rows] == [SOMEBODYS]
    bridge.found = ()
    dialog.again.click()
    assert "no other model server" in dialog.empty.text()
    dialog.close()


def test_that_a_notice_about_a_found_server_asks_before_it_ends_it(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    end = Fix(msg("End it"), action="end_found:4711")
    left = NoticeRaised(Severity.WARNING, msg("fast of an earlier panel still runs."), role="fast", fixes=(end,))
    bridge.found = (STRANGER,)
    bridge.notice_raised.emit(left)
    window.notices.fix_buttons[0].click()
    assert "process 4711, port 8099" in question(window).text()
    press(question(window), "End it")
    assert bridge.asked == [("look_elsewhere",), ("end_found", 4711)]
    bridge.notice_raised.emit(left)
    window.notices.fix_buttons[0].click()
    assert window.notices.text() == "Process 4711 is gone."


def test_that_a_real_stranger_is_found_and_ended_when_asked(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.symlink_to(sys.executable)
    port = free_port()
    wait = "import socket,sys,time; s=socket.create_server(('127.0.0.1', int(sys.argv[2]))); time.sleep(600)"
    stranger = subprocess.Popen([str(program), "-c", wait, "--port", str(port)])
    try:
        with real_bridge(tmp_path) as bridge:
            window = real_window(qtbot, bridge)
            window.status.elsewhere.click()
            dialog = window.found.dialog
            assert dialog is not None
            until(lambda: any(row.found.pid == stranger.pid for row in dialog.rows), "it is found", 20)
            row = next(row for row in dialog.rows if row.found.pid == stranger.pid)
            assert f"port {port}" in row.facts.text()
            row.end.click()
            press(question(window), "End it")
            until(lambda: stranger.poll() is not None, "it ended", 30)
            until(lambda: all(row.found.pid != stranger.pid for row in dialog.rows), "it is gone from the list", 20)
            dialog.close()
            window.finish_close()
        assert not psutil.pid_exists(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_that_a_server_of_another_user_is_named_and_left_alone(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_bridge(tmp_path) as bridge:

        async def refused(pid: int) -> bool:
            raise PermissionError(f"process {pid} belongs to somebody else")

        monkeypatch.setattr(bridge.panel.recovery, "end", refused)
        window = real_window(qtbot, bridge)
        bridge.end_found(4712)
        until(lambda: "belongs to another user" in window.notices.text(), "the refusal is told", 10)
        window.finish_close()


# ----------------------------------------------------------------------------------------------------------- closing


def test_that_closing_says_which_tiers_stay(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    bridge.show(running("fast"))
    bridge.show(running("ultra"))
    bridge.staying = ("fast",)
    window.close()
    assert window.veil._title.text() == "Stopping servers…"
    assert window.veil._left.text() == "1 server is still running"
    assert window.veil._staying.text() == "fast keeps running"
    assert window.veil._staying.isVisible()
    bridge.show(ServerStatus("ultra", ServerState.STOPPED))
    assert window.veil._title.text() == "Closing"
    assert window.veil._left.text() == "Closing the panel"
    assert window.veil._staying.isVisible()


@pytest.mark.engine
def test_that_the_panel_knows_which_of_its_servers_stay(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, llama_server: Path
) -> None:
    model = write_text_model(tmp_path / "text.gguf")
    rows = [{**tier("fast", model), "keep_running": True}, tier("ultra", model)]
    catalog = write_catalog(tmp_path / "catalog.json", rows, str(llama_server), simulated_gpus=[8000])
    with open_bridge(catalog, tmp_path / "data") as bridge:
        assert bridge.panel.staying() == ()
        for role in ("fast", "ultra"):
            bridge.start(role)
            until(lambda role=role: bridge.status(role).state.is_up, f"{role} is up", 60)
        assert bridge.panel.staying() == ("fast",)
        window = real_window(qtbot, bridge)
        window.close()
        assert window.veil._staying.text() == "fast keeps running"
        done: list[None] = []
        bridge.call(bridge.panel.run.stop_all(), done=lambda _: done.append(None))
        until(lambda: done, "both are stopped", 30)
        assert bridge.panel.staying() == ()
        window.finish_close()


# ------------------------------------------------------------------------------------------------------------ control


def test_that_the_list_is_reached_by_keyboard(qtbot: QtBot, bridge: FakeBridge) -> None:
    window = make_window(qtbot, bridge)
    window.status.elsewhere.setFocus()
    QTest.keyClick(window.status.elsewhere, Qt.Key.Key_Space)
    assert window.found.dialog is not None
    window.found.dialog.close()


def real_window(qtbot: QtBot, bridge: Bridge) -> MainWindow:
    """Return the window of a real panel, with pages that only remember."""
    window = MainWindow(bridge, [Page("tune", "Tune", Shown()), Page("log", "Log", Shown())])
    qtbot.addWidget(window, before_close_func=lambda each: each.finish_close())
    window.resize(1280, 800)
    window.show()
    return window
