"""The GPUs that a tier expects against those that are there, and against those that a loaded server really uses.

Nothing here asks a GPU: what is there is what the GPU sampler saw last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from variet_gui.catalog.tiers import LaunchProfile, Tier
from variet_gui.engine.diagnosis_texts import START_ON_CPU, START_WITH_THESE_GPUS, START_WITHOUT_GPU
from variet_gui.engine.findings import Finding, finding
from variet_gui.engine.load_report import LoadReport
from variet_gui.events import Fix, GpuSample, Severity
from variet_gui.i18n import msg

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"

_DEVICE_NUMBER = re.compile(r"\D+(\d+)")
_CUDA_DEVICE = re.compile(r"CUDA(\d+)", re.IGNORECASE)
_NAMING_DEVICES = ("device", "mmproj_device", "spec_draft_device")


def device_findings(
    profile: LaunchProfile,
    tier: Tier,
    gpus: Sequence[GpuSample] | None,
    environment: Mapping[str, str],
    *,
    inherited: bool,
    fewer_gpus_will_do: bool = False,
) -> list[Finding]:
    """Return what is wrong with the GPUs before a start.

    Args:
        profile: what is to be started.
        tier: for the GPUs that it expects.
        gpus: what the sampler saw last; None: not known, and then only the environment is looked at.
        environment: the server's own.
        inherited: whether CUDA_VISIBLE_DEVICES comes from the panel's environment, not from the tier.
        fewer_gpus_will_do: the operator said "start with the GPUs that are there".
    """
    asked = environment.get(VISIBLE_DEVICES)
    seen = None if gpus is None else len(gpus)
    shown = seen if asked is None else len(visible_devices(asked, gpus))
    found: list[Finding] = []
    expected = tier.expected_gpus or 0
    severity = Severity.WARNING if fewer_gpus_will_do else Severity.ERROR
    if not profile.get("rpc"):  # devices of other computers count too, and nobody here sees them
        if gpus is not None and len(gpus) < expected:
            found.append(_absent(expected, gpus, severity))
        elif shown is not None and shown < expected:
            fixes = (START_WITH_THESE_GPUS,) if shown else (START_WITHOUT_GPU, START_ON_CPU)
            found.append(finding("gpus_hidden", severity, fixes=fixes, expected=expected, found=shown, value=asked))
    if asked is not None and inherited and not found:
        found.append(finding("gpus_chosen_outside", Severity.INFO, value=asked, count=shown))
    if seen:
        found += _missing_names(profile, shown or 0)
    return found


def visible_devices(value: str, gpus: Sequence[GpuSample] | None) -> list[str]:
    """Return the entries of CUDA_VISIBLE_DEVICES that CUDA takes: those before the first that names no GPU.

    Source: CUDA C++ programming guide, "CUDA environment variables".
    """
    taken: list[str] = []
    for entry in (part.strip() for part in value.split(",")):
        if entry.isdecimal():
            is_there = gpus is None or int(entry) < len(gpus)
        elif entry.startswith(("GPU-", "MIG-")):
            known = {gpu.uuid for gpu in gpus or () if gpu.uuid}
            is_there = entry.startswith("MIG-") or not known or any(uuid.startswith(entry) for uuid in known)
        else:
            is_there = False
        if not is_there or entry in taken:
            break
        taken.append(entry)
    return taken


def compare_devices(tier: Tier, report: LoadReport) -> Finding | None:
    """Return what is wrong with the GPUs that a loaded server really uses, or None when they are as the tier expects.

    A build without GPU support starts without complaint and even reports its layers as "offloaded to GPU"; only the
    devices that hold weights tell the truth.
    """
    if tier.expected_gpus is None:
        return None
    used = report.gpus_in_use
    names = ", ".join(used)
    if len(used) != tier.expected_gpus:
        if not used:
            return finding("gpus_none", expected=tier.expected_gpus)
        if len(used) < tier.expected_gpus:
            return finding("gpus_missing", expected=tier.expected_gpus, found=len(used), names=names)
        return finding("gpus_too_many", Severity.WARNING, expected=tier.expected_gpus, found=len(used), names=names)
    if tier.main_gpu_only is not None and tier.expected_gpus == 1:
        number = _DEVICE_NUMBER.fullmatch(used[0])
        if number is not None and int(number[1]) != tier.main_gpu_only:
            return finding("gpu_other", Severity.WARNING, expected=tier.main_gpu_only, names=names)
    return None


def _absent(expected: int, gpus: Sequence[GpuSample], severity: Severity) -> Finding:
    if not gpus:
        return finding("gpus_all_absent", severity, expected=expected)
    names = ", ".join(f"{gpu.index}: {gpu.name}" for gpu in gpus)
    return finding("gpus_absent", severity, expected=expected, found=len(gpus), names=names)


def _missing_names(profile: LaunchProfile, count: int) -> list[Finding]:
    """Return what names a CUDA device that llama-server will not have."""
    found = []
    for key in _NAMING_DEVICES:
        names = [name.strip() for name in str(profile.get(key) or "").split(",")]
        gone = [name for name in names if (match := _CUDA_DEVICE.fullmatch(name)) and int(match[1]) >= count]
        if gone:
            rest = ",".join(name for name in names if name not in gone) or None
            fix = Fix(msg("Leave {device} out", device=", ".join(gone)), {key: rest})
            found.append(finding("device_not_there", fixes=(fix,), device=", ".join(gone), count=count))
    main = profile.get("main_gpu")
    if profile.get("split_mode") == "none" and not profile.get("device") and isinstance(main, int) and main >= count:
        found.append(finding("main_gpu_missing", device=main, count=count))
    return found
