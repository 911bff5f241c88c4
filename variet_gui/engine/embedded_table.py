"""The command line of the embedded engine: what each llama-server flag sets in xllamacpp's `CommonParams`.

Spellings, value hints and defaults are those of `llama-server --help`; what a row does mirrors its handler in
`common/arg.cpp`. `REFUSED` holds every flag that llama-server has and this engine cannot honour, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variet_gui.engine.embedded_actions import (
    CACHE_TYPES,
    DENSE,
    EXPERTS,
    SPECULATION,
    all_experts,
    cache_type,
    context_size,
    draft_sampling,
    first_layers,
    fit_target,
    flash_attention,
    gpu_layers,
    hosts,
    key_file,
    lora,
    named,
    not_negative,
    penalty,
    processor_mask,
    processor_range,
    reasoning,
    reasoning_effort,
    rope_scale,
    scaled_lora,
    seed,
    sleep_after,
    slots,
    speculation,
    temperature,
    template_arguments,
    tensor_overrides,
    tensor_split,
    word_set,
)
from variet_gui.engine.embedded_options import (
    Option,
    as_integer,
    as_number,
    both,
    content,
    flag,
    folder,
    integer,
    inverse,
    listed,
    nothing,
    number,
    on_or_off,
    option,
    sampling,
    switch,
    template_argument,
    text,
    threads,
)

DEFAULTS: Mapping[str, Any] = {
    "n_parallel": -1,
    "port": 8080,
    "default_template_kwargs": {"preserve_reasoning": "true"},
}
"""What llama-server's parser starts from and the library does not."""


def _same(*words: str) -> dict[str, str]:
    return {word: word.upper() for word in words}


_PRIORITIES = {"-1": "LOW", "0": "NORMAL", "1": "MEDIUM", "2": "HIGH", "3": "REALTIME"}
_LOAD_MODES = {
    "auto": "AUTO",
    "none": "NONE",
    "mmap": "MMAP",
    "mlock": "MLOCK",
    "mmap+mlock": "MMAP_MLOCK",
    "dio": "DIRECT_IO",
}
_REASONING_FORMATS = {"none": "NONE", "auto": "AUTO", "deepseek": "DEEPSEEK", "deepseek-legacy": "DEEPSEEK_LEGACY"}

_PRIORITY = named("cpuparams.priority", "ggml_sched_priority", "GGML_SCHED_PRIO_", _PRIORITIES)
_BATCH_PRIORITY = named("cpuparams_batch.priority", "ggml_sched_priority", "GGML_SCHED_PRIO_", _PRIORITIES)
_ROPE_SCALING = named(
    "rope_scaling_type", "llama_rope_scaling_type", "LLAMA_ROPE_SCALING_TYPE_", _same("none", "linear", "yarn")
)
_LOAD_MODE = named("load_mode", "llama_load_mode", "LLAMA_LOAD_MODE_", _LOAD_MODES)
_LAZY_MODE = named("lazy_mode", "llama_lazy_mode", "LLAMA_LAZY_MODE_", _same("on", "auto", "off"))
_NUMA = named("numa", "ggml_numa_strategy", "GGML_NUMA_STRATEGY_", _same("distribute", "isolate", "numactl"))
_SPLIT_MODE = named("split_mode", "llama_split_mode", "LLAMA_SPLIT_MODE_", _same("none", "layer", "row", "tensor"))
_REASONING_FORMAT = named("reasoning_format", "common_reasoning_format", "COMMON_REASONING_FORMAT_", _REASONING_FORMATS)
_NO_PERF = both(inverse("no_perf"), inverse("sampling.no_perf"))
_TIMEOUT = both(integer("timeout_read"), integer("timeout_write"))
_ORIGINS = both(text("cors_origins"), flag("cors_origins_explicit"))
_PRESERVE = both(template_argument("preserve_reasoning"), flag("preserve_reasoning_specified"))
_BUDGET = "sampling.reasoning_budget_"
_CPU, _BATCH = "cpuparams", "cpuparams_batch"

