"""Where things are kept: the operator's catalog, the data folder, the models; and who holds the data folder."""

from __future__ import annotations

import filecmp
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import platformdirs

from variet_gui import assets
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

APP_NAME = "variet"
_WINDOW_PROGRAMS = ("app.py", "variet-gui", "variet-gui.exe")
OPERATOR_TEMPLATE = "engine_models.json"
DEMO_TEMPLATE = "demo_models.json"


@dataclass(frozen=True, slots=True)
class Paths:
    """The files and folders of one panel."""

    catalog: Path
    template: Path
    data_dir: Path
    models_dir: Path
    """Where model files are looked for when the catalog names no folder of its own."""

    @property
    def logs_dir(self) -> Path:
        """Return the folder of the servers' own logs and of `panel.log`."""
        return self.data_dir / "logs"

    @property
    def cache_dir(self) -> Path:
        """Return the folder of what can be made again."""
        return self.data_dir / "cache"

    @property
    def settings(self) -> Path:
        """Return the file of the operator's settings."""
        return self.data_dir / "settings.json"


def find_paths(config: Path | None, data_dir: Path | None, demo: bool, environ: Mapping[str, str]) -> Paths:
    """Return where everything is, making the folders. The demo has a data folder and a catalog of its own.

    Raises:
        CatalogMissing: `config` does not exist.
        OSError: a folder cannot be made, or the demo's projector not be put there; the message names it.
    """
    folder = data_dir or Path(platformdirs.user_data_dir(f"{APP_NAME}-demo" if demo else APP_NAME, appauthor=False))
    folder = folder.expanduser().absolute()
    named = environ.get("VARIET_CONFIG")
    template = DEMO_TEMPLATE if demo else OPERATOR_TEMPLATE
    if config is not None:
        catalog = config.expanduser().absolute()
        if not catalog.exists():
            raise CatalogMissing(catalog)
    elif demo or data_dir is not None:
        catalog = folder / "config" / template
    elif named:
        catalog = Path(named).expanduser().absolute()
    else:
        catalog = Path(platformdirs.user_config_dir(APP_NAME, appauthor=False)) / template
    models = assets.checkout_models() or folder / "models"
    paths = Paths(catalog, assets.config_template(template), folder, models)
    for needed in (paths.data_dir, paths.logs_dir, paths.cache_dir):
        needed.mkdir(parents=True, exist_ok=True)
    if demo:
        _bring_projector(models)
    return paths


def _bring_projector(models: Path) -> None:
    """Put the shipped projector where the demo's catalog looks for it; a checkout has it there.

    A copy and no link: it must outlive the program's next version, and not every file system has links.

    Raises:
        OSError: the folder cannot be written, or the installation is incomplete.
    """
    shipped = assets.demo_projector()
    wanted = models / "demo" / shipped.name
    # By content: another version's file has the same size.
    if wanted.exists() and (wanted.samefile(shipped) or filecmp.cmp(wanted, shipped, shallow=False)):
        return
    wanted.parent.mkdir(parents=True, exist_ok=True)
    part = wanted.with_suffix(f".{os.getpid()}.part")
    try:
        shutil.copyfile(shipped, part)
        part.replace(wanted)
    finally:
        part.unlink(missing_ok=True)


class CatalogMissing(Exception):  # noqa: N818 - what is the case, in the words of an event
    """The catalog that the command line names does not exist; a slip of the pen must not make a new one."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} does not exist")
        self.message = msg(
            "There is no catalog {path}. Check what stands after --config; without it the panel uses your own catalog, "
            "and makes it at the first start.",
            path=path,
        )


class DataFolderHeld(Exception):  # noqa: N818 - what is the case, in the words of an event
    """Another panel has this data folder."""

    def __init__(self, folder: Path, holder: Message) -> None:
        super().__init__(f"{folder} is held by {holder.english}")
        self.message: Message = msg(
            "The data folder {folder} is in use by {holder}. Close it first, or use another folder with --data-dir.",
            folder=folder,
            holder=holder,
        )


class FolderLock:
    """The right to change things in a data folder. The operating system gives it back when the holder dies."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "panel.lock"
        self._folder = folder
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DataFolderHeld: another process has it; the error names that process.
        """
        if self._file is not None:
            return
        file = self._path.open("a+", encoding="utf-8")
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            holder = _holder(file.read())
            file.close()
            raise DataFolderHeld(self._folder, holder) from error
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "program": Path(sys.argv[0]).name, "since": time.time()}, file)
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _holder(text: str) -> Message:
    try:
        stored = json.loads(text)
        window = stored["program"] in _WINDOW_PROGRAMS
        kind = msg("the control panel window") if window else stored["program"]
        return msg("{program} (pid {pid})", program=kind, pid=stored["pid"])
    except (ValueError, KeyError, TypeError):
        return msg("another Variet")


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 20  # far behind the text, which stays readable for others

    def _lock(file: IO[str]) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
