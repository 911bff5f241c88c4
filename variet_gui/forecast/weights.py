"""Where every tensor of a model goes, and what it takes there.

Sources: `src/llama-model.cpp` (load_tensors), `src/llama-model-loader.cpp` (create_tensor, overrides),
`ggml/src/ggml-cuda/ggml-cuda.cu` (ggml_backend_cuda_buffer_type_get_alloc_size: rows of quantised matrices are
padded to 512 values, once per tensor), b11434.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from variet_gui.forecast.allocator import padded
from variet_gui.forecast.overrides import CPU, Override, overridden
from variet_gui.forecast.placement import Placement
from variet_gui.forecast.shape import ModelShape
from variet_gui.gguf.header import GgufTensor
from variet_gui.gguf.types import TENSOR_TYPES

_ROW_PADDING = 512
_QUANTISED = {known.name: known for known in TENSOR_TYPES.values() if known.block > 1}
_OUTPUT = ("output.weight", "output_norm.weight", "output_norm.bias", "output.bias", "cls.", "cls_out.", "rope_freqs.")
_ENTRIES = 32


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """One layer's tensors under one set of overrides."""

    own: int
    """Bytes that go where the layer goes, padded as on a GPU."""
    plain: int
    """The same without padding, for the CPU."""
    moved: Mapping[str, int]
    """Bytes that overrides send to a device by name."""
    staged: tuple[tuple[str, int], ...]
    """What overrides keep on the CPU: (name, bytes)."""
    everything: tuple[tuple[str, int], ...]
    """All tensors: (name, bytes)."""


@dataclass(frozen=True, slots=True)
class WeightBytes:
    """Bytes per device, and in host memory."""

    devices: tuple[int, ...]
    host: int
    unknown_buffers: tuple[str, ...]
    """Buffers that overrides name and that are none of the devices."""


_Key: TypeAlias = tuple[int, tuple[tuple[str, str], ...]]
_kept: OrderedDict[_Key, tuple[ModelShape, tuple[LayerWeights, ...]]] = OrderedDict()
_lock = threading.Lock()


def device_bytes(tensor: GgufTensor) -> int:
    """Return what a tensor takes on a CUDA device, without alignment."""
    known = _QUANTISED.get(tensor.type)
    short = -tensor.shape[0] % _ROW_PADDING if known is not None and tensor.shape else 0
    return tensor.n_bytes + (short // known.block * known.n_bytes if known is not None and short else 0)


def layer_weights(model: ModelShape, overrides: Sequence[Override]) -> tuple[LayerWeights, ...]:
    """Return the weights of every layer under these overrides; computed once for each model and set of overrides."""
    key = (id(model), tuple((override.pattern.pattern, override.buffer) for override in overrides))
    with _lock:
        found = _kept.get(key)
        if found is not None and found[0] is model:
            _kept.move_to_end(key)
            return found[1]
    result = tuple(_layer(index, tensors, overrides) for index, tensors in enumerate(model.layer_tensors))
    with _lock:
        _kept[key] = (model, result)
        if len(_kept) > _ENTRIES:
            _kept.popitem(last=False)
    return result


def weight_bytes(
    model: ModelShape, placed: Placement, names: Sequence[str], overrides: Sequence[Override], *, predicts: bool
) -> WeightBytes:
    """Return what lies where.

    Args:
        model: the model.
        placed: its layers on the devices.
        names: of the devices, in the same order.
        overrides: those of the profile.
        predicts: the layers for multi-token prediction are loaded too.
    """
    devices, host, unknown = [0] * len(names), 0, []
    loaded = model.layers if predicts else model.layers[: model.trunk_layers]
    for index, weights in enumerate(layer_weights(model, overrides)[: len(loaded)]):
        where = placed.layer_device[index]
        if where is None:
            host += weights.plain
        else:
            devices[where] += weights.own
        host += sum(size for _, size in weights.staged)
        for buffer, size in weights.moved.items():
            if buffer in names:
                devices[list(names).index(buffer)] += size
            else:
                unknown.append(buffer)
    for name, tensor in model.other_tensors.items():
        if placed.output_device is not None and name.startswith(_OUTPUT):
            devices[placed.output_device] += padded(device_bytes(tensor))
        else:
            host += tensor.n_bytes
    embeddings = model.other_tensors.get("token_embd.weight")
    if model.tied and embeddings is not None and placed.output_device is not None:
        devices[placed.output_device] += padded(device_bytes(embeddings))
    return WeightBytes(tuple(devices), host, tuple(dict.fromkeys(unknown)))


def _layer(index: int, tensors: Mapping[str, GgufTensor], overrides: Sequence[Override]) -> LayerWeights:
    taken = overridden((f"blk.{index}.{name}" for name in tensors), overrides) if overrides else {}
    own = plain = 0
    moved: dict[str, int] = {}
    staged: list[tuple[str, int]] = []
    for name, tensor in tensors.items():
        buffer = taken.get(f"blk.{index}.{name}")
        if buffer is None:
            own += padded(device_bytes(tensor))
            plain += tensor.n_bytes
        elif buffer == CPU:
            staged.append((name, tensor.n_bytes))
        else:
            moved[buffer] = moved.get(buffer, 0) + padded(device_bytes(tensor))
    everything = sorted((name, tensor.n_bytes) for name, tensor in tensors.items())
    return LayerWeights(own, plain, moved, tuple(sorted(staged)), tuple(everything))
