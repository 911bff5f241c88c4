"""What happened: the card's short version, the dialog with the evidence, and next steps that are carried out."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import make_window
from variet_gui.engine.diagnosis import explain, failure
from variet_gui.events import Certainty, Failure, Fix, ServerState, ServerStatus
from variet_gui.i18n import msg
from variet_gui.ui.fix_dialogs import FixDialogs
from variet_gui.ui.main_window import MainWindow
from variet_gui.ui.widgets.autopsy_dialog import AutopsyDialog
from variet_gui.ui.widgets.failure_view import FailureView

NO_ROOM = (
    "E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 528.00 MiB on device 1: cudaMalloc failed: out of memory",
    "E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
)
SMALLER = Fix(msg("Context 32 768 to 16 384"), {"ctx_size": 16384}, gain=msg("0.6 GiB less on GPU 1"))
CLEANER = Fix(msg("Leave out --no-mmap"), extra_arguments=("-v",))
LOG = Fix(msg("Show the log"), action="show_log")


def no_room() -> Failure:
    found = explain(role="fast", exit_code=1, lines=NO_ROOM, was_ready=False)
    return Failure(
        found.code,
        found.title,
        found.detail,
        (SMALLER, CLEANER, LOG),
        found.evidence,
        1,
        device="CUDA1",
        part="context",
    )


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    return make_bridge(tmp_path)


def window_with_dialogs(qtbot: QtBot, bridge: FakeBridge) -> tuple[MainWindow, FixDialogs]:
    window = make_window(qtbot, bridge)
    dialogs = FixDialogs(bridge, window)  # type: ignore[arg-type]
    window.fix_asked.connect(dialogs.carry_out)
    dialogs.chosen.connect(window.rail.fix_asked)
    return window, dialogs


def opened(window: MainWindow) -> AutopsyDialog:
    (dialog,) = [one for one in window.findChildren(AutopsyDialog) if one.isVisible()]
    return dialog


def fail(bridge: FakeBridge, found: Failure | None = None) -> None:
    bridge.show(ServerStatus("fast", ServerState.FAILED, failure=found or no_room()))


def names(view: FailureView) -> list[str]:
    return [button.accessibleName() or button.text() for button in view.buttons()]


def texts(dialog: AutopsyDialog) -> list[str]:
    return [label.text() for label in dialog.findChildren(QLabel) if label.isVisibleTo(dialog)]


# ----------------------------------------------------------------------------------------------------------------- card


def test_that_the_card_says_what_happened_where_and_how_sure_that_is(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge)
    view = window.rail.cards["fast"].failure
    shown = [label.text() for label in view.findChildren(QLabel) if label.isVisibleTo(view)]
    assert shown[0] == "GPU 1 has no room for the context (KV cache): 528 MiB more were needed."
    assert shown[1] == "● Certain · GPU 1"
    assert names(view) == ["Context 32 768 to 16 384", "Leave out --no-mmap", "What happened"]
    assert view.buttons()[0].toolTip().startswith("0.6 GiB less on GPU 1")
    assert view.width() <= window.rail.width()


def test_that_what_stops_a_start_before_it_begins_has_no_doubt_and_no_story(qtbot: QtBot) -> None:
    view = FailureView()
    qtbot.addWidget(view)
    view.set_failure(failure("port_in_use_by", {"port": 8081, "holder": "python3", "pid": 12}))
    assert names(view) == ["Use another port"]
    assert "Certain" not in " ".join(label.text() for label in view.findChildren(QLabel) if label.isVisibleTo(view))


# --------------------------------------------------------------------------------------------------------------- dialog


def test_that_the_dialog_shows_the_lines_of_the_log_that_prove_it(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge)
    qtbot.mouseClick(window.rail.cards["fast"].failure.buttons()[-1], Qt.MouseButton.LeftButton)
    dialog = opened(window)
    assert dialog.windowTitle() == "What happened to fast"
    assert dialog.evidence.toPlainText().splitlines()[0].endswith("cudaMalloc failed: out of memory")
    assert "GPU 1" in texts(dialog)
    assert [step.words() for step in dialog.steps()] == [
        ("Context 32 768 to 16 384", "0.6 GiB less on GPU 1"),
        ("Leave out --no-mmap",),
    ]
    dialog.close()


def test_that_one_press_applies_a_fix_and_starts_the_tier_again(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge)
    window.rail.cards["fast"].failure.buttons()[-1].click()
    opened(window).steps()[0].click()
    assert bridge.panel.tune.draft("fast").get("ctx_size") == 16384
    assert bridge.asked == [("restart", "fast")]
    assert not [one for one in window.findChildren(AutopsyDialog) if one.isVisible()]
    assert bridge.panel.tune.undo("fast")
    assert bridge.panel.tune.draft("fast").get("ctx_size") != 16384


def test_that_extra_arguments_are_changed_like_any_setting(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge)
    window.rail.cards["fast"].failure.buttons()[1].click()
    assert bridge.panel.tune.draft("fast").extra_arguments == ("-v",)
    assert bridge.asked == [("restart", "fast")]


def test_that_a_fix_that_is_not_allowed_is_told_and_nothing_is_started(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge, Failure("x", msg("It died"), fixes=(Fix(msg("Do the impossible"), {"ctx_size": -7}),)))
    before = bridge.panel.tune.draft("fast")
    window.rail.cards["fast"].failure.buttons()[0].click()
    assert bridge.panel.tune.draft("fast") == before
    assert ("restart", "fast") not in bridge.asked


def test_that_the_log_is_opened_from_the_dialog(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge)
    window.rail.cards["fast"].failure.buttons()[-1].click()
    qtbot.mouseClick(opened(window).open_log, Qt.MouseButton.LeftButton)
    assert window.stack.currentWidget() is window.page("log")
    assert window.role == "fast"


def test_that_everything_is_copied_as_text(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge)
    window.rail.cards["fast"].failure.buttons()[-1].click()
    dialog = opened(window)
    dialog.copy.copy()
    copied = QGuiApplication.clipboard().text()
    for part in (
        "fast: GPU 1 has no room",
        "Certain: The server",
        "Device: GPU 1",
        "> ggml_backend_cuda",
        "0.6 GiB less",
    ):
        assert part in copied
    dialog.close()


def test_that_a_closer_look_is_shown_in_the_dialog_that_is_open(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge, Failure("killed", msg("fast was ended by force."), exit_code=-9, certainty=Certainty.GUESS))
    window.rail.cards["fast"].failure.buttons()[-1].click()
    dialog = opened(window)
    assert dialog.certainty.text().startswith("○ A guess")
    seen = (msg("While it ran, the system ended a process for lack of memory."),)
    closer = Failure("killed_for_memory", msg("The system ended fast."), exit_code=-9, observed=seen)
    fail(bridge, closer)
    assert dialog.title.text() == "The system ended fast."
    qtbot.waitUntil(lambda: str(seen[0]) in texts(dialog))
    bridge.show(ServerStatus("fast", ServerState.STARTING))
    assert not dialog.isVisible()


def test_that_log_text_is_shown_as_plain_text(qtbot: QtBot) -> None:
    found = explain(
        role="fast", exit_code=1, lines=["error: invalid argument: \x1b[31m<b>--x</b>\x07"], was_ready=False
    )
    dialog = AutopsyDialog("fast", found)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.evidence.toPlainText() == "error: invalid argument: <b>--x</b>"
    assert dialog.title.textFormat() is Qt.TextFormat.PlainText
    dialog.close()


def test_that_the_dialog_is_worked_by_keyboard_alone(qtbot: QtBot, bridge: FakeBridge) -> None:
    window, _ = window_with_dialogs(qtbot, bridge)
    fail(bridge)
    window.rail.cards["fast"].failure.buttons()[-1].click()
    dialog = opened(window)
    dialog.steps()[0].setFocus()
    qtbot.keyClick(dialog.steps()[0], Qt.Key.Key_Space)
    assert bridge.asked == [("restart", "fast")]
    fail(bridge, failure("crashed", {"role": "fast"}, exit_code=-11))
    window.rail.cards["fast"].failure.buttons()[-1].click()
    qtbot.keyClick(opened(window), Qt.Key.Key_Escape)
    assert not [one for one in window.findChildren(AutopsyDialog) if one.isVisible()]
