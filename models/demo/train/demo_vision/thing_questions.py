"""What is asked about things: form, colour, place, size, number, and how they lie to one another."""

from __future__ import annotations

from collections import Counter

from demo_vision.answers import Question, plural, with_article
from demo_vision.drawing import SHAPES
from demo_vision.palette import COLOURS
from demo_vision.scenes import BIG, SMALL, Scene, Thing, cell_of
from demo_vision.wording import Wording


class ThingQuestions(Wording):
    """Asks about the things in a scene."""

    def _of_things(self, scene: Scene) -> list[Question]:
        things = scene.things
        if not things:
            return []
        found: list[Question] = []
        if len(things) == 1:
            found += self._of_one(scene, things[0])
        by_pair = Counter((thing.colour, thing.shape) for thing in things)
        by_shape = Counter(thing.shape for thing in things)
        by_colour = Counter(thing.colour for thing in things)
        for thing in things:
            alone = len(things) == 1
            unique = by_pair[thing.colour, thing.shape] == 1
            name = f"{thing.colour} {thing.shape}"
            if by_shape[thing.shape] == 1:
                found.append(self._colour_of(f"the {thing.shape}", thing))
            elif len(set(by_colour)) == 1:
                found.append(self._colour_of(f"the {plural(thing.shape)}", thing, many=True))
            if by_colour[thing.colour] == 1 and not alone:
                found.append(self._shape_of(thing))
            where = cell_of(thing.x, thing.y)
            if where and unique:
                about = [f"the {name}"] + [f"the {thing.shape}"] * (by_shape[thing.shape] == 1)
                found.append(self._position(self._one_of(*about), where))
        found += self._counts(things, by_shape, by_colour, by_pair)
        found += self._presence(by_shape, by_colour, by_pair)
        if len(things) >= 2:
            found += self._relations(things, by_pair)
        return found

    def _of_one(self, scene: Scene, thing: Thing) -> list[Question]:
        if scene.prints:
            return []
        found = [
            Question("shape", self._one_of(
                "What shape is this?", "What shape is it?", "Which shape do you see?", "What shape is in the picture?",
                "Name the shape.", "Which shape is shown?", "What is the shape?", "What kind of shape is this?",
                "What shape is drawn here?", "What form does it have?", "Identify the shape in the picture.",
                f"What shape is the {thing.colour} thing?", f"What shape is {thing.colour}?",
            ), thing.shape.capitalize()),
            Question("colour", self._one_of(
                "What colour is it?", "What colour is this?", "Which colour is the shape?", "Name the colour.",
                "What is the colour of the shape?", "What colour is the object?", "Which colour do you see?",
                "Tell me the colour of the thing in the picture.", "What colour does the shape have?",
            ), thing.colour.capitalize()),
        ]  # fmt: skip
        where = cell_of(thing.x, thing.y)
        if where:
            found.append(self._position(self._one_of("it", "the shape", "the object", "the thing"), where))
        if thing.size >= BIG or thing.size <= SMALL:
            what = self._one_of("it", "the shape", f"the {thing.shape}", "the object")
            found.append(Question("size", self._one_of(
                f"Is {what} big or small?", f"Is {what} small or big?", f"Is {what} large or small? Say big or small.",
                f"How big is {what}: big or small?", f"What size is {what}, big or small?",
            ), "Big" if thing.size >= BIG else "Small"))  # fmt: skip
        return found

    def _shape_of(self, thing: Thing) -> Question:
        return Question("shape", self._one_of(
            f"What shape is the {thing.colour} one?", f"What shape is {thing.colour}?",
            f"Which shape is {thing.colour}?", f"What is the {thing.colour} thing?",
            f"What shape does the {thing.colour} object have?", f"Name the shape of the {thing.colour} thing.",
        ), thing.shape.capitalize())  # fmt: skip

    def _counts(
        self, things: tuple[Thing, ...], by_shape: Counter[str], by_colour: Counter[str],
        by_pair: Counter[tuple[str, str]],
    ) -> list[Question]:  # fmt: skip
        anything = self._one_of("shapes", "things", "objects", "figures")
        found = [self._how_many(anything, len(things))]
        found += [self._how_many(plural(shape), count) for shape, count in by_shape.items()]
        if len(by_colour) > 1:
            for colour, count in by_colour.items():
                found.append(self._how_many(f"{colour} {self._one_of('shapes', 'things', 'objects')}", count))
            for (colour, shape), count in by_pair.items():
                found.append(self._how_many(f"{colour} {plural(shape)}", count))
        if self._random.random() < 0.3:
            missing = [shape for shape in SHAPES if shape not in by_shape]
            found.append(self._how_many(plural(str(self._random.choice(missing))), 0))
        return found

    def _presence(
        self, by_shape: Counter[str], by_colour: Counter[str], by_pair: Counter[tuple[str, str]]
    ) -> list[Question]:
        random = self._random
        yes = bool(random.random() < 0.5)
        chance = random.random()
        if chance < 0.4:
            pool = [shape for shape in SHAPES if (shape in by_shape) == yes]
            what = with_article(str(random.choice(pool)))
        elif chance < 0.7:
            pool = [colour for colour in COLOURS if (colour in by_colour) == yes]
            what = with_article(f"{random.choice(pool)} {self._one_of('shape', 'thing', 'object')}")
        else:
            if yes:
                pairs = list(by_pair)
                colour, shape = pairs[int(random.integers(len(pairs)))]
            else:
                shape = str(random.choice(list(by_shape) if random.random() < 0.5 else list(SHAPES)))
                colour = str(random.choice([name for name in COLOURS if (name, shape) not in by_pair]))
            what = with_article(f"{colour} {shape}")
        return [Question("presence", self._one_of(
            f"Is there {what}?", f"Is there {what} in the picture?", f"Do you see {what}?", f"Can you see {what}?",
            f"Does the picture show {what}?", f"Is {what} in the picture?",
        ), "Yes" if yes else "No")]  # fmt: skip

    def _relations(self, things: tuple[Thing, ...], by_pair: Counter[tuple[str, str]]) -> list[Question]:
        found: list[Question] = []
        for axis, low, high in ((0, "left", "right"), (1, "top", "bottom")):
            ordered = sorted(things, key=lambda thing: (thing.x, thing.y)[axis])
            places = [(thing.x, thing.y)[axis] for thing in ordered]
            for thing, gap, end in (
                (ordered[0], places[1] - places[0], low), (ordered[-1], places[-1] - places[-2], high)
            ):  # fmt: skip
                if gap < 0.12 or len(things) > 3:
                    continue
                side = f"on the {end}" if axis == 0 else f"at the {end}"
                if len(things) == 2:
                    words = (f"What is {side}?", f"Which shape is {side}?", f"What do you see {side}?")
                else:
                    furthest = f"furthest to the {end}" if axis == 0 else {"top": "highest", "bottom": "lowest"}[end]
                    words = (f"Which shape is {furthest}?", f"What is {furthest}?")
                found.append(Question("relation", self._one_of(*words), f"{thing.colour} {thing.shape}".capitalize()))
        if len(things) == 2 and all(count == 1 for count in by_pair.values()):
            found += self._of_two(*things)
        return found

    def _of_two(self, first: Thing, second: Thing) -> list[Question]:
        if self._random.random() < 0.5:
            first, second = second, first
        one, two = f"the {first.colour} {first.shape}", f"the {second.colour} {second.shape}"
        found: list[Question] = []
        if abs(first.x - second.x) > 0.15:
            found.append(Question("relation", self._one_of(
                f"Is {one} left or right of {two}?", f"Is {one} to the left or to the right of {two}?",
                f"On which side of {two} is {one}, left or right?",
            ), "Left" if first.x < second.x else "Right"))  # fmt: skip
        if abs(first.y - second.y) > 0.15:
            found.append(Question("relation", self._one_of(
                f"Is {one} above or below {two}?", f"Is {one} below or above {two}?",
            ), "Above" if first.y < second.y else "Below"))  # fmt: skip
        larger = max(first.size, second.size) / min(first.size, second.size)
        if larger > 1.5:
            bigger, smaller = (first, second) if first.size > second.size else (second, first)
            ask_bigger = self._random.random() < 0.5
            wanted = bigger if ask_bigger else smaller
            found.append(Question("size", self._one_of(
                f"Which shape is {'bigger' if ask_bigger else 'smaller'}?",
                f"Which one is {'bigger' if ask_bigger else 'smaller'}?",
                f"What is the {'biggest' if ask_bigger else 'smallest'} shape?",
            ), f"{wanted.colour} {wanted.shape}".capitalize()))  # fmt: skip
        return found
