"""`variet-gui`: builds the window. The composition root of the application with a screen."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from PySide6.QtCore import QLibraryInfo, QLocale, QObject, QSocketNotifier, Qt, QTimer, QTranslator
from PySide6.QtWidgets import QApplication, QMessageBox

from variet_gui import __version__, assets, i18n
from variet_gui.helpers import Helper, run_helper
from variet_gui.i18n import tr
from variet_gui.panel.logging_setup import PanelLog
from variet_gui.panel.panel import Panel, PanelOptions
from variet_gui.panel.paths import CatalogMissing, DataFolderHeld
from variet_gui.ui import theme
from variet_gui.ui.bridge import Bridge
from variet_gui.ui.core_thread import CoreThread
from variet_gui.ui.fix_dialogs import FixDialogs
from variet_gui.ui.icons import app_icon
from variet_gui.ui.main_window import MainWindow, Page
from variet_gui.ui.pages.chat import ChatPage
from variet_gui.ui.pages.log import LogPage
from variet_gui.ui.pages.monitor import MonitorPage
from variet_gui.ui.pages.tune import TunePage
from variet_gui.ui.rail_outlooks import RailOutlooks
from variet_gui.ui.single_instance import SingleInstance

log = logging.getLogger(__name__)

DESKTOP_ID = "variet-control-panel"


class Application(QObject):
    """Holds what lives as long as the program, and rebuilds the window when the language changes."""

    def __init__(self, qt: QApplication, panel: Panel, panel_log: PanelLog) -> None:
        super().__init__()
        self._qt = qt
        self.panel = panel
        self._core = CoreThread(panel_log.on_loop_exception)
        self._core.start()
        self.bridge = Bridge(panel, self._core, self)
        theme.apply(qt, panel.settings.theme)
        self.window: MainWindow | None = None
        self._qt_translator: QTranslator | None = None
        self._use_language(panel.settings.language)
        self.bridge.opened.connect(self._show_window)
        self.bridge.closed.connect(self._finish)
        self._signals = _QuitOnSignal(self.quit, self)

    def open(self) -> None:
        """Open the panel and then the window."""
        self.bridge.open()

    def quit(self) -> None:
        """Close in order: servers first, then the window, then the program."""
        if self.window is not None:
            self.window.close()  # refused at first: it covers itself and asks for `_close_panel`
        else:
            self.bridge.close()

    def raise_window(self) -> None:
        """Bring the window to the front, as a second start asks."""
        if self.window is not None:
            self.window.setWindowState(self.window.windowState() & ~Qt.WindowState.WindowMinimized)
            self.window.show()
            self.window.raise_()
            self.window.activateWindow()

    def change_language(self, code: str) -> None:
        """Use another language at once: the window is built anew on the same panel."""
        self.panel.change_settings(language=code)
        self.bridge.call(self.panel.keep_settings())
        self._use_language(code)
        # Built after the menu that asked for it has returned.
        QTimer.singleShot(0, self._rebuild_window)

    def change_theme(self, choice: str) -> None:
        """Use another theme at once."""
        self.panel.change_settings(theme=choice)
        self.bridge.call(self.panel.keep_settings())
        theme.apply(self._qt, choice)

    def _use_language(self, choice: str) -> None:
        code = i18n.set_language(choice)
        if self._qt_translator is not None:
            self._qt.removeTranslator(self._qt_translator)
            self._qt_translator = None
        QLocale.setDefault(QLocale(code))
        translator = QTranslator(self)
        folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
        if code != "en" and translator.load(f"qtbase_{code}", folder):
            self._qt.installTranslator(translator)
            self._qt_translator = translator

    def _show_window(self) -> None:
        self.window = self._make_window()
        self.window.show()
        QTimer.singleShot(0, set_aside_what_stays)

    def _make_window(self) -> MainWindow:
        pages = [
            Page("tune", tr("Tune"), TunePage(self.bridge)),
            Page("monitor", tr("Monitor"), MonitorPage(self.bridge)),
            Page("chat", tr("Chat & vision"), ChatPage(self.bridge)),
            Page("log", tr("Log"), LogPage(self.bridge)),
        ]
        window = MainWindow(self.bridge, pages, language=self.panel.settings.language)
        window.closing.connect(self.bridge.close)
        window.language_chosen.connect(self.change_language)
        window.theme_chosen.connect(self.change_theme)
        dialogs = FixDialogs(self.bridge, window)
        window.fix_asked.connect(dialogs.carry_out)
        dialogs.chosen.connect(window.rail.fix_asked)
        RailOutlooks(self.bridge, window.rail, window)
        return window

    def _rebuild_window(self) -> None:
        old = self.window
        if old is None or self.bridge.is_closing:
            return
        new = self._make_window()
        new.restoreGeometry(old.saveGeometry())
        if old.role is not None:
            new.rail.select(old.role)
        new.tabs.setCurrentIndex(old.tabs.currentIndex())
        was, now = old.page("chat"), new.page("chat")
        if isinstance(was, ChatPage) and isinstance(now, ChatPage):
            now.take_over(was)
        new.show()
        self.window = new
        old.finish_close()
        old.deleteLater()
        QTimer.singleShot(0, set_aside_what_stays)

    def _finish(self) -> None:
        self._signals.close()
        if self.window is not None:
            self.window.finish_close()
            self.window.deleteLater()
            self.window = None
        self._core.finish()
        self._core.join(5.0)
        self._qt.quit()


def set_aside_what_stays() -> None:
    """Take what the window is made of out of the garbage collector's sight: it stays as long as the window.

    A full collection would else look at all of it, some hundred thousand objects, in the midst of a drag. What an
    earlier window has left is looked at once more, and given back.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class _QuitOnSignal(QObject):
    """SIGTERM and SIGINT reach Python even while Qt's loop sleeps (a plain handler would not run)."""

    def __init__(self, quit_program: object, parent: QObject) -> None:
        super().__init__(parent)
        self._quit = quit_program
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._notifier = QSocketNotifier(self._read.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._wake)
        self._before = {kind: signal.signal(kind, self._handle) for kind in (signal.SIGTERM, signal.SIGINT)}

    def close(self) -> None:
        """Give the signals back."""
        for kind, handler in self._before.items():
            signal.signal(kind, handler)
        signal.set_wakeup_fd(-1)
        self._notifier.setEnabled(False)
        self._read.close()
        self._write.close()

    def _handle(self, number: int, _frame: object) -> None:
        log.info("signal %d: closing", number)
        self._quit()  # type: ignore[operator]

    def _wake(self) -> None:
        try:
            self._read.recv(64)  # Python runs the handler on its way into this method
        except BlockingIOError:
            log.debug("woken without a byte to read")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line of the window."""
    parser = argparse.ArgumentParser(prog="variet-gui", description=tr("The Variet control panel."))
    parser.add_argument("--demo", action="store_true", help=tr("small model, simulated GPUs, a data folder of its own"))
    parser.add_argument("--config", type=Path, metavar="FILE", help=tr("the catalog to use"))
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help=tr("the folder for logs, state and settings"))
    parser.add_argument("--lang", choices=["system", *i18n.LANGUAGES], help=tr("language of the window"))
    parser.add_argument("--version", action="version", version=f"variet {__version__}")
    return parser.parse_args(arguments)


def make_application() -> QApplication:
    """Return the one QApplication, named for the desktop."""
    QApplication.setApplicationName("Variet Control Panel")
    QApplication.setApplicationVersion(__version__)
    QApplication.setDesktopFileName(DESKTOP_ID)
    qt = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(qt, QApplication)
    qt.setWindowIcon(app_icon())
    qt.setQuitOnLastWindowClosed(False)  # the core is closed first, then the program ends
    return qt


def main(arguments: list[str] | None = None) -> int:
    """Open the window and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in {helper.value for helper in Helper}:  # a frozen build starts its helpers through here
        return run_helper(Helper(words[0]), words[1:])
    i18n.set_language("system")
    options = parse_arguments(words)
    qt = make_application()
    try:
        panel = Panel(PanelOptions(options.config, options.data_dir, options.demo), os.environ)
    except CatalogMissing as missing:
        return _refuse(str(missing.message))
    except OSError as error:
        return _refuse(tr("The data folder cannot be used: {error}", error=error))
    instance = SingleInstance(panel.paths.data_dir)
    try:
        panel.lock.acquire()
    except DataFolderHeld as held:
        if instance.raise_other():
            return 0
        return _refuse(str(held.message))
    except OSError as error:
        return _refuse(tr("The data folder cannot be used: {error}", error=error))
    if options.lang:
        panel.change_settings(language=options.lang)
    panel_log = PanelLog(panel.paths.logs_dir, panel.events.publish)
    try:
        panel_log.install()
    except OSError as error:
        panel_log.remove()
        return _refuse(tr("The data folder cannot be used: {error}", error=error))
    log.info("variet %s, catalog %s, assets in checkout: %s", __version__, panel.paths.catalog, assets.in_checkout())
    application = Application(qt, panel, panel_log)
    instance.listen(application.raise_window)
    application.open()
    try:
        return qt.exec()
    finally:
        instance.close()
        panel_log.remove()


def _refuse(text: str) -> int:
    print(text, file=sys.stderr)
    box = QMessageBox(QMessageBox.Icon.Warning, "Variet", text)
    box.finished.connect(QApplication.quit)
    box.open()
    QApplication.exec()
    return 1


if __name__ == "__main__":
    sys.exit(main())
