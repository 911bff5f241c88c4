"""Which llama-server is taken, and what is said when there is none."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from variet_gui.catalog.tiers import Catalog, Tier
from variet_gui.engine import binary as binary_module
from variet_gui.engine.binary import EngineBinary, EngineNotFound, embedded_engine, resolve

EXECUTABLE = "llama-server.exe" if sys.platform == "win32" else "llama-server"


def program(folder: Path, name: str = EXECUTABLE, *, runnable: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(stat.S_IRWXU if runnable else stat.S_IRUSR)
    return path


def found(
    tier_engine: str | None = None, catalog_engine: str | None = None, environ: dict[str, str] | None = None
) -> EngineBinary:
    tier = Tier(role="fast", model_name="tiny", port=8081, engine=tier_engine)
    return resolve(tier, Catalog(engine=catalog_engine, tiers=[tier]), {"PATH": "", **(environ or {})})


def test_that_the_tiers_own_engine_comes_before_all_others(tmp_path: Path) -> None:
    own, common, named, on_path = (program(tmp_path / name) for name in ("own", "common", "named", "path"))
    environ = {"VARIET_LLAMA_SERVER": str(named), "PATH": str(on_path.parent)}
    assert found(str(own), str(common), environ).path == own
    assert found(None, str(common), environ).path == common
    assert found(None, None, environ).path == named
    assert found(None, None, {"PATH": str(on_path.parent)}).path == on_path


def test_that_the_source_is_told(tmp_path: Path) -> None:
    path = program(tmp_path)
    assert "tier" in found(str(path)).source.english
    assert "catalog" in found(None, str(path)).source.english
    assert "VARIET_LLAMA_SERVER" in found(None, None, {"VARIET_LLAMA_SERVER": str(path)}).source.english
    assert "PATH" in found(None, None, {"PATH": str(tmp_path)}).source.english


def test_that_a_named_engine_that_is_not_there_is_an_error_even_if_another_is(tmp_path: Path) -> None:
    on_path = program(tmp_path / "path")
    missing = tmp_path / "gone" / "llama-server"
    with pytest.raises(EngineNotFound) as caught:
        found(None, str(missing), {"PATH": str(on_path.parent)})
    assert str(missing) in caught.value.message.english
    assert "the catalog's setting" in caught.value.message.english
    assert len(caught.value.looked) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="files have no right to run on Windows")
def test_that_a_file_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    path = program(tmp_path, runnable=False)
    with pytest.raises(EngineNotFound, match="not a program that may be run"):
        found(str(path))


def test_that_a_folder_is_answered_with_the_file_to_name(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFound, match=f"Name the file {EXECUTABLE}"):
        found(str(tmp_path))


def test_that_a_bare_name_is_looked_up_on_path(tmp_path: Path) -> None:
    path = program(tmp_path, "llama-server-cuda")
    assert found("llama-server-cuda", environ={"PATH": str(tmp_path)}).path == path
    with pytest.raises(EngineNotFound, match="llama-server-cuda"):
        found("llama-server-cuda")


def test_that_a_path_from_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert found(f"~/bin/{EXECUTABLE}").path == path
    with pytest.raises(EngineNotFound, match="does not exist"):
        found("~nobody-of-this-name/llama-server")


def test_that_the_embedded_engine_is_taken_only_where_it_is_named() -> None:
    with pytest.raises(EngineNotFound, match="No llama-server is named") as caught:
        found()
    assert len(caught.value.looked) == 4
    engine = found("embedded")
    assert engine.embedded
    assert engine.path is None
    assert engine.program[-1] == "_embedded-engine"
    assert found(None, None, {"VARIET_LLAMA_SERVER": "embedded"}).embedded


def test_that_a_missing_embedded_engine_is_told_how_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_module, "embedded_available", lambda: False)
    with pytest.raises(EngineNotFound, match="xllamacpp"):
        embedded_engine()


def test_that_the_unified_program_is_told_to_serve(tmp_path: Path) -> None:
    path = program(tmp_path, "llama.exe" if sys.platform == "win32" else "llama")
    assert found(str(path)).program == (str(path), "serve")


def test_that_blanks_count_as_nothing(tmp_path: Path) -> None:
    path = program(tmp_path)
    assert found("  ", "", {"VARIET_LLAMA_SERVER": f" {path} "}).path == path
