from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from tests.gui.outlook_kit import device, exact_figures, outlook_of, plain_outlook
from tests.gui.real_bridge import ROLE, real_bridge
from tests.gui.window_kit import page_for, slider
from variet_gui.forecast.fixes import Fix
from variet_gui.forecast.values import Verdict
from variet_gui.i18n import msg
from variet_gui.panel.outlook_values import Outlook
from variet_gui.ui import theme
from variet_gui.ui.rail_outlooks import RailOutlooks
from variet_gui.ui.widgets.forecast_card import MANY_DEVICES, ForecastCard
from variet_gui.ui.widgets.tier_rail import TierRail

FITS = plain_outlook(device(0), device(1))
TOO_MUCH = plain_outlook(device(0), device(1, weights=9000.0))
FIX = Fix(
    (),
    msg("Context {before} to {after}", before="256K", after="224K"),
    {"ctx_size": 229376},
    614.4,
    msg("less is remembered"),
    Verdict.FITS,
    300.0,
)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


def card(qtbot: QtBot, outlook: Outlook, width: int = 376) -> ForecastCard:
    made = ForecastCard()
    qtbot.addWidget(made)
    made.resize(width, 500)
    made.set_outlook(outlook)
    made.show()
    return made


# ---------------------------------------------------------------------------------------------------- what it says


def test_that_each_device_has_a_bar_and_the_verdict_has_words(qtbot: QtBot) -> None:
    shown = card(qtbot, FITS)
    assert [bar.values.name for bar in shown.bars] == ["GPU 0", "GPU 1"]
    assert [bar.values.words for bar in shown.bars] == ["10.3 of 11.6 GiB", "10.3 of 11.6 GiB"]
    assert shown.verdict.verdict is Verdict.FITS
    assert shown.verdict.text() == "fits · 1.3 GiB to spare on GPU 0"
    assert shown.source_text().startswith("± 64 MiB · ")
    assert shown.host_text() == "Main memory: 1.0 GiB, caches up to 8.3 GiB"
    assert [str(kind.name) for kind in shown.legend.kinds] == ["weights", "KV cache", "compute", "overhead"]


def test_that_bars_below_each_other_share_one_limit(qtbot: QtBot) -> None:
    shown = card(qtbot, TOO_MUCH)
    limits = [bar.limit_x() for bar in shown.bars]
    assert limits[0] is not None
    assert limits[0] == limits[1]


def test_that_a_start_is_offered_in_so_many_words_wherever_it_may_fail(qtbot: QtBot) -> None:
    shown = card(qtbot, FITS)
    assert shown.start_anyway.isHidden()
    unknown = plain_outlook(device(0, compute=None))
    for outlook in (TOO_MUCH, unknown, outlook_of(None, problem=msg("The model file is not there."))):
        shown.set_outlook(outlook)
        assert not shown.start_anyway.isHidden()
    with qtbot.waitSignal(shown.start_asked):
        shown.start_anyway.click()
    shown.set_stopped(False)
    assert shown.start_anyway.isHidden()


def test_that_the_unknown_is_shown_as_unknown_with_the_reason(qtbot: QtBot) -> None:
    shown = card(qtbot, plain_outlook(device(0, compute=None), device(1)))
    assert shown.verdict.text() == "not known"
    assert shown.why() == "Nobody knows the rest."
    assert "at least" in shown.bars[0].values.words
    shown.set_outlook(outlook_of(None, problem=msg("The model file is not there.")))
    assert shown.why() == "The model file is not there."
    assert [bar.isHidden() for bar in shown.bars] == [True, True]
    assert shown.legend.isHidden()
    shown.set_outlook(FITS)
    assert shown.why() == ""


def test_that_simulated_cards_are_called_so(qtbot: QtBot) -> None:
    shown = card(qtbot, plain_outlook(device(0), simulated=True))
    assert shown.simulated_shown
    shown.set_outlook(FITS)
    assert not shown.simulated_shown


def test_that_notes_are_folded_away_and_can_be_read(qtbot: QtBot) -> None:
    shown = card(qtbot, plain_outlook(device(0), notes=(msg("A picture takes more, once it comes."),)))
    assert shown._notes.isHidden()
    assert shown._fold.text() == "2 notes"
    shown._fold.click()
    assert shown._notes.isVisible()
    assert "A picture takes more, once it comes." in shown.notes()
    assert "memory of the cards as the driver tells it" in shown.notes()


def test_that_a_tier_that_is_in_the_way_is_named(qtbot: QtBot) -> None:
    shown = card(qtbot, FITS)
    shown.set_beside(msg("{role} does not fit beside {others}.", role="balanced", others="fast"))
    assert shown.beside() == "balanced does not fit beside fast."
    shown.set_beside(None)
    assert shown.beside() == ""


