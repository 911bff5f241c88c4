"""Whether the types of the KV cache go together with flash attention, the heads of the model and the GPU.

Sources: `src/llama-context.cpp` (llama_init_from_model) and `ggml/src/ggml-cuda/fattn.cu`
(ggml_cuda_fattn_kv_type_supported), b11434.
"""

from __future__ import annotations

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.build_era import has_since
from variet_gui.engine.diagnosis_texts import FLASH_ATTENTION, SPLIT_BY_LAYER
from variet_gui.engine.findings import Finding, finding
from variet_gui.events import Fix, Severity
from variet_gui.gguf.header import GgufHeader
from variet_gui.gguf.types import TENSOR_TYPES
from variet_gui.i18n import Message, msg

_BLOCKS = {known.name: known.block for known in TENSOR_TYPES.values()}
_PLAIN = "f16"
"""What both caches are when nothing is said."""
_WITHOUT_KERNEL = frozenset({"iq4_nl"})
"""Types that flash attention on CUDA does not take in any build."""
_WITHOUT_KERNEL_ONCE = frozenset({"q4_1", "q5_0", "q5_1"})
"""Types that it took only in builds made with GGML_CUDA_FA_ALL_QUANTS; then, K and V had to be of one type too."""
_NEEDED_ALL_QUANTS = 10509
_TAKES_ALL = 11434
_REFUSED_TENSOR_SPLIT = 9093
"""It refused a compressed cache with the split mode "tensor"; b11434 does not."""
_BUILD_BEFORE_MLA_CHECK = 9093
_BUILD_WITH_MLA_CHECK = 10840
_WITHOUT_FLASH_ATTENTION = frozenset({"grok"})
"""Architectures for which llama.cpp turns it off whatever is asked."""


def cache_findings(
    profile: LaunchProfile, model: GgufHeader | None, capabilities: Capabilities | None, *, on_gpu: bool
) -> list[Finding]:
    """Return what is wrong with the cache types of `profile`.

    Args:
        profile: what is to be started.
        model: its header; None: not readable.
        capabilities: of the build.
        on_gpu: whether the server may compute on a GPU at all.
    """
    k_type, v_type = (str(profile.get(key) or _PLAIN) for key in ("cache_type_k", "cache_type_v"))
    attention = _attention(profile, model, capabilities)
    found: list[Finding] = []
    if attention == "off":
        if _is_quantised(v_type):
            found.append(finding("cache_needs_flash_attention"))
    elif model is not None:
        found += _block_findings(model, k_type, v_type)
    if profile.get("split_mode") == "tensor":
        found += _tensor_split_findings(attention, k_type, v_type, capabilities)
    if model is not None and k_type != v_type and _is_latent(model, capabilities):
        same = Fix(msg("Give the V cache the type of the K cache"), {"cache_type_v": k_type})
        found.append(finding("cache_types_differ", fixes=(same,)))
    works_on_gpu = on_gpu and profile.get("kv_offload") is not False and profile.get("n_gpu_layers") != 0
    if works_on_gpu and attention != "off" and not found:
        found += _kernel_findings(k_type, v_type, capabilities)
    return found


def head_widths(model: GgufHeader) -> tuple[frozenset[int], frozenset[int]]:
    """Return how many numbers a head of K, and of V, has: several where sliding layers have heads of their own."""
    heads = [heads for heads in _numbers(model, "attention.head_count") if heads]
    width = model.embedding_length
    usual = {width // heads[0]} if heads and width else set()
    result = []
    for name in ("key_length", "value_length"):
        own = _numbers(model, f"attention.{name}") or tuple(usual)
        result.append(frozenset({*own, *_numbers(model, f"attention.{name}_swa")} - {0}))
    return result[0], result[1]


def _attention(profile: LaunchProfile, model: GgufHeader | None, capabilities: Capabilities | None) -> str:
    """Return "on", "off" or "auto", as this build will have it."""
    if model is not None and model.architecture in _WITHOUT_FLASH_ATTENTION:
        return "off"
    asked = profile.get("flash_attn")
    takes_no_value = (
        capabilities is not None
        and bool(capabilities.value_hints)
        and capabilities.knows("-fa")
        and not capabilities.value_hint("-fa")
    )
    if takes_no_value:  # builds before autumn 2025: off unless the flag stands there
        return "on" if asked == "on" else "off"
    return str(asked or "auto")


def _block_findings(model: GgufHeader, k_type: str, v_type: str) -> list[Finding]:
    found = []
    for code, type_name, widths in zip(
        ("k_cache_type_unfit", "v_cache_type_unfit"), (k_type, v_type), head_widths(model), strict=True
    ):
        block = _BLOCKS.get(type_name, 1)
        unfit = sorted(width for width in widths if width % block)
        if unfit:
            found.append(finding(code, type=type_name, width=unfit[0], block=block))
    return found


def _tensor_split_findings(
    attention: str, k_type: str, v_type: str, capabilities: Capabilities | None
) -> list[Finding]:
    reason: Message | None = None
    fixes: tuple[Fix, ...] = (SPLIT_BY_LAYER,)
    if attention == "off":
        reason = msg("it needs flash attention.")
        fixes = (FLASH_ATTENTION, SPLIT_BY_LAYER)
    else:
        refuses = has_since(capabilities, absent_in=_REFUSED_TENSOR_SPLIT, present_in=_TAKES_ALL) is False
        if refuses and (_is_quantised(k_type) or _is_quantised(v_type)):
            reason = msg("it cannot go with a compressed KV cache in this build.")
    return [finding("split_mode_unfit", reason=reason, fixes=fixes)] if reason is not None else []


def _is_latent(model: GgufHeader, capabilities: Capabilities | None) -> bool:
    """Whether K and V share one latent cache (MLA), and the build refuses two types for it."""
    latent = model.architecture == "deepseek4" or (
        bool(model.number("attention.key_length_mla")) and bool(model.number("attention.value_length_mla"))
    )
    return (
        latent and has_since(capabilities, absent_in=_BUILD_BEFORE_MLA_CHECK, present_in=_BUILD_WITH_MLA_CHECK) is True
    )


def _kernel_findings(k_type: str, v_type: str, capabilities: Capabilities | None) -> list[Finding]:
    types = {k_type, v_type}
    slow = sorted(types & _WITHOUT_KERNEL)
    if not slow and has_since(capabilities, absent_in=_NEEDED_ALL_QUANTS, present_in=_TAKES_ALL) is False:
        slow = sorted(types & _WITHOUT_KERNEL_ONCE) or (sorted(types) if len(types) > 1 else [])
    if not slow:
        return []
    return [finding("cache_type_off_gpu", Severity.WARNING, types=", ".join(slow))]


def _is_quantised(type_name: str) -> bool:
    return _BLOCKS.get(type_name, 1) > 1


def _numbers(model: GgufHeader, key: str) -> tuple[int, ...]:
    """Return the whole numbers at `{architecture}.{key}`: one, one per layer, or none."""
    value = model.metadata.get(f"{model.architecture}.{key}")
    values = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in values if isinstance(one, int) and not isinstance(one, bool))
