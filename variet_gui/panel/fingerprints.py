"""Puts together what a figure of this machine depended on."""

from __future__ import annotations

import functools
import logging
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.fingerprint import (
    FileIdentity,
    Fingerprint,
    GpuIdentity,
    file_identity,
    relevant_environment,
    relevant_parameters,
)
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import GpuSample
from variet_gui.gguf.header import GgufHeader

log = logging.getLogger(__name__)

UNKNOWN_CARD = "?"
"""The name of a GPU that nobody could look at."""
_CPUINFO = Path("/proc/cpuinfo")


def fingerprint_of(
    profile: LaunchProfile,
    *,
    model: GgufHeader | None,
    projector: GgufHeader | None,
    capabilities: Capabilities | None,
    driver: str | None,
    cards: Sequence[GpuSample | None],
    environment: Mapping[str, str],
) -> Fingerprint:
    """Return the fingerprint of a start. Blocking: reads the headers of the files.

    Args:
        profile: what is, or was, started.
        model: header of its model.
        projector: header of its projector.
        capabilities: of the engine.
        driver: its version.
        cards: the card of every CUDA device, in llama.cpp's order; None where it is not known.
        environment: of the server.
    """
    return Fingerprint(
        model=_identity(model),
        projector=_identity(projector),
        parameters=relevant_parameters(profile),
        extra_arguments=profile.extra_arguments,
        binary_sha256=capabilities.sha256 if capabilities is not None else None,
        build=capabilities.build if capabilities is not None else None,
        driver=driver,
        gpus=tuple(_gpu(card) for card in cards),
        host=host_line(),
        environment=relevant_environment(environment),
    )


@functools.cache
def host_line() -> str:
    """Return processor and memory of this computer in one line. Blocking the first time."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {psutil.cpu_count() or '?'} threads, {memory_gib:.0f} GiB"


def _processor() -> str:
    try:
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError as error:
        log.debug("no %s: %s", _CPUINFO, error)
    return platform.processor() or platform.machine()


def _identity(header: GgufHeader | None) -> FileIdentity | None:
    if header is None:
        return None
    try:
        return file_identity(header)
    except OSError as error:
        log.warning("%s is gone, its figures have no identity: %s", header.shards[0].path, error)
        return None


def _gpu(card: GpuSample | None) -> GpuIdentity:
    if card is None:
        return GpuIdentity(UNKNOWN_CARD)
    return GpuIdentity(
        card.name,
        card.uuid,
        card.pci_bus_id,
        card.pcie_generation_max,
        card.pcie_width,
        None,
        None if card.memory_total_mib is None else round(card.memory_total_mib),
    )
