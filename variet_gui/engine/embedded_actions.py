"""Ways of setting something that one flag or one family of flags of the embedded engine needs.

Each function is an action, or makes one, for the rows of `embedded_table`; each mirrors the handler of the same flag in
`common/arg.cpp` of llama.cpp.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from variet_gui.engine.embedded_options import (
    Action,
    Adapter,
    Leading,
    Member,
    Processors,
    Raw,
    Settings,
    as_content,
    as_integer,
    as_list,
    as_number,
    as_truth,
    choice,
)

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
SPECULATION = (
    "none",
    "draft-simple",
    "draft-eagle3",
    "draft-mtp",
    "draft-dflash",
    "draft-dspark",
    "ngram-simple",
    "ngram-map-k",
    "ngram-map-k4v",
    "ngram-mod",
    "ngram-cache",
)
EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""Names of expert tensors behind `blk.N`: LLM_FFN_EXPS_REGEX in common/common.h."""
DENSE = r"\.ffn_(up|down|gate)\."
"""Names of dense feed-forward tensors behind `blk.N`: LLM_FFN_DENSE_REGEX, there too."""
_MOST_PROCESSORS = 512  # GGML_MAX_N_THREADS
_MOST_LAYERS = 100_000


def named(path: str, enumeration: str, prefix: str, names: Mapping[str, str]) -> Action:
    """Set `path` to a member of `enumeration`; `names` gives the end of its name for each word."""
    return choice(path, enumeration, {word: prefix + name for word, name in names.items()})


def context_size(settings: Settings, raw: Raw) -> None:
    """Set the context. Asked for in so many words, 0 is the whole context, and --fit may not shrink it."""
    size = as_integer(raw, minimum=0)
    settings.put("n_ctx", size)
    if size == 0:
        settings.put("fit_params_min_ctx", 2**32 - 1)


def slots(settings: Settings, raw: Raw) -> None:
    """Set the number of slots; -1 is automatic, 0 is none and refused."""
    count = as_integer(raw, minimum=-1)
    if count == 0:
        raise ValueError("error: invalid value for n_parallel")
    settings.put("n_parallel", count)


def gpu_layers(path: str) -> Action:
    """Set a number of layers, or one of the words for it."""
    words = {"auto": -1, "all": -2}
    return lambda settings, raw: settings.put(path, words[str(raw)] if raw in words else as_integer(raw))


def tensor_split(settings: Settings, raw: Raw) -> None:
    """Set the share of each GPU; those that are not named get none."""
    settings.put("tensor_split", Leading(tuple(as_number(part, 0.0) for part in as_list(raw, ",/")), rest=0.0))


def fit_target(settings: Settings, raw: Raw) -> None:
    """Set the margin of each device, given in MiB; a single one is for all."""
    margins = tuple(as_integer(part, minimum=0) * 1024 * 1024 for part in as_list(raw, ",/"))
    settings.put("fit_params_target", Leading(margins, rest=margins[0] if len(margins) == 1 else None))


def flash_attention(settings: Settings, raw: Raw) -> None:
    """Set flash attention to on, off or auto."""
    name = {True: "ENABLED", False: "DISABLED", None: "AUTO"}[as_truth(raw)]
    settings.put("flash_attn_type", Member("llama_flash_attn_type", f"LLAMA_FLASH_ATTN_TYPE_{name}"))


def cache_type(path: str) -> Action:
    """Set the type of a KV cache."""

    def write(settings: Settings, raw: Raw) -> None:
        if raw not in CACHE_TYPES:
            raise ValueError(f"Unsupported cache type: {raw}")
        settings.put(path, Member("ggml_type", f"GGML_TYPE_{str(raw).upper()}"))

    return write


def tensor_overrides(path: str) -> Action:
    """Append pairs of a tensor name pattern and a buffer type."""

    def write(settings: Settings, raw: Raw) -> None:
        parts = as_list(raw)
        if not parts or not all("=" in part for part in parts):
            raise ValueError(f"invalid value: '{raw}' (expected <tensor name pattern>=<buffer type>,...)")
        settings.add(path, *parts)

    return write


def all_experts(path: str) -> Action:
    """Keep the experts of all layers in host memory."""
    return lambda settings, _: settings.add(path, f"{EXPERTS}=CPU")


def first_layers(path: str, pattern: str) -> Action:
    """Keep the tensors of `pattern` in the first layers in host memory."""

    def write(settings: Settings, raw: Raw) -> None:
        settings.add(path, *(rf"blk\.{layer}{pattern}=CPU" for layer in range(as_integer(raw, 0, _MOST_LAYERS))))

    return write


def processor_mask(path: str) -> Action:
    """Add the processors of a hexadecimal mask to those that may be used."""

    def write(settings: Settings, raw: Raw) -> None:
        try:
            bits = int(str(raw), 16)
        except ValueError:
            raise ValueError("invalid cpumask") from None
        if not 0 <= bits < 1 << _MOST_PROCESSORS:
            raise ValueError("invalid cpumask")
        _add_processors(settings, path, [number for number in range(_MOST_PROCESSORS) if bits >> number & 1])

    return write


