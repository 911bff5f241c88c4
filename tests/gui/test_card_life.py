from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from variet_gui.catalog.tiers import Tier
from variet_gui.events import Failure, ServerState, ServerStatus
from variet_gui.i18n import msg
from variet_gui.ui import theme
from variet_gui.ui.widgets import tier_life
from variet_gui.ui.widgets.countdown import LoadCountdown
from variet_gui.ui.widgets.mark_line import Mark
from variet_gui.ui.widgets.tier_card import TierCard

FAST = Tier(role="fast", model_name="Gemma 4 26B-A4B", quantisation="Q4_K_M", port=8081)
THEIRS = Tier(role="ultra", model_name="Qwen 3.5", port=8085, url="http://192.168.1.20:8081")
LOADING = ServerStatus("fast", ServerState.LOADING, expected_load_s=32.0, progress=0.5)
CRASHED = ServerStatus("fast", ServerState.FAILED, failure=Failure("gpu_fault", msg("GPU 1 failed")), retry=1)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


def card(qtbot: QtBot, tier: Tier = FAST) -> TierCard:
    made = TierCard(tier)
    qtbot.addWidget(made)
    made.resize(280, 200)
    made.show()
    return made


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# ------------------------------------------------------------------------------------------------------- countdowns


def test_that_a_countdown_goes_on_between_two_words_of_the_server() -> None:
    hands = Hands()
    countdown = LoadCountdown(hands, hands)
    assert countdown.left_s() is None
    countdown.take(replace(LOADING, since=100.0))
    hands.now += 4
    countdown.take(replace(LOADING, since=100.0, pid=7))
    assert countdown.left_s() == pytest.approx(12.0)
    countdown.take(replace(LOADING, since=100.0, progress=0.75))
    assert countdown.left_s() == pytest.approx(8.0)
    hands.now += 10
    assert countdown.left_s() == pytest.approx(-2.0)
    countdown.take(replace(LOADING, state=ServerState.READY))
    assert countdown.left_s() is None


def test_that_without_progress_it_counts_from_when_the_load_began() -> None:
    hands = Hands()
    countdown = LoadCountdown(hands, hands)
    countdown.take(ServerStatus("fast", ServerState.STARTING, since=90.0, expected_load_s=30.0))
    assert countdown.left_s() == pytest.approx(20.0)
    hands.now += 5
    countdown.take(ServerStatus("fast", ServerState.LOADING, since=105.0, expected_load_s=30.0))
    assert countdown.left_s() == pytest.approx(15.0)


@pytest.mark.parametrize(
    ("progress", "left_s", "words"),
    [
        (0.62, 11.2, "Loading 62 %, about 12 s left"),
        (0.62, None, "Loading 62 %"),
        (None, 11.2, "Loading, about 12 s left"),
        (None, None, "Loading"),
        (0.02, 300.0, "Loading 2 %, about 5 min left"),
        (0.99, 0.2, "Loading 99 %, about 1 s left"),
        (0.99, -5.0, "Loading 99 %, longer than usual"),
        (None, -5.0, "Loading, longer than usual"),
    ],
)
def test_that_loading_says_how_far_and_how_long(progress: float | None, left_s: float | None, words: str) -> None:
    assert tier_life.coming(FAST, replace(LOADING, progress=progress), left_s) == words


def test_that_a_card_ticks_only_while_it_counts_down(qtbot: QtBot) -> None:
    shown = card(qtbot)
    assert not shown.life.tick.isActive()
    shown.set_status(LOADING)
    assert shown.life.tick.isActive()
    assert "Loading 50 %, about 16 s left" in shown.accessibleName()
    shown.set_status(replace(LOADING, expected_load_s=None))
    assert not shown.life.tick.isActive()
    shown.set_status(LOADING)
    shown.set_status(ServerStatus("fast", ServerState.READY))
    assert not shown.life.tick.isActive()
    assert shown.life.isHidden()


def test_that_a_tick_takes_off_the_time_that_went_by_and_the_card_says_so(qtbot: QtBot) -> None:
    shown = card(qtbot)
    hands = Hands()
    shown.life.countdown = LoadCountdown(hands, hands)
    shown.set_status(LOADING)
    hands.now += 3
    shown.life.tick.timeout.emit()
    assert shown.life.words.text() == "Loading 50 %, about 13 s left"
    assert "about 13 s left" in shown.accessibleName()


# ---------------------------------------------------------------------------------------------------------- retrying


def test_that_a_server_that_is_started_again_says_when_and_can_be_left_alone(qtbot: QtBot) -> None:
    shown = card(qtbot)
    shown.set_status(replace(CRASHED, retry_at=time.time() + 7.5))
    assert shown.life.words.text() == "starting again in 8 s (attempt 1 of 3)"
    assert shown.life.tick.isActive()
    assert shown.button.text() == "Do not retry"
    with qtbot.waitSignal(shown.stop_asked) as blocker:
        shown.button.click()
    assert blocker.args == ["fast"]
    shown.set_status(replace(CRASHED, retry=0))
    assert shown.button.text() == "Restart"
    assert shown.life.isHidden()
    assert not shown.life.tick.isActive()


def test_that_an_attempt_that_is_due_does_not_count_below_nothing() -> None:
    assert tier_life.retrying(replace(CRASHED, retry_at=10.0, retry=2), 12.0) == "starting again (attempt 2 of 3)"


# ------------------------------------------------------------------------------------------------------------- stops


