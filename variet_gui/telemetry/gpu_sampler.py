"""Helper process: reads NVML and writes one JSON line a tick to stdout.

It is a process of its own because a driver restart can kill whoever holds an NVML handle, and a driver that hangs
would hang its caller. It ends when stdin ends (the panel is gone) or by SIGTERM, whose default action suits: nothing
is left to tidy up. Imports are kept few; this process lives beside the models all day.

Lines, one JSON object each:
    {"driver": "580.95.05"}                                 once after every successful nvmlInit
    {"at": unix time, "gpus": [{fields of GpuSample}, ...]} every tick; with "problem" while a card is lost
    {"problem": {"code", "text", "gpu"?, "retry_s"}}        no figures at all; the next attempt is `retry_s` away
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from variet_gui.telemetry.nvml_readings import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXIT_FRESH_PROCESS = 75
"""The loaded library no longer fits the driver; only a new process can load the new one."""
RETRY_NO_DRIVER_S = 30.0
RETRY_LOST_S = (1.0, 30.0)
"""First and longest pause before a lost card or driver is looked for again; it doubles in between."""

CODE_NO_BINDING = -1
"""The Python package nvidia-ml-py is not installed."""
CODE_NO_GPU = -2
"""The driver works and reports no GPU."""
_MISMATCH = 18
_LOST = frozenset({1, 9, 15, 16, 18, 28})
"""Uninitialised, driver not loaded, GPU is lost, reset required, library mismatch, GPU not found."""
_UNKNOWN = 999
_NEVER = frozenset({2, 3, 4, 13, 25, 26})
"""Invalid argument, not supported, no permission, function not found, version mismatch, deprecated: will not change."""


class _CardLostError(Exception):
    def __init__(self, error: Any) -> None:
        self.code = int(error.value)
        super().__init__(str(error))


class _Card:
    """One GPU: its handle (None while it is lost), what never changes about it, and its last figures."""

    def __init__(self, index: int, handle: Any, identity: dict[str, Any]) -> None:
        self.index = index
        self.handle = handle
        self.identity = identity
        self._figures: dict[str, dict[str, Any]] = {}
        self._never: set[str] = set()

    def sample(self, nvml: Any, tick: int, interval_s: float) -> dict[str, Any]:
        """Return this round's figures; a figure that cannot be had is left out.

        Raises:
            _CardLostError: the card or the driver is gone.
        """
        for name, period_s, read in METRICS:
            every = max(1, round(period_s / interval_s))
            # Cards take turns in the slow calls, so that no single tick bears all of them.
            if name in self._never or (name in self._figures and (tick + self.index) % every):
                continue
            try:
                self._figures[name] = read(nvml, self.handle)
            except nvml.NVMLError as error:
                self._figures[name] = {}
                # "Unknown error" of one figure is that figure's trouble; of the memory, which every card has, it is
                # the card's.
                if error.value in _LOST or (error.value == _UNKNOWN and name == "memory"):
                    raise _CardLostError(error) from error
                if error.value in _NEVER:
                    self._never.add(name)
        result = dict(self.identity)
        for figures in self._figures.values():
            result.update(figures)
        return result


class NvmlRounds:
    """Reads all cards once per call, and brings NVML back when it or a card was lost."""

    def __init__(self, nvml: Any, interval_s: float = 1.0) -> None:
        """`nvml` is the module pynvml; `interval_s` is the length of a tick."""
        self._nvml = nvml
        self._interval_s = interval_s
        self._cards: list[_Card] = []
        self._open = False
        self._worked_once = False
        self._pause_s = RETRY_LOST_S[0]
        self._retry_at = 0.0
        self._problem: dict[str, Any] | None = None
        self.needs_fresh_process = False

    @property
    def next_attempt_at(self) -> float | None:
        """The monotonic time before which a call is useless; None while there is something to read."""
        return None if self._open else self._retry_at

    def read(self, now: float, tick: int) -> Iterator[dict[str, Any]]:
        """Yield the lines of one tick. `now` is monotonic, s."""
        lost = [card for card in self._cards if card.handle is None]
        if now >= self._retry_at and (lost or not self._open):
            self._close()
            yield from self._start(now)
        if not self._open:
            return
        at = time.time()
        gpus = [self._sample(card, now, tick) for card in self._cards]
        line: dict[str, Any] = {"at": round(at, 3), "gpus": gpus}
        if any(card.handle is None for card in self._cards):
            line["problem"] = self._problem
        else:
            self._pause_s = RETRY_LOST_S[0]
        yield line

    def _sample(self, card: _Card, now: float, tick: int) -> dict[str, Any]:
        if card.handle is not None:
            try:
                return card.sample(self._nvml, tick, self._interval_s)
            except _CardLostError as lost:
                card.handle = None
                self._note(now, lost.code, str(lost), gpu=card.index)
        return card.identity

    def _start(self, now: float) -> Iterator[dict[str, Any]]:
        nvml = self._nvml
        try:
            nvml.nvmlInit()
            driver = _text(nvml, nvml.nvmlSystemGetDriverVersion)
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            self.needs_fresh_process = error.value == _MISMATCH
            self._note(now, int(error.value), str(error))
            yield {"problem": self._problem}
            return
        if not count:
            self._note(now, CODE_NO_GPU, "no GPU")
            yield {"problem": self._problem}
            return
        known = {card.index: card for card in self._cards}
        self._cards = [self._card(index, known.get(index), now) for index in range(count)]
        self._open = self._worked_once = True
        yield {"driver": driver}

    def _card(self, index: int, known: _Card | None, now: float) -> _Card:
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError as error:
            self._note(now, int(error.value), str(error), gpu=index)
            return _Card(index, None, known.identity if known else {"index": index, "name": f"GPU {index}"})
        identity = {
            "index": index,
            "name": _text(nvml, nvml.nvmlDeviceGetName, handle) or f"GPU {index}",
            "uuid": _text(nvml, nvml.nvmlDeviceGetUUID, handle),
            "pci_bus_id": _pci_bus_id(nvml, handle),
        }
        return _Card(index, handle, identity)

    def _note(self, now: float, code: int, text: str, gpu: int | None = None) -> None:
        """Keep the problem, and set the time of the next attempt: soon after a loss, slowly without any driver."""
        pause = self._pause_s if self._worked_once else RETRY_NO_DRIVER_S
        self._problem = {"code": code, "text": text, "retry_s": pause} | ({} if gpu is None else {"gpu": gpu})
        if self._retry_at <= now:
            self._retry_at = now + pause
            self._pause_s = min(self._pause_s * 2, RETRY_LOST_S[1])

    def _close(self) -> None:
        self._open = False
        with suppress(self._nvml.NVMLError):  # it was not initialised, or the driver is gone: nothing to close
            self._nvml.nvmlShutdown()


def _text(nvml: Any, read: Callable[..., str], *arguments: Any) -> str | None:
    try:
        return read(*arguments)
    except (nvml.NVMLError, UnicodeDecodeError):
        return None


def _pci_bus_id(nvml: Any, handle: Any) -> str | None:
    """Return the address in llama.cpp's spelling ("0000:01:00.0", ggml-cuda.cu), to join the two."""
    try:
        pci = nvml.nvmlDeviceGetPciInfo(handle)
    except nvml.NVMLError:
        return None
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def main(arguments: list[str]) -> int:
    """Sample until stdin ends. `arguments`: optionally `--interval SECONDS` (default 1, 0.05 at least)."""
    interval_s = 1.0
    if arguments:
        try:
            option, value = arguments
            interval_s = float(value)
        except ValueError:
            option = ""
        if option != "--interval" or not interval_s >= 0.05:
            sys.stderr.write("usage: _gpu-sampler [--interval SECONDS]\n")
            return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the panel's to handle
    # Lines go to a copy of stdout: whatever a driver library prints there must not end up between them.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    panel_gone = threading.Event()
    threading.Thread(target=_watch_stdin, args=(panel_gone,), daemon=True).start()
    try:
        return _loop(out, panel_gone, interval_s)
    except OSError:
        return 0  # nobody reads any more


