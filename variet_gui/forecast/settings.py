"""A launch profile as numbers: every default filled in as llama-server fills it in.

Sources: `common/arg.cpp`, `common/common.h` (defaults), `tools/server/server.cpp` (slots), `src/llama-context.cpp`
(llama_context::llama_context: what is padded and limited), b11434.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.forecast.overrides import Override, overrides_of

CELLS_PAD = 256
_AUTOMATIC_SLOTS = 4
_DEFAULT_BATCH = 2048
_DEFAULT_MICRO_BATCH = 512
_DEFAULT_DRAFT = 3
_PREDICTING = "draft-mtp"
_WITH_DRAFT_MODEL = frozenset({"draft-simple", "draft-eagle3", "draft-dflash", "draft-dspark"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a start's memory depends on."""

    context: int
    """Tokens, all slots together, padded."""
    slot_cells: int
    """Cells of the cache, per stream."""
    slots: int
    unified: bool
    """All slots share one cache."""
    batch: int
    micro_batch: int
    key_type: str
    value_type: str
    flash_attention: str
    """"on", "off" or "auto"."""
    full_sliding_cache: bool
    cache_on_gpu: bool
    op_offload: bool
    n_gpu_layers: ParameterValue | None
    tensor_split: tuple[float, ...]
    split_mode: str
    main_gpu: int
    devices: tuple[str, ...] | None
    """Names in the order of use; None: all; empty: no GPU."""
    overrides: tuple[Override, ...]
    predicts: bool
    """Multi-token prediction with the model's own layer."""
    draft_tokens: int
    draft_types: tuple[str, str]
    """Cache types of the draft context."""
    draft_model: bool
    adapters: bool
    projector_on_gpu: bool
    projector_device: str | None
    image_max_tokens: int | None
    prompt_cache_mib: int
    checkpoints: int
    fits_itself: bool
    """llama-server may change settings so that it fits (`--fit`); not once layers, split or overrides are given."""

    @property
    def streams(self) -> int:
        """Return how many parts the cache has."""
        return 1 if self.unified else self.slots

    @property
    def outputs(self) -> int:
        """Return for how many tokens of a batch logits are reserved."""
        return min(self.batch, self.slots * (1 + self.draft_tokens))

    @property
    def batch_tokens(self) -> int:
        """Return the tokens of the largest micro-batch, a multiple of the slots."""
        tokens = min(self.context, self.micro_batch)
        return -(-tokens // self.slots) * self.slots


def settings_of(profile: LaunchProfile, trained_context: int) -> Settings:
    """Return the numbers of `profile` for a model that was trained on so many tokens.

    One slot where the profile says nothing: the panel's command line always says how many.

    Raises:
        OverrideError: an override that llama-server would refuse.
    """
    values = profile.values
    slots, unified = _whole(values.get("parallel"), 1), values.get("kv_unified") is True
    if slots < 1:
        slots, unified = _AUTOMATIC_SLOTS, True
    context = _whole(values.get("ctx_size"), 0) or trained_context or CELLS_PAD
    # Limited by the context before that is padded (llama_context::llama_context).
    batch = min(context, _whole(values.get("batch_size"), _DEFAULT_BATCH))
    micro = _whole(values.get("ubatch_size"), _DEFAULT_MICRO_BATCH) or batch
    context = _padded(context)
    cells = context if unified else _padded(context // slots)
    context = cells if unified else cells * slots
    speculation = str(values.get("spec_type", "none")).split(",")
    predicts = _PREDICTING in speculation
    chosen = overrides_of(values)
    return Settings(
        context=context,
        slot_cells=cells,
        slots=slots,
        unified=unified,
        batch=batch,
        micro_batch=min(batch, micro),
        key_type=str(values.get("cache_type_k", "f16")),
        value_type=str(values.get("cache_type_v", "f16")),
        flash_attention=str(values.get("flash_attn", "auto")),
        full_sliding_cache=values.get("swa_full") is True,
        cache_on_gpu=values.get("kv_offload") is not False,
        op_offload=values.get("op_offload") is not False,
        n_gpu_layers=values.get("n_gpu_layers"),
        tensor_split=_ratio(values.get("tensor_split")),
        split_mode=str(values.get("split_mode", "layer")),
        main_gpu=_whole(values.get("main_gpu"), 0),
        devices=_devices(values.get("device")),
        overrides=chosen,
        predicts=predicts,
        draft_tokens=_whole(values.get("spec_draft_n_max"), _DEFAULT_DRAFT) if predicts else 0,
        draft_types=(str(values.get("spec_draft_type_k", "f16")), str(values.get("spec_draft_type_v", "f16"))),
        draft_model=bool(values.get("spec_draft_model")) or not _WITH_DRAFT_MODEL.isdisjoint(speculation),
        adapters=bool(values.get("lora") or values.get("lora_scaled")),
        projector_on_gpu=values.get("mmproj_offload") is not False and values.get("mmproj_device") != "none",
        projector_device=_text(values.get("mmproj_device")),
        image_max_tokens=_whole(values.get("image_max_tokens"), 0) or None,
        prompt_cache_mib=_whole(values.get("cache_ram"), 8192),
        checkpoints=_whole(values.get("ctx_checkpoints"), 32),
        fits_itself=values.get("fit") != "off"
        and not isinstance(values.get("n_gpu_layers"), int)
        and "tensor_split" not in values
        and not chosen,
    )


def sliding_cells(settings: Settings, window: int) -> int:
    """Return the cells of a sliding cache, per stream (`src/llama-kv-cache-iswa.cpp`)."""
    if settings.full_sliding_cache:
        return settings.slot_cells
    wanted = window * (settings.slots if settings.unified else 1) + settings.micro_batch
    return _padded(min(settings.slot_cells, wanted))


def _padded(cells: int) -> int:
    return -(-cells // CELLS_PAD) * CELLS_PAD


def _whole(value: ParameterValue | None, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _text(value: ParameterValue | None) -> str | None:
    return value if isinstance(value, str) and value else None


def _ratio(value: ParameterValue | None) -> tuple[float, ...]:
    return tuple(float(part) for part in value) if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _devices(value: ParameterValue | None) -> tuple[str, ...] | None:
    if not isinstance(value, str) or not value:
        return None
    return () if value == "none" else tuple(name.strip() for name in value.split(",") if name.strip())
