"""What scoring a row of memory figures gives, and how rows, flags and headers are read."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from variet_gui.catalog.importing import import_command
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.gguf.header import GgufHeader, read_header
from variet_gui.gguf.reader import GgufError

DATA = Path(__file__).resolve().parents[1] / "unit" / "data"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases"
"""Beside the repository, where it is at hand."""
OCTOBER_2026 = 11258
"""What the label v0.5.0 of a published corpus stands for."""


@dataclass(frozen=True, slots=True)
class Residual:
    """One figure beside the forecast, MiB."""

    row: str
    model: str
    device: str
    term: str
    truth: float
    ours: float
    exact_to: float
    """The truth is somewhere between itself and so much more (figures that were cut), or rounded by so much."""

    @property
    def error(self) -> float:
        """Return how far the forecast is above (positive) or below what the figure may stand for."""
        if self.ours > self.truth + self.exact_to:
            return self.ours - self.truth - self.exact_to
        return min(0.0, self.ours - self.truth)


@dataclass(frozen=True, slots=True)
class NotScored:
    """A row, or a term of it, that says too little."""

    row: str
    reason: str


class UnreadableRowError(Exception):
    """A row cannot be scored; the text says why."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, packed with gzip or not; a line that is no row stands under "unreadable"."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = []
    for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            row = {"unreadable": f"not JSON: {error}"}
        if not isinstance(row, dict):
            row = {"unreadable": "not an object"}
        rows.append({"id": f"{path.name}:{number}", **row})
    return rows


def unpack_headers(archive: Path, folder: Path) -> Path:
    """Unpack header-only models (sparse files stay sparse) and return the folder."""
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder


def model_name(model: object) -> str:
    """Return the name of a header for what a row calls its model: a name, a file, or an object with a name."""
    name = model.get("name") if isinstance(model, Mapping) else model
    return Path(str(name)).name.removesuffix(".gguf")


def header_of(model: object, folder: Path) -> GgufHeader | None:
    """Return the header of a model by its name in the rows; None where it is not at hand."""
    path = folder / f"{model_name(model)}.gguf"
    try:
        return read_header(path) if path.exists() else None
    except GgufError as error:
        raise UnreadableRowError(f"the header of {path.name} cannot be read: {error}") from error


def build_of(text: object) -> int | None:
    """Return the build number in a label such as "b11434 CUDA 13.0"; None: it says none."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    label = text if isinstance(text, str) else ""
    match = re.search(r"\bb(\d{4,5})\b|^(?:version: )?(\d{4,5}) \(", label)
    if match is not None:
        return int(match[1] or match[2])
    return OCTOBER_2026 if label.startswith("v0.5.0") else None


def profile_of(flags: Iterable[object]) -> LaunchProfile:
    """Return the launch profile of llama-server's own flags.

    Raises:
        UnreadableRowError: some are not known, so that nobody could say what they do.
    """
    words = flags.split() if isinstance(flags, str) else [str(flag) for flag in flags]
    read = import_command(["llama-server", *words])
    if read.extra_arguments:
        raise UnreadableRowError(f"flags that are not understood: {' '.join(read.extra_arguments)}")
    return read.profile("fast")


def with_value(profile: LaunchProfile, key: str, value: Any) -> LaunchProfile:
    """Return `profile` with one more value."""
    return replace(profile, values={**profile.values, key: value})
