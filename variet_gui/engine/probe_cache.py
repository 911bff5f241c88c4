"""What probed binaries said, kept while their files are the same: in memory, and in a file between two runs."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.engine.binary import EngineBinary

log = logging.getLogger(__name__)

_FILE = "engines.json"
_SCHEMA = 1
_MOST_ENTRIES = 32


@dataclass(frozen=True, slots=True)
class FileStamp:
    """One file as it was."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """A binary as it was: when all files are the same, so are its answers."""

    program: tuple[str, ...]
    files: tuple[FileStamp, ...]
    is_script: bool
    """A script starts something else, whose changes do not show here: it is not remembered beyond this run."""


class ProbeCache:
    """Capabilities by stamp."""

    def __init__(self) -> None:
        self._known: dict[Stamp, Capabilities] = {}

    def get(self, stamp: Stamp) -> Capabilities | None:
        """Return what is in memory."""
        return self._known.get(stamp)

    def put(self, stamp: Stamp, found: Capabilities) -> None:
        """Keep `found` in memory."""
        self._known[stamp] = found

    def load(self, folder: Path, stamp: Stamp) -> Capabilities | None:
        """Return what the file in `folder` has, and keep it in memory. A file that cannot be used counts as empty."""
        for entry in _read(folder / _FILE):
            if entry.get("stamp") == _plain(stamp):
                try:
                    found = _capabilities(entry["capabilities"])
                except (KeyError, TypeError, ValueError) as error:
                    log.warning("an entry of %s is not usable: %r", folder / _FILE, error)
                    return None
                self.put(stamp, found)
                return found
        return None

    def save(self, folder: Path, stamp: Stamp, found: Capabilities) -> None:
        """Write `found` to the file in `folder`. Failing to is logged: the next run asks again."""
        if stamp.is_script or not stamp.files:
            return
        path = folder / _FILE
        plain = _plain(stamp)
        others = [entry for entry in _read(path) if entry.get("stamp") != plain][-_MOST_ENTRIES + 1 :]
        document = {
            "schema": _SCHEMA,
            "engines": [*others, {"stamp": plain, "capabilities": _plain_capabilities(found)}],
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}.tmp")
            unfinished.write_text(json.dumps(document), encoding="utf-8")
            unfinished.replace(path)
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error)


def stamp_of(binary: EngineBinary) -> Stamp:
    """Return the state of the files that make up `binary`; the one to take a fingerprint of first. Blocking."""
    paths = [binary.path] if binary.path is not None else _embedded_files()
    files = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            log.warning("%s cannot be looked at: %s", path, error)
            continue
        files.append(FileStamp(str(path), status.st_size, status.st_mtime_ns))
    return Stamp(binary.program, tuple(files), bool(binary.path and _is_script(binary.path)))


def _embedded_files() -> list[Path]:
    """Return the native library of the embedded engine, and the modules that give it llama-server's command line."""
    spec = importlib.util.find_spec("xllamacpp")
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    libraries = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in (".so", ".pyd")]
    return libraries[:1] + sorted(Path(__file__).parent.glob("embedded*.py"))


def _is_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!" or path.suffix.lower() in (".bat", ".cmd")
    except OSError:
        return False


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("%s is not usable and will be written anew: %s", path, error)
        return []
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        log.warning("%s is of another version and will be written anew", path)
        return []
    entries = document.get("engines")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _plain(stamp: Stamp) -> Any:
    return json.loads(json.dumps(asdict(stamp)))


def _plain_capabilities(found: Capabilities) -> dict[str, Any]:
    return {**asdict(found), "flags": sorted(found.flags), "removed": sorted(found.removed)}


def _capabilities(plain: dict[str, Any]) -> Capabilities:
    return Capabilities(
        **{
            **plain,
            "flags": frozenset(plain["flags"]),
            "removed": frozenset(plain["removed"]),
            "value_hints": tuple((str(flag), str(hint)) for flag, hint in plain["value_hints"]),
        }
    )