_CACHE_HELP = f"allowed values: {', '.join(CACHE_TYPES)}\n(default: f16)"
_LAYERS_HELP = "max. number of layers to store in VRAM: an exact number, 'auto', or 'all' (default: auto)"
_VERBOSITY_HELP = (
    "Set the verbosity threshold:\n- 0: generic output\n- 1: error\n- 2: warning\n- 3: info\n"
    "- 4: trace (more info)\n- 5: debug\n(default: 3)"
)

_DRAFT = "speculative.draft."
_LOOKUP = "speculative.ngram_cache.lookup_cache_"
_TENSORS = "tensor_buft_overrides"
_PATTERN_HINT = "<tensor name pattern>=<buffer type>,..."

_GENERAL = (
    option("-h, --help, --usage", nothing, "print usage and exit"),
    option("--version", nothing, "show version and build info"),
    option("--list-devices", nothing, "print list of available devices and exit"),
    option("-t, --threads N", threads("cpuparams.n_threads"), "CPU threads for generation (default: -1)"),
    option(
        "-tb, --threads-batch N", threads("cpuparams_batch.n_threads"), "CPU threads for prompts (default: same as -t)"
    ),
    option("--prio N", _PRIORITY, "priority: low(-1), normal(0), medium(1), high(2), realtime(3) (default: 0)"),
    option("--poll <0...100>", integer("cpuparams.poll", 0, 100), "polling while waiting for work (default: 50)"),
    option("-C, --cpu-mask M", processor_mask(_CPU), 'processors to use, a hexadecimal mask (default: "")'),
    option("-Cr, --cpu-range lo-hi", processor_range(_CPU), "processors to use, complements --cpu-mask"),
    option("--cpu-strict <0|1>", integer("cpuparams.strict_cpu", 0, 1), "use strict CPU placement (default: 0)"),
    option("-Cb, --cpu-mask-batch M", processor_mask(_BATCH), "processors for prompts (default: same as --cpu-mask)"),
    option("-Crb, --cpu-range-batch lo-hi", processor_range(_BATCH), "processors for prompts"),
    option("--cpu-strict-batch <0|1>", integer("cpuparams_batch.strict_cpu", 0, 1), "(default: same as --cpu-strict)"),
    option("--prio-batch N", _BATCH_PRIORITY, "priority for prompts (default: 0)"),
    option(
        "--poll-batch <0|1>", integer("cpuparams_batch.poll", 0, 1), "polling for prompts (default: same as --poll)"
    ),
    option("-c, --ctx-size N", context_size, "size of the prompt context (default: 0, 0 = loaded from model)"),
    option("-n, --predict, --n-predict N", integer("n_predict"), "tokens to predict (default: -1, -1 = infinity)"),
    option("-b, --batch-size N", integer("n_batch", 1), "logical maximum batch size (default: 2048)"),
    option("-ub, --ubatch-size N", integer("n_ubatch", 1), "physical maximum batch size (default: 512)"),
    option("--keep N", integer("n_keep"), "tokens to keep from the initial prompt (default: 0, -1 = all)"),
    option("--swa-full", flag("swa_full"), "use full-size SWA cache (default: false)"),
    option("-fa, --flash-attn [on|off|auto]", flash_attention, "set Flash Attention use (default: 'auto')"),
    option("--perf / --no-perf", _NO_PERF, "internal libllama performance timings (default: false)"),
    option("-e, --escape / --no-escape", switch("escape"), "process escape sequences (default: true)"),
    option("--rope-scaling {none,linear,yarn}", _ROPE_SCALING, "RoPE frequency scaling method (default: the model's)"),
    option("--rope-scale N", rope_scale, "RoPE context scaling factor, expands context by a factor of N"),
    option("--rope-freq-base N", number("rope_freq_base"), "RoPE base frequency (default: the model's)"),
    option("--rope-freq-scale N", number("rope_freq_scale"), "RoPE frequency scaling, expands context by 1/N"),
    option("--yarn-orig-ctx N", integer("yarn_orig_ctx"), "YaRN: original context size (default: 0 = the model's)"),
    option("--yarn-ext-factor N", number("yarn_ext_factor"), "YaRN: extrapolation mix factor (default: -1.00)"),
    option("--yarn-attn-factor N", number("yarn_attn_factor"), "YaRN: scale sqrt(t) or attention (default: -1.00)"),
    option("--yarn-beta-slow N", number("yarn_beta_slow"), "YaRN: high correction dim or alpha (default: -1.00)"),
    option("--yarn-beta-fast N", number("yarn_beta_fast"), "YaRN: low correction dim or beta (default: -1.00)"),
    option(
        "-kvo, --kv-offload / -nkvo, --no-kv-offload",
        inverse("no_kv_offload"),
        "KV cache on the GPU (default: enabled)",
    ),
    option("--repack / -nr, --no-repack", inverse("no_extra_bufts"), "repack weights (default: enabled)"),
    option("--no-host", flag("no_host"), "bypass host buffer allowing extra buffers to be used"),
    option("-ctk, --cache-type-k TYPE", cache_type("cache_type_k"), f"KV cache data type for K\n{_CACHE_HELP}"),
    option("-ctv, --cache-type-v TYPE", cache_type("cache_type_v"), f"KV cache data type for V\n{_CACHE_HELP}"),
    option("-dt, --defrag-thold N", nothing, "KV cache defragmentation threshold (DEPRECATED)"),
    option(
        "-lm, --load-mode MODE", _LOAD_MODE, f"model loading mode (default: auto)\none of: {', '.join(_LOAD_MODES)}"
    ),
    option("-lzm, --lazy-mode MODE", _LAZY_MODE, "on-demand reading of large tensors: on, auto, off (default: auto)"),
    option("--numa TYPE", _NUMA, "spread over NUMA nodes: distribute, isolate, numactl"),
    option(f"-ot, --override-tensor {_PATTERN_HINT}", tensor_overrides(_TENSORS), "override tensor buffer type"),
    option("-cmoe, --cpu-moe", all_experts(_TENSORS), "keep all Mixture of Experts (MoE) weights in the CPU"),
    option(
        "-ncmoe, --n-cpu-moe N", first_layers(_TENSORS, EXPERTS), "keep MoE weights of the first N layers in the CPU"
    ),
    option("-ncffn, --n-cpu-ffn N", first_layers(_TENSORS, DENSE), "keep FFN weights of the first N layers in the CPU"),
    option("-ngl, --gpu-layers, --n-gpu-layers N", gpu_layers("n_gpu_layers"), _LAYERS_HELP),
    option("-sm, --split-mode {none,layer,row,tensor}", _SPLIT_MODE, "how to split over several GPUs (default: layer)"),
    option("-ts, --tensor-split N0,N1,N2,...", tensor_split, "share of the model for each GPU, e.g. 3,1"),
    option("-mg, --main-gpu INDEX", integer("main_gpu"), "the GPU to use with split-mode = none (default: 0)"),
    option("-fit, --fit [on|off]", on_or_off("fit_params"), "adjust unset arguments to device memory (default: 'on')"),
    option("-fitt, --fit-target MiB0,MiB1,MiB2,...", fit_target, "margin per device for --fit, default: 1024"),
    option(
        "-fitc, --fit-ctx N", integer("fit_params_min_ctx", 0), "minimum ctx size that --fit may set, default: 4096"
    ),
    option("--check-tensors", flag("check_tensors"), "check model tensor data for invalid values (default: false)"),
    option("--op-offload / --no-op-offload", inverse("no_op_offload"), "offload host operations (default: true)"),
    option("--lora FNAME", lora, "path to LoRA adapter (comma-separated for several)"),
    option("--lora-scaled FNAME:SCALE,...", scaled_lora, "path to LoRA adapter with a strength of its own"),
    option("-m, --model FNAME", text("model.path"), "model path to load"),
    option("-v, --verbose, --log-verbose", flag("verbosity", 2**31 - 1), "log all messages, useful for debugging"),
    option("--offline", flag("offline"), "prevents network access (this engine never fetches anything)"),
    option("-lv, --verbosity, --log-verbosity N", integer("verbosity"), _VERBOSITY_HELP),
)

