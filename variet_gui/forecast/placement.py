"""Which layer goes to which device, and what a tensor split does: llama.cpp's own rule, in its own float32 arithmetic.

Source: `src/llama-model.cpp` (llama_model_base::load_tensors, get_layer_buft_list), b11434. Confirmed against exact
per-device weights of that build.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from variet_gui.events import ParameterValue

_FLOAT32 = struct.Struct("<f")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where everything that repeats goes. Devices by their index in the order of use; None is the CPU.

    The input embeddings always stay on the CPU and are not mentioned.
    """

    layer_device: tuple[int | None, ...]
    output_device: int | None

    def layers_on(self, device: int | None) -> tuple[int, ...]:
        """Return the layers that lie on `device`, ascending."""
        return tuple(layer for layer, where in enumerate(self.layer_device) if where == device)


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """What one device gets."""

    device: int | None
    """None is the CPU."""
    layers: int
    first_layer: int | None
    """None when it gets no layer."""
    last_layer: int | None
    has_output: bool


def placement(
    layers_all: int,
    n_gpu_layers: int,
    tensor_split: Sequence[float] | None,
    devices: Sequence[float],
) -> Placement:
    """Place `layers_all` layers (the file's block_count, MTP layers included) and the output head.

    Args:
        layers_all: repeating layers; the output head counts as one more.
        n_gpu_layers: how many of them leave the CPU, the last ones first; negative: all ("auto" and "all").
        tensor_split: proportions in the order of the devices; None, empty or zeros: by free memory. Missing entries
            count as 0, those beyond the last device are ignored, as in llama.cpp.
        devices: free memory of each device in the order of use, in any unit (bytes are exact). With the split mode
            "none" hand over the main GPU alone. Empty: everything on the CPU.
    """
    shares = _shares(tensor_split, devices)
    wanted = layers_all + 1 if n_gpu_layers < 0 else n_gpu_layers
    first_on_gpu = max(layers_all + 1 - wanted, 0)
    active = min(wanted, layers_all + 1) if shares else 0

    def device_of(index: int) -> int | None:
        if index < first_on_gpu or index - first_on_gpu >= active:
            return None
        # std::upper_bound: the first device whose cumulated share is greater.
        return bisect_right(shares, _float32((index - first_on_gpu) / active))

    return Placement(tuple(device_of(layer) for layer in range(layers_all)), device_of(layers_all))


def describe(placed: Placement, n_devices: int) -> tuple[DeviceShare, ...]:
    """Return what each of `n_devices` devices gets, and the CPU last where something stays on it."""
    places: list[int | None] = list(range(n_devices))
    if None in placed.layer_device or placed.output_device is None:
        places.append(None)
    shares = []
    for device in places:
        layers = placed.layers_on(device)
        first, last = (layers[0], layers[-1]) if layers else (None, None)
        shares.append(DeviceShare(device, len(layers), first, last, placed.output_device == device))
    return tuple(shares)


def split_for_layers(layers: int | Sequence[int], layers_all: int, n_gpu_layers: int = -1) -> tuple[float, ...]:
    """Return the tensor split that puts exactly so many layers on each device.

    Args:
        layers: for every device but the last, how many layers it gets; one number for two devices. The last device
            gets the rest and the output head.
        layers_all: repeating layers of the file.
        n_gpu_layers: as in `placement`; the layers that stay on the CPU are not part of the split.

    Raises:
        ValueError: there are not so many layers, or a number is negative.
    """
    counts = (layers,) if isinstance(layers, int) else tuple(layers)
    active = layers_all + 1 if n_gpu_layers < 0 else min(n_gpu_layers, layers_all + 1)
    if min(counts, default=0) < 0 or sum(counts) > active:
        raise ValueError(f"{counts} layers cannot be placed: {active} leave the CPU, output included")
    # A device ends after b layers when its cumulated share lies in ((b - 1) / active, b / active]; half a layer below
    # b is in the middle of that range, out of reach of any rounding.
    ends, total = [0.0], 0
    for count in counts:
        total += count
        ends.append(float(total) if total in (0, active) else total - 0.5)
    ends.append(float(active))
    return tuple(later - earlier for earlier, later in pairwise(ends))


def gpu_layer_count(value: ParameterValue | None) -> int:
    """Return what `n_gpu_layers` of a profile means here: "auto", "all" and not set are -1, everything.

    (With "auto" llama-server may lower it when the model does not fit; that is its `--fit`, not this rule.)
    """
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _shares(tensor_split: Sequence[float] | None, devices: Sequence[float]) -> list[float]:
    """Return the cumulated and normalised shares, float32, one per device."""
    given = [_float32(part) for part in (tensor_split or ())[: len(devices)]]
    given += [0.0] * (len(devices) - len(given))
    if not any(given):
        given = [_float32(free) for free in devices]
    total, cumulated = 0.0, []
    for part in given:
        total = _float32(total + part)
        cumulated.append(total)
    # Where no device reports memory, llama.cpp divides 0 by 0 and everything lands behind the last device.
    return [_float32(part / total) for part in cumulated] if total else []


def _float32(value: float) -> float:
    # A double rounded once: for + and / of two float32 that equals the float32 result.
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return rounded
