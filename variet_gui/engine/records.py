"""What is written down of every server that is started, so that the next panel knows it again: `state.json`.

A record stands before its process is spawned and goes when that process is known to be gone. What is left after a
panel died is either a server that was to be kept (`keep_running`), or one that its lifeline is about to end.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One server that was started, and may still run."""

    role: str
    argv: tuple[str, ...]
    port: int
    log_path: Path
    at: float
    """Unix time just before it was spawned, s."""
    values: Mapping[str, ParameterValue]
    """The launch parameters, by key."""
    keep_running: bool = False
    embedded: bool = False
    pid: int | None = None
    """None: the panel died before it learned the number; then `argv` and `at` tell which process it is."""
    created_at: float | None = None
    """Creation time of the process as the system keeps it: with the pid it names this process and no later one."""
    load_seconds: float | None = None
    """Spawn to ready; None while it is not ready."""


class StateFileError(Exception):
    """The state file cannot be used; `message` says why and what was done."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


class StateFile:
    """The records of one data folder. Written by whoever holds the folder's lock; every write is all or nothing.

    A disk that is full costs the records, never a server: the failure is logged and told once (`on_problem`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: Message | None = None
        """Why the last write failed; None when it did not."""
        self._records: dict[str, ServerRecord] = {}
        self._lock = threading.Lock()
        self._usable = True
        self._loaded = False

    @property
    def records(self) -> tuple[ServerRecord, ...]:
        """Every record, in the order in which the servers were started."""
        return tuple(self._records.values())

    def load(self) -> tuple[ServerRecord, ...]:
        """Read the file and return its records; none when there is no file.

        A damaged file is set aside under another name.

        Raises:
            StateFileError: it was damaged, cannot be read, or a newer Variet wrote it (then it is left alone, and
                nothing will be written).
        """
        self._loaded = True
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            schema = document["schema"]
            if not isinstance(schema, int):
                raise ValueError("the schema is no number")
            if schema > SCHEMA:
                self._usable = False
                raise StateFileError(
                    msg(
                        "{path} was written by a newer Variet (schema {found}; this one reads {known}). "
                        "Servers that it left running are not taken over.",
                        path=self.path,
                        found=schema,
                        known=SCHEMA,
                    )
                )
            records = [_record(entry) for entry in document["servers"]]
        except FileNotFoundError:
            return ()
        except OSError as error:
            self._usable = False
            raise StateFileError(
                msg("{path} cannot be read ({reason}).", path=self.path, reason=error.strerror or str(error))
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            aside = self._set_aside()
            raise StateFileError(
                msg(
                    "{path} was damaged and is now {aside}. Servers that an earlier panel left running are not taken "
                    "over by themselves.",
                    path=self.path,
                    aside=aside.name,
                )
            ) from error
        with self._lock:
            self._records = {record.role: record for record in records}
        return self.records

    def peek(self) -> tuple[ServerRecord, ...]:
        """Return the records as they stand in the file, for who only reads: none where they cannot be read."""
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            return tuple(_record(entry) for entry in document["servers"]) if document["schema"] <= SCHEMA else ()
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.info("%s cannot be read: %s", self.path, error)
            return ()

    def began(self, record: ServerRecord) -> None:
        """Write down that a server of this role is being started. What an earlier panel left written down stays."""
        if not self._loaded:
            try:
                self.load()
            except StateFileError as error:
                log.error("%s", error)
                self.problem = error.message
        with self._lock:
            self._records[record.role] = record
            self._write()

    def update(self, role: str, **changes: Any) -> None:
        """Change the record of `role`, if there is one."""
        with self._lock:
            if role in self._records:
                self._records[role] = replace(self._records[role], **changes)
                self._write()

    def ended(self, role: str) -> None:
        """Forget `role`: its process is gone."""
        with self._lock:
            if self._records.pop(role, None) is not None:
                self._write()

    def _write(self) -> None:
        if not self._usable:
            return
        document = {"schema": SCHEMA, "servers": [_plain(record) for record in self._records.values()]}
        temporary = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            self.problem = None
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if self.problem is None:
                log.error("which servers run cannot be written down in %s: %s", self.path, error)
            self.problem = msg(
                "Which servers run cannot be written down in {path} ({reason}). A server that is set to keep running "
                "would not be known again.",
                path=self.path,
                reason=error.strerror or str(error),
            )

    def _set_aside(self) -> Path:
        for number in itertools.count(1):
            aside = self.path.with_name(f"{self.path.name}.unreadable{'' if number == 1 else f'-{number}'}")
            if not aside.exists():
                break
        try:
            self.path.replace(aside)
        except OSError:
            log.exception("the damaged %s cannot be set aside", self.path)
            self._usable = False
            return self.path
        return aside


def _plain(record: ServerRecord) -> dict[str, Any]:
    entry = asdict(replace(record, values=dict(record.values)))
    entry["log_path"] = str(record.log_path)
    return entry


def _record(entry: Mapping[str, Any]) -> ServerRecord:
    values = {
        str(key): tuple(value) if isinstance(value, list) else value for key, value in dict(entry["values"]).items()
    }
    return ServerRecord(
        role=str(entry["role"]),
        argv=tuple(str(part) for part in entry["argv"]),
        port=int(entry["port"]),
        log_path=Path(str(entry["log_path"])),
        at=float(entry["at"]),
        values=MappingProxyType(values),
        keep_running=entry.get("keep_running") is True,
        embedded=entry.get("embedded") is True,
        pid=None if entry.get("pid") is None else int(entry["pid"]),
        created_at=None if entry.get("created_at") is None else float(entry["created_at"]),
        load_seconds=None if entry.get("load_seconds") is None else float(entry["load_seconds"]),
    )