_SAMPLING = (
    option("--samplers SAMPLERS", text("sampling.samplers"), "samplers in their order, separated by ';'"),
    option("-s, --seed SEED", sampling("seed", seed), "RNG seed (default: -1, use random seed for -1)"),
    option("--ignore-eos", flag("sampling.ignore_eos"), "ignore end of stream token and continue generating"),
    option("--temp, --temperature N", sampling("temp", temperature, "TEMP"), "temperature (default: 0.80)"),
    option("--top-k N", sampling("top_k", as_integer, "TOP_K"), "top-k sampling (default: 40, 0 = disabled)"),
    option("--top-p N", sampling("top_p", as_number, "TOP_P"), "top-p sampling (default: 0.95, 1.0 = disabled)"),
    option("--min-p N", sampling("min_p", as_number, "MIN_P"), "min-p sampling (default: 0.05, 0.0 = disabled)"),
    option("--xtc-probability N", sampling("xtc_probability", as_number, "XTC_PROBABILITY"), "(default: 0.00)"),
    option(
        "--xtc-threshold N", sampling("xtc_threshold", as_number, "XTC_THRESHOLD"), "(default: 0.10, 1.0 = disabled)"
    ),
    option("--typical, --typical-p N", sampling("typ_p", as_number), "locally typical sampling (default: 1.00)"),
    option("--repeat-last-n N", sampling("penalty_last_n", not_negative, "PENALTY_LAST_N"), "(default: 64)"),
    option("--repeat-penalty N", sampling("penalty_repeat", penalty, "PENALTY_REPEAT"), "(default: 1.00 = disabled)"),
    option("--presence-penalty N", sampling("penalty_present", as_number), "(default: 0.00 = disabled)"),
    option("--frequency-penalty N", sampling("penalty_freq", as_number), "(default: 0.00 = disabled)"),
    option("--dry-multiplier N", sampling("dry_multiplier", as_number), "DRY multiplier (default: 0.00 = disabled)"),
    option("--dry-base N", sampling("dry_base", as_number), "DRY base value (default: 1.75)"),
    option("--dry-allowed-length N", sampling("dry_allowed_length", as_integer), "DRY allowed length (default: 2)"),
    option("--dry-penalty-last-n N", sampling("dry_penalty_last_n", not_negative), "DRY last n tokens (default: 64)"),
    option(
        "--adaptive-target N", sampling("adaptive_target", as_number), "adaptive-p target (default: -1.00 = disabled)"
    ),
    option("--adaptive-decay N", sampling("adaptive_decay", as_number), "adaptive-p decay rate (default: 0.90)"),
    option("--dynatemp-range N", sampling("dynatemp_range", as_number), "dynamic temperature range (default: 0.00)"),
    option(
        "--dynatemp-exp N", sampling("dynatemp_exponent", as_number), "dynamic temperature exponent (default: 1.00)"
    ),
    option("--mirostat N", sampling("mirostat", as_integer, "MIROSTAT"), "Mirostat: 0 = disabled, 1, 2 (default: 0)"),
    option("--mirostat-lr N", sampling("mirostat_eta", as_number, "MIROSTAT_ETA"), "Mirostat eta (default: 0.10)"),
    option("--mirostat-ent N", sampling("mirostat_tau", as_number, "MIROSTAT_TAU"), "Mirostat tau (default: 5.00)"),
    option("-bs, --backend-sampling", flag("sampling.backend_sampling"), "sample on the backend (default: disabled)"),
)

