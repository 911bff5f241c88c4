"""Fixtures for all tests: the real engine, the tiny models, and the watch for whatever a test leaves behind."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.pop("VARIET_CONFIG", None)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def llama_server() -> Path:
    """The real llama-server. Its absence fails the test: the ones that need it are never skipped in silence."""
    path = os.environ.get("VARIET_LLAMA_SERVER")
    if not path:
        pytest.fail("this test needs a real llama-server: set VARIET_LLAMA_SERVER to its path", pytrace=False)
    if not Path(path).is_file():
        pytest.fail(f"VARIET_LLAMA_SERVER names {path}, which does not exist", pytrace=False)
    return Path(path)


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """SmolLM2-135M-Instruct as the demo downloads it."""
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    folders = [os.environ.get("VARIET_MODELS_DIR"), str(REPOSITORY / "models")]
    for folder in folders:
        if folder and (Path(folder) / name).is_file():
            return Path(folder) / name
    pytest.fail(f"this test needs {name} in models/: `python3 run.py --fetch-model` brings it", pytrace=False)


def _left_behind(before: set[int]) -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.pid not in before]


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process or a thread behind, and name it."""
    processes = {child.pid for child in psutil.Process().children(recursive=True)}
    threads = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5.0
    while True:
        left_processes = _left_behind(processes)
        left_threads = [t for t in threading.enumerate() if t not in threads and not t.daemon and t.is_alive()]
        if (not left_processes and not left_threads) or time.monotonic() > deadline:
            break
        time.sleep(0.02)  # a process that was told to end needs a moment to be reaped
    described = []
    for process in left_processes:
        try:
            described.append(f"process {process.pid}: {' '.join(process.cmdline())[:160]}")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    described += [f"thread {thread.name}" for thread in left_threads]
    if described:
        pytest.fail("the test left behind: " + "; ".join(described), pytrace=False)


@pytest.fixture(autouse=True)
def no_widget_left_behind() -> Iterator[None]:
    """Fail the test that leaves a top-level widget or a running timer behind (only where Qt was used at all)."""
    if "PySide6.QtWidgets" not in sys.modules:
        yield
        return
    from PySide6.QtWidgets import QApplication

    before = {id(widget) for widget in QApplication.topLevelWidgets()} if QApplication.instance() else set()
    yield
    application = QApplication.instance()
    if application is None:
        return
    from PySide6.QtCore import QCoreApplication, QEvent

    gc.collect()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    left = [w for w in QApplication.topLevelWidgets() if id(w) not in before and w.isVisible()]
    if left:
        names = ", ".join(f"{type(widget).__name__} {widget.objectName()!r}" for widget in left)
        for widget in left:
            widget.close()
            widget.deleteLater()
        pytest.fail(f"the test left top-level widgets behind: {names}", pytrace=False)
