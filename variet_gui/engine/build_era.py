"""How old a build of llama-server is, where its number does not tell: unofficial builds say 0 or 1.

Landmarks: flags that were there or not in the sources of b9093, b10840, b10883 and b11434 (`common/arg.cpp`).
"""

from __future__ import annotations

from variet_gui.catalog.capabilities import Capabilities

_BEFORE_LOG_JSONL = 9093
_WITH_LOG_JSONL = 10840
_LAST_SEEN_WITH_NO_MMAP = 10840
_FIRST_SEEN_WITHOUT_NO_MMAP = 10883


def build_bounds(capabilities: Capabilities | None) -> tuple[int, int | None]:
    """Return the oldest and the newest build that this one can be; (0, None): nothing is known."""
    if capabilities is None:
        return 0, None
    if capabilities.build is not None:
        return capabilities.build, capabilities.build
    if not capabilities.flags:
        return 0, None
    oldest, newest = 0, None
    if capabilities.knows("--log-jsonl"):
        oldest = _BEFORE_LOG_JSONL + 1
        if not capabilities.knows("--no-mmap"):
            oldest = _LAST_SEEN_WITH_NO_MMAP + 1
    else:
        newest = _WITH_LOG_JSONL - 1
    if newest is None and capabilities.knows("--no-mmap"):
        newest = _FIRST_SEEN_WITHOUT_NO_MMAP - 1
    return oldest, newest


def has_since(capabilities: Capabilities | None, *, absent_in: int, present_in: int) -> bool | None:
    """Whether this build has something that was not yet in build `absent_in` and was in build `present_in`.

    None where the build may lie between the two, or is not known.
    """
    oldest, newest = build_bounds(capabilities)
    if oldest >= present_in:
        return True
    if newest is not None and newest <= absent_in:
        return False
    return None