_SPECULATIVE = (
    option(
        "--spec-draft-model, -md, --model-draft FNAME", text(_DRAFT + "mparams.path"), "draft model (default: unused)"
    ),
    option(f"--spec-type {','.join(SPECULATION)}", speculation, "speculative decoding to use (default: none)"),
    option("--spec-draft-n-max N", integer(_DRAFT + "n_max", 0), "number of tokens to draft (default: 3)"),
    option("--spec-draft-n-min N", integer(_DRAFT + "n_min"), "minimum number of draft tokens (default: 0)"),
    option("--spec-draft-p-split, --draft-p-split P", number(_DRAFT + "p_split"), "split probability (default: 0.10)"),
    option("--spec-draft-p-min, --draft-p-min P", number(_DRAFT + "p_min"), "minimum probability (default: 0.00)"),
    option(
        "--spec-draft-device, -devd, --device-draft <dev1,dev2,..>", text(_DRAFT + "devices"), "draft model's devices"
    ),
    option(
        "--spec-draft-ngl, -ngld, --gpu-layers-draft, --n-gpu-layers-draft N",
        gpu_layers(_DRAFT + "n_gpu_layers"),
        _LAYERS_HELP,
    ),
    option("--spec-draft-type-k, -ctkd, --cache-type-k-draft TYPE", cache_type(_DRAFT + "cache_type_k"), _CACHE_HELP),
    option("--spec-draft-type-v, -ctvd, --cache-type-v-draft TYPE", cache_type(_DRAFT + "cache_type_v"), _CACHE_HELP),
    option(
        "--spec-draft-threads, -td, --threads-draft N", threads(_DRAFT + "cpuparams.n_threads"), "(default: same as -t)"
    ),
    option(
        "--spec-draft-threads-batch, -tbd, --threads-batch-draft N",
        threads(_DRAFT + "cpuparams_batch.n_threads"),
        "(default: same as -td)",
    ),
    option(
        f"--spec-draft-override-tensor, -otd, --override-tensor-draft {_PATTERN_HINT}",
        tensor_overrides(_DRAFT + _TENSORS),
        "draft model",
    ),
    option(
        "--spec-draft-cpu-moe, -cmoed, --cpu-moe-draft",
        all_experts(_DRAFT + _TENSORS),
        "keep all MoE weights in the CPU",
    ),
    option(
        "--spec-draft-n-cpu-moe, --spec-draft-ncmoe, -ncmoed, --n-cpu-moe-draft N",
        first_layers(_DRAFT + _TENSORS, EXPERTS),
        "keep MoE weights of the first N layers in the CPU",
    ),
    option("--spec-ngram-mod-n-min N", integer("speculative.ngram_mod.n_min", 0, 1024), "(default: 48)"),
    option("--spec-ngram-mod-n-max N", integer("speculative.ngram_mod.n_max", 0, 1024), "(default: 64)"),
    option("--spec-ngram-mod-n-match N", integer("speculative.ngram_mod.n_match", 1, 1024), "(default: 24)"),
    option("--spec-ngram-simple-size-n N", integer("speculative.ngram_simple.size_n", 1, 1024), "(default: 12)"),
    option("--spec-ngram-simple-size-m N", integer("speculative.ngram_simple.size_m", 1, 1024), "(default: 48)"),
    option("--spec-ngram-simple-min-hits N", integer("speculative.ngram_simple.min_hits", 1), "(default: 1)"),
    option("--spec-ngram-map-k-size-n N", integer("speculative.ngram_map_k.size_n", 1, 1024), "(default: 12)"),
    option("--spec-ngram-map-k-size-m N", integer("speculative.ngram_map_k.size_m", 1, 1024), "(default: 48)"),
    option("--spec-ngram-map-k-min-hits N", integer("speculative.ngram_map_k.min_hits", 1), "(default: 1)"),
    option("--spec-ngram-map-k4v-size-n N", integer("speculative.ngram_map_k4v.size_n", 1, 1024), "(default: 12)"),
    option("--spec-ngram-map-k4v-size-m N", integer("speculative.ngram_map_k4v.size_m", 1, 1024), "(default: 48)"),
    option("--spec-ngram-map-k4v-min-hits N", integer("speculative.ngram_map_k4v.min_hits", 1), "(default: 1)"),
    option("-lcs, --lookup-cache-static FNAME", text(_LOOKUP + "static"), "static lookup cache, not updated"),
    option("-lcd, --lookup-cache-dynamic FNAME", text(_LOOKUP + "dynamic"), "dynamic lookup cache, updated"),
    option(
        "--spec-draft-backend-sampling / --no-spec-draft-backend-sampling",
        switch(_DRAFT + "backend_sampling"),
        "sample the draft on the backend (default: enabled)",
    ),
    option("--spec-draft-sampling {greedy,probabilistic}", draft_sampling, "how to sample the draft (default: greedy)"),
)

