"""Which log line tells of which cause: a table of patterns, the more telling before the more general.

Sources of the lines: b11434's `common/arg.cpp`, `ggml/src/gguf.cpp`, `src/llama*.cpp`, `tools/server/*.cpp`,
`tools/mtmd/*.cpp`, `ggml/src/ggml-cuda/ggml-cuda.cu`, and the older wordings where they are known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from variet_gui.engine import diagnosis_texts as texts


class When(Enum):
    """In which part of a server's life a line means this."""

    LOADING = "loading"
    WORKING = "working"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Rule:
    """A line with `pattern` means `cause`; the named groups fill the places in its text."""

    cause: str
    pattern: re.Pattern[str]
    when: When = When.ALWAYS
    also: re.Pattern[str] | None = None
    """Must be found in one of the `within` lines that follow; groups of the same name must say the same."""
    within: int = 4
    unless: re.Pattern[str] | None = None
    """Not the cause if this follows anywhere: the server helped itself."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """More for the places in the text."""
    weak: bool = False
    """Only if no other rule finds anything."""


def _rule(
    cause: str,
    pattern: str,
    *,
    when: When = When.LOADING,
    also: str | None = None,
    within: int = 4,
    unless: str | None = None,
    weak: bool = False,
    **extra: object,
) -> Rule:
    return Rule(
        cause,
        re.compile(pattern),
        when,
        None if also is None else re.compile(also),
        within,
        None if unless is None else re.compile(unless),
        extra,
        weak,
    )


_ANY_DISTANCE = 100_000
_NO_ROOM = (
    r"allocating (?P<mib>[\d.]+) MiB on device (?P<gpu>\d+): (?:cuda|hip|musa)Malloc failed: out of memory"
    r"|failed to allocate (?P<name>(?:CUDA|ROCm|MUSA|Vulkan|SYCL|Metal|RPC)\d[^ ]*) buffer of size (?P<bytes>\d+)"
)
_RETRIED = r"retrying without pipeline parallelism"
_NO_HOST_ROOM = (
    r"ggml_aligned_malloc: insufficient memory|std::bad_alloc|mmap failed: Cannot allocate memory"
    r"|failed to allocate (?:CPU\w*|\w+_Host) buffer of size|cpu_buffer_type_alloc_buffer: failed to allocate"
)
_OPEN_FAILED = r"failed to open GGUF file '(?P<file>.*)'(?: \((?P<reason>.*)\))?"
_CLIP_FAILED = r"Failed to load CLIP model from (?P<file>.*)"
_NOT_GGUF = r"invalid magic characters|failed to read magic"

RULES: tuple[Rule, ...] = (
    # The command line
    _rule(
        "flag_removed",
        r"error: invalid argument: (?P<flag>--(?:no-)?mmap|--mlock|--(?:no-)?direct-io|-n?dio)$",
        replacement="--load-mode",
    ),
    _rule("flag_not_honoured", r"error: the embedded engine cannot honour (?P<flag>\S+) \((?P<reason>.*)\)"),
    _rule("no_model", r"error: --model is required"),
    _rule("flag_unknown", r"error: invalid argument: (?P<flag>.+)"),
    _rule(
        "flag_removed",
        r'error while handling argument "(?P<flag>[^"]+)": the argument has been removed\. use (?P<replacement>.+)',
    ),
    _rule("device_unknown", r'error while handling argument "[^"]+": invalid device: (?P<device>\S+)'),
    _rule(
        "value_refused",
        r'error while handling argument "(?P<flag>[^"]+)": sto[a-z]+$',
        reason=texts.NOT_A_NUMBER,
    ),
    _rule("value_refused", r'error while handling argument "(?P<flag>[^"]+)": (?P<reason>.+)'),
    _rule("engine_library_missing", r"error while loading shared libraries: (?P<library>[^:]+):"),
    _rule("engine_library_missing", r"version `(?P<library>(?:GLIBC|GLIBCXX|CXXABI)[^']*)' not found"),
    _rule("port_in_use", r"couldn't bind (?:HTTP )?server socket, hostname: .*, port: (?P<port>\d+)"),
    # Files
    _rule("projector_missing", _OPEN_FAILED, also=_CLIP_FAILED, reason=texts.NO_REASON),
    _rule("draft_model", _OPEN_FAILED, also=r"failed to load draft model, '(?P<file>.*)'", within=_ANY_DISTANCE),
    _rule("model_shards", _OPEN_FAILED, also=r"(?P<reason>failed to load GGUF split from .*)"),
    _rule("model_missing", _OPEN_FAILED, reason=texts.NO_REASON),
    _rule("projector_unusable", _NOT_GGUF, also=_CLIP_FAILED, reason=texts.NOT_GGUF),
    _rule("model_not_gguf", _NOT_GGUF, also=r"failed to load model from (?P<file>.*)"),
    _rule("model_truncated", r"tensor '(?P<tensor>[^']*)' data is not within the file bounds"),
    _rule("model_shards", r"error loading model: (?P<reason>(?:illegal|invalid|missing key).*split.*)"),
    _rule("model_is_projector", r"CLIP cannot be used as main model"),
    _rule("model_unknown_architecture", r"(?:unknown|unsupported) model architecture: '(?P<architecture>[^']*)'"),
    _rule("model_unknown_architecture", r"unknown (?:pre-tokenizer type|tokenizer): '(?P<architecture>[^']*)'"),
    _rule(
        "model_unsuitable",
        r"error loading model: (?P<reason>missing tensor .*|wrong number of tensors.*|check_tensor_dims: .*"
        r"|corrupted model.*|.*tensor '.*' (?:not found|has wrong shape).*|key not found in model: .*)",
    ),
    _rule(
        "projector_mismatch",
        r"mismatch between text model \(n_embd = (?P<model>\d+)\) and mmproj \(n_embd = (?P<projector>\d+)\)",
    ),
    _rule("projector_unusable", r"clip_init: failed to load model '(?P<file>[^']*)': (?P<reason>.+)"),
    _rule("projector_unusable", _CLIP_FAILED, weak=True, reason=texts.SEE_LOG),
    _rule("draft_model", r"failed to load draft model, '(?P<file>.*)'"),
    _rule("chat_template", r"chat template parsing error: (?P<reason>.+)"),
    _rule("chat_template", r"common_chat_templates_init: error: (?P<reason>.+)"),
    # Memory. The first line is the same for all; what follows tells what had no room.
    _rule("out_of_gpu_memory", _NO_ROOM, also=r"unable to allocate \S+ buffer", within=12, what=texts.WEIGHTS),
    _rule("out_of_gpu_memory", _NO_ROOM, also=r"buffer for kv cache", within=12, what=texts.CONTEXT),
    _rule("out_of_gpu_memory", _NO_ROOM, also=r"buffer for rs cache", within=12, what=texts.RECURRENT),
    _rule(
        "out_of_gpu_memory",
        _NO_ROOM,
        also=r"failed to allocate compute (?:pp|tg) buffers",
        within=40,
        unless=_RETRIED,
        what=texts.COMPUTE,
    ),
    _rule(
        "out_of_gpu_memory",
        _NO_ROOM,
        also=r"clip_|mtmd_|multimodal",
        within=12,
        unless=_RETRIED,
        what=texts.PROJECTOR,
    ),
    _rule("out_of_gpu_memory", _NO_ROOM, unless=_RETRIED, what=texts.SOMETHING),
    _rule(
        "out_of_gpu_memory_while_working",
        r"(?:CUDA|ROCm|MUSA) error: out of memory",
        when=When.ALWAYS,
        also=r"current device: (?P<gpu>\d+)",
    ),
    _rule("out_of_gpu_memory_while_working", _NO_ROOM, when=When.WORKING),
    _rule("out_of_host_memory", _NO_HOST_ROOM, when=When.ALWAYS),
    # Devices
    _rule("gpu_fault", r"(?:CUDA|ROCm|MUSA) error: (?P<reason>.+)", when=When.ALWAYS, also=r"device: (?P<gpu>\d+)"),
    _rule("gpu_fault", r"(?:CUDA|ROCm|MUSA) error: (?P<reason>.+)", when=When.ALWAYS, device=texts.A_GPU),
    _rule("gpu_fault", r"(?P<reason>vk::\S*DeviceLost\S*|ErrorDeviceLost)", when=When.ALWAYS, device=texts.A_GPU),
    _rule("main_gpu_missing", r"invalid value for main_gpu: (?P<device>-?\d+) \(available devices: (?P<count>\d+)\)"),
    _rule("rpc_unreachable", r"Failed to connect to (?P<endpoint>\S+:\d+)", when=When.ALWAYS),
    _rule("rpc_unreachable", r"Remote RPC server (?P<endpoint>crashed)", when=When.ALWAYS),
    # Settings at odds with each other
    _rule(
        "cache_needs_flash_attention",
        r"quantized V cache requires flash_attn|quantized V cache was requested, but this requires Flash"
        r"|V cache quantization requires flash_attn",
    ),
    _rule(
        "k_cache_type_unfit",
        r"K cache type (?P<type>\S+) with block size (?P<block>\d+) does not divide n_embd_head_k=(?P<width>\d+)",
    ),
    _rule(
        "v_cache_type_unfit",
        r"V cache type (?P<type>\S+) with block size (?P<block>\d+) does not divide n_embd_head_v=(?P<width>\d+)",
    ),
    _rule("cache_types_differ", r"model does not support different K \(\S+\) and V \(\S+\) cache types"),
    _rule("split_mode_unfit", r"(?P<reason>(?:LLAMA_)?SPLIT_MODE_TENSOR (?:requires|not implemented|needs) .*)"),
    _rule("split_mode_unfit", r"(?P<reason>device \S+ does not support split buffers)"),
    _rule(
        "image_larger_than_micro_batch",
        r"non-causal attention requires n_ubatch >= n_tokens",
        when=When.ALWAYS,
    ),
    # What is left: in the server's own words
    _rule("model_not_loaded", r"error loading model: (?P<reason>(?!llama_model_loader: failed to load model).+)"),
    _rule("context_not_made", r"failed to initialize the context: (?P<reason>.+)"),
    _rule("engine_fault", r"(?P<reason>GGML_ASSERT\(.*\) failed)", when=When.ALWAYS),
    _rule("engine_fault", r"what\(\): +(?P<reason>.+)", when=When.ALWAYS),
    _rule("engine_fault", r"(?P<reason>failed to reload model after sleeping)", when=When.ALWAYS),
    # Not a cause by itself, but all there is
    _rule(
        "near_out_of_gpu_memory",
        r"layer (?P<layer>\d+) is assigned to device CPU but .* assigned to device (?!CPU)",
        when=When.ALWAYS,
        weak=True,
    ),
)
