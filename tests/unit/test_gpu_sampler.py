"""The parent side of the GPU sampler, against real processes that speak (or fail to speak) the sampler's lines."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.support.waiting import run_async, wait_until
from variet_gui.events import EventStream, GpusSampled
from variet_gui.telemetry.gpu import GpuSampler
from variet_gui.telemetry.gpu_sampler import EXIT_FRESH_PROCESS, RETRY_NO_DRIVER_S, NvmlRounds, main

CARD = {"index": 0, "name": "Card", "uuid": "GPU-1", "pci_bus_id": "0000:01:00.0", "memory_used_mib": 700.5}


def speaking(*lines: object, then: str = "sys.stdin.read()") -> list[str]:
    """A process that says `lines` (JSON, or text as it is) and then does `then`."""
    said = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return [sys.executable, "-c", f"import os,sys,time; sys.stdout.write({said!r}); sys.stdout.flush(); {then}"]


def heard(
    command: list[str], enough: Callable[[list[GpusSampled]], bool], **options: Any
) -> tuple[list[GpusSampled], GpuSampler]:
    """Run the sampler until `enough` came, and return all of it."""

    async def scenario() -> tuple[list[GpusSampled], GpuSampler]:
        events = EventStream()
        rounds: list[GpusSampled] = []
        events.subscribe(lambda event: rounds.append(event) if isinstance(event, GpusSampled) else None)
        sampler = GpuSampler(events, command=command, **{"respawn_s": (0.05, 0.1), **options})
        task = asyncio.create_task(sampler.run())
        await wait_until(lambda: enough(rounds), what="the rounds that the test waits for")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert psutil.Process().children(recursive=True) == []
        return rounds, sampler

    return run_async(scenario(), 30)


def test_that_a_line_becomes_a_round_with_the_driver_that_was_named_before() -> None:
    command = speaking({"driver": "580.95.05"}, {"at": 1790000000.5, "gpus": [CARD]})
    rounds, sampler = heard(command, bool)
    (card,) = rounds[0].samples
    assert (rounds[0].at, rounds[0].driver, rounds[0].problem) == (1790000000.5, "580.95.05", None)
    assert (card.name, card.memory_used_mib, card.memory_total_mib, card.simulated) == ("Card", 700.5, None, False)
    assert card.utilisation_percent is None
    assert sampler.latest == rounds[-1]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (12, "No NVIDIA driver was found; GPU figures are not available. Host memory and CPU are shown instead."),
        (9, "installed but not loaded"),
        (18, "after the computer is restarted"),
        (4, "/dev/nvidiactl"),
        (-1, "nvidia-ml-py is not installed"),
        (-2, "reports no GPU"),
        (999, "reported an error (Unknown Error)"),
    ],
)
def test_that_no_figures_come_with_the_reason_in_plain_words(code: int, sentence: str) -> None:
    rounds, _ = heard(speaking({"problem": {"code": code, "text": "Unknown Error", "retry_s": 30}}), bool)
    assert rounds[0].samples == ()
    assert sentence in str(rounds[0].problem)


def test_that_a_lost_card_is_named_beside_the_figures_of_the_others() -> None:
    line = {"at": 1.0, "gpus": [CARD], "problem": {"code": 15, "text": "GPU is lost", "gpu": 1, "retry_s": 1}}
    rounds, _ = heard(speaking(line), bool)
    assert len(rounds[0].samples) == 1
    assert "GPU 1 has stopped answering" in str(rounds[0].problem)


def test_that_a_sampler_that_dies_is_started_again_and_its_end_is_told() -> None:
    command = speaking({"at": 1.0, "gpus": [CARD]}, then="sys.stderr.write('boom'); sys.exit(7)")
    rounds, _ = heard(command, lambda rounds: sum(bool(r.samples) for r in rounds) >= 3)
    told = [str(r.problem) for r in rounds if not r.samples]
    assert told[:2] == ["The GPU sampler ended (exit code 7) and is started again."] * 2


def test_that_a_sampler_asking_for_a_fresh_process_gets_one_and_its_own_reason_stands() -> None:
    mismatch = {"problem": {"code": 18, "text": "mismatch", "retry_s": 0}}
    command = speaking(mismatch, then=f"sys.exit({EXIT_FRESH_PROCESS})")
    rounds, _ = heard(command, lambda rounds: len(rounds) >= 3)
    assert {str(r.problem) for r in rounds} == {str(rounds[0].problem)}
    assert "restarted" in str(rounds[0].problem)


def test_that_a_sampler_hanging_in_the_driver_is_replaced() -> None:
    command = speaking({"at": 1.0, "gpus": [CARD]})
    rounds, _ = heard(
        command,
        lambda rounds: sum(bool(r.samples) for r in rounds) >= 2,
        silence_s=0.3,
        interval_s=0.05,
    )
    assert "has not answered" in str(rounds[1].problem)


def test_that_a_sampler_waiting_for_a_driver_is_left_in_peace() -> None:
    command = speaking(
        {"problem": {"code": 12, "text": "", "retry_s": 20}}, then="time.sleep(0.8); print('{}'); sys.exit(3)"
    )
    rounds, _ = heard(command, lambda rounds: len(rounds) >= 2, silence_s=0.2, interval_s=0.04)
    assert "exit code 3" in str(rounds[1].problem)


def test_that_lines_which_are_none_are_left_out() -> None:
    bad = ["not json", "[]", "{}", '{"at":1,"gpus":[{"index":"zero"}]}', '{"at":1,"gpus":[{"no":1}]}', "x" * 99_999]
    rounds, _ = heard(speaking(*bad, {"at": 1.0, "gpus": [CARD]}), bool)
    assert rounds[0].samples[0].name == "Card"


def test_that_a_program_that_cannot_be_started_is_named() -> None:
    rounds, _ = heard(["/nowhere/sampler"], lambda rounds: len(rounds) >= 2)
    assert str(rounds[0].problem) == "The GPU sampler could not be started: No such file or directory"


def test_that_no_process_is_left_whenever_the_sampler_is_cancelled() -> None:
    async def scenario() -> None:
        for after_s in (0.0, 0.002, 0.01, 0.05, 0.2):
            task = asyncio.create_task(GpuSampler(EventStream(), command=speaking({"at": 1.0, "gpus": [CARD]})).run())
            await asyncio.sleep(after_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert psutil.Process().children(recursive=True) == []

    run_async(scenario(), 30)


def helper(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "variet_gui", "_gpu-sampler", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_that_the_helper_ends_when_its_panel_is_gone() -> None:
    with helper() as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(10) == 0


def test_that_the_helper_ends_by_sigterm_and_not_by_ctrl_c() -> None:
    with helper() as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("arguments", [["--interval"], ["--interval", "soon"], ["--interval", "0"], ["--fast", "1"]])
def test_that_a_wrong_option_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "--interval SECONDS" in capsys.readouterr().err


def test_that_a_missing_driver_is_one_line_and_then_a_slow_retry() -> None:
    pynvml = pytest.importorskip("pynvml")

    class NoDriver:
        NVMLError = pynvml.NVMLError
        attempts = 0

        def nvmlInit(self) -> None:  # noqa: N802 - pynvml's name
            self.attempts += 1
            raise pynvml.NVMLError(12)

        def nvmlShutdown(self) -> None:  # noqa: N802 - pynvml's name
            raise pynvml.NVMLError(1)

    driver = NoDriver()
    rounds = NvmlRounds(driver)
    now = time.monotonic()
    (line,) = rounds.read(now, 0)
    assert line["problem"]["code"] == 12
    assert rounds.next_attempt_at == pytest.approx(now + RETRY_NO_DRIVER_S)
    assert list(rounds.read(now + RETRY_NO_DRIVER_S - 1, 1)) == []
    assert len(list(rounds.read(now + RETRY_NO_DRIVER_S, 2))) == 1
    assert driver.attempts == 2
