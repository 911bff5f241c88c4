from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from variet_gui import assets
from variet_gui.panel.paths import CatalogMissing, DataFolderHeld, FolderLock, find_paths


def test_that_the_demo_keeps_to_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    demo, own = find_paths(None, None, True, {}), find_paths(None, None, False, {})
    assert demo.data_dir != own.data_dir
    assert demo.catalog.is_relative_to(demo.data_dir)
    assert own.catalog == tmp_path / "config" / "variet" / "engine_models.json"


def test_that_the_named_catalog_wins_over_the_environment_and_both_over_the_folders(tmp_path: Path) -> None:
    environ = {"VARIET_CONFIG": str(tmp_path / "environment.json")}
    (tmp_path / "named.json").touch()
    named = find_paths(tmp_path / "named.json", None, False, environ)
    assert named.catalog == tmp_path / "named.json"
    assert find_paths(None, None, False, environ).catalog == tmp_path / "environment.json"


def test_that_a_named_catalog_that_does_not_exist_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(CatalogMissing) as refused:
        find_paths(tmp_path / "slip.json", tmp_path / "data", False, {})
    assert str(tmp_path / "slip.json") in refused.value.message.english
    assert not (tmp_path / "slip.json").exists()


def test_that_a_data_folder_named_on_the_command_line_holds_its_catalog_too(tmp_path: Path) -> None:
    paths = find_paths(None, tmp_path / "here", False, {"VARIET_CONFIG": "/elsewhere.json"})
    assert paths.catalog.is_relative_to(tmp_path / "here")
    assert paths.logs_dir.is_dir()


def test_that_a_second_panel_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from variet_gui.panel.paths import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        lock = FolderLock(tmp_path)
        with pytest.raises(DataFolderHeld) as refused:
            lock.acquire()
        assert str(holder.pid) in refused.value.message.english
        assert str(tmp_path) in refused.value.message.english
        holder.kill()  # a holder that dies without a word gives the folder back
        holder.wait()
        lock.acquire()
        lock.release()


def test_that_the_lock_can_be_taken_again_after_it_was_given_back(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    first.acquire()
    with pytest.raises(DataFolderHeld):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_that_an_installed_demo_finds_the_shipped_projector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "checkout_models", lambda: None)
    brought = find_paths(None, tmp_path, True, {}).models_dir / "demo" / assets.demo_projector().name
    assert brought.read_bytes() == assets.demo_projector().read_bytes()
    brought.write_bytes(b"another version's")
    find_paths(None, tmp_path, True, {})
    assert brought.read_bytes() == assets.demo_projector().read_bytes()
    assert [path.name for path in brought.parent.iterdir()] == [brought.name]


def test_that_only_the_demo_is_given_a_projector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "checkout_models", lambda: None)
    assert not find_paths(None, tmp_path, False, {}).models_dir.exists()
