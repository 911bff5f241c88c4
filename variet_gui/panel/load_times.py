"""How long the loads of each model took: what a countdown is made of."""

from __future__ import annotations

import json
import logging
import statistics
import threading
from pathlib import Path

log = logging.getLogger(__name__)

SCHEMA = 1
KEPT = 5
"""Loads remembered for each model."""
_MOST_MODELS = 200


class LoadTimes:
    """Seconds from spawn to ready of the last loads, by model file. A file that is damaged is begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, list[float]] | None = None
        self._lock = threading.Lock()

    def expected(self, role: str, model: str | None) -> float | None:
        """Return how long a load of `model` for `role` probably takes, s; None when none was seen."""
        with self._lock:
            seen = self._loaded().get(_key(role, model))
        return statistics.median(seen) if seen else None

    def add(self, role: str, model: str | None, seconds: float) -> None:
        """Remember one load. Writes the file: not for the event loop's own thread."""
        with self._lock:
            known = self._loaded()
            key = _key(role, model)
            known[key] = [*known.pop(key, []), round(seconds, 2)][-KEPT:]
            while len(known) > _MOST_MODELS:
                del known[next(iter(known))]
            temporary = self._path.with_name(self._path.name + ".new")
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_text(json.dumps({"schema": SCHEMA, "seconds": known}, indent=1), encoding="utf-8")
                temporary.replace(self._path)
            except OSError as error:
                log.warning("the load times cannot be kept in %s: %s", self._path, error)

    def _loaded(self) -> dict[str, list[float]]:
        if self._seconds is None:
            self._seconds = self._read()
        return self._seconds

    def _read(self) -> dict[str, list[float]]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(key): [float(one) for one in seen] for key, seen in document["seconds"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the load times in %s cannot be read and begin anew: %s", self._path, error)
            return {}


def _key(role: str, model: str | None) -> str:
    return f"{role}|{model or ''}"
