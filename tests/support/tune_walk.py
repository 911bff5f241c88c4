"""Walk through the Tune page by keyboard alone, with pictures: `python -m tests.support.tune_walk FOLDER`.

Real parts: the window, a panel with simulated GPUs, a llama-server that is asked for its flags. Keys come from xdotool
where QT_QPA_PLATFORM is xcb (a window manager is not needed), else from QTest. Every step says what it expects, and the
walk ends at the first that fails. `--home` is the folder whose path the pictures show.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtGui import QGuiApplication, QKeySequence, QPixmap, QRegion
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from tests.support.screenshots import linger, until
from tests.support.tiny_models import write_projector, write_text_model
from variet_gui import assets
from variet_gui.app import Application, make_application
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.panel.logging_setup import PanelLog
from variet_gui.panel.panel import Panel, PanelOptions
from variet_gui.ui import theme
from variet_gui.ui.pages.tune import TunePage

_XDOTOOL = {"Return": "Return", "Space": "space", "PgUp": "Page_Up", "PgDown": "Page_Down", "Esc": "Escape"}
_MOST_TABS = 400


def write_catalog(home: Path, engine: str | None) -> Path:
    """Write the operator's catalog onto small stand-ins for its first model and projector.

    Raises:
        FileExistsError: `home` is there: what was edited in it before would be taken up.
    """
    models = home / "models"
    models.mkdir(parents=True)
    catalog = json.loads(assets.config_template("engine_models.json").read_text(encoding="utf-8"))
    catalog |= {"models_dir": str(models), "simulated_gpus": [12288, 12288]}
    if engine:
        catalog["engine"] = engine
    first = catalog["tiers"][0]["parameters"]
    first |= {"model": "gemma-4-26B-A4B-Q4_K_M.gguf", "mmproj": "gemma-4-26B-mmproj-F16.gguf", "ctx_size": 131072}
    write_text_model(models / first["model"], layers=30, context=262144)
    write_projector(models / first["mmproj"])
    path = home / "tiers.json"
    path.write_text(json.dumps(catalog, indent=1), encoding="utf-8")
    return path


class Walk:
    """One window, its keys and its pictures."""

    def __init__(self, application: Application, folder: Path, name: str) -> None:
        self._application = application
        self._folder = folder
        self._name = name
        window = application.window
        assert window is not None
        self.window = window
        page = window.page("tune")
        assert isinstance(page, TunePage)
        self.page = page
        self.role = str(window.role)
        if QGuiApplication.platformName() == "xcb":
            _xdotool("windowfocus", str(int(window.winId())))
            linger(0.5)

    @property
    def draft(self) -> LaunchProfile:
        """Return what the edits have made so far."""
        return self._application.panel.tune.draft(self.role)

    def press(self, *keys: str) -> None:
        """Press keys, each as QKeySequence writes it: "Tab", "Ctrl+F", "Shift+Tab"."""
        for key in keys:
            if QGuiApplication.platformName() == "xcb":
                *modifiers, last = key.split("+")
                plain = last.lower() if len(last) == 1 else last  # a capital would press Shift as well
                spelled = "+".join([*(each.lower() for each in modifiers), _XDOTOOL.get(last, plain)])
                _xdotool("key", "--clearmodifiers", spelled)
                linger(0.05)
            else:
                QTest.keySequence(QApplication.focusWidget() or self.window, QKeySequence(key))
            QApplication.processEvents()

    def type(self, text: str) -> None:
        """Type a text."""
        if QGuiApplication.platformName() == "xcb":
            _xdotool("type", "--delay", "8", "--", text)
            linger(0.3)
        else:
            QTest.keyClicks(QApplication.focusWidget() or self.window, text)

    def tab_to(self, wanted: QWidget, key: str = "Tab") -> None:
        """Press Tab until `wanted` or a part of it has the keyboard.

        Raises:
            AssertionError: it is not reached.
        """
        for _ in range(_MOST_TABS):
            focused = QApplication.focusWidget()
            if focused is wanted or (focused is not None and wanted.isAncestorOf(focused)):
                return
            self.press(key)
        raise AssertionError(f"{wanted.accessibleName() or wanted} is not reached by {key}")

    def expect(self, holds: bool, what: str) -> None:
        """End the walk where `holds` is false."""
        focused = QApplication.focusWidget()
        assert holds, f"{what}; the keyboard is on {focused and focused.accessibleName()!r}"
        print(f"  {what}", file=sys.stderr)

    def picture(self, name: str) -> None:
        """Keep a picture of the window."""
        linger(0.4)
        self.window.grab().save(str(self._folder / f"{self._name}_{name}.png"))

    def picture_of_all_rows(self, name: str) -> None:
        """Keep a picture of the whole list, every group unfolded, in the width that it has in the window."""
        rows = self.page.list
        for section in (*rows.sections, rows.extra):
            section.open(True)
        linger(1.0)
        whole = QPixmap(rows.size())
        whole.fill(theme.colour("window"))
        rows.render(whole, QPoint(), QRegion(), QWidget.RenderFlag.DrawChildren)
        whole.save(str(self._folder / f"{self._name}_{name}.png"))


def _xdotool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True)


def walk(steps: Walk) -> None:
    """Use the page from its filter to its banner."""
    page, rows = steps.page, steps.page.list
    context, split = rows.row("ctx_size").editors[0], rows.row("tensor_split").editors[0]
    while steps.window.notices.notices():
        steps.tab_to(steps.window.notices.close_button)
        steps.press("Space")
    steps.press("Ctrl+F")
    steps.type("cache type")
    shown = [row.keys[0] for row in rows.rows() if row.isVisible()]
    steps.expect("cache_type_k" in shown and "ctx_size" not in shown, "Ctrl+F and a few letters find parameters")
    steps.picture("1_filter")
    steps.press("Esc")
    steps.tab_to(context.controls()[0])
    steps.press("Right")
    steps.expect(steps.draft.get("ctx_size") == 163840, "Right moves a slider to its next stop")
    steps.press("End", "Home")
    steps.expect(steps.draft.get("ctx_size") != 131072, "Home and End go to the ends")
    steps.press("PgUp", "PgUp")
    moved = steps.draft.get("ctx_size")
    steps.press("Ctrl+Z")
    steps.expect(steps.draft.get("ctx_size") != moved, "Ctrl+Z takes the step back")
    steps.press("Ctrl+Shift+Z")
    steps.expect(steps.draft.get("ctx_size") == moved, "Ctrl+Shift+Z does it again")
    steps.tab_to(split.controls()[0])
    steps.press("Left")
    steps.tab_to(rows.row("cache_type_k"))
    steps.press("Right")
    steps.expect(len(page._bridge.panel.tune.changed(steps.role)) == 3, "arrows move the split and the segments")
    steps.picture("2_edited")
    steps.tab_to(rows.row("cache_type_k").revert)
    steps.press("Space")
    steps.expect(
        "cache_type_k" not in page._bridge.panel.tune.changed(steps.role), "one row is taken back by its button"
    )
    steps.tab_to(page.advanced)
    steps.press("Space")
    linger(0.2)
    placement = next(section for section in rows.sections if "device" in section.keys)
    steps.tab_to(placement.heading, "Shift+Tab")
    steps.press("Space")
    steps.expect(placement.is_open, "Space unfolds a group")
    linger(0.2)
    chips = rows.row("device")
    steps.tab_to(chips)
    steps.press("Ctrl+Right")
    steps.expect(steps.draft.get("device") == "CUDA1,CUDA0", "Ctrl+Right changes the order of the devices")
    steps.picture("3_devices")
    extra = rows.extra
    steps.tab_to(extra.heading)
    steps.press("Space", "Tab")
    steps.type("--perf -c 65536")
    steps.press("Return")
    steps.expect(extra.arguments.is_refused, "a flag with a field is refused among the extra arguments")
    steps.tab_to(extra.environment.add)
    steps.press("Space")
    steps.type("GGML_CUDA_ENABLE_UNIFIED_MEMORY")
    steps.press("Tab")
    steps.type("1")
    steps.press("Return")
    steps.expect(len(steps.draft.environment) == 1, "a variable is added")
    steps.picture("4_extra")
    steps.tab_to(extra.arguments.move_button, "Shift+Tab")
    steps.press("Space")
    steps.expect(steps.draft.get("ctx_size") == 65536, "the flag moves into its field")
    steps.press("Ctrl+S")
    until(lambda: not page.save.isEnabled(), "the save")
    steps.expect(not page._bridge.panel.tune.is_changed(steps.role), "Ctrl+S saves")
    catalog = page._bridge.panel.tune.catalog_path
    document = json.loads(catalog.read_text(encoding="utf-8"))
    document["tiers"][0]["parameters"]["batch_size"] = 1024
    catalog.write_text(json.dumps(document, indent=1), encoding="utf-8")
    steps.press("Alt+4")
    until(steps.window.banner.isVisible, "the banner", 15)
    steps.expect(steps.window.stack.currentWidget() is not page, "the banner is seen on another page")
    steps.picture("5_banner")
    steps.tab_to(steps.window.banner.theirs)
    steps.press("Space")
    until(lambda: not steps.window.banner.isVisible(), "the decision")
    steps.expect(page._bridge.panel.tune.saved(steps.role).get("batch_size") == 1024, "the banner's button is pressed")
    steps.press("Alt+1")
    steps.picture_of_all_rows("6_all_rows")


def main() -> int:
    """Read the command line, and walk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="tune")
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    parser.add_argument("--lang", default="en", choices=["en", "ko"])
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--home", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--engine", help="a llama-server; without it the catalog's own")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    catalog = write_catalog(options.home, options.engine)
    panel = Panel(PanelOptions(catalog, options.home / "data", demo=True), os.environ)
    panel.change_settings(theme=options.theme, language=options.lang)
    panel_log = PanelLog(panel.paths.logs_dir, panel.events.publish)
    panel_log.install()
    application = Application(make_application(), panel, panel_log)
    application.open()
    until(lambda: application.window is not None, "the window")
    assert application.window is not None
    application.window.resize(*(int(part) for part in options.size.split("x")))
    application.window.activateWindow()
    linger(3.0)  # the engine is probed and the model read
    try:
        walk(Walk(application, options.folder, options.name))
    finally:
        done: list[bool] = []
        application.bridge.closed.connect(lambda: done.append(True))
        application.quit()
        until(lambda: done, "the end")
        panel_log.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
