"""WHAT a tier is: the pydantic models behind `config/*.json`, and the launch profile that the operator edits.

Unknown keys are kept and written back. A value that is not recorded is None and is shown as "not recorded".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from variet_gui.events import ParameterValue

SCHEMA = 1
"""The version of the catalog file that this program writes; a newer file is refused by name."""

LOOPBACK: Final = "127.0.0.1"
"""This computer alone."""

ROLES = ("fast", "balanced", "deep-coder", "deep-logic", "ultra")

StoredValue = StrictBool | StrictInt | StrictFloat | StrictStr | list[StrictInt | StrictFloat]


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Acceptance(_Model):
    """What a tier must reach before it is accepted."""

    min_tps: Annotated[float, Field(gt=0)] | None = None
    """Generation, tokens per second."""
    vram_limit_mib: Annotated[int, Field(gt=0)] | None = None
    """Per GPU."""
    stable: bool | None = None
    """It must run stably."""
    starts: bool | None = None
    """It must start and answer."""


class HistoricalFigure(_Model):
    """A figure that somebody measured; without a fingerprint it is history, and never a PASS."""

    measured: str
    """ISO date or month: "2026-04"."""
    generation_tps: float | None = None
    context: int | None = None
    """Tokens."""
    gpus: str | None = None
    note: str | None = None
    fingerprint: dict[str, Any] | None = None


class TuningNote(_Model):
    """One step of the tuning that led to today's settings."""

    date: str
    setting: str
    before: str | None = None
    after: str | None = None
    why: str | None = None


class Variant(_Model):
    """Another set of launch settings that a tier keeps under a name: "demo day", "long context"."""

    parameters: dict[str, StoredValue] = Field(default_factory=dict)
    extra_arguments: list[str] = Field(default_factory=list)
    environment: dict[str, str] = Field(default_factory=dict)
    note: str | None = None


class Tier(_Model):
    """One of the five tiers: the model files, how to launch them, and what is expected of them."""

    role: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    model_name: str
    """For people: "Gemma 4 26B-A4B"."""
    quantisation: str | None = None
    """"Q4_K_M"."""
    model_facts: str | None = None
    """"dense", "MoE, 4B active": one short remark for the card."""
    port: Annotated[int, Field(ge=1024, le=65535)]
    """The tier's own stable port on 127.0.0.1."""
    parameters: dict[str, StoredValue] = Field(default_factory=dict)
    """Launch parameters by the keys of `catalog.parameters`; one that is not recorded is absent."""
    extra_arguments: list[str] = Field(default_factory=list)
    """Appended to the command line as they are."""
    environment: dict[str, str] = Field(default_factory=dict)
    """CUDA_* and GGML_* variables for this server."""
    variants: dict[str, Variant] = Field(default_factory=dict)
    """Other launch settings of this tier by name, in the order in which they were kept."""
    engine: str | None = None
    """A llama-server of its own: a path, or "embedded"."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")] | None = None
    """A server that somebody else runs, such as "http://192.168.1.20:8081": watched and used, never started."""
    expected_gpus: Annotated[int, Field(ge=0, le=8)] | None = None
    """How many GPUs the process must really use; compared at every start."""
    main_gpu_only: Annotated[int, Field(ge=0, le=7)] | None = None
    """The one GPU it is meant to use, when `expected_gpus` is 1 and it matters which."""
    keep_running: bool = False
    """It survives the window and is adopted at the next start."""
    listen: Literal["127.0.0.1", "0.0.0.0"] = LOOPBACK  # noqa: S104 - only where the operator asks for it, with a key
    """This computer alone, or every network that it is in: then it asks for an API key, which the panel makes."""
    start_with_panel: bool = False
    """It is started when the window opens."""
    acceptance: Acceptance = Acceptance()
    history: list[HistoricalFigure] = Field(default_factory=list)
    """Newest first."""
    tuning: list[TuningNote] = Field(default_factory=list)

    @property
    def is_open_to_the_network(self) -> bool:
        """Whether other computers can reach it."""
        return self.listen != LOOPBACK

    @property
    def latest_figure(self) -> HistoricalFigure | None:
        """Return the newest recorded figure that has a generation speed (of one month, the first), or None."""
        with_speed = [figure for figure in self.history if figure.generation_tps is not None]
        return max(with_speed, key=lambda figure: figure.measured, default=None)


class Catalog(_Model):
    """The whole of `engine_models.json`."""

    schema_version: Annotated[int, Field(alias="schema", ge=1)] = SCHEMA
    title: str | None = None
    engine: str | None = None
    """llama-server for tiers that name none: a path, or "embedded"."""
    models_dir: str | None = None
    """Where relative model paths start; None: the `models` folder of the panel."""
    simulated_gpus: Annotated[list[Annotated[int, Field(gt=0)]], Field(max_length=8)] | None = None
    """Demo only: capacities in MiB of GPUs that stand in for real ones and are labelled so."""
    tiers: Annotated[list[Tier], Field(min_length=1)]

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, serialize_by_alias=True)

    @model_validator(mode="after")
    def _roles_and_ports_are_unique(self) -> Catalog:
        for what, values in (("role", [t.role for t in self.tiers]), ("port", [str(t.port) for t in self.tiers])):
            doubles = sorted({value for value in values if values.count(value) > 1})
            if doubles:
                raise ValueError(f"two tiers have the {what} {', '.join(doubles)}; every {what} may stand once")
        return self

    def tier(self, role: str) -> Tier:
        """Return the tier called `role`.

        Raises:
            KeyError: there is none; the message names those there are.
        """
        for tier in self.tiers:
            if tier.role == role:
                return tier
        raise KeyError(f"no tier is called {role!r}; there are: {', '.join(self.roles)}")

    @property
    def roles(self) -> tuple[str, ...]:
        """Return all roles in the order of the file."""
        return tuple(tier.role for tier in self.tiers)


@dataclass(frozen=True, slots=True)
class LaunchProfile:
    """What one start is made of. Frozen; an edit makes a new one. Only parameters that are set have a value."""

    role: str
    values: Mapping[str, ParameterValue] = field(default_factory=dict)
    extra_arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tier: Tier) -> LaunchProfile:
        """Return the saved profile of `tier`."""
        return cls.of_stored(tier.role, tier)

    @classmethod
    def of_stored(cls, role: str, stored: Tier | Variant) -> LaunchProfile:
        """Return what `stored` would launch for `role`."""
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.parameters.items()}
        environment = MappingProxyType(dict(stored.environment))
        return cls(role, MappingProxyType(values), tuple(stored.extra_arguments), environment)

    def as_stored(self) -> dict[str, Any]:
        """Return it as it stands in a file: plain lists and texts under the names of a tier."""
        return {
            "parameters": {
                key: list(value) if isinstance(value, tuple) else value for key, value in self.values.items()
            },
            "extra_arguments": list(self.extra_arguments),
            "environment": dict(self.environment),
        }

    def get(self, key: str) -> ParameterValue | None:
        """Return the value of `key`, or None when it is not set (llama-server's own default applies)."""
        return self.values.get(key)

    def with_value(self, key: str, value: ParameterValue | None) -> LaunchProfile:
        """Return a copy in which `key` is `value`; None unsets it."""
        values = {name: old for name, old in self.values.items() if name != key}
        if value is not None:
            values[key] = value
        return replace(self, values=MappingProxyType(values))

    def changed_keys(self, other: LaunchProfile) -> tuple[str, ...]:
        """Return the keys whose values differ between the two, in alphabetical order."""
        keys = self.values.keys() | other.values.keys()
        return tuple(sorted(key for key in keys if self.get(key) != other.get(key)))