def test_that_the_verdict_stands_beside_the_heading_only_where_there_is_room(qtbot: QtBot) -> None:
    shown = card(qtbot, FITS)
    assert shown.head.indexOf(shown.verdict) >= 0
    shown.resize(290, 500)
    assert shown.body.indexOf(shown.verdict) == 0
    # Words that get shorter while a slider moves leave what stands below in its place.
    shown.set_outlook(plain_outlook(device(0, compute=None)))
    assert shown.body.indexOf(shown.verdict) == 0
    shown.set_outlook(outlook_of(None, "ultra", problem=msg("The model file is not there.")))
    assert shown.head.indexOf(shown.verdict) >= 0


def test_that_a_long_verdict_goes_over_two_lines_and_is_not_cut(qtbot: QtBot) -> None:
    shown = card(qtbot, FITS, 290)
    one = shown.verdict.sizeHint().height()
    long = msg("does not fit · 10.7 GiB too much on GPU 1, ± 0.2 GiB, and so on")
    shown.set_outlook(replace(TOO_MUCH, summary=long))
    assert shown.verdict.sizeHint().height() == 2 * one
    shown.set_outlook(FITS)
    assert shown.verdict.sizeHint().height() == 2 * one  # while a slider moves, what stands below keeps its place
    shown.set_outlook(replace(FITS, role="ultra"))
    assert shown.verdict.sizeHint().height() == one


@pytest.mark.parametrize("width", [280, 376])
def test_that_nothing_is_wider_than_the_column(qtbot: QtBot, width: int) -> None:
    shown = card(qtbot, TOO_MUCH, width)
    shown.show_fixes([FIX, FIX, FIX])
    shown.exact.show_figures(exact_figures())
    assert shown.minimumSizeHint().width() <= width


def test_that_many_devices_take_thin_bars(qtbot: QtBot) -> None:
    shown = card(qtbot, plain_outlook(*[device(index) for index in range(8)]))
    assert len(shown.bars) == 8 > MANY_DEVICES
    assert shown.bars[0].sizeHint().height() < card(qtbot, FITS).bars[0].sizeHint().height()
    shown.set_outlook(FITS)
    assert [bar.isHidden() for bar in shown.bars] == [False] * 2 + [True] * 6


# ---------------------------------------------------------------------------------------------------- fixes


def test_that_a_fix_tells_what_it_buys_and_what_it_costs(qtbot: QtBot) -> None:
    shown = card(qtbot, TOO_MUCH)
    shown.show_fixes([FIX])
    (button,) = shown.fixes.buttons()
    assert button.words()[0] == "Context 256K to 224K"
    assert button.words()[1] == "0.6 GiB less on GPU 1, fits with 0.3 GiB to spare · costs: less is remembered"
    assert button.accessibleName() == "Apply: Context 256K to 224K"
    assert button.accessibleDescription() == button.words()[1]
    with qtbot.waitSignal(shown.fix_asked) as blocker:
        button.click()
    assert blocker.args == [FIX]


def test_that_a_fix_takes_the_lines_that_its_words_need(qtbot: QtBot) -> None:
    shown = card(qtbot, TOO_MUCH, 290)
    shown.show_fixes([FIX])
    (button,) = shown.fixes.buttons()
    QApplication.processEvents()
    assert button.height() >= button.heightForWidth(button.width())
    assert button.heightForWidth(160) > button.heightForWidth(400)


def test_that_fixes_of_other_values_are_greyed_out_until_new_ones_come(qtbot: QtBot) -> None:
    shown = card(qtbot, TOO_MUCH)
    shown.show_fixes([FIX] * 4)
    assert [button.isHidden() for button in shown.fixes.buttons()] == [False, False, True, True]
    shown.fixes._more.click()
    assert not any(button.isHidden() for button in shown.fixes.buttons())
    shown.fixes.set_stale()
    assert not any(button.isEnabled() for button in shown.fixes.buttons())
    shown.show_fixes([FIX])
    assert [button.isEnabled() for button in shown.fixes.buttons()] == [True]
    shown.fixes.clear()
    assert shown.fixes.isHidden()


def test_that_no_fix_is_said_so(qtbot: QtBot) -> None:
    shown = card(qtbot, TOO_MUCH)
    shown.show_fixes([])
    assert "No change was found" in shown.fixes.remark()


# ---------------------------------------------------------------------------------------------------- exactly


