"""How old a build of llama-server is, where its number does not tell: unofficial builds say 0 or 1.

Landmarks: flags that were there or not in the sources of b9093, b10840, b10883, b11349 and b11378 (`common/arg.cpp`).
"""

from __future__ import annotations

import re

from variet_gui.catalog.capabilities import Capabilities

_SEEN_WITHOUT: tuple[tuple[str, int], ...] = (("--log-jsonl", 9093), ("--spec-draft-sampling", 11349))
"""Flag -> the newest source that was seen without it: a build that knows it is newer."""
_SEEN_WITH: tuple[tuple[str, int], ...] = (("--log-jsonl", 10840), ("--spec-draft-sampling", 11378))
"""Flag -> the oldest source that was seen with it: a build that lacks it is older."""
_NO_MMAP_LAST_SEEN, _NO_MMAP_GONE = 10840, 10883
_EMBEDDED_VERSION = re.compile(r"20\d\d\.\d+\.(\d+)")
"""xllamacpp is numbered by year, month and the build of llama.cpp in it."""


def build_bounds(capabilities: Capabilities | None) -> tuple[int, int | None]:
    """Return the oldest and the newest build that this one can be; (0, None): nothing is known."""
    if capabilities is None:
        return 0, None
    if capabilities.build is not None:
        return capabilities.build, capabilities.build
    if capabilities.embedded:
        # Its help names what the panel passes on, which says nothing about the library below.
        version = _EMBEDDED_VERSION.match(capabilities.version or "")
        return (int(version[1]), int(version[1])) if version else (0, None)
    if not capabilities.flags:
        return 0, None
    oldest = [build + 1 for flag, build in _SEEN_WITHOUT if capabilities.knows(flag)]
    newest = [build - 1 for flag, build in _SEEN_WITH if not capabilities.knows(flag)]
    if capabilities.knows("--no-mmap"):
        newest.append(_NO_MMAP_GONE - 1)
    elif oldest:
        oldest.append(_NO_MMAP_LAST_SEEN + 1)
    return max(oldest, default=0), min(newest, default=None)


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
