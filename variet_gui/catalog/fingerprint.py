"""What a figure depended on: files, parameters, binary, driver, GPUs, host.

A measurement or a calibration belongs to exactly one fingerprint; once anything in it differs, the figure is stale and
`differences` says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.events import ParameterValue
from variet_gui.gguf.header import GgufHeader
from variet_gui.i18n import Message, msg

SCHEMA = 1
_ENVIRONMENT_PREFIXES = ("CUDA_", "GGML_")
_FILES = frozenset({"model", "mmproj"})
_CHUNK_BYTES = 2**20
_WATT_TOLERANCE = 0.5


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """One model or projector, all its parts together."""

    name: str
    """Of the first part, without its folder: a file may be moved."""
    size: int
    """Bytes."""
    mtime_ns: int
    """The latest of all parts."""
    header_sha256: str
    """Of everything before the weights, all parts."""

    def same_as(self, other: FileIdentity) -> bool:
        """Whether it is the same file: the time alone says nothing, a copy has another."""
        return (self.size, self.header_sha256) == (other.size, other.header_sha256)


@dataclass(frozen=True, slots=True)
class GpuIdentity:
    """One GPU as the driver sees it. None: not told."""

    name: str
    uuid: str | None = None
    pci_bus_id: str | None = None
    pcie_generation: int | None = None
    """Of the link, at most in this slot."""
    pcie_width: int | None = None
    power_limit_w: float | None = None
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Everything that a figure depended on, as far as it is known."""

    model: FileIdentity | None = None
    projector: FileIdentity | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    """Without the paths of the files, which are above."""
    extra_arguments: tuple[str, ...] = ()
    binary_sha256: str | None = None
    build: int | None = None
    """None: unofficial; the hash tells builds apart."""
    driver: str | None = None
    gpus: tuple[GpuIdentity, ...] = ()
    """In llama.cpp's order."""
    host: str | None = None
    """Processor and memory in one line."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """CUDA_* and GGML_* variables that the server had."""

    def differences(self, other: Fingerprint) -> tuple[Message, ...]:
        """Return what differs between this and `other`, in words; empty: figures of one hold for the other."""
        return tuple(_differences(self, other))

    def as_json(self) -> str:
        """Return it as one line."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "model": None if self.model is None else asdict(self.model),
            "projector": None if self.projector is None else asdict(self.projector),
            "parameters": dict(self.parameters),
            "extra_arguments": self.extra_arguments,
            "binary_sha256": self.binary_sha256,
            "build": self.build,
            "driver": self.driver,
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "host": self.host,
            "environment": dict(self.environment),
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Return what `as_json` wrote; keys that are not known are passed over.

        Raises:
            ValueError: it is no fingerprint, or one of a newer schema.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
            raise ValueError("not a fingerprint")
        if document["schema"] > SCHEMA:
            raise ValueError(f"schema {document['schema']} is newer than {SCHEMA}")
        try:
            return cls(
                model=_file(document.get("model")),
                projector=_file(document.get("projector")),
                parameters=MappingProxyType(
                    {key: _value(value) for key, value in dict(document.get("parameters") or {}).items()}
                ),
                extra_arguments=tuple(document.get("extra_arguments") or ()),
                binary_sha256=document.get("binary_sha256"),
                build=document.get("build"),
                driver=document.get("driver"),
                gpus=tuple(GpuIdentity(**_known(GpuIdentity, gpu)) for gpu in document.get("gpus") or ()),
                host=document.get("host"),
                environment=MappingProxyType(dict(document.get("environment") or {})),
            )
        except TypeError as error:
            raise ValueError(f"a part of the fingerprint is damaged: {error}") from error


def file_identity(header: GgufHeader) -> FileIdentity:
    """Return what tells the file of `header` from others. Blocking: reads the headers of all parts.

    Raises:
        OSError: a part cannot be read any more.
    """
    digest, latest, size = hashlib.sha256(), 0, 0
    for shard in header.shards:
        with shard.path.open("rb") as file:
            left = shard.data_start
            while left > 0:
                chunk = file.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    break
                digest.update(chunk)
                left -= len(chunk)
        status = shard.path.stat()
        latest, size = max(latest, status.st_mtime_ns), size + status.st_size
    return FileIdentity(header.shards[0].path.name, size, latest, digest.hexdigest())


