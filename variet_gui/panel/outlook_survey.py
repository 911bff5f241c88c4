"""Gathers what forecasts are made from: drafts, model files, engines, cards, and what earlier starts have taught."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from variet_gui.catalog.command import FIXED_ENVIRONMENT, is_scrubbed
from variet_gui.catalog.tiers import Catalog, LaunchProfile
from variet_gui.engine.binary import EngineBinary
from variet_gui.engine.device_findings import VISIBLE_DEVICES
from variet_gui.engine.log_facts import DeviceUsed
from variet_gui.engine.model_files import resolve_path
from variet_gui.events import GpuSample, GpusSampled, HostSample, ServerStatus
from variet_gui.forecast.calibration import UNCALIBRATED, Calibration
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg
from variet_gui.panel.calibrations import Calibrations, Circumstances, card_of
from variet_gui.panel.device_lists import DeviceLists, EngineQuestion
from variet_gui.panel.driver import ask_driver
from variet_gui.panel.header_shelf import HeaderShelf
from variet_gui.panel.outlook_basis import Basis, build_of, with_extra_arguments
from variet_gui.panel.outlook_host import host_now
from variet_gui.panel.outlook_machine import NO_DEVICE, Machine, Sight, held_on_cards, machine_of
from variet_gui.panel.seen_devices import SeenDevice, seen_devices
from variet_gui.panel.tune import Tune

NO_MODEL = msg("No model file is set. Choose one; then it can be said what it takes.")
IN_SHORT = {NO_MODEL: msg("no model file"), NO_DEVICE: msg("no device known")}
"""Problems that are too long for one line."""
READING = msg("The model file is being read.")
IS_PROJECTOR = msg("This file is a projector, not a model. Choose the model.")


class Surveyor:
    """Gathers what forecasts are made from. Everything but `look` is in memory and may be called from any thread."""

    def __init__(
        self,
        tune: Tune,
        shelf: HeaderShelf,
        lists: DeviceLists,
        calibrations: Calibrations,
        statuses: Callable[[], Sequence[ServerStatus]],
        gpus: Callable[[], GpusSampled | None],
        binary: Callable[[str], EngineBinary | None],
        environ: Mapping[str, str],
        elsewhere: Callable[[], tuple[ServerStatus, ...]],
        *,
        demo: bool,
    ) -> None:
        self._tune = tune
        self._shelf = shelf
        self._lists = lists
        self.calibrations = calibrations
        self._statuses = statuses
        self._sampled = gpus
        self._binary = binary
        self._environ = environ
        self._find_elsewhere = elsewhere
        self._demo = demo
        self.looked: GpusSampled | None = None
        """One look at the GPUs, where no sampler runs."""
        self.host: HostSample | None = None
        """The computer's own memory, as it was seen last."""
        self._elsewhere: tuple[ServerStatus, ...] = ()
        """Tiers that another panel runs or has left running, where this one does not sample."""
        self.engine: EngineBinary | None = None
        """The engine of a model that belongs to no tier."""
        self._addresses: dict[str | None, Mapping[str, str]] = {}
        """PCI addresses of devices as servers have told, by CUDA_VISIBLE_DEVICES."""
        self._expected: dict[tuple[str, bool], tuple[Catalog | None, tuple[float | None, ...]]] = {}
        self._machines: dict[str, tuple[Sight, tuple[ServerStatus, ...], Machine]] = {}
        """The machine that each tier saw last, with what it was made from: a slider does not change it."""
        self.given: Machine | None = None
        """Cards that the operator asked about instead of this computer's."""
        self.build: int | None = None
        """The build that the operator asked about instead of the engine's."""

    def basis(self, role: str, profile: LaunchProfile) -> Basis | Message:
        """Return what the forecast of `profile` is made from, or why there can be none."""
        effective = with_extra_arguments(profile)
        path = resolve_path(effective.get("model"), self._tune.models_dir)
        if path is None:
            return NO_MODEL
        model = self._shelf.get(path)
        if model is None:
            return READING
        if model.header is None:
            return model.problem or READING
        if model.header.is_projector:
            return IS_PROJECTOR
        projector, reason = self._projector(effective)
        machine = self.machine(role, effective)
        if machine.source is NO_DEVICE and effective.get("device") != "none" and effective.get("n_gpu_layers") != 0:
            return NO_DEVICE
        return Basis(
            effective,
            model.header,
            projector,
            machine,
            self.build if self.build is not None else build_of(self._tune.capabilities(role)),
            self._calibration(role, effective, machine),
            reason,
        )

    async def look(self, profiles: Iterable[LaunchProfile]) -> None:
        """Read the model files of `profiles` now, and, where no sampler runs, have one look at the cards."""
        effective = [with_extra_arguments(profile) for profile in profiles]
        paths = {
            path
            for profile in effective
            for key in ("model", "mmproj")
            if (path := resolve_path(profile.get(key), self._tune.models_dir)) is not None
        }
        await asyncio.gather(*(self._shelf.read(path) for path in sorted(paths)))
        if self._sampled() is not None or self.given is not None:
            return
        self.host = await asyncio.to_thread(host_now)
        if self._demo:
            return
        self._elsewhere = await asyncio.to_thread(self._find_elsewhere)
        self.looked = await ask_driver()
        if not any(status.state.is_active and status.pid is not None for status in self.statuses()):
            questions = [self._question(profile.role, profile) for profile in effective]
            for question in questions:
                if question is not None and self._lists.get(question) is None:
                    await self._lists.ask(question)

    def _projector(self, profile: LaunchProfile) -> tuple[GgufHeader | None, Message | None]:
        path = resolve_path(profile.get("mmproj"), self._tune.models_dir)
        if path is None:
            return None, None
        entry = self._shelf.get(path)
        if entry is None:
            return None, msg("The projector's file is being read.")
        if entry.header is None:
            return None, entry.problem
        if not entry.header.is_projector:
            return None, msg("{file} is not a projector.", file=path.name)
        return entry.header, None

    # ------------------------------------------------------------------------------------------------- the machine

    def gpus(self) -> GpusSampled | None:
        """Return what was seen of the GPUs last; in the demo, its cards also before the first round."""
        sampled = self._sampled() or self.looked
        catalog = self._tune.catalog
        if self._demo and (sampled is None or not sampled.samples) and catalog is not None:
            cards = tuple(
                GpuSample(index, f"Simulated GPU {index}", 0.0, float(capacity), simulated=True)
                for index, capacity in enumerate(catalog.simulated_gpus or ())
            )
            return GpusSampled(0.0, cards)
        return sampled

    def statuses(self) -> tuple[ServerStatus, ...]:
        """Return every server of the panel, and the tiers that another panel runs."""
        ours = self._statuses()
        active = {status.role for status in ours if status.state.is_active}
        return (*ours, *(status for status in self._elsewhere if status.role not in active))

    def machine(self, role: str, profile: LaunchProfile) -> Machine:
        """Return the devices that a start of `profile` would see, without what our own servers hold of them."""
        if self.given is not None:
            return self.given
        sight, statuses = self._sight(role, profile), self.statuses()
        known = self._machines.get(role)
        if known is not None and known[0] == sight and known[1] == statuses:
            return known[2]
        machine = machine_of(sight)
        held: dict[int, float] = {}
        for status in statuses:
            for card, mib in held_on_cards(status, sight.gpus, machine).items():
                held[card] = held.get(card, 0.0) + mib
        machine = machine_of(replace(sight, held_mib=held)) if held else machine
        self._machines[role] = (sight, statuses, machine)
        return machine

    def devices(self, role: str, profile: LaunchProfile) -> tuple[SeenDevice, ...] | None:
        """Return the devices that a start of `profile` could be told to use; None while nobody knows."""
        return seen_devices(self._sight(role, profile))

    def note_addresses(self, profile: LaunchProfile, devices: Iterable[DeviceUsed]) -> None:
        """Take up which card is behind which name, as a server of `profile` has told."""
        told = {device.name: device.pci_bus_id for device in devices if device.pci_bus_id is not None}
        if told:
            self._addresses[self._visible(profile)] = told

    def environment(self, profile: LaunchProfile) -> dict[str, str]:
        """Return the environment of a server of `profile`."""
        inherited = {name: value for name, value in self._environ.items() if not is_scrubbed(name)}
        return {**inherited, **FIXED_ENVIRONMENT, **profile.environment}

    def _visible(self, profile: LaunchProfile) -> str | None:
        return profile.environment.get(VISIBLE_DEVICES, self._environ.get(VISIBLE_DEVICES))

    def engine_of(self, role: str) -> EngineBinary | None:
        """Return the engine of a tier once it is found; with an empty name that of a model which has no tier."""
        return self._binary(role) if role else self.engine

    def _question(self, role: str, profile: LaunchProfile) -> EngineQuestion | None:
        """Return what to ask the tier's engine about its devices; None where that is known or cannot be asked."""
        binary = self.engine_of(role)
        if binary is None or binary.embedded or self._demo:
            return None
        return EngineQuestion(binary, self._visible(profile), _rpc(profile), self.environment(profile))

    def _sight(self, role: str, profile: LaunchProfile) -> Sight:
        binary, question = self.engine_of(role), self._question(role, profile)
        return Sight(
            gpus=self.gpus(),
            listed=None if question is None else self._lists.get(question),
            visible=self._visible(profile),
            addresses=self._addresses.get(self._visible(profile), {}),
            rpc=tuple(part.strip() for part in (_rpc(profile) or "").split(",") if part.strip()),
            embedded=binary is not None and binary.embedded,
            assumed_mib=self._assumed(role, profile),
        )

    def _assumed(self, role: str, profile: LaunchProfile) -> tuple[float | None, ...]:
        """Return the cards that the catalog expects; another catalog is another object."""
        catalog, none = self._tune.catalog, profile.get("device") == "none"
        known = self._expected.get((role, none))
        if known is None or known[0] is not catalog:
            known = self._expected[role, none] = (catalog, _assumed(catalog, role, none=none))
        return known[1]

    def circumstances(self, role: str, profile: LaunchProfile, machine: Machine) -> Circumstances:
        """Return what decides which earlier starts tell something of this one."""
        gpus = self.gpus()
        samples = {sample.index: sample for sample in gpus.samples} if gpus is not None else {}
        cards = []
        for slot in machine.slots:
            sample = samples.get(slot.card) if slot.card is not None else None
            cards.append((slot.device.name, None if sample is None else card_of(sample.uuid, sample.name)))
        capabilities = self._tune.capabilities(role)
        engine: str | None = None
        if capabilities is not None:
            engine = capabilities.sha256 or (None if capabilities.build is None else f"b{capabilities.build}")
        return Circumstances(tuple(cards), gpus.driver if gpus is not None else None, engine, _rpc(profile))

    def _calibration(self, role: str, profile: LaunchProfile, machine: Machine) -> Calibration:
        if machine.simulated or self.given is not None:
            return UNCALIBRATED
        return self.calibrations.fitting(self.circumstances(role, profile, machine))


def _rpc(profile: LaunchProfile) -> str | None:
    value = profile.get("rpc")
    return value if isinstance(value, str) and value else None


def _assumed(catalog: Catalog | None, role: str, *, none: bool) -> tuple[float | None, ...]:
    """Return the cards that the catalog expects: it describes one computer, so the most that any tier expects."""
    if catalog is None:
        return ()
    tier = catalog.tier(role) if role in catalog.roles else None
    if (tier is not None and tier.expected_gpus == 0) or none:
        return ()
    counts = [other.expected_gpus or 0 for other in catalog.tiers]
    counts += [other.main_gpu_only + 1 for other in catalog.tiers if other.main_gpu_only is not None]
    limits = [other.acceptance.vram_limit_mib for other in ((tier,) if tier is not None else ()) + tuple(catalog.tiers)]
    limit = next((mib for mib in limits if mib is not None), None)
    return (None if limit is None else float(limit),) * max(counts, default=0)
