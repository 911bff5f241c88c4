"""A panel that is killed while somebody edits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.tuning import Bench
from tests.support.waiting import run_async

_EDITING = """
import asyncio, sys
from pathlib import Path
from variet_gui.catalog.store import CatalogStore
from variet_gui.events import EventStream
from variet_gui.panel.tune import Tune

async def edit(folder):
    catalog = folder / "catalog.json"
    tune = Tune(CatalogStore(catalog, catalog), folder / "models", EventStream(), folder / "data")
    await tune.open()
    tune.edit("fast", "ctx_size", 8192)
    tune.edit("ultra", "tensor_split", (0.43, 0.57))
    while not (folder / "data" / "drafts.json").exists():
        await asyncio.sleep(0.01)
    print("kept", flush=True)
    for size in range(256, 100000):  # edits go on, so that the kill may meet a write
        tune.edit("ultra", "ctx_size", size)
        await asyncio.sleep(0.001)

asyncio.run(edit(Path(sys.argv[1])))
"""


def test_that_edits_survive_a_panel_that_is_killed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    content = bench.catalog.read_bytes()
    with subprocess.Popen([sys.executable, "-c", _EDITING, str(tmp_path)], stdout=subprocess.PIPE) as panel:
        assert panel.stdout is not None
        assert panel.stdout.readline().strip() == b"kept"
        panel.kill()

    async def come_back() -> None:
        tune = bench.restart()
        await tune.open()
        assert tune.draft("fast").get("ctx_size") == 8192
        assert tune.draft("ultra").get("tensor_split") == (0.43, 0.57)
        await tune.close()

    run_async(come_back())
    assert bench.catalog.read_bytes() == content
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["drafts.json"]
