"""A file is written whole or not at all, and a refusal names the file that the operator asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from variet_gui.catalog.exporting import ExportFormat
from variet_gui.catalog.whole_file import set_aside, write_whole
from variet_gui.panel.exchange import write_export


def test_that_a_folder_that_is_not_there_is_named_by_the_operators_own_path(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x.sh"
    with pytest.raises(FileNotFoundError) as refused:
        write_whole(path, b"x")
    assert refused.value.filename == str(path)
    assert ".tmp" not in str(refused.value)


def test_that_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as refused:
        write_whole(tmp_path, b"x")
    assert refused.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_that_a_link_stays_a_link_and_permissions_stay_as_they_are(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX pipe")
def test_that_nothing_but_a_file_is_ever_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="pipe"):
        write_whole(pipe, b"x")
    assert pipe.is_fifo()


@pytest.mark.skipif(os.name == "nt", reason="a POSIX pipe")
def test_that_an_export_goes_into_a_pipe_or_a_device_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_export(pipe, "exec llama-server\n", ExportFormat.SH)
        assert os.read(reader, 100) == b"exec llama-server\n"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_that_what_is_set_aside_never_takes_the_place_of_what_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    names = []
    for number in range(3):
        path.write_text(str(number))
        names.append(set_aside(path).name)
    assert names == ["a.json.unreadable", "a.json.unreadable-2", "a.json.unreadable-3"]
    assert [(tmp_path / name).read_text() for name in names] == ["0", "1", "2"]
    with pytest.raises(FileNotFoundError):
        set_aside(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == names
