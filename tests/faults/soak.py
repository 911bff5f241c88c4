"""Half an hour in the life of the window: `python -m tests.faults.soak [--minutes 30] [--seed 1] [--json FILE]`.

The real window on a screen (Xvfb will do), real servers with a tiny model, one that floods its log, and an operator who
starts, stops, chats, drags, types and clicks at random. It measures what `docs/reliability.md` promises: no exception,
no growth of memory beyond 5 MB an hour after the first fifth, gaps of the event loop under 50 ms (99th percentile).
Exit code 0 when all three hold.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from tests.faults.processes import STUB
from tests.support.screenshots import until
from tests.support.spawned import free_port
from tests.support.tiny_models import png, write_projector, write_text_model
from variet_gui.app import Application, make_application
from variet_gui.events import NoticeRaised, ServerState, Severity
from variet_gui.panel.logging_setup import PanelLog
from variet_gui.panel.panel import Panel, PanelOptions

GROWTH_LIMIT_MB_H = 5.0
GAP_LIMIT_MS = 50.0
_TICK_MS = 5
_ACTION_MS = 250
_SAMPLE_S = 10.0
_WARM_UP = 0.2
_LEFT_ALONE = ("quit", "Choose", "llama-server", "GGUF")
"""Words of buttons that open the system's own dialogs, or end the program."""
_MB = 1024 * 1024


@dataclass
class Figures:
    """What a soak saw."""

    minutes: float
    actions: dict[str, int] = field(default_factory=dict)
    exceptions: list[str] = field(default_factory=list)
    growth_mb_per_hour: float = 0.0
    growth_uncertainty_mb_per_hour: float = 0.0
    resident_mb: tuple[float, float] = (0.0, 0.0)
    """At the end of the warm-up, and at the end."""
    gap_p50_ms: float = 0.0
    gap_p99_ms: float = 0.0
    gap_max_ms: float = 0.0
    threads: tuple[int, int] = (0, 0)
    children_left: int = 0

    @property
    def passed(self) -> bool:
        """Whether all that is promised held."""
        grows = self.growth_mb_per_hour - self.growth_uncertainty_mb_per_hour > GROWTH_LIMIT_MB_H
        return not self.exceptions and not grows and self.gap_p99_ms < GAP_LIMIT_MS and not self.children_left


