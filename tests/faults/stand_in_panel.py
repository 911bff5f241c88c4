"""A panel that only holds one server: `stand_in_panel.py LOG keep|end ARGV...`. Prints its pids as JSON and waits."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from variet_gui.engine.process import ServerProcess


async def main() -> None:
    """Start the server and hold it until somebody kills us."""
    log, keep, *argv = sys.argv[1:]
    process = await ServerProcess.spawn(argv, os.environ, Path(log), keep_running=keep == "keep")
    print(json.dumps({"server": process.pid, "panel": os.getpid()}), flush=True)
    await process.wait()


asyncio.run(main())
