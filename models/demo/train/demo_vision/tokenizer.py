"""The language model's own tokenizer, for plain English: byte pairs as `src/llama-vocab.cpp` (b11434) merges them."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Any

_SPECIAL = re.compile(r"(<\|im_start\|>|<\|im_end\|>|<\|endoftext\|>)")
# llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_SMOLLM: digits alone first, then GPT-2's rule; \p{L} is a-z here.
_DIGIT = re.compile(r"(\d)")
_WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[^\sA-Za-z\d]+|\s+(?!\S)|\s+")
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


class Tokenizer:
    """Text to token numbers."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        self.tokens: list[str] = metadata["tokenizer.ggml.tokens"]
        self._number = {token: number for number, token in enumerate(self.tokens)}
        self._rank = {tuple(pair.split(" ")): rank for rank, pair in enumerate(metadata["tokenizer.ggml.merges"])}
        self.end = self._number["<|im_end|>"]
        self._merged = cache(self._merge)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of ASCII text; the marks of a conversation are tokens of their own.

        Raises:
            ValueError: there are other letters in it.
        """
        if not text.isascii():
            raise ValueError(f"only ASCII is tokenised here: {text!r}")
        found: list[int] = []
        for piece in _SPECIAL.split(text):
            if _SPECIAL.fullmatch(piece):
                found.append(self._number[piece])
                continue
            for part in _DIGIT.split(piece):
                words = [part] if _DIGIT.fullmatch(part) else _WORD.findall(part)
                for word in words:
                    found += self._merged(word)
        return found

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens."""
        text = "".join(self.tokens[token] for token in tokens if token != self.end)
        return text.replace("Ġ", " ").replace("Ċ", "\n")

    def _merge(self, word: str) -> tuple[int, ...]:
        parts = [{" ": "Ġ", "\n": "Ċ"}.get(letter, letter) for letter in word]
        while len(parts) > 1:
            ranks = [self._rank.get(pair, 1 << 30) for pair in pairwise(parts)]
            best = min(ranks)
            if best == 1 << 30:
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return tuple(self._number[part] for part in parts)


def before_user(system: str = SYSTEM) -> str:
    """Return how a conversation begins, up to the first message, as the model's own template writes it."""
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n"


BEFORE_ANSWER = "<|im_end|>\n<|im_start|>assistant\n"
AFTER_ANSWER = "<|im_end|>\n<|im_start|>user\n"
