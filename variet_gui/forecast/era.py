"""Which of llama.cpp's rules hold for which build.

The pull requests and the days they were merged are known, their build numbers only between two builds that can be told
apart. Between the two it cannot be said which rule holds, and the forecast takes the one that needs more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

REFERENCE_BUILD = 11434
"""The build whose source the rules were read from."""


class Rule(Enum):
    """A rule that came with a build: the last build that has it not, and the first that has it for sure."""

    NARROW_MASKS = (9272, 9600)
    """Masks are built as F16 (#23764, end of May 2026); before they came as F32 and were converted on the device."""
    FEW_OUTPUTS = (9272, 9600)
    """Logits are reserved for the slots only (#23861, June 2026); before for every token of a batch."""
    RESERVED_SCRATCH = (9272, 9600)
    """The F16 copy of a quantised cache is part of the compute buffer (#23907, June 2026); before it came on top, bit by
    bit, as the context filled."""
    ALL_CACHE_PAIRS = (10509, 11434)
    """Flash attention on CUDA takes every pair of cache types; before only some, and the CPU did the rest."""
    KEPT_FOR_FUSION = (9425, 11258)
    """The CUDA back end keeps tensors of mixtures of experts for its fused operations."""
    MIXED_INPUTS = (11258, 11434)
    """The graph has a branch for batches of text and pictures."""


@dataclass(frozen=True, slots=True)
class Era:
    """What holds for one build; None where that cannot be said."""

    build: int | None
    narrow_masks: bool | None
    few_outputs: bool | None
    reserved_scratch: bool | None
    all_cache_pairs: bool | None
    kept_for_fusion: bool | None
    mixed_inputs: bool | None

    @property
    def certain(self) -> bool:
        """Whether every rule is known for this build."""
        return None not in (
            self.narrow_masks,
            self.few_outputs,
            self.reserved_scratch,
            self.all_cache_pairs,
            self.kept_for_fusion,
            self.mixed_inputs,
        )


def era_of(build: int | None) -> Era:
    """Return what holds for a build number; None, an unofficial build, is taken for the reference build."""
    number = REFERENCE_BUILD if build is None or build < 2 else build
    return Era(
        build,
        _holds(Rule.NARROW_MASKS, number),
        _holds(Rule.FEW_OUTPUTS, number),
        _holds(Rule.RESERVED_SCRATCH, number),
        _holds(Rule.ALL_CACHE_PAIRS, number),
        _holds(Rule.KEPT_FOR_FUSION, number),
        _holds(Rule.MIXED_INPUTS, number),
    )


def _holds(rule: Rule, build: int) -> bool | None:
    without, with_it = rule.value
    if build >= with_it:
        return True
    return False if build <= without else None
