"""The Monitor page: which plots there are, and what they say about where their figures come from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_pages import PagesBridge, write_tiers
from variet_gui.events import GpuSample, GpusSampled, HostSample, HostSampled, MarkAdded, MarkKind
from variet_gui.i18n import msg
from variet_gui.ui import theme
from variet_gui.ui.pages.monitor import MonitorPage
from variet_gui.ui.widgets.time_plot import TimePlot


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[PagesBridge]:
    made = PagesBridge(write_tiers(tmp_path))
    yield made
    made.finish()


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication, bridge: PagesBridge) -> MonitorPage:
    theme.apply(qapp, "dark")
    made = MonitorPage(bridge)
    qtbot.addWidget(made)
    made.resize(1100, 760)
    made.show_role("fast")
    return made


def opened(qtbot: QtBot, page: MonitorPage) -> MonitorPage:
    page.show()
    qtbot.waitExposed(page)
    qtbot.waitUntil(lambda: bool(page.findChildren(TimePlot)))
    QApplication.processEvents()
    return page


def plot(page: MonitorPage, title: str) -> TimePlot:
    found = [made for made in page.findChildren(TimePlot) if made.accessibleName() == title and made.isVisible()]
    assert len(found) == 1, [made.accessibleName() for made in page.findChildren(TimePlot)]
    return found[0]


def two_gpus(*, simulated: bool = False, utilisation: float | None = 40.0) -> GpusSampled:
    samples = tuple(
        GpuSample(i, "card", 9728.0 + i, 12288.0, utilisation_percent=utilisation, simulated=simulated) for i in (0, 1)
    )
    return GpusSampled(time.time(), samples)


def no_driver() -> GpusSampled:
    return GpusSampled(time.time(), (), problem=msg("There is no NVIDIA driver on this computer."))


def test_that_plots_are_made_only_when_the_page_is_seen(qtbot: QtBot, page: MonitorPage) -> None:
    assert page.findChildren(TimePlot) == []
    opened(qtbot, page)
    assert len(page.findChildren(TimePlot)) == 4


def test_that_vram_has_one_curve_for_each_gpu_and_a_capacity_line(
    qtbot: QtBot, page: MonitorPage, bridge: PagesBridge
) -> None:
    bridge.sample(two_gpus())
    now = time.time()
    for index in (0, 1):
        bridge.store.record(now - 1, f"gpu{index}.vram_mib", 9728.0 + 1740 * index)
    vram = plot(opened(qtbot, page), "VRAM per GPU")
    assert vram.figures_text() == "GPU 0 9.5 · GPU 1 11.2 GiB"
    lines = vram.canvas._line_values
    assert [line.label for line in lines if line.colour] == ["12.0 GiB"]
    assert vram._note.text() == ""


def test_that_simulated_gpus_are_called_so_wherever_they_show(
    qtbot: QtBot, page: MonitorPage, bridge: PagesBridge
) -> None:
    bridge.sample(two_gpus(simulated=True))
    opened(qtbot, page)
    for title in ("VRAM per GPU", "GPU utilisation"):
        assert plot(page, title)._note.text() == "simulated"
        assert plot(page, title)._note.isVisible()
    assert plot(page, "This computer")._note.text() == ""


def test_that_utilisation_is_left_out_where_the_driver_does_not_tell_it(
    qtbot: QtBot, page: MonitorPage, bridge: PagesBridge
) -> None:
    bridge.sample(two_gpus(utilisation=None))
    opened(qtbot, page)
    assert [made.accessibleName() for made in page.findChildren(TimePlot) if made.isVisible()] == [
        "VRAM per GPU",
        "Tokens per second · fast",
        "This computer",
    ]


def test_that_without_a_driver_the_computer_is_shown_and_the_reason_said(
    qtbot: QtBot, page: MonitorPage, bridge: PagesBridge
) -> None:
    bridge.sample(no_driver())
    opened(qtbot, page)
    now = time.time()
    bridge.store.record(now - 1, "host.memory_mib", 14_336.0)
    bridge.store.record(now - 1, "host.cpu", 38.0)
    bridge.host_sampled.emit(HostSampled(now, HostSample(14_336.0, 65_536.0, 38.0)))
    memory = plot(page, "Memory of this computer")
    assert memory.figures_text() == "in use 14.0 GiB"
    assert [line.label for line in memory.canvas._line_values if line.colour] == ["64.0 GiB"]
    assert plot(page, "Processor").figures_text() == "38 %"
    assert "There is no NVIDIA driver on this computer." in page._reason.text()
    assert page._reason.isVisible()


def test_that_gpus_that_come_back_take_their_place_again(qtbot: QtBot, page: MonitorPage, bridge: PagesBridge) -> None:
    bridge.sample(no_driver())
    opened(qtbot, page)
    bridge.sample(two_gpus())
    plot(page, "VRAM per GPU")
    assert not page._reason.isVisible()


def test_that_tokens_per_second_are_those_of_the_chosen_tier_with_its_target(
    qtbot: QtBot, page: MonitorPage, bridge: PagesBridge
) -> None:
    now = time.time()
    for role, tps in (("fast", 71.9), ("deep-coder", 16.0)):
        bridge.store.record(now - 2, f"{role}.prefill_tps", 1010.0)
        bridge.store.record(now - 1, f"{role}.prefill_tps", None)
        bridge.store.record(now - 1, f"{role}.generation_tps", tps)
    opened(qtbot, page)
    fast = plot(page, "Tokens per second · fast")
    assert fast.figures_text() == "prefill – · generation 71.9"
    assert [line.label for line in fast.canvas._line_values if line.colour] == ["target 70"]
    page.show_role("deep-coder")
    coder = plot(page, "Tokens per second · deep-coder")
    assert "16.0" in coder.figures_text()
    assert [line for line in coder.canvas._line_values if line.colour] == []


def test_that_the_curve_moves_while_an_answer_streams(qtbot: QtBot, page: MonitorPage, bridge: PagesBridge) -> None:
    opened(qtbot, page)
    speed = plot(page, "Tokens per second · fast")
    assert "first answer" in speed.canvas.empty_text
    start = time.time()
    for step in range(5):
        bridge.store.record(start - 1 + step * 0.2, "fast.generation_tps", 60.0 + step)
    qtbot.waitUntil(lambda: len(speed.canvas.curve_data(1)[0]) >= 3, timeout=3000)
    assert np.nanmax(speed.canvas.curve_data(1)[1]) >= 62.0
    assert speed.canvas.empty_text == ""


def test_that_marks_of_every_tier_stand_on_the_plots(qtbot: QtBot, page: MonitorPage, bridge: PagesBridge) -> None:
    now = time.time()
    bridge.store.add_mark(MarkAdded(now - 200, MarkKind.START, "fast", msg("start fast")))
    bridge.store.add_mark(MarkAdded(now - 100, MarkKind.CRASH, "ultra", msg("crash ultra")))
    bridge.sample(two_gpus())
    opened(qtbot, page)
    shown = [text for text, _ in plot(page, "VRAM per GPU").canvas.visible_labels()]
    assert sorted(shown) == ["crash ultra", "start fast"]


def test_that_the_span_and_the_pause_hold_for_all_plots(qtbot: QtBot, page: MonitorPage) -> None:
    opened(qtbot, page)
    page._spans.button("3600").click()
    assert page.clock.span_s == 3600
    assert {made._ticks[0].text() for made in page.findChildren(TimePlot)} == {"−1 h"}
    assert page._spans.current == "3600"
    page._pause.click()
    assert page.clock.paused_at is not None
    assert not page.clock.is_running()
    page._pause.click()
    assert page.clock.is_running()


def test_that_nothing_is_drawn_on_a_page_that_is_turned_away(qtbot: QtBot, page: MonitorPage) -> None:
    opened(qtbot, page)
    assert page.clock.is_running()
    page.hide()
    assert not page.clock.is_running()
