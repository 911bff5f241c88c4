"""What can be known to be wrong before a server is started: files, settings, port. Milliseconds, and no GPU is touched.

llama-server itself notices a wrong projector only after it loaded the whole model, and on Windows does not notice a
port that is taken at all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.command import is_scrubbed
from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.engine.binary import EngineBinary, EngineNotFound
from variet_gui.engine.cache_findings import cache_findings
from variet_gui.engine.device_findings import VISIBLE_DEVICES, compare_devices, device_findings
from variet_gui.engine.diagnosis import failure
from variet_gui.engine.diagnosis_texts import CAUSES
from variet_gui.engine.findings import Finding, blocking_failure, finding
from variet_gui.engine.image_findings import image_findings
from variet_gui.engine.launch_findings import (
    architecture_findings,
    context_findings,
    draft_findings,
    file_findings,
    slot_findings,
)
from variet_gui.engine.model_files import read_files, resolve_path
from variet_gui.engine.port_check import port_findings
from variet_gui.engine.surroundings import config_file_findings, environment_findings
from variet_gui.events import Failure, GpuSample, Severity
from variet_gui.i18n import Message, msg

__all__ = ["NO_ENGINE", "Finding", "blocking_failure", "check", "compare_devices", "no_engine", "resolve_path"]

NO_ENGINE: Message = CAUSES["engine_not_found"].title


async def check(
    profile: LaunchProfile,
    tier: Tier,
    binary: EngineBinary,
    capabilities: Capabilities | None,
    models_dir: Path,
    panel_pids: Mapping[int, str] | None = None,
    *,
    gpus: Sequence[GpuSample] | None = None,
    environ: Mapping[str, str] | None = None,
    fewer_gpus_will_do: bool = False,
) -> tuple[Finding, ...]:
    """Return what is wrong with a start of `profile`, worst first; without an error it may be tried.

    Args:
        profile: what is to be started.
        tier: for its port and the GPUs that it expects.
        binary: the engine that would run it; its file may have gone since it was resolved.
        capabilities: what the engine can do; None: not known.
        models_dir: where relative model paths start.
        panel_pids: process id -> role of the servers that this panel runs, to name one that holds the port.
        gpus: what the GPU sampler saw last; None: not known. Simulated ones are no GPUs.
        environ: the environment that the server inherits; None: that of this process.
        fewer_gpus_will_do: the operator said "start with the GPUs that are there".
    """
    inherited = os.environ if environ is None else environ
    present = None if gpus is None or any(gpu.simulated for gpu in gpus) else gpus
    settings, port = await asyncio.gather(
        asyncio.to_thread(_setting_findings, profile, binary, capabilities, models_dir, inherited, present),
        port_findings(tier.port, panel_pids or {}),
    )
    found = [*_engine_findings(binary, capabilities), *settings, *port, *environment_findings(inherited)]
    if not binary.embedded:  # that one works on the CPU, as the operator knows
        found += device_findings(
            profile,
            tier,
            present,
            _environment(inherited, profile),
            inherited=VISIBLE_DEVICES not in profile.environment,
            fewer_gpus_will_do=fewer_gpus_will_do,
        )
    order = (Severity.ERROR, Severity.WARNING, Severity.INFO)
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def no_engine(error: EngineNotFound) -> Failure:
    """Return the failure for a tier that has no engine: the operator may name one, or take the CPU on purpose."""
    return failure("engine_not_found", {"reason": error.message})


def _engine_findings(binary: EngineBinary, capabilities: Capabilities | None) -> list[Finding]:
    if binary.path is not None and not binary.path.is_file():
        gone = msg("{path} ({source}) does not exist.", path=binary.path, source=binary.source)
        return [finding("engine_not_found", reason=gone)]
    if capabilities is not None and capabilities.flags and not capabilities.knows("--port"):
        other = msg("{path} ({source}) is not a llama-server.", path=binary.path, source=binary.source)
        return [finding("engine_not_found", reason=other)]
    return []


def _setting_findings(
    profile: LaunchProfile,
    binary: EngineBinary,
    capabilities: Capabilities | None,
    models_dir: Path,
    inherited: Mapping[str, str],
    gpus: Sequence[GpuSample] | None,
) -> list[Finding]:
    """Return everything that files and settings tell. Blocking."""
    model, projector, found = read_files(profile, models_dir)
    draft = resolve_path(profile.get("spec_draft_model"), models_dir)
    found += file_findings(profile, models_dir)
    if model is not None:
        found += architecture_findings(model, capabilities)
        found += context_findings(profile, model)
    if projector is not None:
        found += image_findings(profile, projector, capabilities)
    found += draft_findings(profile, model, draft, capabilities)
    found += cache_findings(profile, model, capabilities, on_gpu=not binary.embedded and gpus != ())
    found += config_file_findings(profile, _environment(inherited, profile), capabilities)
    return found + slot_findings(profile)


def _environment(inherited: Mapping[str, str], profile: LaunchProfile) -> dict[str, str]:
    """Return what of the environment the server gets (`catalog.command.child_environment`)."""
    return {name: value for name, value in {**inherited, **profile.environment}.items() if not is_scrubbed(name)}
