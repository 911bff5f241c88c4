"""Tune: what is saved, what is being edited, and the exact command that would start it.

Reads and edits are in memory and may be called from the window's own thread in the same tick as a slider moves. Only
what is awaited touches the disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from variet_gui.catalog import command
from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.launch_checks import usable_profile
from variet_gui.catalog.parameters import check, parameter
from variet_gui.catalog.store import CatalogChangedOutside, CatalogError, CatalogStore
from variet_gui.catalog.tiers import Catalog, LaunchProfile, Tier
from variet_gui.events import EventStream, ParameterValue
from variet_gui.gguf.header import GgufError
from variet_gui.i18n import Message
from variet_gui.panel.free_settings import ENVIRONMENT, EXTRA_ARGUMENTS, FreeSettings
from variet_gui.panel.history import History
from variet_gui.panel.keys import Keys
from variet_gui.panel.model_facts import ModelFacts, read_facts
from variet_gui.panel.outside import Outside
from variet_gui.panel.tier_options import PortTaken, TierOptions
from variet_gui.panel.variants import Variants
from variet_gui.panel.workspace import Workspace

__all__ = ["ModelFacts", "PortTaken", "Tune"]

log = logging.getLogger(__name__)


class Tune:
    """Edits the tiers of one catalog. With a data folder, edits survive a crash and every Save makes a revision."""

    def __init__(
        self,
        store: CatalogStore,
        models_dir: Path,
        events: EventStream,
        data_dir: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace = Workspace(store, events, data_dir, clock)
        self._lock = self._workspace.lock
        self._default_models_dir = models_dir
        self.variants = Variants(self._workspace)
        self.history = History(self._workspace)
        self.outside = Outside(self._workspace)
        self.free = FreeSettings(self._workspace, lambda: self.models_dir)
        self.keys = Keys((data_dir or models_dir) / "keys")
        self.options = TierOptions(self._workspace, self.keys)
        self._capabilities: dict[str, Capabilities] = {}
        self._programs: dict[str, tuple[str, ...]] = {}
        self._facts: dict[str, ModelFacts] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------------------------------------ the catalog

    @property
    def catalog(self) -> Catalog | None:
        """Return the catalog, or None while it cannot be read (then `catalog_error` says why)."""
        return self._workspace.catalog

    @property
    def catalog_error(self) -> CatalogError | None:
        """Return why the catalog cannot be used, or None."""
        return self._workspace.error

    @property
    def catalog_path(self) -> Path:
        """Return the file that Save writes."""
        return self._workspace.store.path

    @property
    def models_dir(self) -> Path:
        """Return where relative model paths start."""
        named = self.catalog.models_dir if self.catalog else None
        return Path(named).expanduser() if named else self._default_models_dir

    async def load(self) -> None:
        """Read the catalog, making it from the template at the first start. A bad file becomes `catalog_error`.

        Edits that are not saved are kept, and moved onto what the file says now.
        """
        await self._workspace.load()

    async def open(self) -> None:
        """Take up the unsaved edits of the last run, read the catalog, keep edits and watch the file until `close`."""
        await self._workspace.restore_drafts()
        await self._workspace.load()
        for name, work in (("drafts", self._workspace.keep_drafts()), ("catalog-watch", self.outside.watch())):
            self._tasks.append(asyncio.create_task(work, name=name))

    async def close(self) -> None:
        """End what `open` began, and write the unsaved edits a last time."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a task of the catalog ended with an error", exc_info=result)
        self._tasks.clear()
        try:
            await self._workspace.write_drafts()
        except OSError:
            log.exception("the unsaved edits could not be written")

    def tier(self, role: str) -> Tier:
        """Return the saved tier.

        Raises:
            KeyError: no such role, or there is no catalog; the message says which.
        """
        return self._workspace.tier(role)

    # ------------------------------------------------------------------------------------------------- the profiles

    def saved(self, role: str) -> LaunchProfile:
        """Return the profile as it stands in the file."""
        return self._workspace.saved(role)

    def draft(self, role: str) -> LaunchProfile:
        """Return the profile with the operator's edits: what Start would start."""
        return self._workspace.draft(role)

    def edit(self, role: str, key: str, value: ParameterValue | None, gesture: object | None = None) -> LaunchProfile:
        """Set (or with None unset) one parameter of the draft.

        Edits of one key that share a `gesture`, or follow each other within a second, are one step for undo.

        Raises:
            ParameterError: the value is not allowed; the draft is as before.
        """
        normal = None if value is None else check(parameter(key), value)
        with self._lock:
            return self._workspace.put(self.draft(role).with_value(key, normal), key=key, gesture=gesture)

    def edit_together(self, role: str, values: Mapping[str, ParameterValue | None]) -> LaunchProfile:
        """Set (or with None unset) several parameters of the draft as one step for undo.

        Raises:
            ParameterError: a value is not allowed; the draft is as before.
        """
        normal = {key: None if value is None else check(parameter(key), value) for key, value in values.items()}
        with self._lock:
            profile = self.draft(role)
            for key, value in normal.items():
                profile = profile.with_value(key, value)
            return self._workspace.put(profile)

    def replace(self, profile: LaunchProfile) -> tuple[Message, ...]:
        """Make a whole profile the draft of its role, such as an imported one. Returns what could not be taken over."""
        usable, problems = usable_profile(profile)
        self._workspace.put(usable)
        return problems

    def revert(self, role: str, key: str | None = None) -> LaunchProfile:
        """Take back one edit ("extra_arguments" and "environment" as well), or with no key all. Undo has them."""
        if key in (EXTRA_ARGUMENTS, ENVIRONMENT):
            return self.free.revert(role, key)
        with self._lock:
            saved = self.saved(role)
            return self._workspace.put(saved if key is None else self.draft(role).with_value(key, saved.get(key)))

    def undo(self, role: str) -> bool:
        """Take back the last step; False when there is none."""
        with self._lock:
            return self._workspace.drafts.undo(role)

    def redo(self, role: str) -> bool:
        """Do again what undo took back; False when there is nothing."""
        with self._lock:
            return self._workspace.drafts.redo(role)

    def can_undo(self, role: str) -> bool:
        """Whether there is a step to take back."""
        return self._workspace.drafts.can_undo(role)

    def can_redo(self, role: str) -> bool:
        """Whether there is a step to do again."""
        return self._workspace.drafts.can_redo(role)

    def changed(self, role: str) -> tuple[str, ...]:
        """Return the keys of the launch parameters in which the draft differs from the file."""
        return self.draft(role).changed_keys(self.saved(role))

    def is_changed(self, role: str) -> bool:
        """Whether there is anything to save: a parameter, an extra argument or a variable."""
        return self._workspace.drafts.get(role) is not None

    async def save(self, role: str, note: str | None = None) -> None:
        """Write the draft into the catalog file; that makes a revision, with the operator's own words in `note`.

        Raises:
            CatalogError: the file was changed from outside or has become unreadable; the draft is kept.
            OSError: it cannot be written; the draft is kept.
        """
        try:
            await self._workspace.save(role, note)
        except CatalogChangedOutside:
            await self.outside.check()  # what can be done is offered at once, not at the next look
            raise

    async def set_engine(self, role: str, engine: str) -> None:
        """Keep `engine` (a path, or "embedded"): for the tier where it names one of its own, else for the catalog.

        Raises:
            CatalogError, OSError: as `save`.
        """
        if self.tier(role).engine is not None:
            await self._workspace.change_tier(role, engine=engine)
        else:
            await self._workspace.change(lambda catalog: catalog.model_copy(update={"engine": engine}))

    async def set_port(self, role: str, port: int) -> None:
        """Keep another port for the tier.

        Raises:
            PortTaken: another tier of the catalog has it.
            CatalogError, OSError: as `save`.
        """
        await self.options.set_port(role, port)

    # -------------------------------------------------------------------------------------------------- the command

    def note_engine(self, role: str, program: Sequence[str], capabilities: Capabilities | None) -> None:
        """Remember which engine `role` uses, so that the command is spelled as that build wants it."""
        with self._lock:
            self._programs[role] = tuple(program)
            if capabilities is None:
                self._capabilities.pop(role, None)
            else:
                self._capabilities[role] = capabilities

    def program(self, role: str) -> tuple[str, ...]:
        """Return the words that call the tier's engine, as far as it is known."""
        return self._programs.get(role, ("llama-server",))

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
            program=self.program(role),
            capabilities=self.capabilities(role),
            port=tier.port,
            alias=role,
            models_dir=self.models_dir,
            host=tier.listen,
            api_key_file=self.keys.path(role) if tier.is_open_to_the_network else None,
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
            facts = await asyncio.to_thread(read_facts, path)
        except (GgufError, OSError) as error:
            log.info("no model facts for %s: %s", role, error)
            return None
        self._facts[str(path)] = facts
        return facts
