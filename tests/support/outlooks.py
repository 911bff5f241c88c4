"""Outlooks on a catalog of header-only models, with cards, servers and engines as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.catalogs import write_catalog
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.store import CatalogStore
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.load_report import LoadReport
from variet_gui.events import (
    Event,
    EventStream,
    GpuProcess,
    GpuSample,
    GpusSampled,
    ServerState,
    ServerStateChanged,
    ServerStatus,
)
from variet_gui.i18n import msg
from variet_gui.panel.outlook import Outlooks
from variet_gui.panel.paths import Paths
from variet_gui.panel.tune import Tune

USABLE_MIB = 11906.0
TOTAL_MIB = 12288.0


def card(index: int, used_mib: float = 0.0, **more: Any) -> GpuSample:
    """Return a 12 GB card as NVML tells of it; `used_mib` is what programs hold, the driver's own share aside."""
    kept = TOTAL_MIB - USABLE_MIB
    known: dict[str, Any] = {
        "uuid": f"GPU-{index}",
        "pci_bus_id": f"0000:{index + 1:02x}:00.0",
        "memory_reserved_mib": kept,
        "processes": (),
    }
    return GpuSample(index, "NVIDIA GeForce RTX 3060", used_mib + kept, TOTAL_MIB, **{**known, **more})


def holding(pid: int, mib: float) -> tuple[GpuProcess, ...]:
    """Return the list of processes of a card that one process holds."""
    return (GpuProcess(pid, mib),)


def tier_row(role: str, port: int, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return one tier of a catalog; `more` are further keys of the tier."""
    return {"role": role, "model_name": role, "port": port, "parameters": dict(parameters), **more}


class OutlookBench:
    """The service with all that it asks; no process is started."""

    def __init__(
        self,
        folder: Path,
        tiers: list[dict[str, Any]],
        *,
        demo: bool = False,
        environ: Mapping[str, str] | None = None,
        **catalog: Any,
    ) -> None:
        self.folder = folder
        path = write_catalog(folder / "catalog.json", tiers, **catalog)
        self.events = EventStream()
        self.heard: list[Event] = []
        self.events.subscribe(self.heard.append)
        data = folder / "data"
        data.mkdir(exist_ok=True)
        self.paths = Paths(path, path, data, folder)
        self.tune = Tune(CatalogStore(path, path), folder, self.events)
        self.gpus: GpusSampled | None = None
        self.statuses: dict[str, ServerStatus] = {}
        self.reports: dict[str, LoadReport] = {}
        self.binary: EngineBinary | None = None
        self.outlooks = Outlooks(
            self.tune,
            self.paths,
            self.events,
            environ or {},
            lambda: tuple(self.statuses.values()),
            lambda role: self.reports.setdefault(role, LoadReport()),
            lambda: self.gpus,
            lambda role: self.binary,
            lambda: (),
            demo=demo,
        )

    async def open(self, *, background: bool = False) -> Outlooks:
        """Read the catalog and every tier's model files."""
        await self.tune.load()
        await self.outlooks.open(background=background)
        if not background:
            await self.look()
        return self.outlooks

    async def look(self) -> None:
        """Read the model files of all tiers now."""
        catalog = self.tune.catalog
        assert catalog is not None
        await self.outlooks.look(*(self.tune.draft(role) for role in catalog.roles))

    def cards(self, *samples: GpuSample, at: float = 0.0) -> None:
        """Let the sampler have seen these cards, and tell."""
        self.gpus = GpusSampled(at, samples, "580.95")
        self.events.publish(self.gpus)

    def engine(self, *, embedded: bool = False, **capabilities: Any) -> None:
        """Let every tier have an engine, of which nothing more is known than what it says of itself."""
        path = None if embedded else self.folder / "llama-server"
        self.binary = EngineBinary((str(path or "embedded"),), path, embedded=embedded, source=msg("a test"))
        catalog = self.tune.catalog
        for role in catalog.roles if catalog else ():
            self.tune.note_engine(role, self.binary.program, Capabilities(embedded=embedded, **capabilities))

    def change(self, role: str, state: ServerState, **changes: Any) -> None:
        """Let a tier's server be in `state`, and tell."""
        before = self.statuses.get(role, ServerStatus(role))
        self.statuses[role] = ServerStatus(role, state, **changes)
        self.events.publish(ServerStateChanged(self.statuses[role], before.state))

    def said(self, kind: type[Event]) -> list[Any]:
        """Return the events of one kind that were published."""
        return [event for event in self.heard if isinstance(event, kind)]
