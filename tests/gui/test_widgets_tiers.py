from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from variet_gui.catalog.tiers import Acceptance, HistoricalFigure, Tier
from variet_gui.events import (
    Failure,
    Fix,
    GpuSample,
    GpusSampled,
    HostSample,
    NoticeRaised,
    ServerState,
    ServerStatus,
    Severity,
)
from variet_gui.i18n import msg
from variet_gui.ui import theme
from variet_gui.ui.widgets import tier_text
from variet_gui.ui.widgets.gpu_meter import MeterStrip
from variet_gui.ui.widgets.notice_bar import NoticeBar
from variet_gui.ui.widgets.state_badge import COLOURS, WORDS, StateBadge, StateShape
from variet_gui.ui.widgets.tier_card import TierCard
from variet_gui.ui.widgets.tier_rail import TierRail

FAST = Tier(
    role="fast",
    model_name="Gemma 4 26B-A4B",
    quantisation="Q4_K_M",
    port=8081,
    parameters={"mmproj": "projector.gguf"},
    acceptance=Acceptance(min_tps=70),
    history=[HistoricalFigure(measured="2026-04", generation_tps=71.89)],
)
ULTRA = Tier(role="ultra", model_name="Qwen 3.5 122B-A10B", port=8085, main_gpu_only=1)


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


def test_that_every_state_has_a_word_and_a_colour_of_its_own_kind() -> None:
    assert set(WORDS) == set(ServerState) == set(COLOURS)
    assert len({str(word) for word in WORDS.values()}) == len(ServerState)


def test_that_states_differ_in_shape_and_not_only_in_colour(qtbot: QtBot) -> None:
    shapes = set()
    for state in (
        ServerState.STOPPED,
        ServerState.STARTING,
        ServerState.LOADING,
        ServerState.READY,
        ServerState.BUSY,
        ServerState.STOPPING,
        ServerState.FAILED,
    ):
        shape = StateShape()
        qtbot.addWidget(shape)
        shape.set_state(state)
        image = shape.grab().toImage()
        background = image.pixelColor(0, 0)
        shapes.add(tuple(image.pixelColor(x, y) != background for x in range(12) for y in range(12)))
    assert len(shapes) == 7


def test_that_the_badge_speaks_name_and_state(qtbot: QtBot) -> None:
    badge = StateBadge("fast")
    qtbot.addWidget(badge)
    badge.set_state(ServerState.BUSY)
    assert badge.accessibleName() == "fast answering"


@pytest.mark.parametrize(
    ("state", "text", "signal"),
    [
        (ServerState.STOPPED, "Start", "start_asked"),
        (ServerState.PREFLIGHT, "Cancel", "stop_asked"),
        (ServerState.STARTING, "Cancel", "stop_asked"),
        (ServerState.LOADING, "Cancel", "stop_asked"),
        (ServerState.READY, "Stop", "stop_asked"),
        (ServerState.BUSY, "Stop", "stop_asked"),
        (ServerState.FAILED, "Restart", "restart_asked"),
    ],
)
def test_that_the_one_button_fits_the_state(qtbot: QtBot, state: ServerState, text: str, signal: str) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", state))
    assert shown.button.text() == text
    assert shown.button.accessibleName() == f"{text} fast"
    with qtbot.waitSignal(getattr(shown, signal)) as blocker:
        shown.button.click()
    assert blocker.args == ["fast"]


def test_that_nothing_can_be_pressed_while_it_stops(qtbot: QtBot) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", ServerState.STOPPING))
    assert not shown.button.isEnabled()


def test_that_loading_shows_how_far_where_that_is_known(qtbot: QtBot) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", ServerState.LOADING, progress=0.62))
    assert "Loading 62 %" in shown.accessibleName()
    assert shown.life.bar.fraction == pytest.approx(0.62)
    shown.set_status(ServerStatus("fast", ServerState.LOADING))
    assert shown.life.bar.isHidden()


def test_that_a_recorded_figure_is_history_and_never_a_pass(qtbot: QtBot) -> None:
    shown = card(qtbot)
    assert "71.9 t/s · April 2026" in shown.accessibleName()
    assert "✓" not in shown.accessibleName()
    assert "not a pass" in shown._speed_row.toolTip()


