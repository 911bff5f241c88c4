"""The command line of the embedded engine as one table: what each llama-server flag sets in the library.

A row says how a flag is spelled, what `--help` tells of it, and which attribute of xllamacpp's `CommonParams` it
writes (a dotted path). What the rows do mirrors `common/arg.cpp` of llama.cpp (`common_params_parser_init`), defaults
and checks included. Flags that llama-server has and this engine cannot honour stand in `REFUSED`, each with its reason.

Nothing here imports the library. The texts are llama-server's own language, read by `engine.probe` and by people who
know that program: they are not translated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

Raw = str | bool
"""What the parser hands on: the word behind a flag, or True / False for a flag that stands alone."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an enumeration of the library, by names."""

    enumeration: str
    name: str


@dataclass(frozen=True, slots=True)
class Leading:
    """The first numbers of a list whose length the library fixes; `rest` fills it up, None leaves the rest as it is."""

    numbers: tuple[float, ...]
    rest: float | None = None


@dataclass(slots=True)
class Settings:
    """What a command line asks of the library: dotted attributes of `CommonParams` and their values."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Attribute to the flag that set it last, so that a refusal by the library can name the flag."""
    flag: str = ""
    """The flag that is being read."""

    def put(self, path: str, value: Any) -> None:
        """Set one attribute."""
        self.values[path] = value
        self.sources[path] = self.flag

    def add(self, path: str, *items: Any) -> None:
        """Append to a list."""
        self.put(path, (*self.values.get(path, ()), *items))

    def template_argument(self, name: str, value: str | None) -> None:
        """Set one argument of the chat template, as JSON text; None removes it."""
        arguments = {key: old for key, old in self.values.get("default_template_kwargs", {}).items() if key != name}
        if value is not None:
            arguments[name] = value
        self.put("default_template_kwargs", arguments)


Action = Callable[[Settings, Raw], None]
"""Writes the value of one flag; raises ValueError with llama-server's wording when it is not allowed."""


@dataclass(frozen=True, slots=True)
class Option:
    """One entry of `--help`. An option with a `hint` takes a value; one with `negative` spellings is a switch."""

    flags: tuple[str, ...]
    help: str
    action: Action
    hint: str = ""
    negative: tuple[str, ...] = ()
    immediate: bool = False
    """It does its work at once and ends the program: nothing behind it on the command line is read."""

    @property
    def spellings(self) -> tuple[str, ...]:
        """Return all flags, the negative ones last."""
        return self.flags + self.negative


def as_integer(text: Raw, minimum: int = -(2**31)) -> int:
    """Return the whole number that `text` spells."""
    try:
        number = int(str(text))
    except ValueError:
        raise ValueError(f"invalid value: '{text}' is not a whole number") from None
    if not minimum <= number < 2**31:
        raise ValueError(f"invalid value: {number} is out of range")
    return number


def as_number(text: Raw, minimum: float = float("-inf")) -> float:
    """Return the finite number that `text` spells."""
    try:
        number = float(str(text))
    except ValueError:
        raise ValueError(f"invalid value: '{text}' is not a number") from None
    if not (minimum <= number < float("inf")) or number == float("-inf"):
        raise ValueError(f"invalid value: {text} is out of range")
    return number


def as_truth(text: Raw) -> bool | None:
    """Return what `text` says in one of llama-server's words for on and off; None for "auto" and "-1"."""
    words: Mapping[str, bool | None] = {
        **dict.fromkeys(("on", "enabled", "true", "1"), True),
        **dict.fromkeys(("off", "disabled", "false", "0"), False),
        **dict.fromkeys(("auto", "-1"), None),
    }
    if str(text) not in words:
        raise ValueError(f"error: unknown value: '{text}'")
    return words[str(text)]


def as_list(text: Raw, separators: str = ",") -> tuple[str, ...]:
    """Return the parts between separators, without blanks around them and without empty ones."""
    joined = str(text)
    for separator in separators[1:]:
        joined = joined.replace(separator, separators[0])
    return tuple(part.strip() for part in joined.split(separators[0]) if part.strip())


def flag(path: str, value: Any = True) -> Action:
    """Set `path` to a fixed value when the flag is there."""
    return lambda settings, _: settings.put(path, value)


def switch(path: str) -> Action:
    """Set `path` to whether the positive spelling was used."""
    return lambda settings, raw: settings.put(path, raw)


def inverse(path: str) -> Action:
    """Set `path`, which says "no", to whether the negative spelling was used."""
    return lambda settings, raw: settings.put(path, not raw)


def integer(*paths: str, minimum: int = -(2**31)) -> Action:
    """Set every path to a whole number."""

    def write(settings: Settings, raw: Raw) -> None:
        for path in paths:
            settings.put(path, as_integer(raw, minimum))

    return write


