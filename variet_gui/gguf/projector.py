"""What a projector (mmproj) fits: the width of the vectors it makes, which must be the model's embedding length.

llama-server compares the two only after the whole model was loaded; the header tells in milliseconds. Source:
`tools/mtmd/clip.cpp` (clip_n_mmproj_embd, load_tensors) and `tools/mtmd/mtmd.cpp`, b11434.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from variet_gui.gguf.header import GgufHeader

_WIDTH: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "adapter": ("adapter.linear.dense_4h_to_h.weight", 1),
        "cogvlm": ("mm.down.weight", 1),
        "deepseek4v": ("mm.2.weight", 1),
        "deepseekocr": ("mm.model.fc.weight", 1),
        "deepseekocr2": ("mm.model.fc.weight", 1),
        "dots_ocr": ("mm.2.weight", 1),
        "exaone4_5": ("mm.2.bias", 0),
        "gemma3": ("mm.input_projection.weight", 0),
        "gemma3nv": ("mm.input_projection.weight", 0),
        "gemma4v": ("mm.input_projection.weight", 1),
        "gemma4uv": ("mm.input_projection.weight", 1),
        "glm4v": ("mm.down.weight", 1),
        "glm5v": ("mm.down.weight", 1),
        "hunyuanvl": ("mm.model.fc.weight", 1),
        "idefics3": ("mm.model.fc.weight", 1),
        "internvl": ("mm.model.mlp.3.weight", 1),
        "janus_pro": ("mm.1.bias", 0),
        "kimik25": ("mm.2.weight", 1),
        "kimivl": ("mm.2.weight", 1),
        "ldp": ("mm.model.mb_block.1.block.2.1.bias", 0),
        "ldpv2": ("mm.model.peg.0.bias", 0),
        "lfm2": ("mm.2.weight", 1),
        "lightonocr": ("mm.2.weight", 1),
        "llama4": ("mm.model.fc.weight", 1),
        "mimovl": ("mm.2.weight", 1),
        "ling3vl": ("mm.2.bias", 0),
        "minicpmv4_6": ("mm.down.weight", 1),
        "minimax_m3": ("mm.merger.fc2.bias", 0),
        "mlp": ("mm.2.weight", 1),
        "muse-glimmer": ("mm.2.weight", 1),
        "nemotron_v2_vl": ("mm.model.mlp.3.weight", 1),
        "paddleocr": ("mm.2.weight", 1),
        "phi4": ("mm.2.weight", 1),
        "pixtral": ("mm.2.weight", 1),
        # Each of the deepstack paths of Qwen3-VL adds another width, on the text side as well: the first is enough.
        "qwen3vl_merger": ("mm.2.bias", 0),
        "qwen2.5o": ("mm.2.bias", 0),
        "qwen2.5vl_merger": ("mm.2.bias", 0),
        "qwen2vl_merger": ("mm.2.bias", 0),
        "resampler": ("resampler.proj.weight", 0),
        "step3vl": ("mm.model.fc.weight", 1),
        "yasa2": ("mm.2.weight", 1),
        "youtuvl": ("mm.2.bias", 0),
    }
)
"""Projector type -> the tensor whose dimension (innermost = 0) is the width."""


def projector_type(header: GgufHeader) -> str | None:
    """Return the kind of vision projector: "gemma4v", "qwen3vl_merger"; None when it says none."""
    return header.text("clip.projector_type") or header.text("clip.vision.projector_type")


def sees(header: GgufHeader) -> bool:
    """Whether the projector takes pictures; some take sound only."""
    return header.metadata.get("clip.has_vision_encoder") is True


def projector_width(header: GgufHeader) -> int | None:
    """Return the width of the vectors that the projector hands to the model; None where that is not known.

    None does not mean that it is wrong: it may be of a type that is newer than this table.
    """
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    kind = projector_type(header)
    if kind == "mlp" and "mm.3.weight" in shapes:
        # llama.cpp takes these for the Yi kind of LLaVA, whose last layer is a norm.
        tensor, dimension = "mm.3.bias", 0
    else:
        tensor, dimension = _WIDTH.get(kind or "", ("", 0))
    shape = shapes.get(tensor, ())
    return shape[dimension] if dimension < len(shape) else None


def fits(projector: GgufHeader, model: GgufHeader) -> bool:
    """Whether the projector sees pictures and its vectors are as wide as the model; False also where that is unknown.

    Several models share one width, so that a projector which fits is not always the right one.
    """
    width = projector_width(projector) if projector.is_projector and sees(projector) else None
    return width is not None and width == model.embedding_length
