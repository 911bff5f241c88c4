"""A Tune on a small catalog of its own, without a core, a window or an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from variet_gui.catalog.store import CatalogStore
from variet_gui.events import Event, EventStream
from variet_gui.panel.tune import Tune


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A folder with a catalog, and the parts of the panel that edit it. `restart` is what a crash leaves behind."""

    def __init__(self, folder: Path, **first_tier: Any) -> None:
        self.folder = folder
        self.catalog = folder / "catalog.json"
        self.clock = Clock()
        self.events: list[Event] = []
        tiers = [
            {"role": "fast", "model_name": "F", "port": 8081, "parameters": {"ctx_size": 4096}, **first_tier},
            {"role": "ultra", "model_name": "U", "port": 8085, "parameters": {"ctx_size": 8192}},
        ]
        self.write({"schema": 1, "title": "Test", "tiers": tiers})
        self.tune = self.restart()

    def restart(self) -> Tune:
        """Return a new Tune on the same files, as after the process was killed."""
        stream = EventStream()
        stream.subscribe(self.events.append)
        store = CatalogStore(self.catalog, self.catalog)
        self.tune = Tune(store, self.folder / "models", stream, self.folder / "data", self.clock)
        (self.folder / "data").mkdir(exist_ok=True)
        return self.tune

    def read(self) -> Any:
        """Return the catalog as it stands in the file."""
        return json.loads(self.catalog.read_text(encoding="utf-8"))

    def write(self, document: Any) -> None:
        """Write the catalog as another program would."""
        self.catalog.write_text(json.dumps(document, indent=1), encoding="utf-8")

    def edit_outside(self, role: str, **parameters: Any) -> None:
        """Change parameters of one tier in the file as another program would; None removes one."""
        document = self.read()
        tier = next(tier for tier in document["tiers"] if tier["role"] == role)
        for key, value in parameters.items():
            if value is None:
                tier["parameters"].pop(key, None)
            else:
                tier["parameters"][key] = value
        self.write(document)

    def said(self, kind: type[Event]) -> list[Any]:
        """Return the events of one kind that were published."""
        return [event for event in self.events if isinstance(event, kind)]
