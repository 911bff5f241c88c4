"""Which of llama.cpp's rules hold for which build.

The pull requests and the days they were merged are known, their build numbers only between two builds that can be told
apart. Between the two it cannot be said which rule holds, and the forecast takes the one that needs more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

REFERENCE_BUILD = 11434
"""The build whose source the rules were read from."""

# The last build that has the rule not, and the first that has it for sure.
_JUNE_2026 = (9272, 9600)
_FUSION = (9425, 11258)
_CACHE_PAIRS = (10509, 11434)
_MIXED = (11258, 11434)
_RPC_EVENTS = (9093, 11434)


@dataclass(frozen=True)
class Era:
    """What holds for one build; None where that cannot be said."""

    narrow_masks: bool | None = True
    """Masks are built as F16 (#23764, end of May 2026); before they came as F32 and were converted on the device."""
    few_outputs: bool | None = True
    """Logits are reserved for the slots only (#23861, June 2026); before for every token of a batch."""
    reserved_scratch: bool | None = True
    """The F16 copy of a quantised cache is part of the compute buffer (#23907, June 2026); before it came on top, bit
    by bit, as the context filled."""
    kept_for_fusion: bool | None = True
    """The CUDA back end keeps tensors of mixtures of experts for its fused operations."""
    all_cache_pairs: bool | None = True
    """Flash attention on CUDA takes every pair of cache types; before only some, and the CPU did the rest."""
    mixed_inputs: bool | None = True
    """The graph has a branch for batches of text and pictures."""
    rpc_events: bool | None = True
    """RPC devices compute while others do (`ggml-rpc.cpp`, ggml_backend_rpc_device_get_props; #18626): several of them
    work as a pipeline, and pay for its copies."""

    @cached_property
    def certain(self) -> bool:
        """Whether every rule is known for this build, but for that of RPC devices: of those the larger is taken."""
        rules = {name: rule for name, rule in vars(self).items() if name not in ("rpc_events", "certain")}
        return None not in rules.values()


@cache
def era_of(build: int | None) -> Era:
    """Return what holds for a build number; None, an unofficial build, is taken for the reference build."""
    number = REFERENCE_BUILD if build is None or build < 2 else build
    june = _holds(_JUNE_2026, number)
    return Era(
        june,
        june,
        june,
        _holds(_FUSION, number),
        _holds(_CACHE_PAIRS, number),
        _holds(_MIXED, number),
        _holds(_RPC_EVENTS, number),
    )


def _holds(rule: tuple[int, int], build: int) -> bool | None:
    without, with_it = rule
    if build >= with_it:
        return True
    return False if build <= without else None
