"""Doctor: what is wrong with this computer's set-up, and what to do. Reads only; starts no server."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator

import psutil

from variet_gui import __version__
from variet_gui.engine import preflight
from variet_gui.events import Event, Failure, GpusSampled, Severity
from variet_gui.i18n import Message, msg
from variet_gui.panel.panel import Panel
from variet_gui.panel.shapes import DoctorShape, FindingShape
from variet_gui.telemetry.gpu import GpuSampler

log = logging.getLogger(__name__)

DRIVER_ANSWER_S = 10.0

_NAME_AN_ENGINE = msg("Put llama-server on PATH, name it in VARIET_LLAMA_SERVER, or choose it in the window.")


async def examine(panel: Panel) -> DoctorShape:
    """Look at catalog, engine, driver, links, ports, files and stray servers."""
    gpus = await _ask_driver(panel)
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
    for finding in await asyncio.to_thread(_stray_servers):
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


def _stray_servers() -> list[FindingShape]:
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        name = process.info["name"] or ""
        if not name.startswith("llama-server"):
            continue
        port = _after(process.info["cmdline"] or [], "--port")
        found.append(
            _finding(
                "info",
                "server",
                msg(
                    "A llama-server runs: pid {pid}, port {port}. If no panel shows it, it holds memory for nothing.",
                    pid=process.info["pid"],
                    port=port or "?",
                ),
            )
        )
    return found


def _after(words: list[str], flag: str) -> str | None:
    for word, following in itertools.pairwise(words):
        if word == flag:
            return following
    return None


async def _ask_driver(panel: Panel) -> GpusSampled | None:
    """Return the first word of the GPU sampler, or None when it says nothing in time."""
    if panel.options.demo:
        return None
    answer: asyncio.Future[GpusSampled] = asyncio.get_running_loop().create_future()

    def receive(event: Event) -> None:
        if isinstance(event, GpusSampled) and not answer.done():
            answer.set_result(event)

    forget = panel.events.subscribe(receive)
    sampler = asyncio.create_task(GpuSampler(panel.events).run())
    try:
        return await asyncio.wait_for(answer, DRIVER_ANSWER_S)
    except TimeoutError:
        return None
    finally:
        forget()
        sampler.cancel()
        await asyncio.gather(sampler, return_exceptions=True)


def _finding(severity: str, code: str, text: Message, fix: Message | None = None) -> FindingShape:
    return FindingShape(severity=severity, code=code, text=str(text), fix=None if fix is None else str(fix))
