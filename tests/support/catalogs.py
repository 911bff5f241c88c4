"""Catalogs for tests: tiers on tiny models and free ports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.spawned import free_port


def tier(role: str, model: Path, *, port: int | None = None, **parameters: Any) -> dict[str, Any]:
    """Return one tier on `model` with further launch parameters."""
    return {
        "role": role,
        "model_name": f"tiny {role}",
        "port": port or free_port(),
        "parameters": {"model": str(model), "ctx_size": 1024, "threads": 1, **parameters},
    }


def write_catalog(path: Path, tiers: list[dict[str, Any]], engine: str | None = None, **more: Any) -> Path:
    """Write a catalog file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema": 1, "engine": engine, "tiers": tiers, **more}, indent=1), encoding="utf-8")
    return path
