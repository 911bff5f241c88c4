"""Which of the visible devices a start uses, and in which order.

Source: `common/arg.cpp` (--device), `src/llama.cpp` (llama_prepare_model_devices: the split mode "none" keeps the main
GPU alone), b11434.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from variet_gui.forecast.settings import Settings
from variet_gui.i18n import Message, msg


class Named(Protocol):
    """Anything with llama.cpp's name of a device."""

    @property
    def name(self) -> str:
        """Return the name: "CUDA0"."""


D = TypeVar("D", bound=Named)


def chosen_devices(settings: Settings, devices: Sequence[D]) -> tuple[D, ...] | Message:
    """Return the devices in use, in the order of use, or why there are none such."""
    chosen = tuple(devices)
    if settings.devices is not None:
        known = {device.name: device for device in devices}
        missing = [name for name in settings.devices if name not in known]
        if missing:
            return msg("There is no device {device} here.", device=missing[0])
        chosen = tuple(known[name] for name in settings.devices)
    if settings.split_mode == "none" and chosen:
        if settings.main_gpu >= len(chosen):
            return msg(
                "The main GPU is number {number}, but there are {count}, counted from 0.",
                number=settings.main_gpu,
                count=len(chosen),
            )
        chosen = (chosen[settings.main_gpu],) if settings.main_gpu >= 0 else ()
    return chosen