def number(path: str, minimum: float = float("-inf")) -> Action:
    """Set `path` to a number."""
    return lambda settings, raw: settings.put(path, as_number(raw, minimum))


def text(*paths: str) -> Action:
    """Set every path to the word itself."""

    def write(settings: Settings, raw: Raw) -> None:
        for path in paths:
            settings.put(path, str(raw))

    return write


def listed(path: str) -> Action:
    """Append the parts of a comma list."""
    return lambda settings, raw: settings.add(path, *as_list(raw))


def content(path: str) -> Action:
    """Set `path` to what the named file holds."""
    return lambda settings, raw: settings.put(path, _read(raw))


def folder(path: str) -> Action:
    """Set `path` to an existing folder, with the separator at its end that the library wants."""

    def write(settings: Settings, raw: Raw) -> None:
        if not Path(str(raw)).is_dir():
            raise ValueError(f"not a directory: {raw}")
        settings.put(path, str(raw).rstrip(os.sep) + os.sep)

    return write


def choice(path: str, enumeration: str, members: Mapping[str, str]) -> Action:
    """Set `path` to the member of `enumeration` that stands for the word."""

    def write(settings: Settings, raw: Raw) -> None:
        if raw not in members:
            raise ValueError(f"invalid value: '{raw}' (allowed values: {', '.join(members)})")
        settings.put(path, Member(enumeration, members[str(raw)]))

    return write


def sampling(name: str, convert: Callable[[Raw], float], mark: str = "") -> Action:
    """Set a sampling default. `mark` tells the library that the operator chose it, so that the model's own stays out."""

    def write(settings: Settings, raw: Raw) -> None:
        settings.put(f"sampling.{name}", convert(raw))
        if mark:
            chosen = Member("common_params_sampling_config", f"COMMON_PARAMS_SAMPLING_CONFIG_{mark}")
            settings.add("sampling.user_sampling_config", chosen)

    return write


def both(*actions: Action) -> Action:
    """Do several actions with the same value."""

    def write(settings: Settings, raw: Raw) -> None:
        for action in actions:
            action(settings, raw)

    return write


def threads(path: str) -> Action:
    """Set a count of threads; zero and less mean all processors."""
    return lambda settings, raw: settings.put(path, as_integer(raw) if as_integer(raw) > 0 else os.cpu_count() or 1)


def _read(raw: Raw) -> str:
    try:
        return Path(str(raw)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"error: failed to open file '{raw}' ({error})") from error


def _context(settings: Settings, raw: Raw) -> None:
    size = as_integer(raw, minimum=0)
    settings.put("n_ctx", size)
    if size == 0:  # asked for in so many words: the whole context, and --fit may not shrink it
        settings.put("fit_params_min_ctx", 2**32 - 1)


def _slots(settings: Settings, raw: Raw) -> None:
    count = as_integer(raw, minimum=-1)
    if count == 0:
        raise ValueError("error: invalid value for n_parallel")
    settings.put("n_parallel", count)


def _layers(path: str) -> Action:
    words = {"auto": -1, "all": -2}
    return lambda settings, raw: settings.put(path, words[raw] if raw in words else as_integer(raw))  # type: ignore[index]


def _tensor_split(settings: Settings, raw: Raw) -> None:
    settings.put("tensor_split", Leading(tuple(as_number(part, 0.0) for part in as_list(raw, ",/")), rest=0.0))


def _fit_target(settings: Settings, raw: Raw) -> None:
    margins = tuple(as_integer(part, minimum=0) * 1024 * 1024 for part in as_list(raw, ",/"))
    settings.put("fit_params_target", Leading(margins, rest=margins[0] if len(margins) == 1 else None))


def _on_or_off(path: str) -> Action:
    def write(settings: Settings, raw: Raw) -> None:
        on = as_truth(raw)
        if on is None:
            raise ValueError(f"error: unknown value: '{raw}'")
        settings.put(path, on)

    return write


def _flash_attention(settings: Settings, raw: Raw) -> None:
    names = {True: "ENABLED", False: "DISABLED", None: "AUTO"}
    settings.put("flash_attn_type", Member("llama_flash_attn_type", f"LLAMA_FLASH_ATTN_TYPE_{names[as_truth(raw)]}"))


_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")


def _cache_type(path: str) -> Action:
    def write(settings: Settings, raw: Raw) -> None:
        if raw not in _CACHE_TYPES:
            raise ValueError(f"Unsupported cache type: {raw}")
        settings.put(path, Member("ggml_type", f"GGML_TYPE_{str(raw).upper()}"))

    return write


_EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
_DENSE = r"\.ffn_(up|down|gate)\."
# Both from llama.cpp, common/common.h: LLM_FFN_EXPS_REGEX and LLM_FFN_DENSE_REGEX.


def _overrides(path: str) -> Action:
    def write(settings: Settings, raw: Raw) -> None:
        parts = as_list(raw)
        if not parts or not all("=" in part for part in parts):
            raise ValueError("invalid value")
        settings.add(path, *parts)

    return write


def _all_experts(path: str) -> Action:
    return lambda settings, _: settings.add(path, f"{_EXPERTS}=CPU")


def _first_layers(path: str, pattern: str) -> Action:
    def write(settings: Settings, raw: Raw) -> None:
        settings.add(path, *(rf"blk\.{layer}{pattern}=CPU" for layer in range(as_integer(raw, minimum=0))))

    return write


def _alias(settings: Settings, raw: Raw) -> None:
    settings.put("model_alias", frozenset(as_list(raw)))


def _hosts(settings: Settings, raw: Raw) -> None:
    hosts = as_list(raw)
    if not hosts:
        raise ValueError("--host requires at least one address")
    settings.put("hostnames", hosts)


def _port(settings: Settings, raw: Raw) -> None:
    number_ = as_integer(raw, minimum=0)
    if number_ > 65535:
        raise ValueError(f"invalid value: {number_} is no port (0 to 65535)")
    settings.put("port", number_)


def _origins(settings: Settings, raw: Raw) -> None:
    settings.put("cors_origins", str(raw))
    settings.put("cors_origins_explicit", True)


def _key_file(settings: Settings, raw: Raw) -> None:
    lines = _read(raw).splitlines()
    settings.add("api_keys", *(line for line in lines if line and not line.startswith("#")))


def _template_arguments(settings: Settings, raw: Raw) -> None:
    try:
        arguments = json.loads(str(raw))
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise ValueError("must be a valid json object string")
    for name, value in arguments.items():
        settings.template_argument(name, json.dumps(value))


def _reasoning(settings: Settings, raw: Raw) -> None:
    on = as_truth(raw)
    settings.put("enable_reasoning", -1 if on is None else int(on))
    if on is not None:
        settings.template_argument("enable_thinking", json.dumps(on))


def _reasoning_effort(settings: Settings, raw: Raw) -> None:
    settings.template_argument("reasoning_effort", None if raw == "default" else json.dumps(raw))


def _reasoning_preserve(settings: Settings, raw: Raw) -> None:
    settings.template_argument("preserve_reasoning", json.dumps(raw))
    settings.put("preserve_reasoning_specified", True)


def _sleep(settings: Settings, raw: Raw) -> None:
    if as_integer(raw, minimum=-1) == 0:
        raise ValueError("invalid value: cannot be 0 or less than -1")
    settings.put("sleep_idle_seconds", as_integer(raw))


def _seed(raw: Raw) -> int:
    try:
        return int(str(raw)) % 2**32  # -1 means a random one: it is 2^32 - 1, llama.cpp's LLAMA_DEFAULT_SEED
    except ValueError:
        raise ValueError(f"invalid value: '{raw}' is not a whole number") from None


_SPECULATION = {
    "none": "NONE",
    **{name: name.upper().replace("-", "_") for name in ("draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash")},
    **{name: name.upper().replace("-", "_") for name in ("ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod")},
    "ngram-cache": "NGRAM_CACHE",
}


def _speculation(settings: Settings, raw: Raw) -> None:
    for name in as_list(raw):
        if name not in _SPECULATION:
            raise ValueError(f"unknown speculative type: {name} (allowed values: {', '.join(_SPECULATION)})")
        kind = Member("common_speculative_type", f"COMMON_SPECULATIVE_TYPE_{_SPECULATION[name]}")
        settings.add("speculative.types", kind)


def _nothing(settings: Settings, raw: Raw) -> None:
    """Accept a flag that llama-server accepts and ignores."""


_TYPES = f"allowed values: {', '.join(_CACHE_TYPES)}\n(default: f16)"
_PRIORITIES = dict(zip(("-1", "0", "1", "2", "3"), ("LOW", "NORMAL", "MEDIUM", "HIGH", "REALTIME"), strict=True))
_LOAD_MODES = ("auto", "none", "mmap", "mlock", "mmap+mlock", "dio")
_LOAD_NAMES = ("AUTO", "NONE", "MMAP", "MLOCK", "MMAP_MLOCK", "DIRECT_IO")


def _names(enumeration: str, prefix: str, *words: str) -> Callable[[str], Action]:
    return partial(choice, enumeration=enumeration, members={word: f"{prefix}{word.upper()}" for word in words})
