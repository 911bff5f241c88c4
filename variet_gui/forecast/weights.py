"""Where every tensor of a model goes, and what it takes there.

Sources: `src/llama-model.cpp` (load_tensors), `src/llama-model-loader.cpp` (create_tensor, overrides),
`src/llama-arch.cpp` (LLM_TENSOR_INFOS: what belongs to the input, the output or a layer),
`ggml/src/ggml-cuda/ggml-cuda.cu` (ggml_backend_cuda_buffer_type_get_alloc_size: rows of quantised matrices are
padded to 512 values, once per tensor), `ggml/src/ggml-rpc/ggml-rpc.cpp` (ggml_backend_rpc_buffer_type_get_alloc_size
and _get_alignment: an RPC device does as its worker does, and a worker on a CPU pads to 32 bytes only), b11434.
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
_OUTPUT = ("output.weight", "output_norm.weight", "output_norm.bias", "output.bias", "cls.", "cls_out.")
_FIRST_LAYER = ("per_layer_model_proj.", "per_layer_proj_norm.")
"""They belong to layer 0, though their names do not say so."""
_EVERY_LAYER = "rope_freqs."
"""One copy on every device with layers."""
_EMBEDDINGS = "token_embd.weight"
_HEAD = "output.weight"
_REMOTE = "RPC"
_REMOTE_ALIGNMENT = 32
"""TENSOR_ALIGNMENT of the CPU."""
_ENTRIES = 32


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """One layer's tensors under one set of overrides."""

    own: int
    """Bytes that go where the layer goes, padded as on a GPU."""
    remote: int
    """The same, padded as on the CPU of an RPC worker."""
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
    head_moved: bool
    """Whether an override takes the output head off its device."""


_Key: TypeAlias = tuple[int, tuple[tuple[str, str], ...]]
_kept: OrderedDict[_Key, tuple[ModelShape, tuple[LayerWeights, ...]]] = OrderedDict()
_layers: dict[tuple[int, int, tuple[tuple[str, str], ...]], tuple[ModelShape, LayerWeights]] = {}
_MOST_LAYERS = 4096
_lock = threading.Lock()