def _loop(out: Any, panel_gone: threading.Event, interval_s: float) -> int:
    def say(line: dict[str, Any]) -> None:
        out.write(json.dumps(line, separators=(",", ":")) + "\n")
        out.flush()

    try:
        import pynvml
    except ImportError as error:
        say({"problem": {"code": CODE_NO_BINDING, "text": str(error), "retry_s": RETRY_NO_DRIVER_S}})
        panel_gone.wait(RETRY_NO_DRIVER_S)
        return EXIT_FRESH_PROCESS
    rounds = NvmlRounds(pynvml, interval_s)
    tick = 0
    due = time.monotonic()
    while True:
        for line in rounds.read(time.monotonic(), tick):
            say(line)
        tick += 1
        now = time.monotonic()
        due = max(due + interval_s, now)  # ticks that were missed are not made up for
        if panel_gone.wait(max(due, rounds.next_attempt_at or 0.0) - now):
            return 0
        if rounds.needs_fresh_process:
            return EXIT_FRESH_PROCESS


def _watch_stdin(panel_gone: threading.Event) -> None:
    with suppress(OSError):  # a stdin that was never open counts as one that ended
        while os.read(0, 4096):
            continue
    panel_gone.set()
    time.sleep(2)
    os._exit(0)  # the main thread hangs in the driver
