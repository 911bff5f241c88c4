"""The application without a window: one object that owns every service. Window, terminal and tests build this."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from variet_gui.catalog.store import CatalogStore
from variet_gui.catalog.tiers import LOOPBACK, Tier
from variet_gui.client.api import Http, LlamaApi
from variet_gui.engine.fleet import Fleet
from variet_gui.engine.records import StateFile
from variet_gui.engine.server import Surroundings
from variet_gui.events import EventStream
from variet_gui.panel import evidence
from variet_gui.panel.autopsy import Autopsy
from variet_gui.panel.converse import Converse
from variet_gui.panel.elsewhere import running_elsewhere
from variet_gui.panel.foresight import Foresight
from variet_gui.panel.outlook import Outlooks
from variet_gui.panel.paths import FolderLock, Paths, find_paths
from variet_gui.panel.recovery import Recovery
from variet_gui.panel.run import Run
from variet_gui.panel.settings import Settings, load_settings, save_settings
from variet_gui.panel.tune import Tune
from variet_gui.panel.vigil import Vigil
from variet_gui.panel.watch import Watch
from variet_gui.telemetry.memory_back import memory_watch_factory

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
        self.state_file = StateFile(self.paths.data_dir / "state.json")
        watch_memory = memory_watch_factory(self.events, lambda: self.watch.gpus)
        self.fleet = Fleet(Surroundings(self.events, self._api, self.paths.logs_dir, self.state_file, watch_memory))
        self.run = Run(self.fleet, self.tune, self.paths, self.events, environ, lambda: self.watch.gpus)
        self.watch = Watch(self.events, self._api, self.fleet.statuses, self._note_busy)
        self.outlook = Outlooks(
            self.tune,
            self.paths,
            self.events,
            environ,
            self.fleet.statuses,
            lambda role: self.fleet.server(role).report,
            lambda: self.watch.gpus,
            lambda role: self.run.engine(role).binary,
            lambda: running_elsewhere(self.state_file),
            demo=options.demo,
        )
        self.run.foresee = Foresight(self.outlook, self.tune)
        self.autopsy = Autopsy(self.events, self.fleet, self.tune, self.outlook, self.watch)
        self.recovery = Recovery(
            self.state_file, self.fleet, lambda: self.tune.catalog.roles if self.tune.catalog else (), self.events
        )
        self.vigil = Vigil(self.events, self.fleet.statuses, lambda: self.watch.gpus, self._usual_tps)
        self.converse = Converse(self.fleet, self._api, self.watch.meter, self.events)

    async def open(self, *, sampling: bool = True) -> None:
        """Load the catalog and, with `sampling`, begin to watch GPUs, host, token rates and the catalog file.

        Only then are unsaved edits of the last run taken up: the terminal knows what is saved and nothing else.
        A catalog that cannot be used does not raise: `tune.catalog_error` says why, and the panel is alive.
        """
        await self.outlook.open(background=sampling)
        if not sampling:
            await self.tune.load()
        else:
            await self.tune.open()
            self.watch.start(await self._simulated_mib() if self.options.demo else None)

    async def resume(self) -> None:
        """Take over what an earlier panel left running on purpose, and start the tiers that start with the panel.

        For a window, once it holds the data folder's lock. From here on passing failures are tried again.
        """
        self.run.guard.begin()
        self.vigil.begin()
        taken_over = await self.recovery.recover()
        catalog = self.tune.catalog
        for tier in catalog.tiers if catalog else ():
            if tier.start_with_panel and tier.role not in taken_over:
                self.run.start_in_background(tier.role)

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
        await self.vigil.close()
        await self.run.close()
        await self.fleet.close(self._to_keep)
        await self.autopsy.close()
        await self.recovery.close()
        await self.outlook.close()
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

    def api_of(self, tier: Tier) -> LlamaApi:
        """Return the client of the server that a tier has, or would have."""
        return self._api(tier.url or f"http://{LOOPBACK}:{tier.port}")

    def api(self, port: int) -> LlamaApi:
        """Return the client of whichever server has `port` on this computer."""
        return self._api(f"http://127.0.0.1:{port}")

    def _api(self, base_url: str) -> LlamaApi:
        """Return the client for `base_url`, with the key of the tier whose port that is, if it has one."""
        catalog = self.tune.catalog
        for tier in catalog.tiers if catalog else ():
            own = tier.is_open_to_the_network and base_url == f"http://{LOOPBACK}:{tier.port}"
            if own or (tier.url is not None and base_url == tier.url):
                return LlamaApi(self.http, base_url, self.tune.keys.read(tier.role))
        return LlamaApi(self.http, base_url)

    def _to_keep(self, role: str) -> bool:
        """Whether a server of `role` that was started to keep running still is to; without a catalog, yes."""
        catalog = self.tune.catalog
        return catalog is None or role not in catalog.roles or catalog.tier(role).keep_running

    def staying(self) -> tuple[str, ...]:
        """Return the tiers whose servers run on when the panel closes."""
        return tuple(
            status.role
            for status in self.fleet.statuses()
            if status.state.is_active
            and any(record.role == status.role and record.keep_running for record in self.state_file.records)
            and self._to_keep(status.role)
        )

    def _usual_tps(self, role: str) -> float | None:
        """Return the generation speed that the catalog has on record for `role`, measured or asked for."""
        catalog = self.tune.catalog
        if catalog is None or role not in catalog.roles:
            return None
        tier = catalog.tier(role)
        return tier.latest_figure.generation_tps if tier.latest_figure else tier.acceptance.min_tps

    async def save_evidence(self, role: str) -> Path:
        """Write down what is known of a server that misbehaves, and return the file.

        Raises:
            OSError: it cannot be written.
        """
        server = self.fleet.server(role)
        port = server.status.port
        api = self.api(port) if port is not None else None
        return await evidence.save(server, api, self.watch.gpus, self.paths.data_dir / "reports")

    def _note_busy(self, role: str, busy: bool) -> None:
        self.fleet.server(role).mark_busy(busy)
