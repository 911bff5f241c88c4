"""What the terminal prints, put together from a panel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from variet_gui.panel import borrow, reports
from variet_gui.panel.panel import Panel, PanelOptions


def test_that_all_ports_are_asked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> list[str]:
        together = asyncio.Barrier(5)

        async def answers(_panel: Panel, role: str) -> bool:
            async with asyncio.timeout(5.0):
                await together.wait()
            return role == "fast"

        monkeypatch.setattr(borrow, "runs_elsewhere", answers)
        panel = Panel(PanelOptions(None, tmp_path, demo=True), {})
        try:
            await panel.open(sampling=False)
            return [row.state for row in (await reports.tiers(panel)).tiers]
        finally:
            await panel.close()

    assert asyncio.run(scenario()) == ["ready", *["stopped"] * 4]
