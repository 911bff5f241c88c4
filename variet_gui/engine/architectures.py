"""Which kinds of model a build of llama-server knows, as far as its source was looked at. A table.

Source: `src/llama-arch.cpp` (LLM_ARCH_NAMES) of b9093, b10840, b11434 and b11549.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from variet_gui.catalog.capabilities import Capabilities
from variet_gui.engine.build_era import build_bounds, has_since

_IN_9093 = """
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bert bitnet bloom chameleon chatglm clip
    codeshell cogvlm cohere2 command-r dbrx deci deepseek deepseek2 deepseek2-ocr dots1 dream ernie4_5
    ernie4_5-moe eurobert exaone exaone-moe exaone4 falcon falcon-h1 gemma gemma-embedding gemma2 gemma3 gemma3n
    gemma4 glm-dsa glm4 glm4moe gpt-oss gpt2 gptj gptneox granite granitehybrid granitemoe grok grovemoe
    hunyuan-dense hunyuan-moe hunyuan_vl internlm2 jais jais2 jamba jina-bert-v2 jina-bert-v3 kimi-linear lfm2
    lfm2moe llada llada-moe llama llama-embed llama4 maincoder mamba mamba2 mimo2 minicpm minicpm3 minimax-m2
    mistral3 mistral4 modern-bert mpt nemotron nemotron_h nemotron_h_moe neo-bert nomic-bert nomic-bert-moe olmo
    olmo2 olmoe openelm orion paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2
    qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe refact rnd1 rwkv6 rwkv6qwen2
    rwkv7 seed_oss smallthinker smollm3 stablelm starcoder starcoder2 step35 t5 t5encoder wavtokenizer-dec
    xverse
"""
_NEW_IN_10840 = """
    bailingmoe3 cohere2moe deepseek32 deepseek4 dflash dots3note eagle3 gemma4-assistant granite_swa
    graniteswitch hy_v3 hy_v4 kimi-k3 laguna mellum minimax-01 minimax-m3 muse-glimmer nanbeige pockettts
    qwen3tts qwen4exp spark2_5 talkie
"""
_NEW_IN_11434 = "clef glm5-next hrm_text maple"
_NEW_IN_11549 = "gemma-embedding2 k2-horizon"
NEWEST_BUILD = 11549
"""The newest build whose table was read; later ones may know more."""

_SEEN: Mapping[str, tuple[int, int]] = MappingProxyType(
    dict.fromkeys(_IN_9093.split(), (0, 9093))
    | dict.fromkeys(_NEW_IN_10840.split(), (9093, 10840))
    | dict.fromkeys(_NEW_IN_11434.split(), (10840, 11434))
    | dict.fromkeys(_NEW_IN_11549.split(), (11434, 11549))
)
"""Architecture -> the last build that was seen without it, the first that was seen with it."""


def is_heard_of(architecture: str, capabilities: Capabilities | None) -> bool:
    """Whether the table can speak about `architecture`; of a build newer than the table it says nothing bad."""
    oldest, _ = build_bounds(capabilities)
    return architecture in _SEEN or oldest > NEWEST_BUILD


def is_known_to(capabilities: Capabilities | None, architecture: str) -> bool | None:
    """Whether this build knows models of the kind `architecture`; None where the table cannot tell."""
    if architecture not in _SEEN:
        return None
    absent, present = _SEEN[architecture]
    return has_since(capabilities, absent_in=absent, present_in=present)
