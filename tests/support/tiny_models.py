"""Tiny GGUF models and pictures that real servers load in milliseconds: no download, random weights, a fixed seed.

The keys, names and shapes are those that llama.cpp's loaders want (`src/llama-model.cpp`, `tools/mtmd/clip.cpp`,
`docs/gguf.md` of ggml). Weights are random, but the output layer has a bias towards words, so that answers are
readable text and no invalid UTF-8.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ALIGNMENT = 32
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_TENSOR_TYPES = {"float32": 0, "float16": 1, "int8": 24, "int16": 25, "int32": 26}

_WORDS_TEXT = (
    "the a an one two three red green blue small large old new cat dog house tree river road light water stone sees "
    "finds makes holds opens reads writes near under over with and or not now then here there slowly"
)
WORDS = tuple(_WORDS_TEXT.split())
"""Whole tokens of the tiny text model, each with a space before it."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class GgufWriter:
    """A GGUF version 3 file in the making: add keys and tensors in any order, then `write`."""

    def __init__(self, architecture: str):
        self._keys: list[tuple[str, bytes]] = []
        self._tensors: list[tuple[str, tuple[int, ...], int, bytes]] = []
        self.text("general.architecture", architecture)

    def text(self, key: str, value: str) -> None:
        """Add a string."""
        self._add(key, _STRING, _string(value))

    def u32(self, key: str, value: int) -> None:
        """Add an unsigned 32-bit integer."""
        self._add(key, _U32, struct.pack("<I", value))

    def f32(self, key: str, value: float) -> None:
        """Add a 32-bit float."""
        self._add(key, _F32, struct.pack("<f", value))

    def boolean(self, key: str, value: bool) -> None:
        """Add a truth value."""
        self._add(key, _BOOL, struct.pack("<?", value))

    def texts(self, key: str, values: Sequence[str]) -> None:
        """Add an array of strings."""
        self._add_array(key, _STRING, len(values), b"".join(_string(value) for value in values))

    def i32s(self, key: str, values: Sequence[int]) -> None:
        """Add an array of signed 32-bit integers."""
        self._add_array(key, _I32, len(values), struct.pack(f"<{len(values)}i", *values))

    def f32s(self, key: str, values: Sequence[float]) -> None:
        """Add an array of 32-bit floats."""
        self._add_array(key, _F32, len(values), struct.pack(f"<{len(values)}f", *values))

    def tensor(self, name: str, values: Array) -> None:
        """Add a tensor in numpy's order of dimensions (the file holds them reversed), with the type of the array."""
        kind = _TENSOR_TYPES[values.dtype.name]
        self.raw_tensor(name, values.shape, kind, np.ascontiguousarray(values).tobytes())

    def raw_tensor(self, name: str, shape: Sequence[int], ggml_type: int, data: bytes) -> None:
        """Add a tensor of any ggml type by its number: quantised blocks, or a type that nobody knows."""
        self._tensors.append((name, tuple(shape), ggml_type, data))

    def write(self, path: Path) -> Path:
        """Write the file and return `path`."""
        head = [b"GGUF", struct.pack("<IQQ", 3, len(self._tensors), len(self._keys))]
        head += [_string(key) + value for key, value in self._keys]
        body: list[bytes] = []
        offset = 0
        for name, shape, ggml_type, data in self._tensors:
            dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
            head.append(_string(name) + dimensions + struct.pack("<IQ", ggml_type, offset))
            body.append(data + _padding(len(data)))
            offset += len(body[-1])
        header = b"".join(head)
        path.write_bytes(header + _padding(len(header)) + b"".join(body))
        return path

    def _add(self, key: str, kind: int, value: bytes) -> None:
        self._keys.append((key, struct.pack("<I", kind) + value))

    def _add_array(self, key: str, kind: int, count: int, values: bytes) -> None:
        self._add(key, _ARRAY, struct.pack("<IQ", kind, count) + values)


