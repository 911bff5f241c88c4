"""Fresh pictures with one question each, the types in turn; and the table of what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from demo_vision.drawing import Pixels
from demo_vision.painting import paint
from demo_vision.questions import TYPES, Asker, Question
from demo_vision.scenes import Scene, SceneMaker

_KINDS: dict[str, tuple[str, ...]] = {
    "shape": ("one", "one", "several"),
    "colour": ("one", "several", "number", "word", "labelled", "empty"),
    "count": ("alike", "several"),
    "position": ("one", "several", "labelled"),
    "digits": ("number", "number", "labelled"),
    "word": ("word", "word", "labelled"),
    "size": ("one", "several"),
    "relation": ("several",),
    "presence": ("one", "several", "alike"),
    "chart": ("chart",),
    "empty": ("empty", "empty", "one", "several", "number"),
    "caption": ("one", "several", "alike", "number", "word", "chart", "labelled", "empty"),
}
"""In which kinds of scene each type is asked."""


@dataclass(frozen=True, slots=True)
class Task:
    """One picture and what is asked about it."""

    number: int
    scene: Scene
    picture: Pixels
    question: Question


def tasks(count: int, seed: int, types: Iterable[str] = TYPES) -> Iterator[Task]:
    """Yield `count` tasks, the same for the same seed."""
    random = np.random.default_rng([seed, 2])
    scenes, asker = SceneMaker(random), Asker(random)
    wanted = tuple(types)
    for number in range(count):
        kind = wanted[number % len(wanted)]
        while True:
            scene = scenes.scene(str(random.choice(_KINDS[kind])))
            fitting = [question for question in asker.questions(scene) if question.type == kind]
            if fitting:
                break
        question = fitting[int(random.integers(len(fitting)))]
        yield Task(number, scene, paint(scene, random), question)


def table(results: Iterable[tuple[Task, bool]]) -> str:
    """Return right answers by type, as lines of a Markdown table."""
    counted = {kind: [0, 0] for kind in TYPES}
    for task, right in results:
        counted[task.question.type][0] += right
        counted[task.question.type][1] += 1
    counted["all"] = [sum(pair[0] for pair in counted.values()), sum(pair[1] for pair in counted.values())]
    lines = ["| type | right | of | part |", "|---|---|---|---|"]
    lines += [f"| {kind} | {right} | {of} | {right / of:.1%} |" for kind, (right, of) in counted.items() if of]
    return "\n".join(lines)