def test_that_the_exact_check_speaks_and_its_button_gives_up(qtbot: QtBot) -> None:
    shown = card(qtbot, FITS)
    assert shown.exact.text() == "Not checked with llama-server."
    with qtbot.waitSignal(shown.exact.asked):
        shown.exact.button.click()
    shown.exact.show_asking()
    assert shown.exact.button.text() == "Cancel the check"
    with qtbot.waitSignal(shown.exact.cancelled):
        shown.exact.button.click()
    shown.show_exact(exact_figures(11172.0))
    assert shown.exact.text() == "checked with llama-server: 10.91 GiB"
    assert "the forecast says" in shown.exact._text.toolTip()
    assert shown.exact.button.text() == "Check exactly"
    shown.show_exact(exact_figures(agrees=False))
    assert shown.exact.text() == "llama-server itself counts 90 MiB more on GPU 0 than the forecast."
    assert shown.exact._text.property("look") == "caution"
    shown.exact.show_refusal("A tier is running.")
    assert shown.exact.text() == "A tier is running."


def test_that_figures_for_the_processor_never_confirm_a_forecast_for_gpus(qtbot: QtBot) -> None:
    shown = card(qtbot, FITS)
    shown.show_exact(replace(exact_figures(), devices=()))
    assert "saw no GPU" in shown.exact.text()
    assert shown.exact._text.property("look") == "faint"


def test_that_every_button_of_the_card_has_a_name_and_is_reached_by_tab(qtbot: QtBot) -> None:
    shown = card(qtbot, plain_outlook(device(0, weights=30000.0), notes=(msg("A note."),)))
    shown.show_fixes([FIX])
    for button in shown.findChildren(QPushButton):
        assert button.accessibleName() or button.text() or button.isHidden()
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus


# ---------------------------------------------------------------------------------------------------- with the panel


def test_that_a_real_panel_forecasts_offers_fixes_and_takes_them_back_in_one_step(qtbot: QtBot, tmp_path: Path) -> None:
    with real_bridge(tmp_path, cache_type_k="f16", cache_type_v="f16") as bridge:
        page = page_for(qtbot, bridge, ROLE)  # type: ignore[arg-type]
        rail = TierRail(bridge.panel.tune.catalog.tiers)  # type: ignore[union-attr]
        qtbot.addWidget(rail)
        feeding = RailOutlooks(bridge, rail, rail)
        fits = rail.cards[ROLE].fits
        qtbot.waitUntil(lambda: page.forecast.verdict.verdict is Verdict.DOES_NOT_FIT)
        assert page.forecast.simulated_shown
        qtbot.waitUntil(lambda: fits.text().startswith("does not fit"))
        qtbot.waitUntil(lambda: bool(page.forecast.fixes.buttons()), timeout=20_000)
        before = page.forecast.bars[1].values.total_mib
        page.forecast.fixes.buttons()[0].click()
        qtbot.waitUntil(lambda: page.forecast.verdict.verdict is Verdict.FITS)
        assert page.forecast.bars[1].values.total_mib < before
        qtbot.waitUntil(lambda: fits.text().startswith("fits "))
        qtbot.waitUntil(page.forecast.fixes.isHidden)
        assert bridge.panel.tune.is_changed(ROLE)
        bridge.undo(ROLE)
        assert not bridge.panel.tune.is_changed(ROLE)
        qtbot.waitUntil(lambda: page.forecast.verdict.verdict is Verdict.DOES_NOT_FIT)
        QTest.keyClick(slider(page, "ctx_size").slider, Qt.Key.Key_Home)
        # In the very tick of the slider, with no turn of the event loop in between.
        assert page.forecast.bars[1].values.total_mib < before
        page.close()
        feeding.deleteLater()


def test_that_the_real_llama_server_is_asked_and_gives_up_when_the_slider_moves(
    qtbot: QtBot, tmp_path: Path, real_llama_server: Path, demo_model: Path
) -> None:
    with real_bridge(tmp_path, demo_model, engine=real_llama_server, ctx_size=4096) as bridge:
        page = page_for(qtbot, bridge, ROLE)  # type: ignore[arg-type]
        qtbot.waitUntil(lambda: bridge.panel.tune.capabilities(ROLE) is not None, timeout=20_000)
        exact = page.forecast.exact
        exact.button.click()
        assert exact.asking
        QTest.keyClick(slider(page, "ctx_size").slider, Qt.Key.Key_PageDown)
        qtbot.waitUntil(lambda: not page._refresh_soon.isActive())
        # Once the slider rests it is asked of what is set now.
        qtbot.waitUntil(lambda: exact.asking, timeout=10_000)
        qtbot.waitUntil(lambda: not exact.asking, timeout=30_000)
        # A build that sees GPUs answers for them, one that sees none for the processor.
        assert "llama-server" in exact.text()
        assert exact.text() != "Not checked with llama-server."
        assert bridge.panel.outlook.of(ROLE).exact is not None
        page.close()
