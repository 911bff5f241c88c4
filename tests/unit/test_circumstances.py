"""What the panel itself saw around the end of a server, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from variet_gui.engine.circumstances import Circumstances, EndedForMemory, ended_for_memory
from variet_gui.engine.diagnosis import explain
from variet_gui.events import Certainty, Failure

READY = "srv  llama_server: listening on http://127.0.0.1:8081"
ABORT = "/src/ggml/src/ggml-cuda/ggml-cuda.cu:109: CUDA error"


def system(root: Path, *, version: int, ended: int) -> Path:
    """Lay out the files of a Linux with control groups of `version`."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "vmstat").write_text(f"pgfault 12\noom_kill {ended + 3}\n", encoding="ascii")
    if version == 2:
        (root / "proc" / "self" / "cgroup").write_text("0::/user.slice/panel\n", encoding="ascii")
        group = root / "sys" / "fs" / "cgroup" / "user.slice" / "panel"
        group.mkdir(parents=True)
        (group / "memory.events").write_text(f"low 0\noom 2\noom_kill {ended}\n", encoding="ascii")
    else:
        lines = "4:memory:/docker/abc\n3:cpu,cpuacct:/\n0::/\n"
        (root / "proc" / "self" / "cgroup").write_text(lines, encoding="ascii")
        group = root / "sys" / "fs" / "cgroup" / "memory" / "docker" / "abc"
        group.mkdir(parents=True)
        (group / "memory.oom_control").write_text(f"under_oom 0\noom_kill {ended}\n", encoding="ascii")
    return root


@pytest.mark.parametrize("version", [1, 2])
def test_that_processes_ended_for_memory_are_counted(tmp_path: Path, version: int) -> None:
    assert ended_for_memory(system(tmp_path, version=version, ended=5)) == EndedForMemory(8, 5)


def test_that_a_system_that_does_not_count_says_nothing(tmp_path: Path) -> None:
    nothing = ended_for_memory(tmp_path)
    assert nothing == EndedForMemory(None, None)
    assert nothing.since(nothing) == 0


def test_that_only_what_was_ended_meanwhile_counts() -> None:
    assert EndedForMemory(9, 2).since(EndedForMemory(8, 2)) == 1
    assert EndedForMemory(9, 3).since(EndedForMemory(9, 2)) == 1
    assert EndedForMemory(9, None).since(EndedForMemory(9, 2)) == 0


def test_that_reading_the_counters_of_this_computer_is_harmless() -> None:
    assert ended_for_memory().since(ended_for_memory()) <= 0


def told(text: str, exit_code: int, circumstances: Circumstances, *, was_ready: bool = True) -> Failure:
    lines = [READY, *text.splitlines()] if was_ready else text.splitlines()
    return explain(role="fast", exit_code=exit_code, lines=lines, was_ready=was_ready, circumstances=circumstances)


def test_that_a_kill_is_a_guess_until_the_system_was_seen_to_do_it() -> None:
    assert told("", -9, Circumstances()).certainty is Certainty.GUESS
    low = told("", -9, Circumstances(host_available_mib=200.0, host_total_mib=64000.0))
    assert (low.code, low.certainty) == ("killed_for_memory", Certainty.LIKELY)
    counted = told("", -9, Circumstances(processes_ended=1))
    assert (counted.code, counted.certainty) == ("killed_for_memory", Certainty.CERTAIN)
    assert "ended a process" in counted.observed[0].english


def test_that_a_cuda_error_whose_reason_is_lost_is_judged_by_the_memory_of_the_cards() -> None:
    full = told(ABORT, -6, Circumstances({"CUDA0": 4000.0, "CUDA1": 12.0}))
    assert (full.code, full.device, full.certainty) == (
        "out_of_gpu_memory_while_working", "CUDA1", Certainty.LIKELY,
    )  # fmt: skip
    assert full.observed[0].english == "Shortly before, GPU 1 had only 12 MiB free."
    ample = told(ABORT, -6, Circumstances({"CUDA0": 4000.0, "CUDA1": 5000.0}))
    assert (ample.code, ample.device, ample.certainty) == ("gpu_error_unsaid", None, Certainty.GUESS)


def test_that_the_servers_own_account_of_its_memory_counts_where_nobody_looked() -> None:
    text = (
        "cmn  common_param:   - CUDA0   : NVIDIA GeForce RTX 3060 (12059 MiB, 278 MiB free)\n"
        "srv    load_model: loading model 'tier.gguf'\n" + ABORT
    )
    found = told(text, -6, Circumstances(), was_ready=False)
    assert (found.code, found.device, found.certainty) == ("out_of_gpu_memory", "CUDA0", Certainty.LIKELY)


def test_that_circumstances_do_not_talk_the_log_out_of_what_it_says() -> None:
    text = f"{ABORT}\nE CUDA error: an illegal memory access was encountered\nE   current device: 1, in function f at x"
    found = told(text, -6, Circumstances({"CUDA0": 5.0}))
    assert (found.code, found.device) == ("gpu_fault", "CUDA1")


def test_that_a_crash_at_a_picture_with_a_full_card_is_told_as_such() -> None:
    found = told("encoding image slice...", -11, Circumstances({"CUDA0": 90.0}))
    assert (found.code, found.part) == ("out_of_gpu_memory_at_picture", "picture")
