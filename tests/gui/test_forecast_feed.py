from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.outlook_kit import exact_figures, header
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import gpus, page_for, settled, slider
from tests.support.catalogs import tier, write_catalog
from variet_gui.events import ServerState, ServerStatus
from variet_gui.forecast.values import Device, Verdict
from variet_gui.i18n import msg
from variet_gui.panel.outlook_values import Together
from variet_gui.ui import theme
from variet_gui.ui.pages.tune import TunePage
from variet_gui.ui.rail_outlooks import RailOutlooks
from variet_gui.ui.widgets.tier_rail import TierRail

VALUES = {"ctx_size": 262144, "ubatch_size": 256, "tensor_split": [0.48, 0.52], "n_gpu_layers": "all", "parallel": 1}
"""What does not fit two cards of 12 GB with an F16 cache."""
CHECKED = exact_figures()


class SlowBridge(FakeBridge):
    """Keeps back what is asked of the core, until the test lets it through."""

    def __init__(self, catalog: Path, models_dir: Path) -> None:
        super().__init__(catalog, models_dir)
        self.slow = False
        self.kept: list[Callable[[], None]] = []
        self._waiting: list[Coroutine[Any, Any, Any]] = []

    def call(
        self,
        coroutine: Coroutine[Any, Any, Any],
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        if not self.slow:
            super().call(coroutine, done, failed)
            return
        self._waiting.append(coroutine)

        def run() -> None:
            self._waiting.remove(coroutine)
            FakeBridge.call(self, coroutine, done, failed)

        self.kept.append(run)

    def let_through(self) -> None:
        """Answer everything that was asked so far."""
        kept, self.kept = self.kept, []
        for run in kept:
            run()

    def forget(self) -> None:
        """Answer nothing any more."""
        for coroutine in self._waiting:
            coroutine.close()


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> Any:
    """A bridge on two tiers of the 35B model."""
    tiers = [tier(role, Path("model.gguf"), port=port, **VALUES) for role, port in (("fast", 8081), ("ultra", 8082))]
    made = SlowBridge(write_catalog(tmp_path / "tiers.json", tiers), tmp_path)
    made.panel.outlook.headers["model.gguf"] = header(tmp_path)
    yield made
    made.forget()


def asked(bridge: FakeBridge, what: str) -> int:
    return [one[0] for one in bridge.panel.outlook.asked].count(what)


def rested(qtbot: QtBot, page: TunePage) -> None:
    """Wait until what waits for a rest was asked."""
    qtbot.waitUntil(lambda: not page.feed._rest.isActive())


# ------------------------------------------------------------------------------------------------------- live


def test_that_bars_follow_every_step_of_a_slider_in_its_own_tick(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    totals = [page.forecast.bars[1].values.total_mib]
    for _ in range(4):
        QTest.keyClick(slider(page, "ctx_size").slider, Qt.Key.Key_PageDown)
        totals.append(page.forecast.bars[1].values.total_mib)  # no turn of the event loop in between
    assert totals == sorted(totals, reverse=True)
    assert len(set(totals)) == 5
    settled(qtbot, page)
    assert page.forecast.outlook is not None
    assert page.forecast.outlook.devices[1].forecast.known_mib == pytest.approx(totals[-1])


def test_that_the_tier_card_follows_too_and_speaks_of_it(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    rail = TierRail(bridge.panel.tune.catalog.tiers)
    qtbot.addWidget(rail)
    feeding = RailOutlooks(bridge, rail, rail)  # type: ignore[arg-type]
    card = rail.cards["fast"]
    qtbot.waitUntil(lambda: card.fits.text().startswith("does not fit 13.0 / 13.3"))
    assert rail.cards["ultra"].fits.text() == card.fits.text()
    bridge.edit("fast", "ctx_size", 4096)
    settled(qtbot, page)
    assert card.fits.text().startswith("fits ")
    assert card.fits.text() in card.accessibleName()
    assert rail.cards["ultra"].fits.text().startswith("does not fit")
    bridge.show(ServerStatus("fast", ServerState.READY))
    card.set_status(ServerStatus("fast", ServerState.READY))
    assert card.fits.isHidden()
    assert feeding.parent() is rail


def test_that_a_tier_that_is_not_shown_is_kept_true_as_well(qtbot: QtBot, bridge: SlowBridge) -> None:
    rail = TierRail(bridge.panel.tune.catalog.tiers)
    qtbot.addWidget(rail)
    feeding = RailOutlooks(bridge, rail, rail)  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: rail.cards["ultra"].fits.text().startswith("does not fit"))
    bridge.panel.outlook.devices = (Device("CUDA0", 24000.0), Device("CUDA1", 24000.0))
    bridge.sample(gpus())
    qtbot.waitUntil(lambda: rail.cards["ultra"].fits.text().startswith("fits "))
    bridge.panel.outlook.beside = Together("ultra", False, (), ("fast",), msg("ultra does not fit beside fast."))
    bridge.show(ServerStatus("fast", ServerState.READY))
    qtbot.waitUntil(lambda: rail.cards["ultra"].fits.text().startswith("fits alone "))
    assert "ultra does not fit beside fast." in rail.cards["ultra"].fits.accessibleDescription()
    assert feeding.parent() is rail


def test_that_an_unknown_tier_says_so_on_its_card(qtbot: QtBot, tmp_path: Path) -> None:
    bridge = make_bridge(tmp_path)
    rail = TierRail(bridge.panel.tune.catalog.tiers)
    qtbot.addWidget(rail)
    feeding = RailOutlooks(bridge, rail, rail)  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: rail.cards["fast"].fits.text() == "memory not known")
    assert "The model file fast.gguf is not there." in rail.cards["fast"].fits.accessibleDescription()
    assert feeding.parent() is rail


def test_that_a_tier_that_is_in_the_way_is_named_only_while_the_other_could_be_started(
    qtbot: QtBot, bridge: SlowBridge
) -> None:
    page = page_for(qtbot, bridge)
    bridge.panel.outlook.beside = Together("fast", False, (), ("ultra",), msg("fast does not fit beside ultra."))
    bridge.show(ServerStatus("ultra", ServerState.READY))
    qtbot.waitUntil(lambda: page.forecast.beside() == "fast does not fit beside ultra.")
    bridge.show(ServerStatus("fast", ServerState.READY))
    qtbot.waitUntil(lambda: page.forecast.beside() == "")


# ------------------------------------------------------------------------------------------------------- fixes


def test_that_fixes_are_looked_for_once_the_slider_rests(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    rested(qtbot, page)
    assert asked(bridge, "fixes") == 1
    offered = page.forecast.fixes.fixes
    assert offered[0].verdict is Verdict.FITS
    for _ in range(3):
        QTest.keyClick(slider(page, "ubatch_size").slider, Qt.Key.Key_Right)
        settled(qtbot, page)
        assert not any(button.isEnabled() for button in page.forecast.fixes.buttons())
    assert asked(bridge, "fixes") == 1
    rested(qtbot, page)
    assert asked(bridge, "fixes") == 2
    assert all(button.isEnabled() for button in page.forecast.fixes.buttons())


def test_that_a_fix_is_applied_as_one_step_that_undo_takes_back(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    rested(qtbot, page)
    fix = next(fix for fix in page.forecast.fixes.fixes if len(fix.set_values) > 1)
    position = page.forecast.fixes.fixes.index(fix)
    page.forecast.fixes.buttons()[position].click()
    settled(qtbot, page)
    assert set(bridge.panel.tune.changed("fast")) == set(fix.set_values)
    assert page.forecast.verdict.verdict is Verdict.FITS
    rested(qtbot, page)
    assert page.forecast.fixes.isHidden()
    bridge.undo("fast")
    settled(qtbot, page)
    assert bridge.panel.tune.changed("fast") == ()
    assert page.forecast.verdict.verdict is Verdict.DOES_NOT_FIT


def test_that_fixes_of_values_that_are_no_longer_set_are_dropped(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.slow = True
    rested(qtbot, page)
    assert page.forecast.fixes.remark() == "Looking for what would help …"
    bridge.edit("fast", "ctx_size", 131072)
    settled(qtbot, page)
    bridge.let_through()
    assert page.forecast.fixes.fixes == ()


def test_that_what_fits_is_offered_no_fixes(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    rested(qtbot, page)
    bridge.edit("fast", "ctx_size", 4096)
    settled(qtbot, page)
    rested(qtbot, page)
    assert asked(bridge, "fixes") == 1
    assert page.forecast.fixes.isHidden()


def test_that_another_tier_brings_its_own_fixes(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    rested(qtbot, page)
    assert page.forecast.fixes.buttons()
    page.show_role("ultra")
    assert page.forecast.fixes.isHidden()
    rested(qtbot, page)
    assert bridge.panel.outlook.asked[-1] == ("fixes", "ultra")


def test_that_start_anyway_starts_the_tier_in_so_many_words(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    page.forecast.start_anyway.click()
    assert bridge.asked == [("start_anyway", "fast")]
    bridge.show(ServerStatus("fast", ServerState.LOADING))
    assert page.forecast.start_anyway.isHidden()


# ------------------------------------------------------------------------------------------------------- exactly


def test_that_llama_server_is_asked_when_the_slider_is_let_go_and_not_before(qtbot: QtBot, bridge: SlowBridge) -> None:
    bridge.panel.outlook.refusal, bridge.panel.outlook.exact = None, CHECKED
    page = page_for(qtbot, bridge)
    rested(qtbot, page)
    assert asked(bridge, "check") == 0  # nothing was edited yet
    handle = slider(page, "ctx_size").slider
    QTest.mousePress(handle, Qt.MouseButton.LeftButton, pos=QPoint(handle.width() // 2, handle.height() // 2))
    rested(qtbot, page)
    assert asked(bridge, "check") == 0  # it is still held
    QTest.mouseRelease(handle, Qt.MouseButton.LeftButton, pos=QPoint(handle.width() // 2, handle.height() // 2))
    qtbot.waitUntil(lambda: asked(bridge, "check") == 1)
    assert page.forecast.exact.text() == "checked with llama-server: 9.77 GiB"


def test_that_why_it_cannot_be_asked_is_said_quietly(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ctx_size", 131072)
    settled(qtbot, page)
    qtbot.waitUntil(lambda: page.forecast.exact.text() == "There is no llama-server here.")
    assert page.forecast.exact._text.property("look") == "faint"


def test_that_a_check_is_given_up_when_the_slider_moves_on(qtbot: QtBot, bridge: SlowBridge) -> None:
    bridge.panel.outlook.refusal, bridge.panel.outlook.exact = None, CHECKED
    page = page_for(qtbot, bridge)
    rested(qtbot, page)
    bridge.slow = True
    page.forecast.exact.button.click()
    assert page.forecast.exact.asking
    bridge.edit("fast", "ctx_size", 131072)
    settled(qtbot, page)
    assert not page.forecast.exact.asking
    bridge.let_through()
    assert ("cancel", "fast") in bridge.panel.outlook.asked
    assert page.forecast.exact.text() == "Not checked with llama-server."


def test_that_a_check_can_be_given_up_by_hand(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.slow = True
    page.forecast.exact.button.click()
    page.forecast.exact.button.click()
    bridge.let_through()
    assert bridge.panel.outlook.asked[-1] == ("cancel", "fast")
    assert page.forecast.exact.text() == "Not checked with llama-server."


def test_that_a_page_that_is_shown_again_knows_what_happened_meanwhile(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    page.hide()
    bridge.panel.outlook.devices = (Device("CUDA0", 24000.0), Device("CUDA1", 24000.0))
    bridge.sample(gpus())
    assert page.forecast.verdict.verdict is Verdict.DOES_NOT_FIT
    page.show()
    assert page.forecast.verdict.verdict is Verdict.FITS


def test_that_forecast_and_command_are_both_seen_in_a_window_of_1280_by_800(qtbot: QtBot, bridge: SlowBridge) -> None:
    page = page_for(qtbot, bridge)
    page.resize(948, 690)  # what a window of 1280x800 leaves of it
    rested(qtbot, page)
    qtbot.waitUntil(lambda: bool(page.forecast.fixes.buttons()))
    assert [button.isHidden() for button in page.forecast.fixes.buttons()].count(False) == 1
    QApplication.processEvents()
    view = page.side_scroll.viewport()
    assert page.forecast.mapTo(view, QPoint(0, 0)).y() >= 0
    assert page.command.mapTo(view, QPoint(0, 0)).y() < view.height() - 60
    assert page.forecast.width() <= view.width()
    page.resize(1100, 860)
    assert [button.isHidden() for button in page.forecast.fixes.buttons()].count(False) == 2
