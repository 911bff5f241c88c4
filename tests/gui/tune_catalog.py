"""The catalog that the tests of the Tune page and of the window are made of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

from tests.gui.fake_bridge import FakeBridge
from tests.support.catalogs import tier, write_catalog

FAST_PARAMETERS = {
    "n_gpu_layers": "all",
    "tensor_split": [0.43, 0.57],
    "batch_size": 2048,
    "ubatch_size": 512,
    "cache_type_k": "q8_0",
    "flash_attn": "on",
    "mmproj": "fast.mmproj.gguf",
}


def make_bridge(folder: Path, data_dir: Path | None = None) -> FakeBridge:
    """Return a bridge on two tiers: fast, tuned and measured, and ultra, of which little is recorded."""
    fast = {
        **tier("fast", Path("fast.gguf"), port=8081, **FAST_PARAMETERS),
        "acceptance": {"min_tps": 70.0, "vram_limit_mib": 12288},
        "history": [{"measured": "2026-04", "generation_tps": 71.89, "context": 262144, "gpus": "both"}],
        "tuning": [{"date": "2026-04", "setting": "-ts", "before": "0.5,0.5", "after": "0.43,0.57", "why": "room"}],
    }
    del fast["parameters"]["threads"]
    ultra = {**tier("ultra", Path("ultra.gguf"), port=8085), "history": [{"measured": "2026-04", "generation_tps": 9}]}
    ultra["parameters"] = {"model": "ultra.gguf"}
    fresh = {**tier("fresh", Path("fresh.gguf"), port=8086), "parameters": {"model": "fresh.gguf"}}
    return FakeBridge(write_catalog(folder / "tiers.json", [fast, ultra, fresh]), folder, data_dir=data_dir)


def broken_bridge(folder: Path, text: str) -> FakeBridge:
    """Return a bridge whose catalog file holds `text`."""
    path = folder / "broken.json"
    path.write_text(text, encoding="utf-8")
    return FakeBridge(path, folder)


def repair(bridge: FakeBridge, text: str) -> None:
    """Write `text` into the bridge's catalog and load it again."""
    bridge.panel.tune.catalog_path.write_text(text, encoding="utf-8")
    asyncio.run(bridge.panel.tune.load())
    bridge.catalog_changed.emit()


def engine(path: str = "/opt/llama-server", *, embedded: bool = False) -> SimpleNamespace:
    """Return what `panel.run.engine` gives for a tier whose engine was found."""
    return SimpleNamespace(binary=SimpleNamespace(path=Path(path), embedded=embedded), failure=None)
