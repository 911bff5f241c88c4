"""What of a model's shape its memory depends on, read from the header once and kept.

Sources: `src/llama-model.cpp` (load_hparams), `src/llama-hparams.cpp` and `src/models/*.cpp` (load_arch_hparams),
b11434.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeAlias

from variet_gui.forecast.shape_values import Attention, LayerShape, ModelShape, Recurrence
from variet_gui.gguf.header import GgufHeader, GgufTensor

__all__ = ["Attention", "LayerShape", "ModelShape", "Recurrence", "model_shape"]

_LAYER_TENSOR = re.compile(r"blk\.(\d+)\.(.+)")
_GATED_DELTA_NET = frozenset({"qwen35", "qwen35moe"})
_PLAIN_CACHE = frozenset(
    {"llama", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "granite", "granitemoe", "command-r", "glm4", "starcoder2"}
)
"""One ordinary cache for every layer, by the keys of the header."""
_SLIDING_PERIOD: Mapping[str, int] = {"gemma3": 6, "gpt-oss": 2, "gemma2": 2}
"""Every so many layers the last one sees everything, where the file has no pattern (set_swa_pattern)."""
_GRAPH_KNOWN = frozenset({"gemma4", "gemma3", "llama", "qwen2", "qwen3", "qwen3moe"}) | _GATED_DELTA_NET


_Kept: TypeAlias = OrderedDict[int, tuple[GgufHeader, ModelShape]]
_ENTRIES = 16
_kept: _Kept = OrderedDict()
_lock = threading.Lock()


def model_shape(header: GgufHeader) -> ModelShape | None:
    """Return the shape of a model; None where the header does not say enough (no layers, no width).

    The same header object gives the same shape object.
    """
    with _lock:
        found = _kept.get(id(header))
        if found is not None and found[0] is header:
            _kept.move_to_end(id(header))
            return found[1]
    shape = _read(header)
    if shape is not None:
        with _lock:
            _kept[id(header)] = (header, shape)
            if len(_kept) > _ENTRIES:
                _kept.popitem(last=False)
    return shape


def _read(header: GgufHeader) -> ModelShape | None:
    layers_all, width = header.block_count, header.embedding_length
    heads = _per_layer(header, "attention.head_count", layers_all or 0)
    if not layers_all or not width or heads is None or not any(heads):
        return None
    tensors: tuple[dict[str, GgufTensor], ...] = tuple({} for _ in range(layers_all))
    others: dict[str, GgufTensor] = {}
    for tensor in header.tensors:
        match = _LAYER_TENSOR.fullmatch(tensor.name)
        if match is not None and int(match[1]) < layers_all:
            tensors[int(match[1])][match[2]] = tensor
        else:
            others[tensor.name] = tensor
    recurrence = _recurrence(header)
    architecture = header.architecture
    known = architecture in _PLAIN_CACHE or architecture in _SLIDING_PERIOD or architecture == "gemma4"
    return ModelShape(
        architecture=architecture,
        width=width,
        vocabulary=header.vocab_size or _rows(others, "token_embd.weight"),
        trained_context=header.context_length or 0,
        layers=_layers(header, heads, tensors, recurrence),
        prediction_layers=min(header.nextn_layers, layers_all),
        window=header.number("attention.sliding_window") or 0,
        experts=header.expert_count,
        experts_used=header.number("expert_used_count") or 0,
        expert_feed_forward=_expert_width(header, tensors),
        shared_feed_forward=header.number("expert_shared_feed_forward_length") or 0,
        recurrence=recurrence,
        layer_tensors=tensors,
        other_tensors=others,
        cache_known=known or (architecture in _GATED_DELTA_NET and recurrence is not None),
        graph_known=architecture in _GRAPH_KNOWN,
        per_layer_width=header.number("embedding_length_per_layer_input") or 0,
        capped_logits=bool(header.metadata.get(f"{architecture}.final_logit_softcapping")),
    )


def _layers(
    header: GgufHeader,
    heads: tuple[int, ...],
    tensors: tuple[dict[str, GgufTensor], ...],
    recurrence: Recurrence | None,
) -> tuple[LayerShape, ...]:
    count, width = len(heads), header.embedding_length or 0
    kv_heads = _per_layer(header, "attention.head_count_kv", count) or heads
    feed_forward = _per_layer(header, "feed_forward_length", count) or (0,) * count
    kinds = _attention(header, count, recurrence)
    shared = header.number("attention.shared_kv_layers") or 0
    result: list[LayerShape] = []
    alike: dict[LayerShape, LayerShape] = {}
    for index in range(count):
        suffix = "_swa" if kinds[index] is Attention.SLIDING else ""
        default = width // heads[index] if heads[index] else 0
        lengths = [
            header.number(f"attention.{what}_length{suffix}") or header.number(f"attention.{what}_length") or default
            for what in ("key", "value")
        ]
        owns = kinds[index] is not Attention.RECURRENT and index < count - shared
        shape = LayerShape(
            kinds[index],
            heads[index],
            kv_heads[index],
            lengths[0],
            lengths[1],
            owns,
            feed_forward[index],
            frozenset(tensors[index]),
            _alike(tensors[index]),
        )
        result.append(alike.setdefault(shape, shape))
    return tuple(result)


def _attention(header: GgufHeader, count: int, recurrence: Recurrence | None) -> tuple[Attention, ...]:
    trunk = count - min(header.nextn_layers, count)
    prefix = header.architecture
    if recurrence is not None and prefix in _GATED_DELTA_NET:
        marked = header.metadata.get(f"{prefix}.attention.recurrent_layers")
        interval = header.number("full_attention_interval") or 4
        recurrent = [index < trunk and (index + 1) % interval != 0 for index in range(count)]
        if isinstance(marked, tuple) and len(marked) >= count:
            recurrent = [bool(mark) for mark in marked[:count]]
        return tuple(Attention.RECURRENT if entry else Attention.FULL for entry in recurrent)
    if not header.number("attention.sliding_window"):
        return (Attention.FULL,) * count
    pattern = header.metadata.get(f"{prefix}.attention.sliding_window_pattern")
    if isinstance(pattern, tuple) and len(pattern) >= count:
        slides = tuple(bool(entry) for entry in pattern[:count])
    else:
        period = pattern if isinstance(pattern, int) and pattern > 0 else _SLIDING_PERIOD.get(prefix, 0)
        slides = tuple(period > 0 and index % period < period - 1 for index in range(count))
    return tuple(Attention.SLIDING if slide else Attention.FULL for slide in slides)


def _recurrence(header: GgufHeader) -> Recurrence | None:
    keys = ("conv_kernel", "inner_size", "group_count", "state_size", "time_step_rank")
    values = [header.number(f"ssm.{key}") for key in keys]
    found = [value for value in values if value]
    return Recurrence(*found) if len(found) == len(keys) else None


def _expert_width(header: GgufHeader, tensors: tuple[dict[str, GgufTensor], ...]) -> int:
    by_key = header.number("expert_feed_forward_length")
    if by_key:
        return by_key
    for layer in tensors:
        down = layer.get("ffn_down_exps.weight")
        if down is not None and down.shape:
            return down.shape[0]
    return 0


def _per_layer(header: GgufHeader, key: str, count: int) -> tuple[int, ...] | None:
    """Return one number per layer; the header has one for all, or a list."""
    value = header.metadata.get(f"{header.architecture}.{key}")
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,) * count
    if isinstance(value, tuple) and len(value) >= count:
        return tuple(int(entry) for entry in value[:count])
    return None


def _alike(tensors: Mapping[str, GgufTensor]) -> bool:
    forms = set()
    for name in ("ffn_up_exps", "ffn_gate_exps", "ffn_up_shexp", "ffn_gate_shexp"):
        tensor = tensors.get(f"{name}.weight")
        forms.add((tensor.type, tensor.shape[:2]) if tensor is not None else None)
    return len(forms) == 1 and None not in forms


def _rows(tensors: Mapping[str, GgufTensor], name: str) -> int:
    tensor = tensors.get(name)
    return tensor.shape[1] if tensor is not None and len(tensor.shape) > 1 else 0
