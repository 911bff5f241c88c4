"""The wheel is complete: installed somewhere else, it finds its catalog templates, icons and texts."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "LANG": "C", "LC_ALL": "C"}
    return subprocess.run(
        [sys.executable, *words], cwd=unpacked, env=environment, capture_output=True, text=True, timeout=60, check=True
    )


def test_that_the_terminal_speaks_both_languages_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    common = ("-m", "variet_gui", "--demo", "--data-dir", str(tmp_path), "tiers")
    english, korean = run(unpacked, *common), run(unpacked, *common, "--lang", "ko")
    assert "deep-coder" in english.stdout
    assert english.stdout.splitlines()[0] != korean.stdout.splitlines()[0]


def test_that_icons_and_the_typing_marker_ship(unpacked: Path) -> None:
    where = run(unpacked, "-c", "from variet_gui import assets; print(assets.resource('icons', 'app.svg'))")
    assert Path(where.stdout.strip()).is_relative_to(unpacked)
    assert (unpacked / "variet_gui" / "py.typed").is_file()


def test_that_the_demo_can_see_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    run(unpacked, "-m", "variet_gui", "--demo", "--data-dir", str(tmp_path), "tiers")
    brought = tmp_path / "models" / "demo" / "mmproj-variet-demo-vision-F16.gguf"
    assert brought.read_bytes() == (REPOSITORY / "models" / "demo" / brought.name).read_bytes()
    assert (unpacked / "variet_gui" / "_assets" / "resources" / "vision_checks" / "checks.json").is_file()
