"""What can be asked about a scene, in many wordings, with the answer that is right.

Answers are short: "Red", "Circle", "3", "Top left", "42". A caption is one sentence.
"""

from __future__ import annotations

from demo_vision.answers import TYPES, Question
from demo_vision.other_questions import OtherQuestions
from demo_vision.scenes import Scene
from demo_vision.thing_questions import ThingQuestions

__all__ = ["TYPES", "Asker", "Question"]


class Asker(ThingQuestions, OtherQuestions):
    """Asks about scenes; the wording is chosen by chance."""

    def questions(self, scene: Scene) -> list[Question]:
        """Return everything that can fairly be asked about `scene`, each in one wording."""
        asked = [*self._of_things(scene), *self._of_prints(scene), *self._of_bars(scene), *self._of_all(scene)]
        return [Question(q.type, self._dressed(q.text, q.type), q.answer, q.needed) for q in asked]
