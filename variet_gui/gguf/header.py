"""The header of a GGUF model: metadata, and names, shapes, types and places of its tensors. Weights are never read.

How the files of a model in parts belong together: `src/llama-model-loader.cpp`
(llama_model_loader::llama_model_loader), b11434.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from variet_gui.gguf.parsing import GgufTensor, MetadataValue, ParsedFile, parse
from variet_gui.gguf.reader import GgufError, GgufProblem, HeaderReader, SkippedArray, corrupt
from variet_gui.i18n import msg

__all__ = ["GgufError", "GgufHeader", "GgufProblem", "GgufTensor", "Shard", "SkippedArray", "read_header"]

_SHARD_NAME = re.compile(r"(?P<stem>.*)-00001-of-(?P<count>\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a model."""

    path: Path
    file_size: int
    data_start: int
    """Where its weights begin, bytes from its start."""
    data_end: int
    """Where its last tensor ends: the file must be at least this long."""

    @property
    def missing_bytes(self) -> int:
        """Return how many bytes of tensors lie beyond the end of the file; 0 when it is whole."""
        return max(0, self.data_end - self.file_size)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a model or projector says about itself, all its files merged."""

    metadata: Mapping[str, MetadataValue]
    """Of the first file: it carries all of the model's."""
    tensors: tuple[GgufTensor, ...]
    shards: tuple[Shard, ...]
    version: int

    @property
    def architecture(self) -> str:
        """Return `general.architecture`: "gemma4", "qwen35moe", "clip"; empty when it is not said."""
        return self.text("general.architecture") or ""

    @property
    def name(self) -> str | None:
        """Return `general.name`, the model's name for people."""
        return self.text("general.name")

    @property
    def is_projector(self) -> bool:
        """Whether this is a projector (mmproj), which cannot be the main model."""
        return self.architecture == "clip" or self.text("general.type") == "mmproj"

    @property
    def block_count(self) -> int | None:
        """Return the number of repeating layers, MTP layers included (llama.cpp's n_layer_all)."""
        return self.number("block_count")

    @property
    def nextn_layers(self) -> int:
        """Return how many of the layers serve multi-token prediction only."""
        return self.number("nextn_predict_layers") or 0

    @property
    def context_length(self) -> int | None:
        """Return the longest context it was trained for, tokens."""
        return self.number("context_length")

    @property
    def embedding_length(self) -> int | None:
        """Return the width of the model (n_embd)."""
        return self.number("embedding_length")

    @property
    def expert_count(self) -> int:
        """Return the number of experts per layer; 0 for a dense model."""
        return self.number("expert_count") or 0

    @property
    def vocab_size(self) -> int | None:
        """Return the number of tokens: by the key, else by the length of the vocabulary."""
        by_key = self.number("vocab_size")
        if by_key is not None:
            return by_key
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, SkippedArray):
            return tokens.length
        return len(tokens) if isinstance(tokens, tuple) else None

    @property
    def data_end(self) -> int:
        """Return where the last tensor of the first file ends, bytes from its start."""
        return self.shards[0].data_end

    @property
    def file_size(self) -> int:
        """Return the size of all files together, bytes."""
        return sum(shard.file_size for shard in self.shards)

    @property
    def missing_bytes(self) -> int:
        """Return how many bytes of tensors are not there; 0 when all files are whole."""
        return sum(shard.missing_bytes for shard in self.shards)

    def text(self, key: str) -> str | None:
        """Return the metadata value `key` if it is a text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        """Return the whole number at `{architecture}.{key}`, or None when it is absent or something else."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


_Fingerprint: TypeAlias = tuple[tuple[str, int, int], ...]
_CACHE_ENTRIES = 64
_cache: OrderedDict[Path, tuple[_Fingerprint, GgufHeader]] = OrderedDict()
_cache_lock = threading.Lock()


def read_header(path: Path) -> GgufHeader:
    """Read the header of a model or projector; of a model in parts name the first, and all are read.

    Blocking, about 0.1 s for a vocabulary of 262,144 tokens. A file that did not change (path, size, mtime) is read
    once. Whether all tensors lie inside the files is not decided here: see `GgufHeader.missing_bytes`.

    Raises:
        GgufError: not readable, not GGUF, cut short, damaged, or a part is missing.
    """
    with _cache_lock:
        cached = _cache.get(path)
    if cached is not None and cached[0] == _fingerprint(shard.path for shard in cached[1].shards):
        return cached[1]
    header = _read_all(path)
    fingerprint = _fingerprint(shard.path for shard in header.shards)
    if fingerprint is not None:
        with _cache_lock:
            _cache[path] = (fingerprint, header)
            _cache.move_to_end(path)
            if len(_cache) > _CACHE_ENTRIES:
                _cache.popitem(last=False)
    return header


def _fingerprint(paths: Iterable[Path]) -> _Fingerprint | None:
    try:
        found = [(str(path), path.stat()) for path in paths]
    except OSError:
        return None
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)


def _read_all(path: Path) -> GgufHeader:
    first, shard = _read_file(path, 0)
    parts, shards = [first], [shard]
    count = first.metadata.get("split.count")
    if isinstance(count, int) and count > 1:
        if first.metadata.get("split.no", 0) != 0:
            raise GgufError(
                GgufProblem.NOT_FIRST_SHARD,
                path,
                msg(
                    "{file} is a later part of a model in {count} files. Choose the first.", file=path.name, count=count
                ),
            )
        for number in range(1, count):
            part, shard = _read_file(_shard_path(path, number, count), number)
            if part.metadata.get("split.no") != number:
                raise GgufError(
                    GgufProblem.WRONG_SHARD,
                    shard.path,
                    msg("{file} is not part {number} of this model.", file=shard.path.name, number=number + 1),
                )
            parts.append(part)
            shards.append(shard)
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    expected = first.metadata.get("split.tensors.count", len(tensors))
    if expected != len(tensors):
        raise corrupt(
            path, msg("Its parts hold {found} tensors, not {expected}.", found=len(tensors), expected=expected)
        )
    return GgufHeader(first.metadata, tensors, tuple(shards), first.version)


def _shard_path(first: Path, number: int, count: int) -> Path:
    match = _SHARD_NAME.fullmatch(first.name)
    if match is None or int(match["count"]) != count:
        raise GgufError(
            GgufProblem.MISSING_SHARD,
            first,
            msg(
                "{file} is the first of {count} files but was renamed: the others are found only if it ends in "
                "{ending}.",
                file=first.name,
                count=count,
                ending=f"-00001-of-{count:05}.gguf",
            ),
        )
    path = first.with_name(f"{match['stem']}-{number + 1:05}-of-{count:05}.gguf")
    if not _is_there(path):
        raise GgufError(
            GgufProblem.MISSING_SHARD,
            path,
            msg("{file} is missing: the model is in {count} files and needs them all.", file=path.name, count=count),
        )
    return path


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _read_file(path: Path, shard: int) -> tuple[ParsedFile, Shard]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # Opening a named pipe would wait for ever.
            raise IsADirectoryError(errno.EISDIR, "it is a folder or device, not a file")
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            parsed = parse(HeaderReader(file, path, size), shard)
    except OSError as error:
        raise GgufError(
            GgufProblem.UNREADABLE,
            path,
            msg("{file} cannot be read: {reason}.", file=path, reason=error.strerror or str(error)),
        ) from error
    return parsed, Shard(path, size, parsed.data_start, parsed.data_end)
