"""The memory of the context: KV cache, sliding cache and recurrent state, layer by layer.

Sources: `src/llama-kv-cache.cpp`, `src/llama-kv-cache-iswa.cpp`, `src/llama-memory-recurrent.cpp`,
`src/llama-hparams.cpp` (n_embd_r, n_embd_s), `src/llama-model.cpp` (create_memory), b11434. With known shapes these are
exact: no difference was found on any published log.
"""

from __future__ import annotations

from variet_gui.forecast.cache_types import bytes_of
from variet_gui.forecast.settings import Settings, sliding_cells
from variet_gui.forecast.shape import Attention, ModelShape

_STATE_BYTES = 4
"""Recurrent states are F32, whatever the cache types are."""


def layer_bytes(model: ModelShape, settings: Settings) -> tuple[int, ...]:
    """Return what each layer of the trunk remembers, bytes; those for prediction 0: they are never attended to.

    Args:
        model: a model whose cache rule is known.
        settings: of the start. With flash attention switched off the value cache of every layer is as wide as the
            widest; not where "auto" finds that it cannot be had, for the cache is made before that is found.
    """
    widest = model.widest_value if settings.flash_attention == "off" else 0
    sliding = sliding_cells(settings, model.window) if model.window else 0
    states = settings.slots * (1 + settings.draft_tokens)
    kept = {Attention.FULL: settings.slot_cells, Attention.SLIDING: sliding}
    values = model.recurrence.state_values if model.recurrence is not None else 0
    each: dict[int, int] = {}  # equal layers are one object
    for layer in model.kinds:
        size = 0
        if layer.attention is Attention.RECURRENT:
            size = values * states * _STATE_BYTES
        elif layer.owns_cache:
            keys = bytes_of(settings.key_type, layer.key_width)
            width = keys + bytes_of(settings.value_type, max(widest, layer.value_width))
            size = kept[layer.attention] * settings.streams * width
        each[id(layer)] = size
    trunk = model.layers[: model.trunk_layers]
    return (*(each[id(layer)] for layer in trunk), *(0 for _ in model.layers[model.trunk_layers :]))


def prediction_bytes(model: ModelShape, settings: Settings) -> int:
    """Return the cache of the prediction layer, in a context of its own."""
    if not settings.predicts or not model.prediction_layers:
        return 0
    layer = model.layers[model.trunk_layers]
    keys, values = settings.draft_types
    cells = settings.slot_cells * settings.streams
    return cells * (bytes_of(keys, layer.key_width) + bytes_of(values, layer.value_width))


def checkpoint_bytes(model: ModelShape, settings: Settings) -> int:
    """Return what one checkpoint of one slot keeps in host memory at most: the parts that cannot be rewound."""
    each: dict[int, int] = {}
    for layer in model.kinds:
        size = 0
        if layer.attention is Attention.RECURRENT and model.recurrence is not None:
            size = model.recurrence.state_values * _STATE_BYTES
        elif layer.attention is Attention.SLIDING and layer.owns_cache:
            width = bytes_of(settings.key_type, layer.key_width) + bytes_of(settings.value_type, layer.value_width)
            size = min(model.window, settings.slot_cells) * width
        each[id(layer)] = size
    return sum(each[id(layer)] for layer in model.layers[: model.trunk_layers])