def test_that_a_measured_speed_is_held_against_the_target(qtbot: QtBot) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", ServerState.READY))
    shown.set_speed(72.04)
    assert "72.0 t/s ✓ target 70" in shown.accessibleName()
    shown.set_speed(61.5)
    assert "✓" not in shown.accessibleName()
    assert "61.5 t/s" in shown.accessibleName()


def test_that_the_speed_of_the_last_run_is_not_shown_for_a_stopped_server(qtbot: QtBot) -> None:
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", ServerState.READY))
    shown.set_speed(99.9)
    shown.set_status(ServerStatus("fast", ServerState.STOPPED))
    assert "99.9" not in shown.accessibleName()


def test_that_a_tier_without_figures_says_so(qtbot: QtBot) -> None:
    assert "not measured" in card(qtbot, ULTRA).accessibleName()


def test_that_the_address_can_be_copied_in_any_state(qtbot: QtBot) -> None:
    shown = card(qtbot)
    assert shown.copy_url.text() == ":8081"
    shown.copy_url.click()
    assert QGuiApplication.clipboard().text() == "http://127.0.0.1:8081/v1"
    assert shown.copy_url.text() == "Copied"


def test_that_a_failure_shows_its_next_steps_as_buttons(qtbot: QtBot) -> None:
    fix = Fix(msg("Use port 8091"), {"port": 8091})
    failure = Failure("port_in_use", msg("Port 8081 is in use"), msg("Another program has it."), (fix,))
    shown = card(qtbot)
    shown.set_status(ServerStatus("fast", ServerState.FAILED, failure=failure))
    assert "Port 8081 is in use" in shown.accessibleName()
    (button,) = shown.failure.buttons()
    with qtbot.waitSignal(shown.fix_asked) as blocker:
        button.click()
    assert blocker.args == ["fast", fix]
    shown.set_status(ServerStatus("fast", ServerState.STOPPED))
    assert shown.failure.isHidden()


def test_that_the_model_line_tells_vision_and_its_place() -> None:
    assert tier_text.model_line(FAST) == "Gemma 4 26B-A4B · Q4_K_M · vision"
    on_cpu = FAST.model_copy(update={"parameters": {"mmproj": "p", "mmproj_offload": False}})
    assert tier_text.model_line(on_cpu).endswith("vision (CPU)")
    assert tier_text.model_line(ULTRA) == "Qwen 3.5 122B-A10B · GPU 1 only"


def test_that_months_are_written_out() -> None:
    assert tier_text.month("2026-04") == "April 2026"
    assert tier_text.month("2026-04-11") == "11 April 2026"
    assert tier_text.month("spring") == "spring"


def test_that_the_rail_selects_by_mouse_keyboard_and_step(qtbot: QtBot) -> None:
    rail = TierRail([FAST, ULTRA])
    qtbot.addWidget(rail)
    rail.resize(300, 600)
    rail.show()
    assert rail.current == "fast"
    with qtbot.waitSignal(rail.selected) as blocker:
        qtbot.mouseClick(rail.cards["ultra"], Qt.MouseButton.LeftButton)
    assert blocker.args == ["ultra"]
    rail.cards["ultra"].setFocus()
    qtbot.keyClick(rail.cards["ultra"], Qt.Key.Key_Up)
    assert rail.current == "fast"
    rail.select_by_step(-1)
    assert rail.current == "fast"
    assert rail.cards["fast"].property("selected") is True
    assert "selected" in rail.cards["fast"].accessibleName()


def test_that_a_reloaded_catalog_keeps_the_selection_and_the_cards(qtbot: QtBot) -> None:
    rail = TierRail([FAST, ULTRA])
    qtbot.addWidget(rail)
    rail.select("ultra")
    kept = rail.cards["ultra"]
    rail.set_tiers([ULTRA.model_copy(update={"model_name": "Other"})])
    assert rail.cards == {"ultra": kept}
    assert rail.current == "ultra"
    assert "Other" in kept.accessibleName()
    rail.set_tiers([])
    assert rail.current is None


def gpu(index: int, **fields: object) -> GpuSample:
    return GpuSample(index, "RTX 3060", 9728.0, 12288.0, **fields)  # type: ignore[arg-type]


