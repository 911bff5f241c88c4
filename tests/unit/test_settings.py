from __future__ import annotations

import json
from pathlib import Path

from variet_gui.panel.settings import Settings, load_settings, save_settings


def test_that_settings_survive_a_restart_with_keys_of_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"schema": 1, "theme": "light", "of_tomorrow": [1, 2]}')
    settings = load_settings(path)
    assert settings.theme == "light"
    save_settings(path, settings.model_copy(update={"language": "ko"}))
    assert json.loads(path.read_text()) == {"schema": 1, "language": "ko", "theme": "light", "of_tomorrow": [1, 2]}


def test_that_unreadable_settings_are_kept_beside_and_defaults_are_used(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "mauve"}')
    assert load_settings(path) == Settings()
    assert (tmp_path / "settings.unreadable.json").read_text() == '{"theme": "mauve"}'


def test_that_no_half_written_file_is_left_when_the_folder_is_gone(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "absent.json") == Settings()
    assert list(tmp_path.iterdir()) == []
