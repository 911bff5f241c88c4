"""The types that a KV cache may have, and what they take.

Source: `ggml/src/ggml-common.h` (block sizes) through the table of `gguf.types`.
"""

from __future__ import annotations

from variet_gui.gguf.types import TENSOR_TYPES

_BY_NAME = {known.name: known for known in TENSOR_TYPES.values()}


def bytes_of(type_name: str, numbers: int) -> int:
    """Return what `numbers` values of a type take.

    Raises:
        KeyError: no such type.
    """
    known = _BY_NAME[type_name]
    return numbers // known.block * known.n_bytes


def is_known(type_name: str) -> bool:
    """Whether there is such a type."""
    return type_name in _BY_NAME


def is_quantised(type_name: str) -> bool:
    """Whether values are stored in blocks with a common scale."""
    return _BY_NAME[type_name].block > 1
