"""The header of a GGUF file: metadata, and names, shapes, types and places of its tensors. Weights are never read.

Layout after `ggml/src/gguf.cpp` (gguf_init_from_reader), shards after `src/llama-model-loader.cpp`
(llama_model_loader::llama_model_loader), both b11434.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeAlias

from variet_gui.gguf.reader import GgufError, GgufProblem, HeaderReader, Scalar, corrupt
from variet_gui.gguf.types import ARRAY, TENSOR_TYPES
from variet_gui.i18n import Message, msg

__all__ = ["GgufError", "GgufHeader", "GgufProblem", "GgufTensor", "Shard", "SkippedArray", "read_header"]

_MOST_KEYS = 2**16
_MOST_TENSORS = 2**18
_LONGEST_TENSOR_NAME = 64
_SHARD_NAME = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """A metadata list that was too long to keep: what it held and how many entries."""

    element_type: int
    length: int


MetadataValue: TypeAlias = Scalar | tuple[Scalar, ...] | SkippedArray


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor, without its numbers."""

    name: str
    shape: tuple[int, ...]
    """Elements per dimension, innermost first (ggml's ne), as the file stores it."""
    type: str
    """ggml's name: "q4_K"; "type 99" where this program does not know the number."""
    offset: int
    """Bytes from the start of the file of its shard."""
    n_bytes: int
    """Without the padding behind it; with it where the type is not known."""
    shard: int = 0

    @property
    def n_elements(self) -> int:
        """Return the number of weights."""
        product = 1
        for length in self.shape:
            product *= length
        return product


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a model."""

    path: Path
    file_size: int
    data_start: int
    data_end: int
    """Where the last tensor ends: the file must be at least this long, bytes."""

    @property
    def missing_bytes(self) -> int:
        """Return how many bytes of tensors lie beyond the end of the file; 0 when it is whole."""
        return max(0, self.data_end - self.file_size)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a model or projector says about itself, all shards merged."""

    metadata: Mapping[str, MetadataValue]
    """Of the first shard: it carries all of the model's."""
    tensors: tuple[GgufTensor, ...]
    shards: tuple[Shard, ...]
    version: int = 3

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
        """Return how many of the layers are for multi-token prediction only."""
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
        """Return the whole number at `{architecture}.key`, or None when it is absent or something else."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


_Fingerprint: TypeAlias = tuple[tuple[str, int, int], ...]
_cache: OrderedDict[Path, tuple[_Fingerprint, GgufHeader]] = OrderedDict()
_cache_lock = threading.Lock()
_CACHE_ENTRIES = 64


def read_header(path: Path) -> GgufHeader:
    """Read the header of a model or projector; of a model in parts, that of all shards (name the first).

    Blocking, about 0.1 s for a vocabulary of 262,144 tokens. An unchanged file (path, size, mtime) is read once.
    That all tensors lie inside the file is not checked here: see `GgufHeader.missing_bytes`.

    Raises:
        GgufError: not readable, not GGUF, cut short, damaged, or a shard is missing.
    """
    with _cache_lock:
        cached = _cache.get(path)
    if cached is not None and cached[0] == _fingerprint([shard.path for shard in cached[1].shards]):
        return cached[1]
    header = _read_all(path)
    fingerprint = _fingerprint([shard.path for shard in header.shards])
    with _cache_lock:
        if fingerprint is not None:
            _cache[path] = (fingerprint, header)
            _cache.move_to_end(path)
            while len(_cache) > _CACHE_ENTRIES:
                _cache.popitem(last=False)
    return header


def _fingerprint(paths: list[Path]) -> _Fingerprint | None:
    try:
        found = [(str(path), path.stat()) for path in paths]
    except OSError:
        return None
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)


def _read_all(path: Path) -> GgufHeader:
    first = _read_file(path, 0)
    count = first.metadata.get("split.count")
    if not isinstance(count, int) or count <= 1:
        return first
    if first.metadata.get("split.no") not in (0, None):
        raise GgufError(
            GgufProblem.NOT_FIRST_SHARD,
            path,
            msg("{file} is a later part of a model in {count} files. Name the first one.", file=path.name, count=count),
        )
    headers = [first]
    for number in range(1, count):
        other = shard_path(path, number, count)
        header = _read_file(other, number)
        if header.metadata.get("split.no") != number:
            raise GgufError(
                GgufProblem.WRONG_SHARD,
                other,
                msg("{file} is not part {number} of {count} of this model.", file=other.name, number=number + 1, count=count),
            )
        headers.append(header)
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    expected = first.metadata.get("split.tensors.count")
    if isinstance(expected, int) and expected != len(tensors):
        raise corrupt(path, msg("its parts hold {found} tensors instead of {expected}.", found=len(tensors), expected=expected))
    return GgufHeader(first.metadata, tensors, tuple(header.shards[0] for header in headers), first.version)


def shard_path(first: Path, number: int, count: int) -> Path:
    """Return the file of shard `number` (from 0) of the model that begins with `first`.

    Raises:
        GgufError: the shard is not there, or `first` is not named as llama.cpp names shards.
    """
    match = _SHARD_NAME.match(first.name)
    if match is None or int(match["count"]) != count:
        raise GgufError(
            GgufProblem.MISSING_SHARD,
            first,
            msg(
                "{file} is the first of {count} files, but was renamed: llama-server finds the others only by the "
                "name ending in {ending}.",
                file=first.name,
                count=count,
                ending=f"-00001-of-{count:05}.gguf",
            ),
        )
    path = first.with_name(f"{match['stem']}-{number + 1:05}-of-{count:05}.gguf")
    if not path.is_file():
        raise GgufError(
            GgufProblem.MISSING_SHARD,
            path,
            msg("{file} is missing: the model is in {count} files and needs all of them.", file=path.name, count=count),
        )
    return path


def _read_file(path: Path, shard: int) -> GgufHeader:
    try:
        with path.open("rb") as file:
            reader = HeaderReader(file, path, os.fstat(file.fileno()).st_size)
            return _parse(reader, shard)
    except OSError as error:
        raise GgufError(
            GgufProblem.UNREADABLE,
            path,
            msg("{file} cannot be read: {reason}.", file=path, reason=error.strerror or str(error)),
        ) from error


def _parse(reader: HeaderReader, shard: int) -> GgufHeader:
    path = reader.path
    magic = reader.raw(4) if reader.file_size >= 4 else b""
    if magic != b"GGUF":
        raise GgufError(GgufProblem.NOT_GGUF, path, _not_gguf(path, magic, reader.file_size))
    version = reader.u32()
    if version & 0xFFFF == 0 or version not in (2, 3):
        raise GgufError(
            GgufProblem.UNSUPPORTED,
            path,
            msg("{file} is GGUF of a version or byte order that llama.cpp does not read here.", file=path.name),
        )
    n_tensors, n_keys = reader.u64(), reader.u64()
    if n_tensors > _MOST_TENSORS or n_keys > _MOST_KEYS:
        raise corrupt(path, msg("it claims {tensors} tensors and {keys} keys.", tensors=n_tensors, keys=n_keys))
    metadata: dict[str, MetadataValue] = {}
    for _ in range(n_keys):
        key, value_type = reader.string(), reader.u32()
        if key in metadata:
            raise corrupt(path, msg("the key {key} stands twice.", key=key))
        if value_type == ARRAY:
            element_type, length, elements = reader.array()
            metadata[key] = SkippedArray(element_type, length) if elements is None else elements
        else:
            metadata[key] = reader.scalar(value_type)
    return _with_tensors(reader, shard, version, metadata, n_tensors)
