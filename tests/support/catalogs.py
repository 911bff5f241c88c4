"""Catalogs for tests: tiers on tiny models and free ports."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