def write_text_model(
    path: Path,
    *,
    layers: int = 2,
    embedding: int = 64,
    heads: int = 2,
    context: int = 4096,
    seed: int = 0,
    words: Sequence[str] = WORDS,
    experts: int = 0,
    ends: bool = True,
    name: str = "tiny",
) -> Path:
    """Write a text model of the llama architecture (about half a megabyte) and return `path`.

    `embedding` / `heads` is the width of a head; the default of 32 is the least that a q8_0 KV cache can take.
    `experts` above 0 makes every layer a mixture of that many experts, two of which are used. With `ends` False the
    model never ends its answer, so that a stream lasts as long as a test wants (set `max_tokens`).

    Raises:
        ValueError: `embedding` cannot be divided by `heads`.
    """
    if embedding % heads:
        raise ValueError(f"an embedding of {embedding} cannot be divided among {heads} heads")
    random = np.random.default_rng(seed)
    feed_forward = 2 * embedding
    tokens, kinds, merges = _vocabulary(words)
    file = GgufWriter("llama")
    file.text("general.name", name)
    file.u32("general.file_type", 0)
    for key, number in {
        "context_length": context,
        "embedding_length": embedding,
        "block_count": layers,
        "feed_forward_length": feed_forward,
        "vocab_size": len(tokens),
        "attention.head_count": heads,
        "attention.head_count_kv": heads,
        "rope.dimension_count": embedding // heads,
        **({"expert_count": experts, "expert_used_count": 2} if experts else {}),
    }.items():
        file.u32(f"llama.{key}", number)
    file.f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    file.f32("llama.rope.freq_base", 10000.0)
    _write_tokenizer(file, tokens, kinds, merges)

    def matrix(*shape: int) -> Array:
        return random.normal(0.0, shape[-1] ** -0.5, shape).astype(np.float32)

    embeddings = random.normal(0.0, 1.0, (len(tokens), embedding)).astype(np.float32)
    embeddings[:, 0] = 4.0  # the same for every token, and no layer writes to it: a constant at the output
    file.tensor("token_embd.weight", embeddings)
    file.tensor("output_norm.weight", np.ones(embedding, np.float32))
    output = matrix(len(tokens), embedding)
    output[:, 0] = _output_bias(tokens, len(words), ends=ends)
    file.tensor("output.weight", output)
    for layer in range(layers):
        block = f"blk.{layer}."
        for part in ("attn_norm", "ffn_norm"):
            file.tensor(f"{block}{part}.weight", np.ones(embedding, np.float32))
        for part in ("attn_q", "attn_k", "attn_v"):
            file.tensor(f"{block}{part}.weight", matrix(embedding, embedding))
        file.tensor(f"{block}attn_output.weight", _keeping_channel_0(matrix(embedding, embedding)))
        many, suffix = ((experts,), "_exps") if experts else ((), "")
        if experts:
            file.tensor(f"{block}ffn_gate_inp.weight", matrix(experts, embedding))
        for part in ("ffn_gate", "ffn_up"):
            file.tensor(f"{block}{part}{suffix}.weight", matrix(*many, feed_forward, embedding))
        file.tensor(f"{block}ffn_down{suffix}.weight", _keeping_channel_0(matrix(*many, embedding, feed_forward)))
    return file.write(path)


def write_projector(
    path: Path,
    *,
    embedding: int = 64,
    image_size: int = 64,
    patch: int = 16,
    width: int = 32,
    layers: int = 1,
    seed: int = 0,
    kind: str = "janus_pro",
) -> Path:
    """Write a vision projector for a text model of width `embedding` and return `path`.

    A picture becomes `image_tokens(image_size, patch)` tokens whatever its size: janus_pro has one fixed size, no class
    token and no text around the picture. `width` is that of the vision transformer.
    """
    random = np.random.default_rng(seed)
    feed_forward = 4 * width
    patches = image_tokens(image_size, patch)
    file = GgufWriter("clip")
    file.text("general.type", "mmproj")
    file.text("general.name", "tiny vision")
    file.boolean("clip.has_vision_encoder", True)
    file.text("clip.projector_type", kind)
    file.boolean("clip.use_gelu", True)
    for key, number in {
        "image_size": image_size,
        "patch_size": patch,
        "embedding_length": width,
        "feed_forward_length": feed_forward,
        "block_count": layers,
        "projection_dim": embedding,
        "attention.head_count": 2,
    }.items():
        file.u32(f"clip.vision.{key}", number)
    file.f32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    file.f32s("clip.vision.image_mean", [0.5, 0.5, 0.5])
    file.f32s("clip.vision.image_std", [0.5, 0.5, 0.5])

    def linear(name: str, outputs: int, inputs: int) -> None:
        file.tensor(f"{name}.weight", random.normal(0.0, inputs**-0.5, (outputs, inputs)).astype(np.float32))
        file.tensor(f"{name}.bias", np.zeros(outputs, np.float32))

    def norm(name: str) -> None:
        file.tensor(f"{name}.weight", np.ones(width, np.float32))
        file.tensor(f"{name}.bias", np.zeros(width, np.float32))

    patch_weights = random.normal(0.0, (3 * patch * patch) ** -0.5, (width, 3, patch, patch))
    file.tensor("v.patch_embd.weight", patch_weights.astype(np.float32))
    file.tensor("v.patch_embd.bias", np.zeros(width, np.float32))
    file.tensor("v.position_embd.weight", random.normal(0.0, 0.1, (patches, width)).astype(np.float32))
    for layer in range(layers):
        block = f"v.blk.{layer}."
        norm(f"{block}ln1")
        norm(f"{block}ln2")
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"{block}{part}", width, width)
        linear(f"{block}ffn_up", feed_forward, width)
        linear(f"{block}ffn_down", width, feed_forward)
    norm("v.post_ln")
    linear("mm.0", embedding, width)
    linear("mm.1", embedding, embedding)
    return file.write(path)


