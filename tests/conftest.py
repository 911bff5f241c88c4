"""Fixtures for all tests: the real engine, the tiny models, and the watch for whatever a test leaves behind."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from variet_gui.helpers import Helper, helper_command

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.pop("VARIET_CONFIG", None)

REPOSITORY = Path(__file__).resolve().parent.parent


def real_engine() -> Path | None:
    """Return the llama-server that VARIET_LLAMA_SERVER names, or None when it names none."""
    named = os.environ.get("VARIET_LLAMA_SERVER")
    if not named:
        return None
    if not Path(named).is_file():
        pytest.exit(f"VARIET_LLAMA_SERVER names {named}, which does not exist", returncode=4)
    return Path(named)


@pytest.fixture(scope="session")
def real_llama_server() -> Path:
    """A real llama-server. Without one, the tests that ask for it are left out by name at the end of the run."""
    found = real_engine()
    assert found is not None, "left out at collection"
    return found


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real llama-server, else the embedded engine behind a file of that name."""
    found = real_engine()
    if found is not None:
        return found
    wrapper = tmp_path_factory.mktemp("engine") / "llama-server"
    command = shlex.join(helper_command(Helper.EMBEDDED_ENGINE))
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(REPOSITORY))} exec {command} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper


_left_out: list[str] = []
_needing_an_engine = 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a real llama-server where there is none; a sample of the slow tests runs everywhere."""
    global _needing_an_engine
    kept, out = [], []
    for item in items:
        needs_real = "real_llama_server" in getattr(item, "fixturenames", ())
        if needs_real and real_engine() is None:
            _left_out.append(item.nodeid)
            out.append(item)
        elif item.get_closest_marker("slow") and not os.environ.get("VARIET_FULL"):
            out.append(item)
        else:
            kept.append(item)
            _needing_an_engine += needs_real or "llama_server" in getattr(item, "fixturenames", ())
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = kept


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands what it counted to the process that prints the summary."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"], output["needing_an_engine"] = _left_out, _needing_an_engine


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker counted: each of them collects every test."""
    global _needing_an_engine
    output = getattr(node, "workeroutput", None) or {}
    _left_out[:] = output.get("left_out", _left_out)
    _needing_an_engine = output.get("needing_an_engine", _needing_an_engine)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which engine the tests ran on, and what could not run."""
    word = "yes" if real_engine() else "no (the embedded engine stood in)"
    terminalreporter.write_line(f"REAL ENGINE: {word}; {_needing_an_engine} tests needed an engine")
    if _left_out:
        terminalreporter.write_line(f"{len(_left_out)} tests need a real llama-server and were NOT run:")
        for name in _left_out:
            terminalreporter.write_line(f"  {name}")


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """SmolLM2-135M-Instruct as the demo downloads it."""
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    path = REPOSITORY / "models" / name
    if path.is_file():
        return path
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
        left_threads = [
            t for t in threading.enumerate() if t not in threads and t.is_alive() and (t.name == "core" or not t.daemon)
        ]
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
