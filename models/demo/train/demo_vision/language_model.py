"""SmolLM2 in PyTorch with the weights of its GGUF, frozen: what the projector is trained against.

The graph is `src/models/llama.cpp` (b11434): RMS norm, rotary positions on neighbouring pairs, grouped attention,
SwiGLU, and the embedding table again as the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from demo_vision.gguf_file import GgufFile


@dataclass(frozen=True, slots=True)
class Sizes:
    """The shape of the language model."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    rope_base: float
    epsilon: float

    @property
    def head(self) -> int:
        """Return the width of one head."""
        return self.width // self.heads


def sizes_of(file: GgufFile) -> Sizes:
    """Return the sizes that a llama model's metadata tell."""
    get = file.metadata
    return Sizes(
        get["llama.block_count"],
        get["llama.embedding_length"],
        get["llama.attention.head_count"],
        get["llama.attention.head_count_kv"],
        get["llama.feed_forward_length"],
        get["llama.rope.freq_base"],
        get["llama.attention.layer_norm_rms_epsilon"],
    )


class Layer(nn.Module):
    """One block: attention, then the gated feed-forward."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        kv = sizes.kv_heads * sizes.head
        self.attn_norm = nn.Parameter(torch.empty(sizes.width))
        self.ffn_norm = nn.Parameter(torch.empty(sizes.width))
        self.qkv = nn.Linear(sizes.width, sizes.width + 2 * kv, bias=False)
        self.attn_output = nn.Linear(sizes.width, sizes.width, bias=False)
        self.gate_up = nn.Linear(sizes.width, 2 * sizes.feed_forward, bias=False)
        self.ffn_down = nn.Linear(sizes.feed_forward, sizes.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Return the residual stream behind this block; `mask` is added to the scores."""
        sizes = self.sizes
        batch, length, _ = x.shape
        normed = rms_norm(x, self.attn_norm, sizes.epsilon)
        kv = sizes.kv_heads * sizes.head
        q, k, v = self.qkv(normed).split((sizes.width, kv, kv), dim=-1)
        q = rotated(q.view(batch, length, sizes.heads, sizes.head), cos, sin).transpose(1, 2)
        k = rotated(k.view(batch, length, sizes.kv_heads, sizes.head), cos, sin).transpose(1, 2)
        v = v.view(batch, length, sizes.kv_heads, sizes.head).transpose(1, 2)
        share = sizes.heads // sizes.kv_heads
        k, v = k.repeat_interleave(share, dim=1), v.repeat_interleave(share, dim=1)
        read = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.attn_output(read.transpose(1, 2).reshape(batch, length, sizes.width))
        gate, up = self.gate_up(rms_norm(x, self.ffn_norm, sizes.epsilon)).chunk(2, dim=-1)
        return x + self.ffn_down(functional.silu(gate) * up)


class LanguageModel(nn.Module):
    """The whole model, frozen. Takes embeddings, so that rows of a picture can stand among those of tokens."""

    def __init__(self, file: GgufFile, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.sizes = sizes_of(file)
        self.layers = nn.ModuleList(Layer(self.sizes) for _ in range(self.sizes.layers))

        def weights(name: str) -> Tensor:
            return torch.from_numpy(file.weights(name))

        for number, layer in enumerate(self.layers):
            block = f"blk.{number}."
            layer.attn_norm.data = weights(f"{block}attn_norm.weight")
            layer.ffn_norm.data = weights(f"{block}ffn_norm.weight")
            layer.qkv.weight.data = torch.cat([weights(f"{block}attn_{name}.weight") for name in "qkv"])
            layer.attn_output.weight.data = weights(f"{block}attn_output.weight")
            layer.gate_up.weight.data = torch.cat([weights(f"{block}ffn_{name}.weight") for name in ("gate", "up")])
            layer.ffn_down.weight.data = weights(f"{block}ffn_down.weight")
        self.embedding = nn.Parameter(weights("token_embd.weight"))
        self.output_norm = nn.Parameter(weights("output_norm.weight"))
        self.requires_grad_(False)
        self.to(dtype)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the rows of tokens."""
        return functional.embedding(tokens, self.embedding)

    def hidden(self, embeddings: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Return the normed last state of each place.

        Args:
            embeddings: (batch, length, width).
            positions: (batch, length), what rotary positions are made of.
            mask: added to the scores, (batch, 1, length, length): 0 where a row may read a column, else -inf.
        """
        head = self.sizes.head
        frequencies = self.sizes.rope_base ** (
            -torch.arange(0, head, 2, device=embeddings.device, dtype=torch.float32) / head
        )
        angles = positions[..., None].float() * frequencies
        cos, sin = angles.cos()[:, :, None], angles.sin()[:, :, None]
        x = embeddings
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return rms_norm(x, self.output_norm, self.sizes.epsilon)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the score of each token."""
        return functional.linear(hidden, self.embedding)


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x over its root mean square, times `weight`; reckoned in float32."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon) * weight.float()).to(x.dtype)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn neighbouring pairs (2i, 2i+1) by their angle (ggml's LLAMA_ROPE_TYPE_NORM)."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).to(x.dtype)


def causal_mask(length: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the mask of ordinary text, (1, 1, length, length)."""
    return torch.full((length, length), float("-inf"), dtype=dtype).triu(1)[None, None]
