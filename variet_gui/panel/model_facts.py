"""What a model file says about itself, as far as the sliders need it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from variet_gui.gguf.header import read_header


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts from the header of one GGUF file."""

    path: Path
    architecture: str
    layers: int
    """Repeating layers, MTP layers included: llama.cpp counts them in the split."""
    max_context: int | None
    experts: int
    file_mib: float


def read_facts(path: Path) -> ModelFacts:
    """Read the header of `path`; blocks on the disk.

    Raises:
        GgufError: it is no model file that can be read.
        OSError: it cannot be opened.
    """
    header = read_header(path)
    return ModelFacts(
        path=path,
        architecture=header.architecture,
        layers=header.block_count or 0,
        max_context=header.context_length,
        experts=header.expert_count or 0,
        file_mib=path.stat().st_size / 2**20,
    )
