"""Tune: what is saved, what is being edited, and the exact command that would start it.

Reads and edits are in-memory and guarded by a lock, so that the window may call them from its own thread in the same
tick as a slider moves. Only `save` touches the disk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from variet_gui.catalog import command
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameters import check, parameter
from variet_gui.catalog.store import CatalogError, CatalogStore
from variet_gui.catalog.tiers import Catalog, LaunchProfile, Tier
from variet_gui.events import CatalogChanged, EventStream, ParameterValue
from variet_gui.gguf.header import GgufError, read_header
from variet_gui.i18n import Message, msg

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model file says about itself, as far as the sliders need it."""

    path: Path
    architecture: str
    layers: int
    """Repeating layers, MTP layers included: llama.cpp counts them in the split."""
    max_context: int | None
    experts: int
    file_mib: float


class PortTaken(Exception):  # noqa: N818 - what is the case, as everywhere in this house
    """A port that cannot be this tier's; `message` says whose it is."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


class Tune:
    """The catalog in memory and the drafts on top of it."""

    def __init__(self, store: CatalogStore, models_dir: Path, events: EventStream) -> None:
        self._store = store
        self._default_models_dir = models_dir
        self._events = events
        self._lock = threading.RLock()
        self._catalog: Catalog | None = None
        self._error: CatalogError | None = None
        self._drafts: dict[str, LaunchProfile] = {}
        self._capabilities: dict[str, Capabilities] = {}
        self._programs: dict[str, tuple[str, ...]] = {}
        self._facts: dict[str, ModelFacts] = {}

    # ------------------------------------------------------------------------------------------------ the catalog

    @property
    def catalog(self) -> Catalog | None:
        """Return the catalog, or None while it cannot be read (then `catalog_error` says why)."""
        return self._catalog

    @property
    def catalog_error(self) -> CatalogError | None:
        """Return why the catalog cannot be used, or None."""
        return self._error

    @property
    def catalog_path(self) -> Path:
        """Return the file that Save writes."""
        return self._store.path

    @property
    def models_dir(self) -> Path:
        """Return where relative model paths start."""
        named = self._catalog.models_dir if self._catalog else None
        return Path(named).expanduser() if named else self._default_models_dir

    async def load(self) -> None:
        """Read the catalog, making it from the template at the first start. A bad file becomes `catalog_error`."""
        try:
            catalog, error = await asyncio.to_thread(self._store.load), None
        except CatalogError as refused:
            catalog, error = None, refused
            log.warning("the catalog was refused: %s", refused.message.english)
        with self._lock:
            self._catalog, self._error = catalog, error
            self._drafts.clear()
        self._events.publish(CatalogChanged())

    def tier(self, role: str) -> Tier:
        """Return the saved tier.

        Raises:
            KeyError: no such role, or there is no catalog; the message says which.
        """
        catalog = self._catalog
        if catalog is None:
            raise KeyError(f"there is no catalog: {self._error.message.english if self._error else 'not loaded yet'}")
        return catalog.tier(role)

    # ------------------------------------------------------------------------------------------------- the profiles

    def saved(self, role: str) -> LaunchProfile:
        """Return the profile as it stands in the file."""
        return LaunchProfile.of(self.tier(role))

    def draft(self, role: str) -> LaunchProfile:
        """Return the profile with the operator's edits: what Start would start."""
        with self._lock:
            return self._drafts.get(role) or self.saved(role)

    def edit(self, role: str, key: str, value: ParameterValue | None) -> LaunchProfile:
        """Set (or with None unset) one parameter of the draft.

        Raises:
            ParameterError: the value is not allowed; the draft is as before.
        """
        normal = None if value is None else check(parameter(key), value)
        with self._lock:
            edited = self.draft(role).with_value(key, normal)
            self._drafts[role] = edited
            return edited

    def revert(self, role: str, key: str | None = None) -> LaunchProfile:
        """Take back one edit, or with no key all of them."""
        with self._lock:
            if key is None:
                self._drafts.pop(role, None)
                return self.saved(role)
            return self.edit(role, key, self.saved(role).get(key))

    def changed(self, role: str) -> tuple[str, ...]:
        """Return the keys in which the draft differs from the file."""
        return self.draft(role).changed_keys(self.saved(role))

    async def save(self, role: str) -> None:
        """Write the draft into the catalog file.

        Raises:
            CatalogError: the file was changed from outside or has become unreadable; the draft is kept.
            OSError: it cannot be written; the draft is kept.
        """
        profile = self.draft(role)
        catalog = await asyncio.to_thread(self._store.save_profile, role, profile)
        with self._lock:
            self._catalog = catalog
            if self._drafts.get(role) == profile:
                self._drafts.pop(role, None)
        self._events.publish(CatalogChanged(role))

    async def set_engine(self, role: str, engine: str) -> None:
        """Keep `engine` (a path, or "embedded"): for the tier where it names one of its own, else for the catalog.

        Raises:
            CatalogError, OSError: as `save`.
        """
        if self.tier(role).engine is not None:
            await self._change_tier(role, engine=engine)
        elif self._catalog is not None:
            await self._keep(self._catalog.model_copy(update={"engine": engine}))

    async def set_port(self, role: str, port: int) -> None:
        """Keep another port for the tier.

        Raises:
            PortTaken: another tier of the catalog has it.
            CatalogError, OSError: as `save`.
        """
        for other in self._catalog.tiers if self._catalog else ():
            if other.port == port and other.role != role:
                raise PortTaken(
                    msg("Port {port} belongs to {role}; every tier has its own.", port=port, role=other.role)
                )
        await self._change_tier(role, port=port)

    async def _change_tier(self, role: str, **update: object) -> None:
        if self._catalog is not None:
            tiers = [t.model_copy(update=update) if t.role == role else t for t in self._catalog.tiers]
            await self._keep(self._catalog.model_copy(update={"tiers": tiers}))

    async def _keep(self, catalog: Catalog) -> None:
        await asyncio.to_thread(self._store.save, catalog)
        with self._lock:
            self._catalog = catalog
        for role in catalog.roles:
            self._events.publish(CatalogChanged(role))

    # -------------------------------------------------------------------------------------------------- the command

    def note_engine(self, role: str, program: Sequence[str], capabilities: Capabilities | None) -> None:
        """Remember which engine `role` uses, so that the command is spelled as that build wants it."""
        with self._lock:
            self._programs[role] = tuple(program)
            if capabilities is None:
                self._capabilities.pop(role, None)
            else:
                self._capabilities[role] = capabilities

    def capabilities(self, role: str) -> Capabilities | None:
        """Return what the tier's engine can do, or None while that is not known."""
        return self._capabilities.get(role)

    def command(self, role: str, overrides: Mapping[str, ParameterValue | None] | None = None) -> command.Command:
        """Return the exact command that starts the draft, with `overrides` on top."""
        tier, profile = self.tier(role), self.draft(role)
        for key, value in (overrides or {}).items():
            profile = profile.with_value(key, value)
        return command.build(
            profile,
            program=self._programs.get(role, ("llama-server",)),
            capabilities=self.capabilities(role),
            port=tier.port,
            alias=role,
            models_dir=self.models_dir,
        )

    # --------------------------------------------------------------------------------------------------- the model

    def model_path(self, profile: LaunchProfile) -> Path | None:
        """Return the absolute path of the profile's model, or None when none is set."""
        named = profile.get("model")
        return self.models_dir / str(named) if named else None

    def model_facts(self, role: str) -> ModelFacts | None:
        """Return what the draft's model file says, or None while it was not (or cannot be) read."""
        path = self.model_path(self.draft(role))
        return None if path is None else self._facts.get(str(path))

    async def read_model(self, role: str) -> ModelFacts | None:
        """Read the header of the draft's model file; an unreadable file gives None (preflight says why at start)."""
        path = self.model_path(self.draft(role))
        if path is None:
            return None
        try:
            facts = await asyncio.to_thread(_read_facts, path)
        except (GgufError, OSError) as error:
            log.info("no model facts for %s: %s", role, error)
            return None
        self._facts[str(path)] = facts
        return facts


def _read_facts(path: Path) -> ModelFacts:
    header = read_header(path)
    return ModelFacts(
        path=path,
        architecture=header.architecture,
        layers=header.block_count or 0,
        max_context=header.context_length,
        experts=header.expert_count or 0,
        file_mib=path.stat().st_size / 2**20,
    )
