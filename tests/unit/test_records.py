"""What is written down of running servers, and what becomes of a file that cannot be used."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from variet_gui.engine import adopted
from variet_gui.engine.records import SCHEMA, ServerRecord, StateFile, StateFileError


def record(role: str = "fast", **changes: object) -> ServerRecord:
    values: dict[str, object] = {
        "role": role,
        "argv": ("llama-server", "--port", "8081"),
        "port": 8081,
        "log_path": Path("logs/fast.log"),
        "at": 1_790_000_000.0,
        "values": {"ctx_size": 4096, "tensor_split": (0.43, 0.57), "flash_attn": "on"},
        "keep_running": True,
        **changes,
    }
    return ServerRecord(**values)  # type: ignore[arg-type]


def test_that_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state = StateFile(path)
    state.began(record())
    state.began(record("ultra", port=8085))
    state.update("fast", pid=4711, created_at=12.5)
    state.ended("ultra")
    assert StateFile(path).load() == (record(pid=4711, created_at=12.5),)
    assert StateFile(path).peek() == (record(pid=4711, created_at=12.5),)


def test_that_what_an_earlier_panel_wrote_is_not_forgotten_by_a_start(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    StateFile(path).began(record())
    StateFile(path).began(record("ultra"))
    assert [one.role for one in StateFile(path).load()] == ["fast", "ultra"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "servers": [{"role": 1}]}', "\x00\x01"]
)
def test_that_a_damaged_file_is_set_aside_by_name_and_never_lost(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    for number in (1, 2):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StateFileError) as caught:
            StateFile(path).load()
        assert "unreadable" in str(caught.value.message)
        assert not path.exists()
        assert len(list(tmp_path.glob("state.json.unreadable*"))) == number


def test_that_a_newer_file_is_refused_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    text = json.dumps({"schema": SCHEMA + 1, "servers": [], "more": True})
    path.write_text(text, encoding="utf-8")
    state = StateFile(path)
    with pytest.raises(StateFileError, match="newer"):
        state.load()
    state.began(record())
    assert path.read_text(encoding="utf-8") == text


def test_that_a_disk_that_cannot_be_written_costs_the_record_and_nothing_else(tmp_path: Path) -> None:
    blocked = tmp_path / "folder"
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    state = StateFile(blocked / "state.json")
    state.began(record())
    assert state.problem is not None
    assert str(blocked) in str(state.problem)
    assert [one.role for one in state.records] == ["fast"]


def test_that_a_process_is_known_by_its_creation_time_and_not_by_its_number_alone() -> None:
    own = psutil.Process()
    here = record(pid=own.pid, created_at=own.create_time())
    assert adopted.find(here) == own
    assert adopted.find(record(pid=own.pid, created_at=own.create_time() - 60.0)) is None


def test_that_a_process_without_a_number_is_found_by_its_command_line() -> None:
    own = psutil.Process()
    argv = tuple(own.cmdline())
    found = adopted.find(record(argv=argv, at=own.create_time()))
    assert found is not None
    assert tuple(found.cmdline()) == argv
    assert adopted.find(record(argv=argv, at=time.time() + 3600.0)) is None
    assert os.getpid() == own.pid
