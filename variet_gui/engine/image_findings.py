"""Whether a picture fits into one micro-batch, which models that see it as a whole need.

Sources: `tools/mtmd/mtmd.cpp` (mtmd_decode_use_non_causal), `tools/mtmd/clip.cpp` (set_limit_image_tokens) and
`tools/server/server-context.cpp` ("cap image_max_tokens") of b9093, b10840, b11321, b11334 and b11434.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.build_era import has_since
from variet_gui.engine.diagnosis_texts import NO_PROJECTOR, PICK_ENGINE
from variet_gui.engine.findings import Finding, finding
from variet_gui.events import Fix, Severity
from variet_gui.gguf.header import GgufHeader
from variet_gui.gguf.projector import projector_type, projector_width
from variet_gui.i18n import msg

_MICRO_BATCH = 512
_BATCH = 2048
"""llama-server's own."""
_ROOM = 32
"""The fix rounds up to a multiple of this: 1152 for 1120 tokens."""
_GEMMA_3_TOKENS = 256
_GEMMA_4 = frozenset({"gemma4v", "gemma4uv"})
_CAUSAL_WIDTHS = frozenset({1536, 2560})
"""Gemma 4 E2B and E4B take a picture token by token."""
_TOKENS_9093, _TOKENS_10840 = 280, 1120
_MOST_TOKENS: Mapping[bool | None, int] = MappingProxyType(
    {False: _TOKENS_9093, True: _TOKENS_10840, None: _TOKENS_10840}
)
"""The largest picture of Gemma 4, by whether the build is as new as b10840."""
_WITHOUT_CAP, _WITH_CAP = 11321, 11334
"""Between these two builds llama-server began to make pictures smaller instead of stopping."""


def image_findings(profile: LaunchProfile, projector: GgufHeader, capabilities: Capabilities | None) -> list[Finding]:
    """Return what happens to a large picture in a micro-batch that is too small for it, or nothing."""
    tokens = _most_tokens(profile, projector, capabilities)
    holds = min(_number(profile, "ubatch_size", _MICRO_BATCH), _number(profile, "batch_size", _BATCH))
    if tokens is None or tokens <= holds:
        return []
    raise_batch = _raise_batch(profile, tokens)
    limit = Fix(msg("Limit pictures to {tokens} tokens", tokens=holds), {"image_max_tokens": holds})
    if projector_type(projector) == "gemma3":  # one fixed size: no build can make it smaller
        return [finding("picture_stops_server", fixes=(raise_batch, NO_PROJECTOR), tokens=tokens, batch=holds)]
    capped = has_since(capabilities, absent_in=_WITHOUT_CAP, present_in=_WITH_CAP)
    if capabilities is None or capped:
        fixes: tuple[Fix, ...] = (raise_batch, limit)
        return [finding("pictures_made_smaller", Severity.WARNING, fixes=fixes, tokens=tokens, batch=holds)]
    fixes = (raise_batch, limit, NO_PROJECTOR, PICK_ENGINE)
    sure = capped is False and (_is_set(profile) or _as_new_as_10840(capabilities) is not None)
    severity = Severity.ERROR if sure else Severity.WARNING
    return [finding("picture_stops_server", severity, fixes=fixes, tokens=tokens, batch=holds)]


def _most_tokens(profile: LaunchProfile, projector: GgufHeader, capabilities: Capabilities | None) -> int | None:
    """Return how many tokens a picture can take that has to be seen as a whole; None: it need not."""
    kind = projector_type(projector)
    if kind == "gemma3":
        return _GEMMA_3_TOKENS
    if kind not in _GEMMA_4:
        return None
    is_new = True if capabilities is None else _as_new_as_10840(capabilities)
    if kind == "gemma4v" and projector_width(projector) in _CAUSAL_WIDTHS and is_new is not False:
        return None
    if _is_set(profile):
        return _number(profile, "image_max_tokens", 0)
    return _MOST_TOKENS[is_new]


def _as_new_as_10840(capabilities: Capabilities | None) -> bool | None:
    return has_since(capabilities, absent_in=9093, present_in=10840)


def _raise_batch(profile: LaunchProfile, tokens: int) -> Fix:
    wanted = -(-(tokens + 1) // _ROOM) * _ROOM
    values: dict[str, int] = {"ubatch_size": wanted}
    if _number(profile, "batch_size", _BATCH) < wanted:
        values["batch_size"] = wanted
    return Fix(msg("Raise the micro-batch to {tokens}", tokens=wanted), values)


def _is_set(profile: LaunchProfile) -> bool:
    return isinstance(profile.get("image_max_tokens"), int)


def _number(profile: LaunchProfile, key: str, otherwise: int) -> int:
    value = profile.get(key)
    return value if isinstance(value, int) else otherwise
