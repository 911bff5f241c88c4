"""What is asked about prints and charts, and about a picture as a whole."""

from __future__ import annotations

from collections import Counter

from demo_vision.answers import NUMBERS, Question, plural, with_article
from demo_vision.drawing import SHAPES
from demo_vision.scenes import Scene, cell_of
from demo_vision.wording import Wording

_PLACES = {"centre": "in the centre", "left": "on the left", "right": "on the right"}


class OtherQuestions(Wording):
    """Asks about everything but single things."""

    def _of_prints(self, scene: Scene) -> list[Question]:
        found: list[Question] = []
        for printed in scene.prints:
            number = printed.text.isdigit()
            if number:
                what = "digit" if len(printed.text) == 1 else "number"
                texts = [
                    "What number is this?", "Which number is shown?", "What number is in the picture?",
                    "Read the number.", "What number do you see?", "What is the number?", "Which number is written?",
                    f"What {what} is this?", f"Which {what} is in the picture?", f"What {what} do you see?",
                    "What is written here?", "What does it say?", "Read the text.",
                ]  # fmt: skip
            elif len(printed.text) == 1:
                what = "letter"
                texts = [
                    "Which letter is this?", "What letter is shown?", "What letter do you see?", "Name the letter.",
                    "What does it say?", "What is written here?", "Which letter is in the picture?",
                ]  # fmt: skip
            else:
                what = "word"
                texts = [
                    "What does it say?", "What is written here?", "What word is this?", "Which word is shown?",
                    "Read the text.", "Read the word.", "What does the picture say?", "What text is in the picture?",
                    "Which word do you see?", "What is written in the picture?",
                ]  # fmt: skip
            answer = printed.text.lower() if what == "word" else printed.text
            found += [Question("digits" if number else "word", self._one_of(*texts), answer) for _ in range(2)]
            found.append(Question("colour", self._one_of(
                f"What colour is the {what}?", f"Which colour has the {what}?", "What colour is the text?",
                f"What is the colour of the {what}?",
            ), printed.colour.capitalize()))  # fmt: skip
            where = cell_of(printed.x, printed.y)
            if where and len(printed.text) <= 2:
                found.append(self._position(f"the {what}", where))
            if not scene.things and self._random.random() < 0.5:
                found.append(self._how_many(self._one_of("shapes", "circles", "squares", "stars"), 0))
        return found

    def _of_bars(self, scene: Scene) -> list[Question]:
        bars = scene.bars
        if not bars:
            return []
        found = [
            Question("chart", self._how_many("bars", len(bars)).text, str(len(bars))),
            Question("chart", self._one_of(
                "What kind of picture is this?", "What kind of chart is this?", "What is this?", "What is shown here?",
            ), "A bar chart"),
        ]  # fmt: skip
        ordered = sorted(bars, key=lambda bar: bar.value)
        colours = len({bar.colour for bar in bars}) == len(bars)
        for bar, words in (
            (ordered[-1], ("tallest", "highest", "largest", "longest")),
            (ordered[0], ("shortest", "lowest", "smallest")),
        ):
            word = self._one_of(*words)
            if colours:
                found.append(Question("chart", self._one_of(
                    f"What colour is the {word} bar?", f"Which colour has the {word} bar?",
                    f"What is the colour of the {word} bar?",
                ), bar.colour.capitalize()))  # fmt: skip
            if bar.label:
                found.append(Question("chart", self._one_of(
                    f"Which letter has the {word} bar?", f"What is the letter of the {word} bar?",
                    f"Which label has the {word} bar?",
                ), bar.label))  # fmt: skip
        return found

    def _of_all(self, scene: Scene) -> list[Question]:
        caption, needed = self._caption(scene)
        found = [
            Question("caption", self._one_of(
                "Describe the picture.", "Describe this picture.", "What do you see?", "What is in the picture?",
                "What is in this picture?", "Describe what you see.", "Caption this picture.", "What can you see here?",
                "Please describe the picture.", "Write a caption.", "",
            ), caption, needed)
        ]  # fmt: skip
        empty = scene.kind == "empty"
        if empty or self._random.random() < 0.25:
            found.append(Question("empty", self._one_of(
                "Is the picture empty?", "Is this picture empty?", "Is there nothing in the picture?",
                "Is the page blank?", "Is the picture blank?",
            ), "Yes" if empty else "No"))  # fmt: skip
        if empty:
            found.append(Question("empty", self._how_many(self._one_of(
                "shapes", "things", "objects", *(plural(shape) for shape in SHAPES)), 0).text, "0"))  # fmt: skip
            thing = self._one_of(*SHAPES)
            found.append(Question("empty", f"Is there {with_article(thing)}?", "No"))
        if scene.background_name and (empty or self._random.random() < 0.3):
            found.append(Question("colour", self._one_of(
                "What colour is the background?", "Which colour is the background?",
                "What is the background colour?", "What is the colour of the background?",
            ), scene.background_name.capitalize()))  # fmt: skip
        return found

    def _caption(self, scene: Scene) -> tuple[str, tuple[str, ...]]:
        """Return one sentence about everything, and the words without which it would be wrong."""
        parts: list[str] = []
        needed: list[str] = []
        if scene.bars:
            tallest = max(scene.bars, key=lambda bar: bar.value)
            text = f"A bar chart with {NUMBERS[len(scene.bars)]} bars"
            return f"{text}, the {tallest.colour} one the tallest." if len({b.colour for b in scene.bars}) > 1 else (
                f"{text}."
            ), ("bar chart", str(len(scene.bars)))
        for printed in scene.prints:
            if printed.text.isdigit():
                shown, what = printed.text, "number"
            elif len(printed.text) == 1:
                shown, what = printed.text, "letter"
            else:
                shown, what = printed.text.lower(), "word"
            parts.append(f"the {what} {shown} in {printed.colour}")
            needed += [shown, printed.colour]
        groups = Counter((thing.colour, thing.shape) for thing in scene.things)
        for (colour, shape), count in groups.items():
            if count == 1:
                thing = next(thing for thing in scene.things if (thing.colour, thing.shape) == (colour, shape))
                where = cell_of(thing.x, thing.y) if len(scene.things) == 1 and not scene.prints else None
                place = "" if where is None else " " + _PLACES.get(where, f"at the {where}")
                parts.append(with_article(f"{colour} {shape}") + place)
                needed.append(f"{colour} {shape}")
            else:
                parts.append(f"{NUMBERS[count]} {colour} {plural(shape)}")
                needed.append(f"{count} {colour} {plural(shape)}")
        if not parts:
            return "An empty picture.", ("empty",)
        text = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        return f"{text[0].upper()}{text[1:]}.", tuple(needed)
