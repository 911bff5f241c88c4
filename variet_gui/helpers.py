"""How this program starts itself again as a small helper process.

Every helper (GPU sampler, lifeline, embedded engine) is a hidden sub-command of `variet`, so that a checkout, an
installed wheel and a frozen build start it alike.
"""

from __future__ import annotations

import sys
from enum import StrEnum


class Helper(StrEnum):
    """The hidden sub-commands, by the word that `variet` knows them under."""

    EMBEDDED_ENGINE = "_embedded-engine"
    """llama-server's command line on the embedded engine: `variet_gui.engine.embedded.main`."""
    GPU_SAMPLER = "_gpu-sampler"
    """One JSON line a tick from NVML: `variet_gui.telemetry.gpu_sampler.main`."""
    LIFELINE = "_lifeline"
    """Parent of one server; ends its process group when the panel dies: `variet_gui.engine.lifeline.main`."""


def helper_command(helper: Helper, *arguments: str) -> list[str]:
    """Return the argv that starts `helper`, in a checkout, from a wheel and from a frozen build alike."""
    if getattr(sys, "frozen", False):
        return [sys.executable, helper.value, *arguments]
    return [sys.executable, "-m", "variet_gui", helper.value, *arguments]


def run_helper(helper: Helper, arguments: list[str]) -> int:
    """Run `helper` in this process and return its exit code. Imports only what that helper needs."""
    import importlib

    module, function = _ENTRY_POINTS[helper]
    result: int = getattr(importlib.import_module(module), function)(arguments)
    return result


# By name, not by import: this module is on the ground floor and must not know the rooms above it.
_ENTRY_POINTS = {
    Helper.EMBEDDED_ENGINE: ("variet_gui.engine.embedded", "main"),
    Helper.GPU_SAMPLER: ("variet_gui.telemetry.gpu_sampler", "main"),
    Helper.LIFELINE: ("variet_gui.engine.lifeline", "main"),
}
