"""Which log line tells of which cause: a table of patterns, the more telling before the more general.

Memory and GPU failures are not here: `diagnosis_memory` reads them from facts. Sources of the lines: b11434's
`common/arg.cpp`, `ggml/src/gguf.cpp`, `src/llama*.cpp`, `tools/server/*.cpp`, `tools/mtmd/*.cpp`, recorded logs of
b11434, b9093 and the embedded engine (tests/unit/autopsy_logs), and older wordings where they are known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from variet_gui.engine import diagnosis_texts as texts
from variet_gui.events import Certainty


class When(Enum):
    """In which part of a server's life a line means this."""

    LOADING = "loading"
    """Before it is up, or when it loads again after it slept."""
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
    before: re.Pattern[str] | None = None
    """Must be found in an earlier line."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """More for the places in the text."""
    weak: bool = False
    """Only if no other rule finds anything."""
    certainty: Certainty = Certainty.CERTAIN


def _rule(
    cause: str,
    pattern: str,
    *,
    when: When = When.LOADING,
    also: str | None = None,
    within: int = 4,
    before: str | None = None,
    weak: bool = False,
    certainty: Certainty = Certainty.CERTAIN,
    **extra: object,
) -> Rule:
    return Rule(
        cause,
        re.compile(pattern),
        when,
        None if also is None else re.compile(also),
        within,
        None if before is None else re.compile(before),
        extra,
        weak,
        certainty,
    )


_ANY_DISTANCE = 100_000
_ARGUMENT = r'error while handling argument "(?P<flag>[^"]+)": '
_OPEN_FAILED = r"failed to open (?:GGUF file )?'(?P<file>[^']*)'(?::? ?\(?'?(?P<reason>[^')]*))?"
_CLIP_FAILED = r"Failed to load CLIP model from (?P<file>.*)"
_NOT_GGUF = r"invalid magic characters|failed to read magic"
_CUT = (
    r"(?P<reason>tensor '[^']*' data is not within the file bounds|string length \d+ exceeds remaining file size \d+.*"
    r"|failed to read key-value pairs|failed to read tensor (?:info|data)|failed to seek for tensor \S+"
    r"|unexpectedly reached end of file|failed to read magic)"
)
_LOAD_FAILED = r"failed to load model from (?P<file>.*)"
_DRAFT_FAILED = r"failed to load draft model, '(?P<file>.*)'"
_UNFIT_TENSORS = (
    r"missing tensor .*|(?:\w+: )?wrong number of tensors.*|check_tensor_dims: .*|corrupted model.*"
    r"|.*tensor '.*' (?:not found|has wrong shape).*|.*key not found in model: .*|.*wrong (?:type|shape|array).*"
    r"|error loading model (?:hyperparameters|vocabulary|architecture): .*"
)

RULES: tuple[Rule, ...] = (
    # The command line
    _rule("flag_not_honoured", r"error: the embedded engine cannot honour (?P<flag>\S+) \((?P<reason>.*)\)"),
    _rule("no_model", r"error: --model is required"),
    _rule("flag_unknown", r"error: (?:invalid|unknown|unrecognized) arguments?: (?P<flag>.+)"),
    _rule("flag_removed", _ARGUMENT + r"the argument has been removed\. use (?P<replacement>.+)"),
    _rule(
        "driver_too_old",
        r"failed to initialize \w+: (?P<reason>.*(?:insufficient|forward compatib|stub|unsupported display).*)",
        also=r"invalid device: ",
        within=_ANY_DISTANCE,
    ),
    _rule("device_unknown", _ARGUMENT + r"invalid device: (?P<device>\S+)"),
    _rule("file_missing", _ARGUMENT + r"(?:error: )?(?:failed to open file|not a directory:) '?(?P<file>[^']+)'?"),
    _rule("value_refused", _ARGUMENT + r"sto[a-z]+$", reason=texts.NOT_A_NUMBER),
    _rule("value_refused", _ARGUMENT + r"(?:error: )?(?P<reason>.+)"),
    _rule("value_refused", r"error: invalid parameter for argument: (?P<flag>\S+)", reason=texts.SEE_LOG),
    _rule("models_folder_missing", r"error: '(?P<file>.*)' does not exist or is not a directory"),
    # The program itself
    _rule("engine_library_unfit", r"error while loading shared libraries: (?P<library>\S+): (?!cannot open)"),
    _rule("engine_library_missing", r"error while loading shared libraries: (?P<library>[^:]+):"),
    _rule("engine_library_missing", r"version `(?P<library>(?:GLIBC|GLIBCXX|CXXABI)[^']*)' not found"),
    _rule("engine_library_unfit", r"symbol lookup error: (?P<library>[^:]+): undefined symbol"),
    _rule(
        "engine_library_missing",
        r"failed to load \S*ggml-(?:cuda|hip|vulkan)\S*: (?P<library>lib[\w.+-]+): cannot open",
        weak=True,
        certainty=Certainty.LIKELY,
    ),
    # The address
    _rule(
        "address_refused",
        r"couldn't bind (?:to )?(?:HTTP )?server socket,? hostname[:=] ?"
        r"(?P<address>(?!127\.|localhost|0\.0\.0\.0|::)[^,\s]+)",
        certainty=Certainty.LIKELY,
    ),
    _rule("port_in_use", r"couldn't bind (?:to )?(?:HTTP )?server socket.*port[:=] ?(?P<port>\d+)"),
    # Files
    _rule("permission_denied", r"failed to open (?:GGUF file )?'(?P<file>[^']*)'.*Permission denied", when=When.ALWAYS),
    _rule("projector_missing", _OPEN_FAILED, also=_CLIP_FAILED, reason=texts.NO_REASON),
    _rule("adapter_unusable", _OPEN_FAILED, also=r"lora adapter", reason=texts.NO_REASON),
    _rule("draft_model", _OPEN_FAILED, also=_DRAFT_FAILED, within=_ANY_DISTANCE),
    _rule("model_shards", _OPEN_FAILED, also=r"(?P<reason>failed to load GGUF split from .*)"),
    _rule("model_missing", _OPEN_FAILED, reason=texts.NO_REASON),
    _rule("projector_unusable", _NOT_GGUF, also=_CLIP_FAILED, reason=texts.NOT_GGUF),
    _rule("draft_model", _NOT_GGUF, also=_DRAFT_FAILED, within=_ANY_DISTANCE),
    _rule("model_not_gguf", r"invalid magic characters", also=_LOAD_FAILED),
    _rule(
        "model_other_version",
        r"(?P<reason>GGUFv1 is no longer supported.*|this GGUF file is version \d+ but .*"
        r"|.*version \d+ is extremely large.*|bad GGUF version.*|.*has invalid ggml type \d+.*"
        r"|.*unsupported (?:file|GGUF) version.*)",
    ),
    _rule(
        "projector_unusable",
        r"clip_init: failed to load model '(?P<file>[^']*)': (?P<reason>(?!.*Does this file exist).+)",
    ),
    _rule("model_truncated", _CUT, also=_LOAD_FAILED),
    _rule("model_truncated", r"(?P<reason>tensor '[^']*' data is not within the file bounds)"),
    _rule("model_truncated", r"error loading model: (?P<reason>unexpectedly reached end of file.*|read error.*)"),
    _rule("model_shards", r"error loading model: (?P<reason>(?:illegal|invalid|missing key).*split.*)"),
    _rule(
        "model_is_projector", r"CLIP cannot be used as main model|(?:unknown|unsupported) model architecture: 'clip'"
    ),
    _rule("model_unknown_architecture", r"(?:unknown|unsupported) model architecture: '(?P<architecture>[^']*)'"),
    _rule("model_unknown_architecture", r"unknown (?:pre-tokenizer type|tokenizer): '(?P<architecture>[^']*)'"),
    _rule("no_prediction_layers", r"context type MTP requested but model doesn't contain MTP layers"),
    _rule("model_unsuitable", rf"error loading model: (?P<reason>{_UNFIT_TENSORS})"),
    _rule(
        "projector_mismatch",
        r"mismatch between text model \(n_embd = (?P<model>\d+)\) and mmproj \(n_embd = (?P<projector>\d+)\)",
    ),
    _rule("projector_unusable", _CLIP_FAILED, weak=True, reason=texts.SEE_LOG),
    _rule("draft_model", _DRAFT_FAILED),
    _rule(
        "adapter_unusable", r"failed to apply lora adapter: (?P<reason>.+)", also=r"load lora adapter '(?P<file>[^']*)'"
    ),
    _rule("adapter_unusable", r"failed to open '(?P<file>[^']*)': (?P<reason>.+)"),
    _rule("chat_template", r"chat template parsing error: (?P<reason>.+)"),
    _rule("chat_template", r"common_chat_templates_init: error: (?P<reason>.+)"),
    _rule("chat_template", r"error: the supplied chat template is not supported: (?P<reason>.+)", weak=True),
    _rule("disk_full", r"No space left on device|ENOSPC|Errno 28|disk is full|not enough space on the disk"),
    # Devices
    _rule("gpu_lost", r"(?P<reason>vk::\S*DeviceLost\S*|ErrorDeviceLost)", when=When.ALWAYS, device=texts.A_GPU),
    _rule("gpu_lost", r"(?P<reason>NVRM: Xid.*|.*fallen off the bus.*)", when=When.ALWAYS, device=texts.A_GPU),
    _rule("main_gpu_missing", r"invalid value for main_gpu: (?P<device>-?\d+) \(available devices: (?P<count>\d+)\)"),
    _rule(
        "rpc_worker_lost",
        r"Failed to connect to (?P<endpoint>\S+:\d+)",
        when=When.ALWAYS,
        before=r"using device RPC\d|RPC\d+\[.*buffer size|loading model '",
    ),
    _rule("rpc_worker_lost", r"Failed to connect to (?P<endpoint>\S+:\d+)", when=When.WORKING),
    _rule("rpc_unreachable", r"Failed to connect to (?P<endpoint>\S+:\d+)"),
    _rule(
        "rpc_worker_lost",
        r"Remote RPC server crashed",
        when=When.ALWAYS,
        before=r"using device RPC\d+ \((?P<endpoint>[^)]+)\)|RPC\d+\[(?P<address>[^\]]+)\]|loading model '",
    ),
    _rule("rpc_worker_lost", r"Remote RPC server crashed", when=When.WORKING),
    _rule("rpc_unreachable", r"Remote RPC server crashed"),
    _rule("rpc_unreachable", r"RPC (?:server )?(?:version|protocol) mismatch|incompatible RPC", when=When.ALWAYS),
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
    _rule("split_mode_unfit", r"(?P<reason>unsupported mul_mat split states).*", certainty=Certainty.LIKELY),
    _rule("image_larger_than_micro_batch", r"non-causal attention requires n_ubatch >= n_tokens", when=When.ALWAYS),
    _rule("picture_fault", r"(?:clip|mtmd)[\w-]*\.(?:cpp|h):\d+: (?P<reason>.+)", when=When.ALWAYS),
    _rule("picture_fault", r"(?P<reason>GGML_ASSERT\(.*(?:mtmd|image|bitmap|mmproj).*)", when=When.ALWAYS),
    # What is left: in the server's own words
    _rule(
        "model_not_loaded", r"error loading model: (?P<reason>(?!llama_model_loader: failed to load (?:model|GGUF)).+)"
    ),
    _rule("context_not_made", r"failed to initialize the context: (?P<reason>.+)"),
    _rule(
        "system_limit", r"what\(\): +(?P<reason>Resource temporarily unavailable|Too many open files)", when=When.ALWAYS
    ),
    _rule("engine_fault", r"what\(\): +(?P<reason>.+)", when=When.ALWAYS),
    _rule("engine_fault", r"(?P<reason>GGML_ASSERT\(.*\) failed|GGML_ASSERT: .+)", when=When.ALWAYS),
    _rule("engine_fault", r"(?P<reason>failed to reload model after sleeping)", when=When.ALWAYS),
    _rule("engine_fault", r"^\S+\.(?:c|cc|cpp|cu|cuh|h|hpp|m):\d+: (?P<reason>.+)", when=When.ALWAYS),
    _rule("engine_fault", r"(?P<reason>pre-allocated tensor .* that cannot run the operation.*)", when=When.ALWAYS),
    # Not a cause by itself, but all there is
    _rule(
        "fit_failed",
        r"failed to fit (?:params|CLI arguments) to free device memory(?:: (?P<reason>.+))?",
        also=r"(?P<reason>failed to fit CLI arguments to free memory, exiting)",
        within=_ANY_DISTANCE,
        weak=True,
    ),
    _rule(
        "near_out_of_gpu_memory",
        r"layer (?P<layer>\d+) is assigned to device CPU but .* assigned to device (?!CPU)",
        when=When.ALWAYS,
        weak=True,
        certainty=Certainty.LIKELY,
    ),
    _rule(
        "draft_model",
        r"failed to (?:create MTP context|initialize speculative decoding)",
        weak=True,
        file=texts.SEE_LOG,
    ),
)
"""What ends a server."""

TROUBLES: tuple[Rule, ...] = (
    _rule(
        "out_of_gpu_memory_while_working",
        r"(?:failed to allocate|Compute error\.|decode\(\) failed).*ret = -2",
        when=When.WORKING,
        certainty=Certainty.LIKELY,
        device=texts.A_GPU,
    ),
    _rule(
        "context_full",
        r"(?P<reason>(?:the )?request (?:\(\d+ tokens\) )?exceeds the available context size.*"
        r"|Context size has been exceeded\.?|failed to find free space in the KV cache"
        r"|failed to find a memory slot for batch.*|context shift is disabled.*"
        r"|stopped due to running out of context.*)",
        when=When.WORKING,
    ),
    _rule("api_key_refused", r"[Uu]nauthorized: Invalid API Key", when=When.WORKING),
    _rule("picture_to_text_model", r"image input is not supported", when=When.WORKING),
    _rule(
        "picture_unreadable",
        r"failed to decode (?:image bytes|buffer as either image)|Failed to load image or audio file",
        when=When.WORKING,
    ),
    _rule(
        "chat_template", r"(?:Jinja|jinja|template).*(?:error|Error|exception).*?: (?P<reason>.+)", when=When.WORKING
    ),
    _rule("disk_full", r"No space left on device", when=When.WORKING),
    _rule("request_failed", r"(?:send_error|got exception): .*?error\W+(?P<reason>.+)", when=When.WORKING),
    _rule("request_failed", r"(?P<reason>failed to (?:encode|decode|process) mtmd \w+.*)", when=When.WORKING),
)
"""What goes wrong with a request while the server lives on: never why it ended, unless nothing else is known."""
