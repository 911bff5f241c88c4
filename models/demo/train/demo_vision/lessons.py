"""One picture with several questions as one row of tokens, so that the picture is read once for all of them.

The row: the start of a conversation, the picture, then segments that each read the start and the picture but not
one another, as if every one were a conversation of its own. Positions begin anew in every segment. A segment may hold
two or three questions in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo_vision.drawing import SHAPES
from demo_vision.glyphs import CHARACTERS
from demo_vision.painting import bar_places, print_places
from demo_vision.palette import COLOURS
from demo_vision.questions import Question
from demo_vision.scenes import Scene
from demo_vision.tokenizer import AFTER_ANSWER, BEFORE_ANSWER, SYSTEM, Tokenizer, before_user

LENGTH = 208
SYSTEMS = (
    "You are a helpful assistant.", "Answer briefly.", "You look at pictures and answer questions about them.",
    "You are a careful assistant. Answer in English.",
)  # fmt: skip
_HARD = ("position", "relation")
MARKS = (*SHAPES, *COLOURS, *CHARACTERS)
"""What a cell of the picture can be said to hold, for the helper head that trains the tower before words do."""
_MARK = {name: number for number, name in enumerate((*SHAPES, *COLOURS))}
_LETTER = {letter: len(_MARK) + number for number, letter in enumerate(CHARACTERS)}


@dataclass(frozen=True, slots=True)
class Lesson:
    """Arrays of LENGTH; places that are not used have segment -1."""

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    segments: NDArray[np.int32]
    """0: read by all; 1 and on: read by itself alone; -1: nothing."""
    rows: NDArray[np.int32]
    """Which row of the picture stands here; -1: a token."""
    targets: NDArray[np.int32]
    """The token to say next; -1: not an answer, not graded."""


class LessonMaker:
    """Turns questions into lessons."""

    def __init__(self, tokenizer: Tokenizer, image_tokens: int, random: np.random.Generator) -> None:
        self._tokenizer = tokenizer
        self._image_tokens = image_tokens
        self._random = random

    def lesson(self, questions: list[Question]) -> Lesson:
        """Return one lesson with as many of `questions` as fit, all types first."""
        random = self._random
        system = SYSTEM if random.random() < 0.85 else str(random.choice(SYSTEMS))
        chosen = self._mixed(questions)
        row = _Row()
        row.text(self._tokenizer.encode(before_user(system)), 0)
        if random.random() < 0.08:
            # The question before the picture, as other programs send it: one question only.
            question = chosen[0]
            row.text(self._tokenizer.encode(question.text), 0)
            row.picture(self._image_tokens)
            row.start()
            self._turn(row, Question(question.type, "", question.answer), 1)
            return row.arrays()
        row.picture(self._image_tokens)
        row.start()
        segment = 1
        while chosen:
            turns = 1 if random.random() < 0.75 else int(random.integers(2, 4))
            part, chosen = chosen[:turns], chosen[turns:]
            segment += self._segment(row, part, segment)
        return row.arrays()

    def _mixed(self, questions: list[Question]) -> list[Question]:
        """Return them in random order, one of each type before a second of any."""
        seen: dict[str, int] = {}
        order: list[tuple[int, float, Question]] = []
        for index in self._random.permutation(len(questions)):
            question = questions[int(index)]
            seen[question.type] = seen.get(question.type, 0) + 1
            # What is hardest to learn is asked about twice as often.
            turn = (seen[question.type] + 1) // 2 if question.type in _HARD else seen[question.type]
            order.append((turn, float(self._random.random()), question))
        return [question for _, _, question in sorted(order, key=lambda entry: entry[:2])]

    def _segment(self, row: _Row, questions: list[Question], segment: int) -> bool:
        """Add one conversation if it still fits; return whether it did."""
        before = row.state()
        row.rewind()
        for number, question in enumerate(questions):
            if number:
                row.text(self._tokenizer.encode(AFTER_ANSWER)[1:], segment)
            self._turn(row, question, segment)
        if len(row.tokens) <= LENGTH:
            return True
        row.restore(before)
        return False

    def _turn(self, row: _Row, question: Question, segment: int) -> None:
        row.text(self._tokenizer.encode(question.text) + self._tokenizer.encode(BEFORE_ANSWER), segment)
        row.answer([*self._tokenizer.encode(question.answer), self._tokenizer.end], segment)


class _Row:
    """A lesson in the making."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._positions: list[int] = []
        self._segments: list[int] = []
        self._rows: list[int] = []
        self._targets: list[int] = []
        self._position = 0
        self._begin = 0

    def text(self, tokens: list[int], segment: int) -> None:
        for token in tokens:
            self._add(token, segment, -1)

    def picture(self, count: int) -> None:
        for row in range(count):
            self._add(0, 0, row)

    def answer(self, tokens: list[int], segment: int) -> None:
        for token in tokens:
            self._targets[-1] = token
            self._add(token, segment, -1)

    def start(self) -> None:
        """Segments begin here."""
        self._begin = self._position

    def rewind(self) -> None:
        self._position = self._begin

    def state(self) -> int:
        return len(self.tokens)

    def restore(self, length: int) -> None:
        for values in (self.tokens, self._positions, self._segments, self._rows, self._targets):
            del values[length:]

    def arrays(self) -> Lesson:
        def padded(values: list[int], fill: int) -> NDArray[np.int32]:
            array = np.full(LENGTH, fill, np.int32)
            array[: len(values)] = values
            return array

        return Lesson(
            padded(self.tokens, 0), padded(self._positions, 0), padded(self._segments, -1), padded(self._rows, -1),
            padded(self._targets, -1),
        )  # fmt: skip

    def _add(self, token: int, segment: int, row: int) -> None:
        self.tokens.append(token)
        self._positions.append(self._position)
        self._segments.append(segment)
        self._rows.append(row)
        self._targets.append(-1)
        self._position += 1


def marks(scene: Scene, side: int) -> NDArray[np.uint8]:
    """Return what each of side x side cells of the picture holds, (cells, MARKS): 1 where something is centred."""
    found = np.zeros((side * side, len(MARKS)), np.uint8)
    long = max(scene.width, scene.height)
    width, height = scene.width / long, scene.height / long

    def mark(x: float, y: float, *numbers: int) -> None:
        column = int(np.clip(((1 - width) / 2 + x * width) * side, 0, side - 1))
        row = int(np.clip(((1 - height) / 2 + y * height) * side, 0, side - 1))
        found[row * side + column, list(numbers)] = 1

    for thing in scene.things:
        mark(thing.x, thing.y, _MARK[thing.shape], _MARK[thing.colour])
    for printed in scene.prints:
        for letter, x, y in print_places(printed, scene.width, scene.height):
            mark(x, y, _LETTER[letter], _MARK[printed.colour])
    places = bar_places(scene.bars) if scene.bars else []
    for bar, (left, top, right, _) in zip(scene.bars, places, strict=True):
        mark((left + right) / 2, top, _MARK["rectangle"], _MARK[bar.colour])
    return found
