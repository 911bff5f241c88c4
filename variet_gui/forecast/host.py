"""What a start takes of the computer's own memory.

Sources: `tools/server/server-context.cpp` (prompt cache, context checkpoints), `src/llama-context.cpp` (output buffer),
b11434.
"""

from __future__ import annotations

from variet_gui.forecast.cache import checkpoint_bytes
from variet_gui.forecast.projector import ProjectorBytes
from variet_gui.forecast.settings import Settings
from variet_gui.forecast.shape import ModelShape
from variet_gui.forecast.values import HostForecast

MIB = 2**20


def host_forecast(
    model: ModelShape,
    settings: Settings,
    *,
    weights: int,
    context: int | None,
    compute: int | None,
    projector: ProjectorBytes | None,
) -> HostForecast:
    """Return host memory in MiB.

    Args:
        model: the model.
        settings: of the start.
        weights: bytes of the tensors that stay.
        context: bytes of the caches that stay, None where not known.
        compute: bytes of the buffers, None where not known.
        projector: what a projector takes that stays, or None.
    """
    projector_bytes = 0 if projector is None else projector.weights + (projector.encode or 0)
    return HostForecast(
        weights_mib=weights / MIB,
        context_mib=None if context is None else context / MIB,
        compute_mib=None if compute is None else compute / MIB,
        projector_mib=projector_bytes / MIB,
        prompt_cache_mib=float(max(settings.prompt_cache_mib, 0)),
        checkpoints_mib=settings.slots * settings.checkpoints * checkpoint_bytes(model, settings) / MIB,
    )
