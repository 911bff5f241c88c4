"""Doctor: what is wrong with this computer's set-up, and what to do. Reads only; starts no server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from variet_gui import __version__
from variet_gui.engine import adopted, preflight
from variet_gui.events import Failure, GpusSampled, Severity
from variet_gui.i18n import Message, msg
from variet_gui.panel.driver import ask_driver
from variet_gui.panel.panel import Panel
from variet_gui.panel.recovery import describe
from variet_gui.panel.shapes import DoctorShape, FindingShape

log = logging.getLogger(__name__)

_NAME_AN_ENGINE = msg("Put llama-server on PATH, name it in VARIET_LLAMA_SERVER, or choose it in the window.")


async def examine(panel: Panel) -> DoctorShape:
    """Look at catalog, engine, driver, links, ports, files and stray servers."""
    gpus = None if panel.options.demo else await ask_driver()
    findings = [finding async for finding in _findings(panel, gpus)]
    return DoctorShape(
        version=__version__,
        catalog=str(panel.paths.catalog),
        data_dir=str(panel.paths.data_dir),
        findings=findings,
        gpus=[
            {
                "index": gpu.index,
                "name": gpu.name,
                "simulated": gpu.simulated,
                "memory_used_mib": gpu.memory_used_mib,
                "memory_total_mib": gpu.memory_total_mib,
                "pci_bus_id": gpu.pci_bus_id,
                "pcie_generation": gpu.pcie_generation,
                "pcie_width": gpu.pcie_width,
                "pcie_width_max": gpu.pcie_width_max,
            }
            for gpu in (gpus.samples if gpus else ())
        ],
    )


async def _findings(panel: Panel, gpus: GpusSampled | None) -> AsyncIterator[FindingShape]:
    catalog = panel.tune.catalog
    error = panel.tune.catalog_error
    if error is not None:
        yield _finding("error", "catalog", error.message)
    if catalog is not None:
        yield _finding("ok", "catalog", msg("The catalog is fine: {path}", path=panel.paths.catalog))
        for role in catalog.roles:
            async for finding in _tier_findings(panel, role, gpus):
                yield finding
    for finding in _gpu_findings(panel, gpus):
        yield finding
    for finding in await _other_servers(panel):
        yield finding


async def _tier_findings(panel: Panel, role: str, gpus: GpusSampled | None) -> AsyncIterator[FindingShape]:
    tier, profile = panel.tune.tier(role), panel.tune.draft(role)
    engine = await panel.run.find_engine(role)
    if engine.binary is None:
        problem = engine.failure or Failure("no_engine", preflight.NO_ENGINE)
        text = msg("{role}: {problem}", role=role, problem=problem.title)
        yield _finding("error", "engine", text, problem.detail or _NAME_AN_ENGINE)
        return
    capabilities = panel.tune.capabilities(role)
    yield _finding(
        "ok",
        "engine",
        msg(
            "{role}: llama-server {build} ({source})",
            role=role,
            build=capabilities.label if capabilities else "?",
            source=engine.binary.source,
        ),
    )
    findings = await preflight.check(
        profile,
        tier,
        engine.binary,
        capabilities,
        panel.tune.models_dir,
        gpus=gpus.samples if gpus else None,
        environ=panel.environ,
    )
    for found in findings:
        word = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "info"}[found.severity]
        fix = found.fixes[0].text if found.fixes else None
        yield _finding(word, found.code, msg("{role}: {problem}", role=role, problem=found.text), fix)


def _gpu_findings(panel: Panel, gpus: GpusSampled | None) -> list[FindingShape]:
    if panel.options.demo:
        return [_finding("info", "gpus", msg("The demo runs on the CPU; its two GPUs are simulated."))]
    if gpus is None or gpus.problem is not None:
        problem = gpus.problem if gpus else None
        return [_finding("warning", "driver", problem or msg("The GPU sampler gave no answer."))]
    found = [
        _finding(
            "ok",
            "driver",
            msg("NVIDIA driver {driver}, {count} GPUs", driver=gpus.driver or "?", count=len(gpus.samples)),
        )
    ]
    narrow = [gpu for gpu in gpus.samples if (gpu.pcie_width or 0) < (gpu.pcie_width_max or 0) and gpu.pcie_width]
    return found + [
        _finding(
            "warning",
            "pcie",
            msg(
                "GPU {index} uses {width} of {most} PCIe lanes: loading is slower, and so is prefill with "
                "experts on the CPU. Generation with layer split is hardly touched.",
                index=gpu.index,
                width=gpu.pcie_width,
                most=gpu.pcie_width_max,
            ),
        )
        for gpu in narrow
    ]


async def _other_servers(panel: Panel) -> list[FindingShape]:
    """Return the model servers that run: those left running on purpose, and those that are not the panel's."""
    left = []
    for record in await asyncio.to_thread(panel.state_file.peek):
        process = await asyncio.to_thread(adopted.find, record)
        if process is not None:
            text = msg("{role} runs (process {pid}, port {port}).", role=record.role, pid=process.pid, port=record.port)
            left.append(_finding("ok", "server", text))
    return left + [
        _finding("info", "server", describe(stranger), msg("If nobody uses it, end it: it holds memory."))
        for stranger in await panel.recovery.look()
    ]


def _finding(severity: str, code: str, text: Message, fix: Message | None = None) -> FindingShape:
    return FindingShape(severity=severity, code=code, text=str(text), fix=None if fix is None else str(fix))