def processor_range(path: str) -> Action:
    """Add the processors from one number to another to those that may be used; a missing end is the first, the last."""

    def write(settings: Settings, raw: Raw) -> None:
        first, dash, last = str(raw).partition("-")
        try:
            start, end = int(first or 0), int(last or _MOST_PROCESSORS - 1)
        except ValueError:
            raise ValueError("invalid range") from None
        if not dash or not 0 <= start <= end < _MOST_PROCESSORS:
            raise ValueError("invalid range")
        _add_processors(settings, path, range(start, end + 1))

    return write


def _add_processors(settings: Settings, path: str, numbers: range | list[int]) -> None:
    before = settings.values.get(f"{path}.cpumask", Processors(frozenset()))
    settings.put(f"{path}.cpumask", Processors(before.numbers | set(numbers)))
    settings.put(f"{path}.mask_valid", True)


def lora(settings: Settings, raw: Raw) -> None:
    """Append LoRA adapters, each at full strength."""
    settings.add("lora_adapters", *(Adapter(path, 1.0) for path in as_list(raw)))


def scaled_lora(settings: Settings, raw: Raw) -> None:
    """Append LoRA adapters, each with its own strength: FILE:SCALE."""
    for part in as_list(raw):
        path, colon, scale = part.rpartition(":")
        if not colon:
            raise ValueError("lora-scaled format: FNAME:SCALE")
        settings.add("lora_adapters", Adapter(path, as_number(scale)))


def rope_scale(settings: Settings, raw: Raw) -> None:
    """Set the inverse of the library's own frequency scale."""
    if as_number(raw) == 0.0:
        raise ValueError("invalid value: 0")
    settings.put("rope_freq_scale", 1.0 / as_number(raw))


def word_set(path: str) -> Action:
    """Set `path` to the words of a comma list, in no order."""
    return lambda settings, raw: settings.put(path, frozenset(as_list(raw)))


def hosts(settings: Settings, raw: Raw) -> None:
    """Set the addresses to listen on."""
    if not as_list(raw):
        raise ValueError("--host requires at least one address")
    settings.put("hostnames", as_list(raw))


def key_file(settings: Settings, raw: Raw) -> None:
    """Append the API keys of a file, one a line; a hash starts a comment."""
    settings.add("api_keys", *(key for key in as_content(raw).splitlines() if key and not key.startswith("#")))


def template_arguments(settings: Settings, raw: Raw) -> None:
    """Set the arguments of the chat template that a JSON object holds."""
    try:
        arguments = json.loads(str(raw))
    except ValueError as error:
        raise ValueError(f"must be a valid json object string: {error}") from error
    if not isinstance(arguments, dict):
        raise ValueError("must be a valid json object string")
    for name, value in arguments.items():
        settings.template_argument(name, value)


def reasoning(settings: Settings, raw: Raw) -> None:
    """Switch thinking on or off, or leave it to the template."""
    on = as_truth(raw)
    settings.put("enable_reasoning", -1 if on is None else int(on))
    if on is not None:
        settings.template_argument("enable_thinking", on)


def reasoning_effort(settings: Settings, raw: Raw) -> None:
    """Set the effort that the chat template is given, or take it back."""
    settings.template_argument("reasoning_effort", None if raw == "default" else raw)


def sleep_after(settings: Settings, raw: Raw) -> None:
    """Set the idle time after which the server sleeps."""
    seconds = as_integer(raw)
    if seconds == 0 or seconds < -1:
        raise ValueError("invalid value: cannot be 0 or less than -1")
    settings.put("sleep_idle_seconds", seconds)


def seed(raw: Raw) -> int:
    """Return a seed. -1, a random one, is LLAMA_DEFAULT_SEED as an unsigned number."""
    return as_integer(raw, -1, 2**32 - 1) % 2**32


def temperature(raw: Raw) -> float:
    """Return a temperature; below zero means zero."""
    return max(as_number(raw), 0.0)


def penalty(raw: Raw) -> float:
    """Return a factor above zero."""
    if as_number(raw) <= 0.0:
        raise ValueError("error: repeat-penalty must be finite and greater than 0")
    return as_number(raw)


def not_negative(raw: Raw) -> int:
    """Return a whole number from zero up."""
    return as_integer(raw, minimum=0)


def speculation(settings: Settings, raw: Raw) -> None:
    """Append kinds of speculative decoding."""
    for name in as_list(raw):
        if name not in SPECULATION:
            raise ValueError(f"unknown speculative type: {name} (allowed values: {', '.join(SPECULATION)})")
        member = f"COMMON_SPECULATIVE_TYPE_{name.upper().replace('-', '_')}"
        settings.add("speculative.types", Member("common_speculative_type", member))


def draft_sampling(settings: Settings, raw: Raw) -> None:
    """Set how a draft is sampled."""
    if raw not in ("greedy", "probabilistic"):
        raise ValueError("invalid value, must be one of: greedy, probabilistic")
    settings.put("speculative.draft.probabilistic", raw == "probabilistic")
