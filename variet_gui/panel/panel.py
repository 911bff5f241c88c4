"""The application without a window: one object that owns every service. Window, terminal and tests build this."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from variet_gui.catalog.store import CatalogStore
from variet_gui.client.api import Http, LlamaApi
from variet_gui.engine.fleet import Fleet
from variet_gui.events import EventStream
from variet_gui.panel.converse import Converse
from variet_gui.panel.paths import FolderLock, Paths, find_paths
from variet_gui.panel.run import Run
from variet_gui.panel.settings import Settings, load_settings, save_settings
from variet_gui.panel.tune import Tune
from variet_gui.panel.watch import Watch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PanelOptions:
    """What the command line says about a panel."""

    config: Path | None = None
    data_dir: Path | None = None
    demo: bool = False


class Panel:
    """Every service of one data folder. Made anywhere; `open` and everything awaitable belong on the core's loop."""

    def __init__(self, options: PanelOptions, environ: Mapping[str, str]) -> None:
        self.options = options
        self.environ = environ
        self.paths: Paths = find_paths(options.config, options.data_dir, options.demo, environ)
        self.lock = FolderLock(self.paths.data_dir)
        self.settings: Settings = load_settings(self.paths.settings)
        self.events = EventStream()
        self.http = Http()
        store = CatalogStore(self.paths.catalog, self.paths.template)
        self.tune = Tune(store, self.paths.models_dir, self.events, self.paths.data_dir)
        self.fleet = Fleet(self.events, self._api, self.paths.logs_dir)
        self.run = Run(self.fleet, self.tune, self.paths, self.events, environ, lambda: self.watch.gpus)
        self.watch = Watch(self.events, self.http, self.fleet.statuses, self._note_busy)
        self.converse = Converse(self.fleet, self._api, self.watch.meter, self.events)

    async def open(self, *, sampling: bool = True) -> None:
        """Load the catalog and, with `sampling`, begin to watch GPUs, host, token rates and the catalog file.

        Only then are unsaved edits of the last run taken up: the terminal knows what is saved and nothing else.
        A catalog that cannot be used does not raise: `tune.catalog_error` says why, and the panel is alive.
        """
        if not sampling:
            await self.tune.load()
        else:
            await self.tune.open()
            self.watch.start(await self._simulated_mib() if self.options.demo else None)

    async def _simulated_mib(self) -> list[int] | None:
        """Return the demo's stand-in cards; while its catalog is bad, those of the template that repairs it."""
        catalog, template = self.tune.catalog, self.paths.template
        if catalog is None:
            catalog = await asyncio.to_thread(CatalogStore(template, template).load)
        return catalog.simulated_gpus

    async def close(self) -> None:
        """Stop every server, sampler and connection; returns when nothing of ours is left running."""
        await self.tune.close()
        await self.converse.close()
        await self.fleet.close()
        await self.watch.close()
        await self.http.aclose()
        self.lock.release()

    def change_settings(self, **changes: str) -> Settings:
        """Change settings of the panel for this run; `keep_settings` makes them last."""
        self.settings = self.settings.model_copy(update=changes)
        return self.settings

    async def keep_settings(self) -> None:
        """Write the settings; a folder that cannot be written to is logged, not raised."""
        try:
            await asyncio.to_thread(save_settings, self.paths.settings, self.settings)
        except OSError:
            log.exception("the settings could not be kept in %s", self.paths.settings)

    def api(self, port: int) -> LlamaApi:
        """Return the client of whichever server has `port` on this computer."""
        return self._api(f"http://127.0.0.1:{port}")

    def _api(self, base_url: str) -> LlamaApi:
        return LlamaApi(self.http, base_url)

    def _note_busy(self, role: str, busy: bool) -> None:
        self.fleet.server(role).mark_busy(busy)
