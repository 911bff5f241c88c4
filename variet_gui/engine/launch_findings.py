"""Settings that do not go together with each other, with the model, or with this build of llama-server."""

from __future__ import annotations

from pathlib import Path

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameters import PARAMETERS, Kind
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.architectures import is_heard_of, is_known_to
from variet_gui.engine.diagnosis_texts import ONE_SLOT
from variet_gui.engine.findings import Finding, finding
from variet_gui.engine.model_files import resolve_path
from variet_gui.events import Fix, Severity
from variet_gui.gguf.header import GgufError, GgufHeader, read_header
from variet_gui.i18n import msg

_READ_ELSEWHERE = frozenset({"model", "mmproj", "spec_draft_model"})
_MADE_WHEN_MISSING = frozenset({"lookup_cache_dynamic"})
_NEEDS_A_DRAFT_MODEL = frozenset({"draft-simple", "draft-eagle3", "draft-dflash", "draft-dspark"})
_STRETCHES_CONTEXT = frozenset({"rope_scaling", "rope_scale", "rope_freq_scale", "rope_freq_base", "yarn_orig_ctx"})


def architecture_findings(model: GgufHeader, capabilities: Capabilities | None) -> list[Finding]:
    """Warn about a kind of model that this build does not know, or that this program has never heard of."""
    kind = model.architecture
    if is_known_to(capabilities, kind) is False:
        return [finding("model_unknown_architecture", Severity.WARNING, architecture=kind)]
    if not is_heard_of(kind, capabilities):
        return [finding("architecture_unheard_of", Severity.WARNING, architecture=kind or "?")]
    return []


def context_findings(profile: LaunchProfile, model: GgufHeader) -> list[Finding]:
    """Warn about a slot that is larger than what the model was trained for, unless the context is stretched."""
    context, trained = profile.get("ctx_size"), model.context_length
    if not isinstance(context, int) or not trained or any(profile.get(key) for key in _STRETCHES_CONTEXT):
        return []
    slots = profile.get("parallel")
    shared = slots if isinstance(slots, int) and slots > 0 and profile.get("kv_unified") is not True else 1
    if context // shared <= trained:
        return []
    fix = Fix(msg("Use what the model was trained for"), {"ctx_size": trained * shared})
    return [finding("context_beyond_training", Severity.WARNING, fixes=(fix,), context=context // shared, most=trained)]


def slot_findings(profile: LaunchProfile) -> list[Finding]:
    """Tell that one slot is passed where nothing is said: llama-server's own choice is four."""
    if profile.get("parallel") is not None:
        return []
    return [finding("parallel_unset", Severity.INFO, fixes=(ONE_SLOT,))]


def draft_findings(
    profile: LaunchProfile, model: GgufHeader | None, draft: Path | None, capabilities: Capabilities | None
) -> list[Finding]:
    """Return what is wrong with speculative decoding: a draft model without a method, or the other way round.

    Source: `common/arg.cpp` and `common/speculative.cpp` (common_speculative_types_from_gguf), b11434.
    """
    methods = set(str(profile.get("spec_type") or "none").split(",")) - {"none"}
    found: list[Finding] = []
    if draft is not None:
        try:
            header = read_header(draft)
        except GgufError:
            return [finding("draft_model", file=draft)]
        if not methods and _wants_a_method(capabilities) and not _says_its_method(header):
            method = "draft-eagle3" if header.architecture == "eagle3" else "draft-simple"
            found.append(finding("draft_without_method", Severity.WARNING, fixes=(_use_method(method), _NO_DRAFT)))
        return found
    if methods & _NEEDS_A_DRAFT_MODEL:
        named = ", ".join(sorted(methods & _NEEDS_A_DRAFT_MODEL))
        found.append(finding("method_without_draft", Severity.WARNING, method=named))
    if "draft-mtp" in methods and model is not None and not model.nextn_layers:
        found.append(finding("no_prediction_layers"))
    return found


def file_findings(profile: LaunchProfile, models_dir: Path) -> list[Finding]:
    """Return the other files and folders of `profile` that are not there: adapters, templates, caches."""
    found = []
    for row in PARAMETERS:
        value = profile.get(row.key)
        if row.kind is not Kind.PATH or row.key in _READ_ELSEWHERE | _MADE_WHEN_MISSING or not isinstance(value, str):
            continue
        for text in value.split(",") if row.many else [value]:
            path = resolve_path(text, models_dir)
            if path is not None and not (path.is_dir() if row.folder else path.is_file()):
                without = Fix(msg("Start without {flag}", flag=row.flag), {row.key: None})
                found.append(finding("file_missing", fixes=(without,), flag=row.flag, file=path))
    return found


_NO_DRAFT = Fix(msg("Start without a draft model"), {"spec_draft_model": None})


def _use_method(method: str) -> Fix:
    return Fix(msg("Use the method {method}", method=method), {"spec_type": method})


def _wants_a_method(capabilities: Capabilities | None) -> bool:
    """Whether this build leaves a draft model idle unless --spec-type says what to do with it (mid-2026 on)."""
    if capabilities is None or not capabilities.flags:
        return True
    return "draft-simple" in (capabilities.value_hint("--spec-type") or "")


def _says_its_method(draft: GgufHeader) -> bool:
    if draft.architecture == "dflash":
        return True
    last = f"blk.{(draft.block_count or 0) - 1}.nextn.eh_proj.weight"
    return any(tensor.name == last for tensor in draft.tensors)