_SERVER = (
    option(
        "--kv-unified-per-slot N", integer("kv_unified_per_slot", 0), "context limit per parallel slot (default: unset)"
    ),
    option(
        "-ctxcp, --ctx-checkpoints, --swa-checkpoints N",
        integer("n_ctx_checkpoints"),
        "checkpoints per slot (default: 32)",
    ),
    option(
        "-cms, --checkpoint-min-step N", integer("checkpoint_min_step", 0), "tokens between checkpoints (default: 8192)"
    ),
    option(
        "-cram, --cache-ram N", integer("cache_ram_mib"), "prompt cache in MiB (default: 8192, -1 = no limit, 0 = off)"
    ),
    option(
        "-kvu, --kv-unified / -no-kvu, --no-kv-unified",
        switch("kv_unified"),
        "one KV buffer for all slots (default: with -np -1)",
    ),
    option(
        "--cache-idle-slots / --no-cache-idle-slots", switch("cache_idle_slots"), "cache idle slots (default: enabled)"
    ),
    option("--context-shift / --no-context-shift", switch("ctx_shift"), "shift a full context (default: disabled)"),
    option("-sp, --special", flag("special"), "special tokens output enabled (default: false)"),
    option("--warmup / --no-warmup", switch("warmup"), "warm up with an empty run (default: enabled)"),
    option("-np, --parallel N", slots, "number of server slots (default: -1, -1 = auto)"),
    option("-cb, --cont-batching / -nocb, --no-cont-batching", switch("cont_batching"), "(default: enabled)"),
    option("-mm, --mmproj FILE", text("mmproj.path"), "path to a multimodal projector file"),
    option("--mmproj-auto / --no-mmproj, --no-mmproj-auto", inverse("no_mmproj"), "use a projector (default: enabled)"),
    option(
        "--mmproj-offload / --no-mmproj-offload", switch("mmproj_use_gpu"), "projector on the GPU (default: enabled)"
    ),
    option("-mmdev, --mmproj-device DEVICE", text("mmproj_device"), "device for the projector (none = don't offload)"),
    option("--image-min-tokens N", integer("image_min_tokens"), "least tokens of a picture (default: read from model)"),
    option("--image-max-tokens N", integer("image_max_tokens"), "most tokens of a picture (default: read from model)"),
    option("--mtmd-batch-max-tokens N", integer("mtmd_batch_max_tokens"), "image tokens per batch (default: 1024)"),
    option("-a, --alias STRING", word_set("model_alias"), "set model name aliases for the API, comma-separated"),
    option("--tags STRING", word_set("model_tags"), "set model tags, comma-separated (informational)"),
    option("--host HOST", hosts, "IP addresses to listen on, comma-separated (default: 127.0.0.1)"),
    option("--port PORT", integer("port", 0, 65535), "port to listen (default: 8080, 0 = any)"),
    option("--reuse-port", flag("reuse_port"), "allow multiple sockets to bind to the same port (default: disabled)"),
    option("--cors-origins ORIGINS", _ORIGINS, "allowed origins for CORS, or 'localhost' (default: *)"),
    option(
        "--cors-methods METHODS", text("cors_methods"), "allowed methods for CORS (default: GET, POST, DELETE, OPTIONS)"
    ),
    option("--cors-headers HEADERS", text("cors_headers"), "allowed headers for CORS (default: *)"),
    option("--cors-credentials / --no-cors-credentials", switch("cors_credentials"), "for CORS (default: enabled)"),
    option("--api-prefix PREFIX", text("api_prefix"), "prefix path, without the trailing slash (default: )"),
    option("--ui, --webui / --no-ui, --no-webui", switch("ui"), "whether to enable the Web UI (default: enabled)"),
    option("--api-key KEY", listed("api_keys"), "API keys, comma-separated (default: none)"),
    option("--api-key-file FNAME", key_file, "file with API keys, one per line; # starts a comment (default: none)"),
    option("--chat-template-kwargs STRING", template_arguments, "arguments for the chat template, a json object"),
    option("-to, --timeout N", _TIMEOUT, "server read/write timeout in seconds (default: 3600)"),
    option(
        "--sse-ping-interval N", integer("sse_ping_interval"), "SSE ping interval in seconds (-1 = off, default: 30)"
    ),
    option("--threads-http N", integer("n_threads_http"), "threads that process HTTP requests (default: -1)"),
    option("--cache-prompt / --no-cache-prompt", switch("cache_prompt"), "enable prompt caching (default: enabled)"),
    option(
        "--cache-reuse N", integer("n_cache_reuse"), "least chunk to reuse from the cache by KV shifting (default: 0)"
    ),
    option("--metrics", flag("endpoint_metrics"), "enable prometheus compatible metrics endpoint (default: disabled)"),
    option("--props", flag("endpoint_props"), "enable POST /props (default: disabled)"),
    option("--slots / --no-slots", switch("endpoint_slots"), "expose slots monitoring endpoint (default: enabled)"),
    option("--slot-save-path PATH", folder("slot_save_path"), "path to save slot kv cache (default: disabled)"),
    option("--media-path PATH", folder("media_path"), "directory for file:// pictures (default: disabled)"),
    option("--jinja / --no-jinja", switch("use_jinja"), "use jinja template engine for chat (default: enabled)"),
    option("--reasoning-format FORMAT", _REASONING_FORMAT, "none, deepseek, deepseek-legacy, auto (default: deepseek)"),
    option("-rea, --reasoning [on|off|auto]", reasoning, "use thinking in the chat (default: 'auto')"),
    option("--reasoning-effort LEVEL", reasoning_effort, "effort for the chat template: default, low, high, ..."),
    option(
        "--reasoning-budget N", integer(_BUDGET + "tokens", -1), "token budget for thinking (default: -1, no limit)"
    ),
    option(
        "--reasoning-budget-message MESSAGE", text(_BUDGET + "message"), "said when the budget is spent (default: none)"
    ),
    option(
        "--reasoning-preserve / --no-reasoning-preserve", _PRESERVE, "keep thoughts in the history (default: enabled)"
    ),
    option("--chat-template JINJA_TEMPLATE", text("chat_template"), "chat template (default: taken from the model)"),
    option("--chat-template-file JINJA_TEMPLATE_FILE", content("chat_template"), "chat template from a file"),
    option("--skip-chat-parsing / --no-skip-chat-parsing", switch("force_pure_content_parser"), "(default: disabled)"),
    option("--prefill-assistant / --no-prefill-assistant", switch("prefill_assistant"), "(default: prefill enabled)"),
    option(
        "-sps, --slot-prompt-similarity SIMILARITY", number("slot_prompt_similarity"), "to reuse a slot (default: 0.10)"
    ),
    option("--lora-init-without-apply", flag("lora_init_without_apply"), "load adapters only (default: disabled)"),
    option(
        "--sleep-idle-seconds SECONDS", sleep_after, "idle time after which the server sleeps (default: -1 = never)"
    ),
)