def image_tokens(image_size: int = 64, patch: int = 16) -> int:
    """Return how many tokens a picture costs with a projector of `write_projector`."""
    return (image_size // patch) ** 2


def write_mismatched_projector(path: Path, *, embedding: int = 64) -> Path:
    """Write a projector that is sound in itself, but for a text model of another width than `embedding`."""
    return write_projector(path, embedding=embedding + 32)


def write_adapter(path: Path, *, embedding: int = 64, rank: int = 4, seed: int = 0) -> Path:
    """Write a LoRA adapter for the first attention matrix of a text model of width `embedding`, and return `path`."""
    random = np.random.default_rng(seed)
    file = GgufWriter("llama")
    file.text("general.type", "adapter")
    file.text("adapter.type", "lora")
    file.f32("adapter.lora.alpha", float(rank))
    file.tensor("blk.0.attn_q.weight.lora_a", random.normal(0.0, 1.0, (rank, embedding)).astype(np.float32))
    file.tensor("blk.0.attn_q.weight.lora_b", random.normal(0.0, 1.0, (embedding, rank)).astype(np.float32))
    return file.write(path)


def truncate(path: Path, keep: float = 0.5) -> Path:
    """Cut off the end of the file, as a download that stopped; `keep` is the part that stays. Return `path`."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def png(width: int, height: int, seed: int = 0) -> bytes:
    """Return a valid PNG, 8-bit RGB: a smooth ramp with some noise, different for every seed."""
    random = np.random.default_rng(seed)
    rows = np.linspace(0, 200, height)[:, None, None] * random.random(3)
    columns = np.linspace(0, 200, width)[None, :, None] * random.random(3)
    pixels = ((rows + columns) / 2 + random.integers(0, 56, (height, width, 3))).astype(np.uint8)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, 3 * width)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _string(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _padding(size: int) -> bytes:
    return b"\0" * (-size % ALIGNMENT)


def _vocabulary(words: Sequence[str]) -> tuple[list[str], list[int], list[str]]:
    """Return tokens, their kinds (3 control, 1 normal) and merges: 3 control tokens, 256 byte letters, the words."""
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_byte_letters()]
    space = _byte_letters()[32]
    merges: dict[str, None] = {}
    for word in words:
        spelled = space + word
        tokens.append(spelled)
        # Left to right: "Ġ c", "Ġc a", "Ġca t". Words that begin alike share their first merges.
        merges.update(dict.fromkeys(f"{spelled[:end]} {spelled[end]}" for end in range(1, len(spelled))))
    return tokens, [3, 3, 3] + [1] * (len(tokens) - 3), list(merges)


def _byte_letters() -> list[str]:
    """Return the letter that stands for each of the 256 bytes in a GPT-2 vocabulary (`bytes_to_unicode`)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    stand_ins = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(stand_ins)) for byte in range(256)]


def _write_tokenizer(file: GgufWriter, tokens: list[str], kinds: list[int], merges: list[str]) -> None:
    file.text("tokenizer.ggml.model", "gpt2")
    file.text("tokenizer.ggml.pre", "smollm")
    file.texts("tokenizer.ggml.tokens", tokens)
    file.i32s("tokenizer.ggml.token_type", kinds)
    file.texts("tokenizer.ggml.merges", merges)
    for role, token in {"unknown": 0, "bos": 1, "eos": 2, "padding": 2}.items():
        file.u32(f"tokenizer.ggml.{role}_token_id", token)
    file.boolean("tokenizer.ggml.add_bos_token", False)
    file.text("tokenizer.chat_template", CHAT_TEMPLATE)


def _output_bias(tokens: list[str], words: int, *, ends: bool) -> Array:
    """Return one number a token: words are likely, the end now and then, single bytes and control tokens never."""
    bias = np.full(len(tokens), -10.0, np.float32)
    bias[len(tokens) - words :] = 1.0
    if ends:
        bias[2] = 0.7
    return bias


def _keeping_channel_0(weights: Array) -> Array:
    """Clear the row that would write to channel 0 of the residual stream, which carries the constant."""
    weights[..., 0, :] = 0.0
    return weights