@pytest.mark.parametrize(
    ("back", "line", "tooltip"),
    [
        (True, "stopped in 3.2 s, GPU memory free again", "was seen to be free again"),
        (False, "stopped in 3.2 s, GPU memory not yet free", "was not seen to be free"),
        (None, "stopped in 3.2 s", "its port is closed"),
    ],
)
def test_that_a_stop_says_how_long_it_took(qtbot: QtBot, back: bool | None, line: str, tooltip: str) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", since=time.time(), stop_seconds=3.24, memory_back=back))
    assert shown.life.stopped.text() == line
    assert shown.life.stopped.isVisible()
    assert tooltip in shown.life.stopped.toolTip()
    shown.set_status(ServerStatus("fast", ServerState.PREFLIGHT))
    assert not shown.life.stopped.isVisible()


def test_that_an_old_stop_is_no_news_unless_its_memory_is_still_held(qtbot: QtBot) -> None:
    shown = card(qtbot)
    long_ago = ServerStatus("fast", since=time.time() - 3600, stop_seconds=3.2, memory_back=True)
    shown.set_status(long_ago)
    assert not shown.life.stopped.isVisible()
    shown.set_status(replace(long_ago, memory_back=False))
    assert shown.life.stopped.isVisible()


# ------------------------------------------------------------------------------------------------------------- marks


def test_that_what_was_taken_over_is_marked(qtbot: QtBot) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", ServerState.READY, adopted=True))
    assert shown.life.marks[Mark.TAKEN_OVER].text() == "taken over"
    assert "taken over" in shown.accessibleName()
    shown.set_status(ServerStatus("fast"))
    assert shown.life.marks[Mark.TAKEN_OVER].isHidden()


def test_that_every_mark_has_a_shape_of_its_own(qtbot: QtBot) -> None:
    shapes = set()
    shown = card(qtbot)
    for line in shown.life.marks.values():
        line.say("x")
        line.resize(60, line.sizeHint().height())
        image = line.grab().toImage()
        ground = image.pixelColor(59, 0)
        shapes.add(tuple(image.pixelColor(x, y) != ground for x in range(13) for y in range(image.height())))
    assert len(shapes) == len(Mark)


def test_that_a_difference_from_the_catalog_stands_on_the_card(qtbot: QtBot) -> None:
    shown = card(qtbot)
    told = (msg("found 1 GPU, expected 2"), msg("The context is 4096 tokens."), msg("Flash attention is off."))
    shown.set_status(ServerStatus("fast", ServerState.READY, differences=told))
    assert shown.life.differs.isVisible()
    assert shown.life.differs.text() == "found 1 GPU, expected 2 (2 more)"
    assert "Flash attention is off." in shown.life.differs.accessibleDescription()
    assert "found 1 GPU" in shown.accessibleName()
    shown.set_status(ServerStatus("fast", ServerState.READY, differences=told[:1]))
    assert shown.life.differs.text() == "found 1 GPU, expected 2"
    shown.set_status(ServerStatus("fast", ServerState.STOPPING, differences=told))
    assert not shown.life.differs.isVisible()


# -------------------------------------------------------------------------------------------------- somebody else's


@pytest.mark.parametrize(
    ("state", "word", "button", "signal"),
    [
        (ServerState.STOPPED, "not connected", "Connect", "start_asked"),
        (ServerState.STARTING, "connecting", "Cancel", "stop_asked"),
        (ServerState.READY, "connected", "Disconnect", "stop_asked"),
        (ServerState.BUSY, "answering", "Disconnect", "stop_asked"),
        (ServerState.FAILED, "failed", "Connect", "restart_asked"),
    ],
)
def test_that_somebody_elses_server_is_connected_and_not_started(
    qtbot: QtBot, state: ServerState, word: str, button: str, signal: str
) -> None:
    shown = card(qtbot, THEIRS)
    attached = THEIRS.url if state is not ServerState.STOPPED else None
    shown.set_status(ServerStatus("ultra", state, attached_to=attached))
    assert shown.badge.word() == word
    assert shown.button.text() == button
    assert shown.life.marks[Mark.ELSEWHERE].text() == "192.168.1.20:8081"
    assert "http://192.168.1.20:8081/v1" in shown.copy_url.toolTip()
    with qtbot.waitSignal(getattr(shown, signal)):
        shown.button.click()


def test_that_a_tier_that_is_open_to_the_network_says_so_with_a_shape(qtbot: QtBot) -> None:
    shown = card(qtbot)
    assert shown.life.marks[Mark.OPEN].isHidden()
    shown.set_tier(FAST.model_copy(update={"listen": "0.0.0.0"}))
    assert shown.life.marks[Mark.OPEN].text() == "open to the network"
    assert "port 8081" in shown.life.marks[Mark.OPEN].accessibleDescription()


# ----------------------------------------------------------------------------------------------------------- waiting


def test_that_a_tier_that_waits_for_others_to_stop_says_for_whom(qtbot: QtBot) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", ServerState.FAILED, failure=Failure("tiers_do_not_fit", msg("No room"))))
    shown.wait_for(["ultra"])
    assert shown.life.words.text() == "Waiting until ultra has stopped"
    assert not shown.button.isEnabled()
    assert shown.failure.isHidden()
    shown.set_status(ServerStatus("fast", ServerState.PREFLIGHT))
    assert shown.life.words.text() == "Checking files and port"
    assert shown.button.isEnabled()


def test_that_evidence_from_a_log_is_never_taken_for_markup(qtbot: QtBot) -> None:
    shown = card(qtbot)
    failure = Failure("x", msg("It died"), evidence=("<img src='file:///etc/passwd'> <b>bold\x1b[31m",))
    shown.set_status(ServerStatus("fast", ServerState.FAILED, failure=failure))
    tooltip = shown.failure._title.toolTip()
    assert "&lt;img src=" in tooltip
    assert "<b>" not in tooltip
    assert "\x1b" not in tooltip
