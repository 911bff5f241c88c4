"""Drive the demo and take a picture of every page: `python -m tests.support.screenshots FOLDER [--theme T] [--lang L]`.

Real parts: the embedded engine (or `--engine PATH`), the demo model, the window as an operator sees it. Needs the model
in `models/` and a screen, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from variet_gui import assets
from variet_gui.app import Application, make_application
from variet_gui.events import ServerState
from variet_gui.panel.logging_setup import PanelLog
from variet_gui.panel.panel import Panel, PanelOptions
from variet_gui.ui.bridge import Bridge

QUESTION = "List three colours of the rainbow, and say why the sky is blue."


def until(condition: Callable[[], object], what: str, limit_s: float = 120.0) -> None:
    """Let the window live until `condition` holds.

    Raises:
        TimeoutError: it did not come true; names `what`.
    """
    deadline = time.monotonic() + limit_s
    tick = QTimer()
    tick.start(20)  # so that waiting for events ends, and costs nothing meanwhile
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)


def linger(seconds: float) -> None:
    """Let the window live for a while, so that curves have a length."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "time", seconds + 5)


def _is_ready(bridge: Bridge, role: str) -> Callable[[], bool]:
    return lambda: bridge.status(role).state is ServerState.READY


def demo_catalog(folder: Path, engine: str | None) -> Path:
    """Write the demo catalog, with another engine if one is named."""
    catalog = json.loads(assets.config_template("demo_models.json").read_text(encoding="utf-8"))
    if engine:
        catalog["engine"] = engine
    path = folder / "catalog.json"
    path.write_text(json.dumps(catalog), encoding="utf-8")
    return path


def take(folder: Path, theme: str, language: str, size: tuple[int, int], engine: str | None, seconds: float) -> None:
    """Drive the main job once and keep a picture of every page in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        panel = Panel(PanelOptions(demo_catalog(Path(data), engine), Path(data), demo=True), os.environ)
        panel.change_settings(theme=theme, language=language)
        panel_log = PanelLog(panel.paths.logs_dir, panel.events.publish)
        panel_log.install()
        application = Application(make_application(), panel, panel_log)
        application.open()
        until(lambda: application.window is not None, "the window")
        window, bridge = application.window, application.bridge
        assert window is not None
        window.resize(*size)

        def picture(name: str) -> None:
            linger(0.4)
            window.grab().save(str(folder / f"{name}.png"))

        linger(2.0)
        for role in ("fast", "balanced"):
            window.rail.cards[role].button.click()
            until(_is_ready(bridge, role), f"{role} ready")
        picture_bytes = assets.resource("vision_checks", "green-star.png").read_bytes()
        bridge.ask("balanced", "What shape is this?", (picture_bytes,), {"max_tokens": 24, "temperature": 0})
        bridge.ask("fast", QUESTION, (), {"max_tokens": 200, "temperature": 0.2})
        until(lambda: panel.watch.store.last("fast.generation_tps"), "a moving curve")
        window.rail.select("fast")
        window.show_page("chat")
        picture("chat_streaming")
        until(lambda: not panel.converse.conversation("fast").busy, "the answer")
        picture("chat")
        for question in ("And the sea?", "And a sunset?"):
            bridge.ask("fast", question, (), {"max_tokens": 160})
            linger(seconds)
            until(lambda: not panel.converse.conversation("fast").busy, "the next answer")
        window.show_page("monitor")
        linger(2.0)  # pyqtgraph is imported when the page is first shown
        picture("monitor")
        window.show_page("log")
        picture("log")
        bridge.edit("fast", "ubatch_size", 512)
        window.show_page("tune")
        picture("tune")
        window.rail.select("balanced")
        window.show_page("chat")
        until(lambda: not panel.converse.conversation("balanced").busy, "the answer to the picture")
        picture("vision")
        pids = [bridge.status(role).pid for role in ("fast", "balanced")]
        done: list[bool] = []
        bridge.closed.connect(lambda: done.append(True))
        application.quit()
        until(lambda: done, "the end")
        panel_log.remove()
        print(f"{folder}: servers {pids} stopped", file=sys.stderr)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    parser.add_argument("--lang", default="en", choices=["en", "ko"])
    parser.add_argument("--size", default="1440x900")
    parser.add_argument("--engine", help="a llama-server; without it the embedded engine")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to watch before the pictures")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    take(options.folder, options.theme, options.lang, (width, height), options.engine, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
