from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.gui.fake_bridge import FakeBridge
from tests.gui.tune_catalog import make_bridge
from tests.gui.window_kit import page_for, settled, slider
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameters import PARAMETERS
from variet_gui.events import ServerState, ServerStatus
from variet_gui.panel.tune import ModelFacts
from variet_gui.ui import theme
from variet_gui.ui.widgets.split_slider import SplitSlider

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


def test_that_every_parameter_an_operator_needs_shows_without_unfolding(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    shown = {key for row in page.list.rows() if row.isVisible() for key in row.keys}
    assert shown >= set(ESSENTIAL)
    assert page.advanced.text() == f"Advanced ({page.list.advanced_count})"
    assert page.list.advanced_count + len(shown) == len(PARAMETERS) + 2  # and extra arguments and environment


def test_that_an_edit_is_marked_counted_and_appears_in_the_command(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    assert not page.save.isEnabled()
    QTest.keyClick(slider(page, "ubatch_size").slider, Qt.Key.Key_PageUp)
    settled(qtbot, page)
    assert bridge.panel.tune.changed("fast") == ("ubatch_size",)
    assert page.changes.text() == "1 change"
    assert page.save.isEnabled()
    assert page.revert.isEnabled()
    assert not page.list.row("ubatch_size").revert.isHidden()
    assert page.command.changed_tokens()[0] == "-ub"


def test_that_revert_brings_everything_back(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    bridge.edit("fast", "flash_attn", "off")
    settled(qtbot, page)
    assert page.changes.text() == "2 changes"
    page.revert.click()
    settled(qtbot, page)
    assert bridge.panel.tune.changed("fast") == ()
    assert page.changes.text() == ""
    assert slider(page, "ubatch_size").value == 512


def test_that_one_row_can_be_reverted_alone(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    bridge.edit("fast", "flash_attn", "off")
    settled(qtbot, page)
    page.list.row("ubatch_size").revert.click()
    assert bridge.panel.tune.changed("fast") == ("flash_attn",)


def test_that_save_and_restart_go_to_the_bridge(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "ubatch_size", 1024)
    settled(qtbot, page)
    page.save.click()
    page.save_and_restart.click()
    assert bridge.asked == [("save", "fast"), ("save_and_restart", "fast")]


def test_that_the_last_button_says_what_it_will_do(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    assert page.save_and_restart.text() == "Save && start"
    values = bridge.panel.tune.saved("fast").values
    bridge.show(ServerStatus("fast", ServerState.READY, values=values))
    assert page.save_and_restart.text() == "Save && restart"
    assert not page.save_and_restart.isEnabled()


def test_that_a_difference_to_what_runs_is_named(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    values = dict(bridge.panel.tune.saved("fast").values)
    bridge.show(ServerStatus("fast", ServerState.READY, values={**values, "ctx_size": 4096}))
    assert page.differs.text() == "1 setting differs from what is running"
    assert "Context" in page.differs.toolTip()
    assert page.save_and_restart.isEnabled()


def test_that_the_copied_command_is_the_exact_one(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.copy.click()
    copied = QGuiApplication.clipboard().text()
    assert all(word in copied for word in bridge.panel.tune.command("fast").argv)


def test_that_what_was_never_written_down_is_not_recorded_and_the_rest_is_default(
    qtbot: QtBot, bridge: FakeBridge
) -> None:
    page = page_for(qtbot, bridge, "ultra")
    assert slider(page, "ctx_size").field.placeholderText() == "not recorded"
    page.show_role("fresh")
    assert slider(page, "batch_size").field.placeholderText().startswith("default")


def test_that_a_value_that_the_operator_unset_is_the_default_and_not_unrecorded(
    qtbot: QtBot, bridge: FakeBridge
) -> None:
    page = page_for(qtbot, bridge)
    QTest.keyClick(slider(page, "batch_size").slider, Qt.Key.Key_Delete)
    settled(qtbot, page)
    assert bridge.panel.tune.draft("fast").get("batch_size") is None
    assert slider(page, "batch_size").field.placeholderText().startswith("default")


def test_that_the_sliders_fit_the_model_once_its_header_was_read(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    tune = bridge.panel.tune
    path = tune.models_dir / "fast.gguf"
    tune._facts[str(path)] = ModelFacts(path, "gemma4", 30, 262144, 128, 1000.0)
    bridge.draft_changed.emit("fast")
    settled(qtbot, page)
    assert slider(page, "n_gpu_layers").field.text() == "all (30)"
    assert slider(page, "ctx_size")._scale.maximum == 262144
    split = page.list.row("tensor_split").editors[0]
    assert isinstance(split, SplitSlider)
    assert (split.left.text(), split.right.text()) == ("14 layers on GPU 0", "16 layers + output on GPU 1")


def test_that_a_parameter_this_build_lacks_is_grey_with_its_reason_and_kept(qtbot: QtBot, bridge: FakeBridge) -> None:
    known = frozenset(flag for p in PARAMETERS if p.key != "n_cpu_moe" for flag in p.spellings)
    bridge.panel.tune.note_engine("fast", ("llama-server",), Capabilities(flags=known, build=4000))
    page = page_for(qtbot, bridge)
    row = page.list.row("n_cpu_moe")
    assert not row.editors[0].isEnabled()
    assert row.note() == "This llama-server (b4000) does not know --n-cpu-moe."
    assert page.list.row("ctx_size").editors[0].isEnabled()


def test_that_the_filter_finds_under_the_fold_and_clearing_it_folds_again(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.search.setText("--rope-scale")
    visible = [key for row in page.list.rows() if row.isVisible() for key in row.keys]
    assert "rope_scale" in visible
    assert "ctx_size" not in visible
    QTest.keyClick(page.search, Qt.Key.Key_Escape)
    visible = [key for row in page.list.rows() if row.isVisible() for key in row.keys]
    assert "rope_scale" not in visible
    assert "ctx_size" in visible


def test_that_a_filter_that_finds_nothing_says_so(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.search.setText("zzzz")
    assert page.list._nothing.isVisible()
    page.search.clear()
    assert not page.list._nothing.isVisible()


def test_that_advanced_groups_unfold_one_by_one(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    page.advanced.click()
    section = page.list.sections[0]
    assert section.isVisible()
    assert not section.rows
    assert section._fold is not None
    section._fold.click()
    assert section.is_open
    assert all(row.isVisible() for row in section.rows)
    page.advanced.click()
    assert not section.isVisible()


def test_that_an_edit_under_the_fold_is_counted_where_it_can_be_seen(qtbot: QtBot, bridge: FakeBridge) -> None:
    page = page_for(qtbot, bridge)
    bridge.edit("fast", "poll", 20)
    settled(qtbot, page)
    assert page.changes.text() == "1 change"
    assert "under Advanced" in page.changes.toolTip()
    page.advanced.click()
    section = next(section for section in page.list.sections if "poll" in section.keys)
    assert "1 changed" in section._remark.text()
