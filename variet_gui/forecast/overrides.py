"""Which tensors the override parameters keep off the device that their layer goes to.

Source: `common/arg.cpp` (-ot, -cmoe, -ncmoe, -ncffn), `common/common.h` (LLM_FFN_EXPS_REGEX, LLM_FFN_DENSE_REGEX) and
`src/llama-model-loader.cpp` (create_tensor: the first pattern found anywhere in the name wins), b11434.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from variet_gui.events import ParameterValue
from variet_gui.i18n import Message, msg

CPU = "CPU"
_EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
_DENSE = r"\.ffn_(up|down|gate)\."


class OverrideError(Exception):
    """An override that llama-server would refuse, with the reason for people."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.english)
        self.message = message


@dataclass(frozen=True, slots=True)
class Override:
    """Tensors whose name holds `pattern` go to the buffer type `buffer` ("CPU", "CUDA1")."""

    pattern: re.Pattern[str]
    buffer: str
    layer: int | None = None
    """The only layer whose tensors it can take; None: any tensor."""


def overrides(
    *, cpu_moe: bool = False, n_cpu_moe: int = 0, n_cpu_ffn: int = 0, override_tensor: str = ""
) -> tuple[Override, ...]:
    """Return the overrides of these parameters, the explicit patterns first.

    Args:
        cpu_moe: the experts of all layers stay on the CPU.
        n_cpu_moe: the experts of the first so many layers stay on the CPU. With two GPUs that empties the first one.
        n_cpu_ffn: the dense feed-forward weights of the first so many layers stay on the CPU.
        override_tensor: `pattern=buffer,pattern=buffer`, as llama-server takes it; a comma inside a pattern ends it.

    Raises:
        OverrideError: a pattern without a buffer, or one that is no regular expression.
    """
    found = [_explicit(entry) for entry in override_tensor.split(",") if entry]
    if cpu_moe:
        found.append(Override(re.compile(_EXPERTS), CPU))
    found += [_of_layer(layer, _EXPERTS) for layer in range(n_cpu_moe)]
    found += [_of_layer(layer, _DENSE) for layer in range(n_cpu_ffn)]
    return tuple(found)


def overrides_of(values: Mapping[str, ParameterValue]) -> tuple[Override, ...]:
    """Return the overrides of a profile's values.

    Raises:
        OverrideError: a pattern without a buffer, or one that is no regular expression.
    """

    def count(key: str) -> int:
        value = values.get(key, 0)
        return value if isinstance(value, int) else 0

    return overrides(
        cpu_moe=values.get("cpu_moe") is True,
        n_cpu_moe=count("n_cpu_moe"),
        n_cpu_ffn=count("n_cpu_ffn"),
        override_tensor=str(values.get("override_tensor", "")),
    )


def overridden(names: Iterable[str], chosen: Sequence[Override]) -> dict[str, str]:
    """Return tensor name -> buffer type for those of `names` that an override takes; the first that fits wins."""
    result = {}
    for name in names:
        for override in chosen:
            if override.pattern.search(name):
                result[name] = override.buffer
                break
    return result


def tensors_on_cpu(names: Iterable[str], chosen: Sequence[Override]) -> frozenset[str]:
    """Return those of `names` that the overrides keep on the CPU."""
    return frozenset(name for name, buffer in overridden(names, chosen).items() if buffer == CPU)


@lru_cache(maxsize=2048)
def _of_layer(layer: int, names: str) -> Override:
    return Override(re.compile(rf"blk\.{layer}{names}"), CPU, layer)


def _explicit(entry: str) -> Override:
    pattern, equals, buffer = entry.partition("=")
    if not equals or not buffer:
        raise OverrideError(msg("{entry} names no buffer. Write pattern=CPU.", entry=entry))
    try:
        return Override(re.compile(pattern), buffer)
    except re.error as error:
        raise OverrideError(
            msg("{pattern} is not a regular expression: {reason}.", pattern=pattern, reason=str(error))
        ) from error
