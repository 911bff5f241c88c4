"""A question with its answer, and when an answer is right."""

from __future__ import annotations

import re
from dataclasses import dataclass

TYPES = (
    "shape", "colour", "count", "position", "digits", "word", "size", "relation", "presence", "chart", "empty",
    "caption",
)  # fmt: skip

_PLURALS = {"cross": "crosses"}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one picture."""

    type: str
    text: str
    """Empty: the picture alone is sent."""
    answer: str
    """What the model is taught to say."""
    needed: tuple[str, ...] = ()
    """For a caption: what must be in it to be right. Otherwise the answer as a whole decides."""

    def is_right(self, said: str) -> bool:
        """Whether an answer is right: case, full stop and article are free, and numbers may be spelled."""
        plain = normalised(said)
        if self.needed:
            return all(normalised(word) in plain for word in self.needed)
        return plain == normalised(self.answer)


def normalised(text: str) -> str:
    """Return an answer without case, punctuation and article, with numbers as digits and one spelling of colours."""
    words = re.sub(r"[^a-z0-9 ]+", " ", text.casefold()).split()
    while words and words[0] in ("a", "an", "the", "it", "is", "in", "at", "on"):
        words = words[1:]
    spelled = {"gray": "grey", "center": "centre", "middle": "centre", "none": "0", "zero": "0"}
    spelled |= {name: str(number) for number, name in enumerate(NUMBERS) if number}
    return " ".join(spelled.get(word, word) for word in words)


def plural(shape: str) -> str:
    """Return the word for several of a shape."""
    return _PLURALS.get(shape, shape + "s")


def with_article(words: str) -> str:
    """Return "a red circle", "an orange star"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
