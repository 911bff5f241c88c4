"""A real panel behind a real bridge: simulated cards, header-only models, no server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.catalogs import tier, write_catalog
from tests.support.forecast_rows import DATA, unpack_headers
from tests.support.screenshots import until
from variet_gui.panel.panel import Panel, PanelOptions
from variet_gui.ui.bridge import Bridge
from variet_gui.ui.core_thread import CoreThread

MODEL = "qwen35b-Q4_K_M"
ROLE = "balanced"
VALUES: Mapping[str, Any] = {
    "ctx_size": 262144,
    "ubatch_size": 256,
    "tensor_split": [0.48, 0.52],
    "cache_type_k": "q8_0",
    "cache_type_v": "q8_0",
    "flash_attn": "on",
    "n_gpu_layers": "all",
    "parallel": 1,
}
"""The tier "balanced" with a quantised cache: it fits two cards of 12 GB."""
TWO_CARDS = (12288, 12288)


@contextmanager
def real_bridge(
    folder: Path, model: Path | None = None, *, engine: Path | None = None, **values: Any
) -> Iterator[Bridge]:
    """Yield the bridge of a panel with one tier and two simulated cards; `values` change its settings.

    Without a `model` it is the header of the 35B one, unpacked into `folder`; no llama-server takes that.
    """
    if model is None:
        model = unpack_headers(DATA / "forecast_headers.tar.gz", folder) / f"{MODEL}.gguf"
    entry = tier(ROLE, model, **{**VALUES, **values})
    catalog = write_catalog(
        folder / "tiers.json",
        [entry],
        str(engine) if engine is not None else None,
        simulated_gpus=list(TWO_CARDS),
    )
    with open_bridge(catalog, folder / "data") as bridge:
        until(lambda: bridge.panel.outlook.of(ROLE).forecast is not None, "the model's header was read")
        yield bridge


@contextmanager
def open_bridge(catalog: Path, data: Path) -> Iterator[Bridge]:
    """Yield the bridge of an open panel in the demo's manner, and close it with all that it runs."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VARIET_")}
    panel = Panel(PanelOptions(catalog, data, demo=True), environ)
    core = CoreThread(lambda loop, context: loop.default_exception_handler(context))
    core.start()
    bridge = Bridge(panel, core)
    opened: list[None] = []
    closed: list[None] = []
    bridge.opened.connect(lambda: opened.append(None))
    bridge.closed.connect(lambda: closed.append(None))
    bridge.open()
    try:
        until(lambda: opened, "the panel is open")
        yield bridge
    finally:
        bridge.close()
        until(lambda: closed, "the panel is closed")
        core.finish()
        core.join(5.0)