class _Complaints(logging.Handler):
    """Collects every traceback and every error that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))


class Soak:
    """One run of the window under random use."""

    def __init__(self, folder: Path, minutes: float, seed: int) -> None:
        self._random = random.Random(seed)
        self._end = time.monotonic() + minutes * 60
        self.figures = Figures(minutes)
        self._complaints = _Complaints()
        self._samples: list[tuple[float, float]] = []
        self._gaps: list[float] = []
        self._last_tick = time.perf_counter()
        self.panel = Panel(PanelOptions(_catalog(folder), folder / "data"), os.environ)
        self.panel.lock.acquire()
        self._log = PanelLog(self.panel.paths.logs_dir, self.panel.events.publish)
        self._log.install()
        logging.getLogger().addHandler(self._complaints)
        self.panel.events.subscribe(self._note)
        self.application = Application(make_application(), self.panel, self._log)
        self._actions: dict[str, Callable[[], None]] = {
            "start or stop": self._start_or_stop,
            "chat": self._chat,
            "picture": self._picture,
            "page": self._page,
            "tier": self._tier,
            "edit": self._edit,
            "click": self._click,
            "type": self._type,
            "resize": self._resize,
            "undo": self._undo,
        }

    def run(self) -> Figures:
        """Live until the time is over, and return what was seen."""
        self.application.open()
        until(lambda: self.application.window is not None, "the window")
        beat, act = QTimer(), QTimer()
        beat.setTimerType(Qt.TimerType.PreciseTimer)
        beat.timeout.connect(self._beat)
        act.timeout.connect(self._act)
        beat.start(_TICK_MS)
        act.start(_ACTION_MS)
        begun = time.monotonic()
        threads = psutil.Process().num_threads()
        next_sample = begun
        while time.monotonic() < self._end:
            until(lambda at=next_sample: time.monotonic() >= at, "time", 60)
            gc.collect()
            self._samples.append((time.monotonic() - begun, psutil.Process().memory_info().rss / _MB))
            next_sample = time.monotonic() + min(_SAMPLE_S, max(0.5, self.figures.minutes * 60 / 50))
        act.stop()
        beat.stop()
        self.figures.threads = (threads, psutil.Process().num_threads())
        done: list[bool] = []
        self.application.bridge.closed.connect(lambda: done.append(True))
        self.application.quit()
        until(lambda: done, "the end")
        self._log.remove()
        logging.getLogger().removeHandler(self._complaints)
        return self._summary()

    def _summary(self) -> Figures:
        figures = self.figures
        figures.exceptions += self._complaints.seen
        figures.children_left = len(psutil.Process().children(recursive=True))
        total_s = self._samples[-1][0]
        settled = [(at, mb) for at, mb in self._samples if at >= _WARM_UP * total_s]
        figures.resident_mb = (round(settled[0][1], 1), round(settled[-1][1], 1))
        if len(settled) > 3:
            hours = np.array([at / 3600 for at, _ in settled])
            resident = np.array([mb for _, mb in settled])
            (slope, _), spread = np.polyfit(hours, resident, 1, cov=True)
            figures.growth_mb_per_hour = round(float(slope), 2)
            figures.growth_uncertainty_mb_per_hour = round(float(2 * np.sqrt(spread[0][0])), 2)
        gaps = np.array(self._gaps[len(self._gaps) // 20 :]) * 1000
        figures.gap_p50_ms, figures.gap_p99_ms = (round(float(np.percentile(gaps, at)), 1) for at in (50, 99))
        figures.gap_max_ms = round(float(gaps.max()), 1)
        return figures

    def _note(self, event: object) -> None:
        if isinstance(event, NoticeRaised) and event.severity is Severity.ERROR and "Traceback" in event.details:
            self._complaints.seen.append(event.details)

    def _beat(self) -> None:
        now = time.perf_counter()
        self._gaps.append(now - self._last_tick)
        self._last_tick = now

    def _act(self) -> None:
        if self._window is None:
            return
        name = self._random.choice(tuple(self._actions))
        self._actions[name]()
        self.figures.actions[name] = self.figures.actions.get(name, 0) + 1

    # -------------------------------------------------------------------------------------------- what an operator does

    @property
    def _window(self) -> QWidget | None:
        return self.application.window

    def _role(self) -> str:
        catalog = self.panel.tune.catalog
        assert catalog is not None
        return self._random.choice(catalog.roles)

    def _start_or_stop(self) -> None:
        bridge, role = self.application.bridge, self._role()
        state = bridge.status(role).state
        if state in (ServerState.STOPPED, ServerState.FAILED):
            bridge.start(role)
        elif self._random.random() < 0.4:
            bridge.stop(role)

    def _chat(self) -> None:
        role = self._role()
        if self._can_ask(role):
            self.application.bridge.ask(
                role, "Tell me about the sea.", (), {"max_tokens": self._random.randint(4, 200)}
            )

    def _can_ask(self, role: str) -> bool:
        """Whether the button that asks would be enabled."""
        up = self.application.bridge.status(role).state.is_up
        return up and not self.panel.converse.conversation(role).busy

    def _picture(self) -> None:
        if self._can_ask("seeing"):
            picture = png(
                self._random.randint(16, 640), self._random.randint(16, 480), seed=self._random.randint(0, 99)
            )
            self.application.bridge.ask("seeing", "What is this?", (picture,), {"max_tokens": 8})

    def _page(self) -> None:
        if self.application.window is not None:
            tabs = self.application.window.tabs
            tabs.setCurrentIndex(self._random.randrange(tabs.count()))

    def _tier(self) -> None:
        if self.application.window is not None:
            self.application.window.rail.select(self._role())

    def _edit(self) -> None:
        key, value = self._random.choice(
            [
                ("ctx_size", 256 * self._random.randint(1, 16)),
                ("ubatch_size", 128),
                ("flash_attn", "auto"),
                ("parallel", 1),
            ]
        )
        self.application.bridge.edit(self._role(), key, value)

    def _undo(self) -> None:
        bridge, role = self.application.bridge, self._role()
        self._random.choice((bridge.undo, bridge.redo, bridge.revert))(role)

    def _click(self) -> None:
        """Press one of the buttons that can be seen, unless it would leave the window."""
        assert self._window is not None
        popup = QApplication.activePopupWidget() or QApplication.activeModalWidget()
        if popup is not None:
            QTest.keyClick(popup, Qt.Key.Key_Escape)
            return
        buttons = [
            button
            for button in self._window.findChildren(QAbstractButton)
            if button.isVisible() and button.isEnabled() and not any(word in button.text() for word in _LEFT_ALONE)
        ]
        button = self._random.choice(buttons)
        if button.metaObject().className() != "QToolButton":  # those open menus, which are loops of their own
            QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=QPoint(3, 3))

    def _type(self) -> None:
        target = QGuiApplication.focusObject()
        if isinstance(target, QWidget) and target.window() is self._window:
            QTest.keyClick(target, self._random.choice([Qt.Key.Key_Tab, Qt.Key.Key_A, Qt.Key.Key_Left, Qt.Key.Key_Up]))

    def _resize(self) -> None:
        assert self._window is not None
        self._window.resize(self._random.randint(1100, 1400), self._random.randint(700, 860))


def _catalog(folder: Path) -> Path:
    """Write a catalog of four tiers: two that chat, one that sees, one whose log floods."""
    model = str(write_text_model(folder / "tiny.gguf"))
    projector = str(write_projector(folder / "tiny-mmproj.gguf"))
    flood = folder / "flooding-server"
    flood.write_text(f'#!/bin/sh\nexec {sys.executable} {STUB} --stub-flood 100000 "$@"\n', encoding="utf-8")
    flood.chmod(0o755)
    common = {"model": model, "ctx_size": 1024, "threads": 1}
    tiers = [
        {"role": "fast", "model_name": "tiny", "parameters": common},
        {"role": "balanced", "model_name": "tiny", "parameters": common},
        {"role": "seeing", "model_name": "tiny", "parameters": {**common, "mmproj": projector}},
        {"role": "flooding", "model_name": "floods its log", "engine": str(flood), "parameters": common},
    ]
    for tier in tiers:
        tier["port"] = free_port()
    engine = os.environ.get("VARIET_LLAMA_SERVER", "embedded")
    path = folder / "catalog.json"
    path.write_text(json.dumps({"schema": 1, "engine": engine, "tiers": tiers}), encoding="utf-8")
    return path


def main() -> int:
    """Run a soak, print its figures, and return 0 when everything held that is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = Soak(Path(folder), options.minutes, options.seed).run()
    text = json.dumps({**asdict(figures), "passed": figures.passed}, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0 if figures.passed else 1


if __name__ == "__main__":
    sys.exit(main())
