"""The vision tower and projector in PyTorch: llama.cpp's `nemotron_v2_vl` graph, and its file.

Graph: `tools/mtmd/models/nemotron-v2-vl.cpp` and `clip.cpp` (build_vit), b11434.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from demo_vision.gguf_file import GgufFile, GgufWriter

EPSILON = 1e-6
_RMS_EPSILON = 1e-6
MEAN = STD = 0.5


@dataclass(frozen=True, slots=True)
class VisionSizes:
    """The shape of the tower and projector."""

    image: int = 256
    patch: int = 16
    merge: int = 2
    width: int = 320
    layers: int = 8
    heads: int = 5
    feed_forward: int = 1152
    registers: int = 4
    hidden: int = 576
    output: int = 576

    @property
    def side(self) -> int:
        """Return the patches along a side."""
        return self.image // self.patch

    @property
    def tokens(self) -> int:
        """Return how many rows a picture becomes."""
        return (self.side // self.merge) ** 2


class Block(nn.Module):
    """One layer of the tower: pre-norm attention and feed-forward."""

    def __init__(self, sizes: VisionSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.ln1 = nn.LayerNorm(sizes.width, EPSILON)
        self.ln2 = nn.LayerNorm(sizes.width, EPSILON)
        self.attn_q = nn.Linear(sizes.width, sizes.width)
        self.attn_k = nn.Linear(sizes.width, sizes.width)
        self.attn_v = nn.Linear(sizes.width, sizes.width)
        self.attn_out = nn.Linear(sizes.width, sizes.width)
        self.ffn_up = nn.Linear(sizes.width, sizes.feed_forward)
        self.ffn_down = nn.Linear(sizes.feed_forward, sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the stream behind this layer."""
        batch, length, width = x.shape
        normed = self.ln1(x)
        shape = (batch, length, self.heads, width // self.heads)
        q, k, v = (part(normed).view(shape).transpose(1, 2) for part in (self.attn_q, self.attn_k, self.attn_v))
        read = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.attn_out(read.transpose(1, 2).reshape(batch, length, width))
        return x + self.ffn_down(functional.gelu(self.ffn_up(self.ln2(x)), approximate="tanh"))


class VisionModel(nn.Module):
    """Pictures, (batch, 3, image, image) normalised, become rows for the language model."""

    def __init__(self, sizes: VisionSizes, embedding_rms: float = 0.1) -> None:
        super().__init__()
        self.sizes = sizes
        merged = sizes.width * sizes.merge**2
        self.patch_embd = nn.Conv2d(3, sizes.width, sizes.patch, sizes.patch)
        self.position = nn.Parameter(torch.randn(sizes.side**2, sizes.width) * 0.02)
        self.registers = nn.Parameter(torch.randn(sizes.registers, sizes.width) * 0.02)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.post_ln = nn.LayerNorm(sizes.width, EPSILON)
        self.mm_norm = nn.Parameter(torch.ones(merged))
        self.mm_up = nn.Linear(merged, sizes.hidden, bias=False)
        self.mm_down = nn.Linear(sizes.hidden, sizes.output, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for block in self.blocks:
            for last in (block.attn_out, block.ffn_down):
                last.weight.data *= (2 * sizes.layers) ** -0.5
        # relu(n)^2 of a standard normal has a root mean square of sqrt(1.5).
        self.mm_down.weight.data *= embedding_rms / 1.5**0.5

    def merged(self, pictures: Tensor) -> Tensor:
        """Return the tower's features, m x m patches side by side: (batch, tokens, width * m * m)."""
        sizes = self.sizes
        x = self.patch_embd(pictures).flatten(2).transpose(1, 2) + self.position
        x = torch.cat([self.registers.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.post_ln(x)[:, sizes.registers :]
        m, side = sizes.merge, sizes.side // sizes.merge
        x = x.view(-1, side, m, side, m, sizes.width).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(-1, sizes.tokens, sizes.width * m * m)

    def project(self, merged: Tensor) -> Tensor:
        """Return rows for the language model: (batch, tokens, output)."""
        wide = merged.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + _RMS_EPSILON) * self.mm_norm
        hidden: Tensor = self.mm_down(functional.relu(self.mm_up(normed.to(merged.dtype))).square())
        return hidden

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the rows of pictures."""
        return self.project(self.merged(pictures))


def normalised(pixels: Tensor) -> Tensor:
    """Turn 8-bit pictures (batch, height, width, 3) into what the tower takes."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


def save(path: Path, model: VisionModel) -> None:
    """Write a checkpoint: sizes and half-precision weights."""
    weights = {name: value.detach().half().cpu() for name, value in model.state_dict().items()}
    torch.save({"sizes": asdict(model.sizes), "weights": weights}, path)


def load(path: Path) -> VisionModel:
    """Return the model of a checkpoint, float32, on the CPU."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    model = VisionModel(VisionSizes(**stored["sizes"]))
    model.load_state_dict({name: value.float() for name, value in stored["weights"].items()})
    return model.eval()


def read_gguf(path: Path) -> VisionModel:
    """Return the model in a projector file that `write_gguf` made."""
    file = GgufFile(path)

    def number(key: str) -> int:
        return int(file.metadata[f"clip.vision.{key}"])

    shapes = {name: shape for name, (shape, _, _) in file.tensors.items()}
    sizes = VisionSizes(
        image=number("image_size"), patch=number("patch_size"), merge=number("projector.scale_factor"),
        width=number("embedding_length"), layers=number("block_count"), heads=number("attention.head_count"),
        feed_forward=number("feed_forward_length"), registers=shapes["v.class_embd"][0],
        hidden=shapes["mm.model.mlp.1.weight"][0], output=shapes["mm.model.mlp.3.weight"][0],
    )  # fmt: skip
    names = {
        "patch_embd.weight": "v.patch_embd.weight", "patch_embd.bias": "v.patch_embd.bias",
        "position": "v.position_embd.weight", "registers": "v.class_embd", "mm_norm": "mm.model.mlp.0.weight",
        "mm_up.weight": "mm.model.mlp.1.weight", "mm_down.weight": "mm.model.mlp.3.weight",
    }  # fmt: skip
    model = VisionModel(sizes)
    model.load_state_dict(
        {
            name: torch.from_numpy(file.weights(names.get(name) or "v." + name.replace("blocks.", "blk.")))
            for name in model.state_dict()
        }
    )
    return model.eval()


def write_gguf(path: Path, model: VisionModel, name: str) -> Path:
    """Write the projector file: matrices in f16; norms, biases, positions and the patch filter in f32."""
    sizes = model.sizes
    file = GgufWriter("clip")
    file.text("general.type", "mmproj")
    file.text("general.name", name)
    file.text("general.license", "mit")
    file.u32("general.file_type", 1)
    file.boolean("clip.has_vision_encoder", True)
    file.text("clip.projector_type", "nemotron_v2_vl")
    file.boolean("clip.use_gelu", True)
    for key, number in {
        "image_size": sizes.image,
        "patch_size": sizes.patch,
        "embedding_length": sizes.width,
        "feed_forward_length": sizes.feed_forward,
        "block_count": sizes.layers,
        "projection_dim": sizes.output,
        "attention.head_count": sizes.heads,
        "projector.scale_factor": sizes.merge,
    }.items():
        file.u32(f"clip.vision.{key}", number)
    file.f32("clip.vision.attention.layer_norm_epsilon", EPSILON)
    file.f32s("clip.vision.image_mean", [MEAN] * 3)
    file.f32s("clip.vision.image_std", [STD] * 3)

    def add(target: str, value: Tensor, dtype: type = np.float32) -> None:
        file.tensor(target, value.detach().float().cpu().numpy().astype(dtype))

    add("v.patch_embd.weight", model.patch_embd.weight)
    add("v.patch_embd.bias", model.patch_embd.bias)
    add("v.position_embd.weight", model.position)
    add("v.class_embd", model.registers)
    for number, block in enumerate(model.blocks):
        for part in ("ln1", "ln2"):
            add(f"v.blk.{number}.{part}.weight", getattr(block, part).weight)
            add(f"v.blk.{number}.{part}.bias", getattr(block, part).bias)
        for part in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"):
            add(f"v.blk.{number}.{part}.weight", getattr(block, part).weight, np.float16)
            add(f"v.blk.{number}.{part}.bias", getattr(block, part).bias)
    add("v.post_ln.weight", model.post_ln.weight)
    add("v.post_ln.bias", model.post_ln.bias)
    add("mm.model.mlp.0.weight", model.mm_norm)
    add("mm.model.mlp.1.weight", model.mm_up.weight, np.float16)
    add("mm.model.mlp.3.weight", model.mm_down.weight, np.float16)
    return file.write(path)