def binary_sha256(path: Path) -> str:
    """Return the hash of an executable. Blocking.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def relevant_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change what llama.cpp does with the GPUs."""
    return {key: value for key, value in sorted(environment.items()) if key.startswith(_ENVIRONMENT_PREFIXES)}


def relevant_parameters(profile: LaunchProfile) -> dict[str, ParameterValue]:
    """Return the parameters of `profile` without the paths of files that have an identity of their own."""
    return {key: value for key, value in sorted(profile.values.items()) if key not in _FILES}


def _differences(one: Fingerprint, other: Fingerprint) -> Iterator[Message]:
    yield from _file_difference(one.model, other.model, msg("the model file"))
    yield from _file_difference(one.projector, other.projector, msg("the projector file"))
    for key in sorted(one.parameters.keys() | other.parameters.keys()):
        before, after = one.parameters.get(key), other.parameters.get(key)
        if before != after:
            yield msg(
                "{parameter} was {before} and is {after}.", parameter=key, before=_shown(before), after=_shown(after)
            )
    if one.extra_arguments != other.extra_arguments:
        yield msg("The extra arguments differ.")
    yield from _binary_difference(one, other)
    if one.driver != other.driver:
        yield msg("The driver was {before} and is {after}.", before=_shown(one.driver), after=_shown(other.driver))
    yield from _gpu_differences(one.gpus, other.gpus)
    if one.host != other.host:
        yield msg("The computer was {before} and is {after}.", before=_shown(one.host), after=_shown(other.host))
    for key in sorted(one.environment.keys() | other.environment.keys()):
        set_before, set_now = one.environment.get(key), other.environment.get(key)
        if set_before != set_now:
            yield msg(
                "The variable {name} was {before} and is {after}.",
                name=key,
                before=_shown(set_before),
                after=_shown(set_now),
            )


def _file_difference(one: FileIdentity | None, other: FileIdentity | None, what: Message) -> Iterator[Message]:
    if one is None or other is None:
        if one is not other:
            yield msg("Only one of the two had {what}.", what=what)
    elif not one.same_as(other):
        yield msg(
            "It is another file: {what} was {before} and is {after}.", what=what, before=one.name, after=other.name
        )


def _binary_difference(one: Fingerprint, other: Fingerprint) -> Iterator[Message]:
    if one.build != other.build:
        yield msg(
            "The llama-server build was {before} and is {after}.", before=_shown(one.build), after=_shown(other.build)
        )
    elif one.binary_sha256 != other.binary_sha256 and None not in (one.binary_sha256, other.binary_sha256):
        yield msg("It is another llama-server of the same build number.")


def _gpu_differences(one: tuple[GpuIdentity, ...], other: tuple[GpuIdentity, ...]) -> Iterator[Message]:
    if len(one) != len(other):
        yield msg("It used {before} GPUs and now {after}.", before=len(one), after=len(other))
        return
    for number, (before, after) in enumerate(zip(one, other, strict=True)):
        if (before.uuid or before.name) != (after.uuid or after.name):
            yield msg("GPU {number} was {before} and is {after}.", number=number, before=before.name, after=after.name)
            continue
        links = [(gpu.pcie_generation, gpu.pcie_width) for gpu in (before, after)]
        if links[0] != links[1]:
            yield msg(
                "The PCIe link of GPU {number} was generation {before_generation} x{before_width} and is generation "
                "{generation} x{width}.",
                number=number,
                before_generation=_shown(links[0][0]),
                before_width=_shown(links[0][1]),
                generation=_shown(links[1][0]),
                width=_shown(links[1][1]),
            )
        if abs((before.power_limit_w or 0.0) - (after.power_limit_w or 0.0)) > _WATT_TOLERANCE:
            yield msg(
                "The power limit of GPU {number} was {before} W and is {after} W.",
                number=number,
                before=_shown(before.power_limit_w),
                after=_shown(after.power_limit_w),
            )


def _shown(value: object) -> object:
    if value is None:
        return msg("not set")
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value


def _file(entry: object) -> FileIdentity | None:
    return FileIdentity(**_known(FileIdentity, entry)) if isinstance(entry, dict) else None


def _known(kind: type[FileIdentity | GpuIdentity], entry: Mapping[str, Any]) -> dict[str, Any]:
    names = {part.name for part in fields(kind)}
    return {key: value for key, value in entry.items() if key in names}


def _value(value: Any) -> ParameterValue:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} is no value of a parameter")