def device_bytes(tensor: GgufTensor) -> int:
    """Return what a tensor takes on a CUDA device, without alignment."""
    known = _QUANTISED.get(tensor.type)
    short = -tensor.shape[0] % _ROW_PADDING if known is not None and tensor.shape else 0
    return tensor.n_bytes + (short // known.block * known.n_bytes if known is not None and short else 0)


def remote_bytes(tensor: GgufTensor) -> int:
    """Return what a tensor takes on an RPC device whose worker computes on a CPU, with alignment."""
    return -(-tensor.n_bytes // _REMOTE_ALIGNMENT) * _REMOTE_ALIGNMENT


def is_remote(device: str) -> bool:
    """Whether a device of this name is another computer's."""
    return device.startswith(_REMOTE)


def _bytes_on(device: str, tensor: GgufTensor) -> int:
    return remote_bytes(tensor) if is_remote(device) else padded(device_bytes(tensor))


def layer_weights(model: ModelShape, overrides: Sequence[Override]) -> tuple[LayerWeights, ...]:
    """Return the weights of every layer under these overrides; computed once for each model and set of overrides."""
    key = (id(model), tuple((override.pattern.pattern, override.buffer) for override in overrides))
    with _lock:
        found = _kept.get(key)
        if found is not None and found[0] is model:
            _kept.move_to_end(key)
            return found[1]
    everywhere = [override for override in overrides if override.layer is None]
    own = {override.layer for override in overrides}
    result = tuple(
        _layer(
            model,
            index,
            [override for override in overrides if override.layer in (None, index)] if index in own else everywhere,
        )
        for index in range(len(model.layer_tensors))
    )
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
    sums = _Sums(names)
    loaded = model.layers if predicts else model.layers[: model.trunk_layers]
    for index, weights in enumerate(layer_weights(model, overrides)[: len(loaded)]):
        where = placed.layer_device[index]
        if where is None:
            sums.host += weights.plain
        else:
            sums.devices[where] += weights.remote if is_remote(names[where]) else weights.own
        sums.host += sum(size for _, size in weights.staged)
        for buffer, size in weights.moved.items():
            sums.add_to(buffer, size)
    beyond = [override for override in overrides if override.layer is None or override.layer >= len(model.layers)]
    taken = overridden(model.other_tensors, beyond) if beyond else {}
    for name, tensor in model.other_tensors.items():
        for where in _homes(name, placed):
            sums.add(tensor, where, taken.get(name))
    embeddings = model.other_tensors.get(_EMBEDDINGS)
    if model.tied and embeddings is not None:
        home = taken.get(_EMBEDDINGS)
        # A second copy for the output, unless it would lie where the first lies.
        if placed.output_device is not None and home is None:
            sums.add(embeddings, placed.output_device, None)
    head = _EMBEDDINGS if model.tied else _HEAD
    return WeightBytes(tuple(sums.devices), sums.host, tuple(dict.fromkeys(sums.unknown)), head in taken)


class _Sums:
    """Adds up tensors by where they lie."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self.devices = [0] * len(names)
        self.host = 0
        self.unknown: list[str] = []

    def add(self, tensor: GgufTensor, where: int | None, buffer: str | None) -> None:
        """Add a tensor that belongs on a device (None: host memory), or that an override sends to `buffer`."""
        if buffer is not None and buffer != CPU:
            self.add_to(buffer, _bytes_on(buffer, tensor))
        elif where is None or buffer == CPU:
            self.host += tensor.n_bytes
        else:
            self.devices[where] += _bytes_on(self._names[where], tensor)

    def add_to(self, buffer: str, size: int) -> None:
        """Add bytes to the device that is called `buffer`."""
        if buffer in self._names:
            self.devices[self._names.index(buffer)] += size
        else:
            self.unknown.append(buffer)


def _homes(name: str, placed: Placement) -> tuple[int | None, ...]:
    """Return the devices that hold a tensor of no single layer; None is host memory."""
    if name.startswith(_OUTPUT):
        return (placed.output_device,)
    if name.startswith(_FIRST_LAYER):
        return placed.layer_device[:1]
    if name.startswith(_EVERY_LAYER):
        return tuple(dict.fromkeys(placed.layer_device))
    return (None,)


def _layer(model: ModelShape, index: int, overrides: Sequence[Override]) -> LayerWeights:
    """Return the weights of one layer under the overrides that can take any of them; each set is looked at once."""
    key = (id(model), index, tuple((override.pattern.pattern, override.buffer) for override in overrides))
    with _lock:
        found = _layers.get(key)
        if found is not None and found[0] is model:
            return found[1]
    made = _read(index, model.layer_tensors[index], overrides)
    with _lock:
        if len(_layers) >= _MOST_LAYERS:
            _layers.clear()
        _layers[key] = (model, made)
    return made


def _read(index: int, tensors: Mapping[str, GgufTensor], overrides: Sequence[Override]) -> LayerWeights:
    taken = overridden((f"blk.{index}.{name}" for name in tensors), overrides) if overrides else {}
    own = remote = plain = 0
    moved: dict[str, int] = {}
    staged: list[tuple[str, int]] = []
    for name, tensor in tensors.items():
        buffer = taken.get(f"blk.{index}.{name}")
        if buffer is None:
            own += padded(device_bytes(tensor))
            remote += remote_bytes(tensor)
            plain += tensor.n_bytes
        elif buffer == CPU:
            staged.append((name, tensor.n_bytes))
        else:
            moved[buffer] = moved.get(buffer, 0) + _bytes_on(buffer, tensor)
    everything = sorted((name, tensor.n_bytes) for name, tensor in tensors.items())
    return LayerWeights(own, remote, plain, moved, tuple(sorted(staged)), tuple(everything))
