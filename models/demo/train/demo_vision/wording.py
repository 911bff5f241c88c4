"""The same question in many words."""

from __future__ import annotations

import numpy as np

from demo_vision.answers import Question
from demo_vision.scenes import Thing


class Wording:
    """Chooses wordings by chance; what several kinds of scene are asked in common."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def _dressed(self, text: str, kind: str) -> str:
        """Vary what wording leaves open: spelling, a missing question mark, a request to be short."""
        random = self._random
        if not text:
            return text
        if random.random() < 0.3:
            text = text.replace("colour", "color").replace("Colour", "Color").replace("grey", "gray")
        if random.random() < 0.2:
            text = text.replace("picture", "image")
        if random.random() < 0.12:
            text = text.rstrip("?.")
        if random.random() < 0.1:
            text = text[0].lower() + text[1:]
        if random.random() < 0.1 and kind != "caption":
            text = text if text[-1] in "?." else text + "."
            text += str(random.choice((" Answer in one word.", " Answer briefly.", " Be brief.", " Short answer.")))
        return text

    def _one_of(self, *wordings: str) -> str:
        return wordings[int(self._random.integers(len(wordings)))]

    def _colour_of(self, what: str, thing: Thing, *, many: bool = False) -> Question:
        be = "are" if many else "is"
        return Question("colour", self._one_of(
            f"What colour {be} {what}?", f"Which colour {be} {what}?", f"What is the colour of {what}?",
            f"Tell me the colour of {what}.", f"Name the colour of {what}.", f"{what.capitalize()}: which colour?",
            f"What colour {'do' if many else 'does'} {what} have?",
        ), thing.colour.capitalize())  # fmt: skip

    def _position(self, what: str, where: str) -> Question:
        return Question("position", self._one_of(
            f"Where is {what}?", f"Where in the picture is {what}?", f"In which part of the picture is {what}?",
            f"What is the position of {what}?", f"Where do you see {what}?", f"Tell me where {what} is.",
            f"In which corner or part is {what}?", f"Where can I find {what}?", f"Where is {what} placed?",
        ), where.capitalize())  # fmt: skip

    def _how_many(self, what: str, count: int) -> Question:
        return Question("count", self._one_of(
            f"How many {what} are there?", f"How many {what} do you see?", f"How many {what} are in the picture?",
            f"Count the {what}.", f"What is the number of {what}?", f"How many {what}?",
            f"How many {what} can you count?", f"How many {what} are shown?", f"Tell me how many {what} there are.",
        ), str(count))  # fmt: skip