def test_that_a_gpu_meter_tells_memory_and_link(qtbot: QtBot) -> None:
    strip = MeterStrip()
    qtbot.addWidget(strip)
    strip.show_gpus(GpusSampled(0.0, (gpu(0, pcie_generation=3, pcie_width=4, pcie_width_max=16), gpu(1))))
    first, second = strip.meters
    assert first.text() == "9.5 / 12.0 GiB · PCIe 3.0 ×4"
    assert first.warns()
    assert "4 of 16 lanes" in first.toolTip()
    assert second.text() == "9.5 / 12.0 GiB"
    assert not second.warns()


def test_that_a_lower_generation_alone_is_no_warning(qtbot: QtBot) -> None:
    strip = MeterStrip()
    qtbot.addWidget(strip)
    idle = gpu(0, pcie_generation=1, pcie_generation_max=4, pcie_width=16, pcie_width_max=16)
    strip.show_gpus(GpusSampled(0.0, (idle,)))
    assert not strip.meters[0].warns()


def test_that_a_simulated_gpu_says_so(qtbot: QtBot) -> None:
    strip = MeterStrip()
    qtbot.addWidget(strip)
    strip.show_gpus(GpusSampled(0.0, (gpu(0, simulated=True),)))
    assert not strip.meters[0]._simulated.isHidden()
    assert "Simulated" in strip.meters[0].toolTip()


def test_that_host_figures_stand_in_where_there_is_no_driver_and_say_why(qtbot: QtBot) -> None:
    strip = MeterStrip()
    qtbot.addWidget(strip)
    strip.show_gpus(GpusSampled(0.0, (), problem=msg("No NVIDIA driver answers.")))
    strip.show_host(HostSample(8192.0, 16384.0, 33.0))
    assert not strip.host.isHidden()
    assert "No NVIDIA driver answers." in strip.host.toolTip()
    assert "8.0 / 16.0 GiB" in strip.host.accessibleName()
    strip.show_gpus(GpusSampled(1.0, (gpu(0),)))
    assert strip.host.isHidden()


def test_that_an_unknown_amount_is_a_dash_and_not_zero(qtbot: QtBot) -> None:
    strip = MeterStrip()
    qtbot.addWidget(strip)
    strip.show_gpus(GpusSampled(0.0, (GpuSample(0, "RTX", None, 12288.0),)))
    assert strip.meters[0].text() == "– / 12.0 GiB"


def test_that_notices_queue_up_quietly_and_are_put_away_one_by_one(qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    assert bar.isHidden()
    first = NoticeRaised(Severity.INFO, msg("Saved."))
    second = NoticeRaised(Severity.ERROR, msg("The disk is full."), "Traceback …")
    for notice in (first, second, second):
        bar.add(notice)
    assert bar.notices() == (first, second)
    assert bar.text() == "The disk is full."
    bar.copy_button.click()
    assert QGuiApplication.clipboard().text() == "The disk is full.\nTraceback …"
    bar.close_button.click()
    assert bar.text() == "Saved."
    assert bar.details_button.isHidden()
    bar.close_button.click()
    assert bar.isHidden()


def test_that_a_notice_offers_its_fixes_and_goes_when_one_is_pressed(qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    fixes = (Fix(msg("Use one slot"), {"parallel": 1}), Fix(msg("Choose"), action="pick_engine"))
    bar.add(NoticeRaised(Severity.INFO, msg("Saved.")))
    assert [button.isHidden() for button in bar.fix_buttons] == [True, True]
    bar.add(NoticeRaised(Severity.WARNING, msg("fast: four slots."), "", "fast", fixes))
    assert [button.text() for button in bar.fix_buttons] == ["Use one slot", "Choose"]
    with qtbot.waitSignal(bar.fix_asked) as blocker:
        bar.fix_buttons[1].click()
    assert blocker.args == ["fast", fixes[1]]
    assert bar.text() == "Saved."
    assert [button.isHidden() for button in bar.fix_buttons] == [True, True]


def test_that_every_button_of_a_card_has_a_name(qtbot: QtBot) -> None:
    shown = card(qtbot)
    for button in shown.findChildren(QPushButton):
        assert button.accessibleName() or button.text()
