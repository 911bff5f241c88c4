from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import broken_bridge, make_bridge, repair
from tests.gui.window_kit import page_for, settled
from variet_gui import assets
from variet_gui.ui import theme
from variet_gui.ui.widgets.segments import Segments

ESSENTIAL = (
    "ctx_size",
    "batch_size",
    "ubatch_size",
    "n_gpu_layers",
    "tensor_split",
    "n_cpu_moe",
    "cache_type_k",
    "cache_type_v",
    "flash_attn",
    "mmproj",
    "mmproj_offload",
    "threads",
    "parallel",
)


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> None:
    if not theme.is_dark() or not qapp.styleSheet():
        theme.apply(qapp, "dark")


@pytest.fixture
def bridge(tmp_path: Path, qapp: QApplication) -> FakeBridge:
    return make_bridge(tmp_path)


def test_that_recorded_figures_are_history_and_the_targets_stand_below(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    assert page.history.remark.text() == "history"
    assert "at least 70 t/s, at most 12 288 MiB on each GPU" in page.history.text().replace("\u2009", " ")
    assert "not a pass" in page.history.text()
    assert page.notes.isVisible()
    page.show_role("fresh")
    assert "Nothing was measured yet" in page.history.text()
    assert not page.notes.isVisible()


def test_that_a_bad_catalog_is_shown_with_place_finding_and_a_way_to_reload(qtbot: QtBot, tmp_path: Path) -> None:
    bad = '{"schema": 1, "tiers": [{"role": "fast", "model_name": "x", "port": 80}]}'
    bridge = broken_bridge(tmp_path, bad)
    page = page_for(qtbot, bridge)
    assert page.error.isVisible()
    text = page.error.text()
    assert "broken.json" in text
    assert "tiers[0].port" in text
    assert "80" in text
    page.error.reload.click()
    assert bridge.asked == [("reload_catalog",)]
    repair(bridge, bad.replace("80}", "8081}"))
    page.show_role("fast")
    assert not page.error.isVisible()


def test_that_two_edits_in_one_turn_make_one_refresh(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    seen: list[None] = []
    page.refresh = lambda: seen.append(None)  # type: ignore[method-assign]
    page._refresh_soon.timeout.disconnect()
    page._refresh_soon.timeout.connect(page.refresh)
    for value in (600, 700, 800):
        bridge.edit("fast", "ubatch_size", value)
    qtbot.waitUntil(lambda: bool(seen))
    settled(qtbot, page)
    assert len(seen) == 1


def test_that_a_narrow_page_puts_the_panels_under_the_list(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.resize(620, 700)
    qtbot.waitUntil(page.side_scroll.isHidden)
    assert page.command.isVisibleTo(page)
    page.resize(1100, 800)
    qtbot.waitUntil(lambda: not page.side_scroll.isHidden())


@pytest.mark.parametrize("width", [928, 1108])
def test_that_nothing_is_wider_than_its_column(qtbot: QtBot, bridge: FakeBridge, width: int) -> None:
    page = page_for(qtbot, bridge)
    page.advanced.click()
    for section in page.list.sections:
        section.open(True)
    page.resize(width, 700)
    QApplication.processEvents()
    room = page.list_scroll.viewport().width()
    wide = [row.keys[0] for row in page.list.rows() if row.minimumSizeHint().width() > room - 4]
    assert wide == []


def test_that_the_page_works_by_keyboard_alone(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    QTest.qWaitForWindowActive(page, 2000)
    page.search.setFocus()
    reached: list[QWidget] = []
    for _ in range(80):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        now = QApplication.focusWidget()
        if now is page.search:
            break
        reached.append(now)
    for key in ESSENTIAL:
        editors = [e for e in page.list.row(key).editors if e.parameter.key == key]
        controls = [c.focusProxy() or c if isinstance(c, Segments) else c for c in editors[0].controls()]
        assert any(control in reached for control in controls), key
    assert all(widget.accessibleName() or getattr(widget, "text", lambda: "")() for widget in reached)
    for button in (page.advanced, page.copy):
        assert button in reached


def test_that_a_theme_change_reaches_the_command(qtbot: QtBot, qapp: QApplication, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    before = page.command.grab().toImage()
    theme.apply(qapp, "light")
    after = page.command.grab().toImage()
    theme.apply(qapp, "dark")
    assert before != after


def test_that_every_tier_of_the_shipped_catalogs_can_be_shown(qtbot: QtBot, tmp_path: Path) -> None:
    for name in ("engine_models.json", "demo_models.json"):
        copy = tmp_path / name
        copy.write_bytes(assets.config_template(name).read_bytes())
        bridge = FakeBridge(copy, tmp_path)
        assert bridge.panel.tune.catalog is not None
        page = page_for(qtbot, bridge, bridge.panel.tune.catalog.roles[0])
        for role in bridge.panel.tune.catalog.roles:
            page.show_role(role)
            assert page.role == role
            assert page.command.text()
