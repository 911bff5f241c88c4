"""Valid values and whole profiles for property tests, made from the parameter table itself; and three builds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.catalog.parameters import PARAMETERS, Kind, Parameter
from variet_gui.catalog.tiers import LaunchProfile
from variet_gui.engine.probe import parse_help
from variet_gui.events import ParameterValue

_NAME = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-. "
_DATA = Path(__file__).resolve().parents[1] / "unit" / "data"

_TEXTS: dict[str, st.SearchStrategy[str]] = {
    "lora_scaled": st.just("/adapters/a.gguf:0.5") | st.just("/adapters/a b.gguf:1,/c.gguf:-2.25"),
    "override_kv": st.just("a.b=int:3") | st.just("a.b=bool:false,c=str:x y"),
    "rpc": st.just("10.0.0.2:50052") | st.just("a:1,b:2"),
    "device": st.sampled_from(("CUDA0", "CUDA1,CUDA0", "RPC0,CUDA0", "none", "Vulkan0")),
    "mmproj_device": st.sampled_from(("CUDA0", "CUDA1", "none")),
    "spec_draft_device": st.sampled_from(("CUDA0", "CUDA1,CUDA0", "none")),
    "override_tensor": st.just(r"blk\.(0|1)\.ffn_.*_exps=CPU") | st.just("a=CPU,b=CUDA0"),
    "spec_draft_override_tensor": st.just("a=CPU"),
    "fit_target": st.just("1024") | st.just("512,0,2048"),
    "cpu_mask": st.sampled_from(("ff", "0xF0")),
    "cpu_mask_batch": st.just("ff"),
    "cpu_range": st.just("0-7"),
    "cpu_range_batch": st.just("2-3"),
    "chat_template_kwargs": st.dictionaries(st.text(_NAME, max_size=8), st.booleans() | st.text(_NAME)).map(json.dumps),
}
_WORDS = st.text(_NAME + "'\"&|<>^%!\\$#;,(){}äö가", min_size=1, max_size=20).filter(
    lambda text: bool(text.strip()) and not text.startswith(("-", "~"))
)
_PATHS = st.text(_NAME + "äö가", min_size=1, max_size=20).filter(
    lambda text: bool(text.strip(" ./")) and text == text.strip() and not text.startswith((".", "-"))
)


def values_of(parameter: Parameter) -> st.SearchStrategy[ParameterValue]:
    """Return a strategy for every kind of value that `parameter` accepts."""
    result: st.SearchStrategy[Any]
    match parameter.kind:
        case Kind.INTEGER:
            assert parameter.minimum is not None
            assert parameter.maximum is not None
            result = st.integers(int(parameter.minimum), int(parameter.maximum))
            if parameter.specials:
                result |= st.sampled_from(sorted(parameter.specials))
            if parameter.words:
                result |= st.sampled_from(parameter.words)
        case Kind.FRACTION:
            result = st.floats(parameter.minimum, parameter.maximum, allow_nan=False).map(lambda number: number + 0.0)
        case Kind.SWITCH:
            result = st.booleans()
        case Kind.CHOICE if parameter.many:
            result = st.lists(st.sampled_from(parameter.choices), min_size=1, max_size=3, unique=True).map(",".join)
        case Kind.CHOICE:
            result = st.sampled_from(parameter.choices)
        case Kind.RATIO:
            share = st.integers(0, 99) | st.floats(0, 1, allow_subnormal=False).map(lambda number: round(number, 4))
            result = st.lists(share, min_size=1, max_size=15).filter(any).map(tuple)
        case Kind.PATH:
            result = _PATHS
        case _:
            result = _TEXTS.get(parameter.key, _WORDS)
    return result


@st.composite
def profiles(draw: st.DrawFn) -> LaunchProfile:
    """Return a strategy for launch profiles that the catalog would accept, with a model."""
    chosen = draw(st.lists(st.sampled_from(PARAMETERS), unique=True, max_size=12))
    values = {parameter.key: draw(values_of(parameter)) for parameter in chosen}
    values["model"] = draw(_PATHS)
    extra = draw(st.sampled_from(((), ("--unheard-of", "value"), ("--no-such-flag",), ("--grammar", "root ::= 'a'"))))
    return LaunchProfile("fast", values, extra)


def as_read_back(profile: LaunchProfile) -> dict[str, ParameterValue]:
    """Return the values that must come back from the profile's own command line.

    The panel always says how many slots, and a switch without a negative flag is off by not being there.
    """
    off = {p.key for p in PARAMETERS if p.kind is Kind.SWITCH and not p.negatives and p.switch_values is None}
    values = {key: value for key, value in profile.values.items() if value is not False or key not in off}
    return {"parallel": 1, **values}


def is_what_it_does_anyway(row: Parameter, value: ParameterValue) -> bool:
    """Whether a build that is told nothing does what `value` says."""
    if row.kind is Kind.SWITCH and value is False and not row.negatives:
        return True
    return value == row.default or any(form.value == value and not form.flags for form in row.older_forms)


def same_values(one: ParameterValue, other: ParameterValue) -> bool:
    """Whether two values are equal; fractions may differ in the last digit."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return one == other


def recorded_build(name: str) -> Capabilities:
    """Return what a build says of itself in its recorded `--help`: "b9093" (May 2026), "b11434", "embedded"."""
    flags, removed, hints = parse_help((_DATA / f"help_{name}.txt").read_text(encoding="utf-8"))
    number = int(name[1:]) if name[1:].isdecimal() else None
    return Capabilities(flags=flags, removed=removed, value_hints=hints, build=number, embedded=name == "embedded")


def current_build() -> Capabilities:
    """Return what b11434 says of itself."""
    return recorded_build("b11434")


def older_build() -> Capabilities:
    """Return what b9093 says of itself."""
    return recorded_build("b9093")


def old_build() -> Capabilities:
    """Return a build of summer 2025: a bare -fa, `--draft-max`, no `--fit`, no word for all layers."""
    before = older_build()
    gone = {"--fit", "-fit", "--fit-target", "-fitt", "--fit-ctx", "-fitc", "--mmproj-offload", "--spec-type"}
    gone |= {flag for flag in before.flags if flag.startswith("--spec-draft")}
    hints = {flag: hint for flag, hint in before.value_hints if flag not in gone | {"-fa", "--flash-attn"}}
    return Capabilities(flags=before.flags - gone, value_hints=tuple(sorted(hints.items())), build=6100)
