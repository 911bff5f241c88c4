"""What one step of a slider costs the GUI thread, from the value to painted bars, as ratios to a fixed loop of the run.

Run: QT_QPA_PLATFORM=offscreen python -m tests.benchmarks.bench_forecast_bars [HEADERS]
HEADERS is a folder with header-only models; without it they are unpacked from `../shared/cases/headers.tgz` where that
is at hand, else from the tests' own data. The panel is real, the model is the 35B one on two simulated GPUs of 12 GB,
and the page is as large as in a window of 1280x800. The fixed loop runs before and after each slider.
Read the ratios; the milliseconds are this machine's, of the GUI thread's own processor time.

A step is what the page does in the tick of an edit: the edit, the forecast, the card, and the bars painted at once.
What follows when the page has come to rest (the command, the list, the count of changes) is told apart.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from PySide6.QtWidgets import QApplication

from tests.gui.real_bridge import MODEL, ROLE, real_bridge
from tests.support.forecast_rows import DATA, SHARED, unpack_headers
from tests.support.screenshots import until
from variet_gui.app import set_aside_what_stays
from variet_gui.events import ParameterValue
from variet_gui.forecast.placement import split_for_layers
from variet_gui.gguf.header import read_header
from variet_gui.ui import theme
from variet_gui.ui.bridge import Bridge
from variet_gui.ui.pages.tune import TunePage

STEPS = 60
WARM_UP = 5
LOOP = 100_000
"""Additions of the fixed loop: some milliseconds."""
LOOPS = 9
GOAL_MS = 2.0
HEADER_GOAL_MS = 150.0
_NEVER_MS = 3_600_000


def fixed_loop() -> int:
    """Return a sum, slowly; the yardstick."""
    total = 0
    for number in range(LOOP):
        total += number & 7
    return total


def timed(step: Callable[[], object]) -> float:
    """Return what `step` takes of this thread's processor time, ms."""
    begun = time.thread_time_ns()
    step()
    return (time.thread_time_ns() - begun) / 1e6


class Page:
    """The Tune page on the tier of the 35B model."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.page = TunePage(bridge)
        self.page.resize(980, 690)
        self.page.show()
        self.page.show_role(ROLE)
        until(lambda: len(self.page.forecast.bars) == 2, "two bars")
        self.page.feed._rest.setInterval(_NEVER_MS)  # fixes and checks wait for a rest, which never comes here

    def step(self, key: str, value: ParameterValue) -> None:
        """Do what the page does in the tick of one edit, and paint."""
        self.page.list.edited.emit(key, value)
        self.page.forecast.bars[0].repaint()  # Qt paints all that waits to be painted with it: the other bar, the words

    def settle(self) -> None:
        """Let everything happen that an edit leaves for later: the refresh of the page, and the layouts it asks for."""
        for _ in range(3):
            QApplication.processEvents()

    def finish(self) -> None:
        """Leave nothing unpainted that the next step would be charged with."""
        self.page.repaint()


def header_folder(folder: Path) -> Path:
    """Return where the header-only models are."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    archive = SHARED / "headers.tgz"
    return unpack_headers(archive if archive.is_file() else DATA / "forecast_headers.tar.gz", folder)


def main() -> None:
    """Print one line per slider, and what reading the header takes."""
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    theme.apply(application, "dark")
    with tempfile.TemporaryDirectory() as folder:
        headers = header_folder(Path(folder))
        reading = timed(lambda: read_header(headers / f"{MODEL}.gguf"))
        with real_bridge(Path(folder), headers / f"{MODEL}.gguf") as bridge:
            _bench(Page(bridge), reading)


def _bench(page: Page, reading: float) -> None:
    set_aside_what_stays()
    numbers = count()
    sliders: dict[str, Callable[[], ParameterValue]] = {
        "ctx_size": lambda: 262144 - 1024 * next(numbers),
        "tensor_split": lambda: split_for_layers(5 + next(numbers) % 30, 40),
        "ubatch_size": lambda: 64 + 8 * (next(numbers) % 200),
        "n_cpu_moe": lambda: next(numbers) % 40,
    }
    for key, value in sliders.items():
        yardstick, forecasts, steps, rests = _measure(page, key, value)
        print(f"fixed loop meanwhile: {yardstick:.2f} ms = 1")
        _tell(f"{key}: the forecast alone", forecasts, yardstick)
        _tell(f"{key}: value to painted bars", steps, yardstick)
        _tell(f"{key}: the rest of the page", rests, yardstick)
        page.bridge.revert(ROLE)
        page.settle()
    _tell("reading the header, not known yet", [reading], statistics.median(timed(fixed_loop) for _ in range(15)))
    print(f"goals: {GOAL_MS:g} ms from the value to painted bars, {HEADER_GOAL_MS:g} ms to read a header")
    page.page.close()


def _measure(
    page: Page, key: str, value: Callable[[], ParameterValue]
) -> tuple[float, list[float], list[float], list[float]]:
    """Return the fixed loop, run before and after the steps, and the times of the forecast, the steps and the rests."""
    outlooks = page.bridge.panel.outlook
    forecasts = []
    for _ in range(STEPS):
        chosen = value()
        forecasts.append(timed(lambda chosen=chosen: outlooks.of(ROLE, {key: chosen})))  # type: ignore[misc]
    loops = [timed(fixed_loop) for _ in range(LOOPS)]
    steps, rests = [], []
    for _ in range(STEPS):
        chosen = value()
        steps.append(timed(lambda chosen=chosen: page.step(key, chosen)))  # type: ignore[misc]
        rests.append(timed(page.settle))
        page.finish()
    loops += [timed(fixed_loop) for _ in range(LOOPS)]
    return statistics.median(loops), forecasts[WARM_UP:], steps[WARM_UP:], rests[WARM_UP:]


def _tell(name: str, times: list[float], yardstick: float) -> None:
    median, worst = statistics.median(times), max(times)
    print(f"{name:36} {median / yardstick:6.2f}  worst {worst / yardstick:6.2f}  ({median:.2f} ms)")


if __name__ == "__main__":
    main()
