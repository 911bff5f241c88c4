"""Turns what the panel knows into the shapes that the terminal prints."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from variet_gui.catalog.command import Command
from variet_gui.catalog.exporting import Exported, ExportFormat
from variet_gui.catalog.parameters import PARAMETERS
from variet_gui.chat.conversation import ChatMessage
from variet_gui.events import Failure, ServerState, Timings
from variet_gui.panel.borrow import state_elsewhere
from variet_gui.panel.exchange import Pasted
from variet_gui.panel.outlook import Outlook
from variet_gui.panel.outlook_text import tightest
from variet_gui.panel.panel import Panel
from variet_gui.panel.shapes import (
    ChangeShape,
    ChatShape,
    CommandShape,
    ErrorShape,
    ExportShape,
    FitShape,
    ImportShape,
    StartShape,
    TierRow,
    TiersShape,
    TimingsShape,
)

_ALTERING = ("CUDA_", "GGML_")


async def tiers(panel: Panel) -> TiersShape:
    """Return the catalog with states. A tier that another panel runs is found by asking its port."""
    catalog = panel.tune.catalog
    assert catalog is not None
    rows = []
    # All at once: a port that is held and silent takes its two seconds.
    states = await asyncio.gather(*(_state(panel, role) for role in catalog.roles))
    for role in catalog.roles:  # one after the other: most have the same engine, which is asked once
        await panel.run.find_engine(role)
    await panel.outlook.look(*(panel.tune.draft(role) for role in catalog.roles))
    for tier, state in zip(catalog.tiers, states, strict=True):
        last = tier.latest_figure
        profile = panel.tune.draft(tier.role)
        rows.append(
            TierRow(
                role=tier.role,
                model_name=tier.model_name,
                quantisation=tier.quantisation,
                state=state,
                port=tier.port,
                url=f"{panel.api_of(tier).base_url}/v1",
                vision=profile.get("mmproj") is not None,
                target_tps=tier.acceptance.min_tps,
                vram_limit_mib=tier.acceptance.vram_limit_mib,
                last_tps=last.generation_tps if last else None,
                last_measured=last.measured if last else None,
                has_fingerprint=bool(last and last.fingerprint),
                not_recorded=[row.key for row in PARAMETERS if row.essential and profile.get(row.key) is None],
                fit=_fit(panel.outlook.of(tier.role)),
            )
        )
    return TiersShape(catalog=str(panel.paths.catalog), demo=panel.options.demo, tiers=rows)


def _fit(outlook: Outlook) -> FitShape:
    worst = tightest(outlook.devices)
    spare = worst.forecast.spare_mib if worst is not None else None
    return FitShape(
        verdict=outlook.verdict.value,
        free_mib=None if spare is None else round(spare, 2),
        device=worst.forecast.name if worst is not None else None,
        summary=str(outlook.summary),
    )


async def _state(panel: Panel, role: str) -> str:
    status = panel.fleet.server(role).status
    if status.state is not ServerState.STOPPED:
        return str(status.state.value)
    return str((await state_elsewhere(panel, role)).value)


def command(panel: Panel, role: str, built: Command) -> CommandShape:
    """Return the exact command with its environment and what had to be left off."""
    return CommandShape(
        role=role,
        argv=list(built.argv),
        env=dict(built.environment),
        env_removed=sorted(name for name in panel.environ if name in built.removed_environment),
        env_inherited={
            name: value
            for name, value in sorted(panel.environ.items())
            if name.startswith(_ALTERING) and name not in built.environment
        },
        notes=[str(note) for note in built.notes],
    )


def start(panel: Panel, role: str) -> StartShape:
    """Return what a tier says about itself once it is ready."""
    server = panel.fleet.server(role)
    status = server.status
    return StartShape(
        role=role,
        state=status.state.value,
        pid=status.pid,
        port=status.port,
        url=status.url,
        vision=status.vision,
        context_size=status.context_size,
        build=status.build,
        load_seconds=status.load_seconds,
        log=str(server.log_path),
    )


def chat(role: str, answer: ChatMessage) -> ChatShape:
    """Return one answer with its figures."""
    return ChatShape(
        role=role, answer=answer.text, reasoning=answer.reasoning, timings=timings(answer.timings or Timings())
    )


def timings(value: Timings) -> TimingsShape:
    """Return the figures of one answer."""
    return TimingsShape(
        generated_tokens=value.generated_tokens,
        generation_tps=value.generation_tps,
        prompt_tokens=value.prompt_tokens,
        prefill_tps=value.prefill_tps,
        cached_tokens=value.cached_tokens,
        time_to_first_token_ms=value.time_to_first_token_ms,
        image_tokens=value.image_tokens,
        image_ms=value.image_ms,
    )


def imported(panel: Panel, role: str, pasted: Pasted, *, saved: bool) -> ImportShape:
    """Return what an import made, or would make, of a tier."""
    stored = pasted.profile.as_stored()
    return ImportShape(
        role=role,
        saved=saved,
        parameters=stored["parameters"],
        extra_arguments=stored["extra_arguments"],
        environment=stored["environment"],
        changes=[ChangeShape(key=one.key, before=one.before, after=one.after) for one in pasted.changes],
        notes=[str(note) for note in pasted.notes],
        argv=list(panel.tune.command(role).argv),
    )


def exported(roles: list[str], form: ExportFormat, file: Exported, path: Path | None) -> ExportShape:
    """Return an exported file."""
    return ExportShape(
        roles=roles,
        format=form.value,
        text=file.text,
        file=None if path is None else str(path),
        notes=[str(note) for note in file.notes],
    )


def failure_shape(failure: Failure) -> ErrorShape:
    """Return a failed start with its evidence."""
    return ErrorShape(
        error=str(failure.title),
        code=failure.code,
        detail=None if failure.detail is None else str(failure.detail),
        evidence=list(failure.evidence),
    )


def sampling(temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
    """Return the sampling settings of one request; what is None stays as the server is set."""
    chosen = {"temperature": temperature, "max_tokens": max_tokens}
    return {key: value for key, value in chosen.items() if value is not None}