SECTIONS: Mapping[str, tuple[Option, ...]] = {
    "common params": _GENERAL,
    "sampling params": _SAMPLING,
    "speculative params": _SPECULATIVE,
    "example-specific params": _SERVER,
}
"""All options, under the headings of llama-server's `--help`."""

_REFUSALS = {
    "the library has no setting for it": """
        -dev --device --override-kv --rpc --control-vector --control-vector-scaled --control-vector-layer-range
        --spm-infill --top-nsigma --top-n-sigma --sampler-seq --sampling-seq --dry-sequence-breaker
    """,
    "the library chooses the form of its log and writes it to stderr": """
        --log-disable --log-file --log-jsonl --no-log-jsonl --log-colors --log-prefix --no-log-prefix
        --log-timestamps --no-log-timestamps --log-prompts-dir
    """,
    "it never downloads a model": """
        -mu --model-url -dr --docker-repo -hf -hfr --hf-repo -hff --hf-file -hft --hf-token -mmu --mmproj-url -cl
        --cache-list --spec-draft-hf -hfd -hfrd --hf-repo-draft --embd-gemma-default --fim-qwen-1.5b-default
        --fim-qwen-3b-default --fim-qwen-7b-default --fim-qwen-7b-spec --fim-qwen-14b-spec --fim-qwen-30b-default
        --gpt-oss-20b-default --gpt-oss-120b-default --vision-gemma-4b-default --vision-gemma-12b-default
    """,
    "it serves one model": "--models-dir --models-preset --models-max --models-autoload --no-models-autoload",
    "it gives a model no tools": """
        --tools --tools-runtime --mcp-servers-config --mcp-servers-json -ag --agent -no-ag --no-agent --ui-mcp-proxy
        --webui-mcp-proxy --no-ui-mcp-proxy --no-webui-mcp-proxy
    """,
    "it serves chat, not embeddings": "--embedding --embeddings --rerank --reranking --pooling --embd-normalize",
    "it takes pictures, not video": "--video-fps --video-timestamp-interval --video-ffmpeg-dir",
    "give it with each request instead": """
        -l --logit-bias --grammar --grammar-file -j --json-schema -jf --json-schema-file -r --reverse-prompt
    """,
    "it has no TLS": "--ssl-key-file --ssl-cert-file",
    "it serves no files of its own": "--path --ui-config --webui-config --ui-config-file --webui-config-file",
    "placement of the draft model on processors is not passed on": """
        --spec-draft-cpu-mask -Cd --cpu-mask-draft --spec-draft-cpu-range -Crd --cpu-range-draft
        --spec-draft-cpu-strict --cpu-strict-draft --spec-draft-prio --prio-draft --spec-draft-poll --poll-draft
        --spec-draft-cpu-mask-batch -Cbd --cpu-mask-batch-draft --spec-draft-cpu-strict-batch
        --cpu-strict-batch-draft --spec-draft-prio-batch --prio-batch-draft --spec-draft-poll-batch
        --poll-batch-draft
    """,
    "this kind of speculation is not passed on": "--spec-synth-len --spec-synth-rates --spec-default",
    "it has been removed from llama-server": """
        --draft --draft-n --draft-max --draft-min --draft-n-min --spec-ngram-size-n --spec-ngram-size-m
        --spec-ngram-min-hits
    """,
    "it is for shells": "--completion-bash",
}

REFUSED: Mapping[str, str] = {spelling: reason for reason, flags in _REFUSALS.items() for spelling in flags.split()}
"""Flags that llama-server has and this engine cannot honour, with the reason."""

NO_GPU_WARNINGS: Mapping[str, str] = {
    "n_gpu_layers": "warning: no usable GPU found, --gpu-layers option will be ignored",
    "split_mode": "warning: the library has no support for GPU offload. Setting the split mode has no effect.",
    "tensor_split": "warning: the library has no support for GPU offload. Setting a tensor split has no effect.",
    "main_gpu": "warning: the library has no support for GPU offload. Setting the main GPU has no effect.",
}
"""What llama-server says on stderr when a setting asks for a GPU and there is none; it goes on without."""
