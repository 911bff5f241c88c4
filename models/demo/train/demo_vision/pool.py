"""Lessons made by many processes at once, in memory that all share: they draw while the GPU learns.

Each worker owns a part of the slots and fills it over and over with new pictures; the learner picks slots at random. A
slot that is being written while it is read is noticed by its version and left out.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo_vision.gguf_file import GgufFile
from demo_vision.lessons import LENGTH, MARKS, LessonMaker, marks
from demo_vision.painting import paint
from demo_vision.preparing import prepared, through_jpeg
from demo_vision.questions import Asker
from demo_vision.scenes import SceneMaker
from demo_vision.tokenizer import Tokenizer

FIELDS = ("tokens", "positions", "segments", "rows", "targets")


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons side by side."""

    pictures: NDArray[np.uint8]
    """(batch, size, size, 3)."""
    lessons: NDArray[np.int32]
    """(batch, 5, LENGTH), in the order of FIELDS."""
    marks: NDArray[np.uint8]
    """(batch, cells, MARKS)."""


class Pool:
    """Slots of lessons and the processes that fill them. Make it before anything touches the GPU: it forks."""

    def __init__(self, model: Path, *, slots: int, workers: int, image: int, side: int, seed: int) -> None:
        self._slots = slots
        self._pictures = _shared((slots, image, image, 3), np.uint8)
        self._lessons = _shared((slots, len(FIELDS), LENGTH), np.int32)
        self._marks = _shared((slots, side * side, len(MARKS)), np.uint8)
        self._versions = _shared((slots,), np.int64)
        """0: never filled; odd: being written."""
        self._made = _shared((workers,), np.int64)
        tokenizer = Tokenizer(GgufFile(model).metadata)
        context = multiprocessing.get_context("fork")
        edges = np.linspace(0, slots, workers + 1).astype(int)
        self._processes = [
            context.Process(
                target=self._work,
                args=(number, range(int(edges[number]), int(edges[number + 1])), tokenizer, image, side, seed),
                daemon=True,
            )
            for number in range(workers)
        ]
        for process in self._processes:
            process.start()

    @property
    def made(self) -> int:
        """Return how many lessons were made so far."""
        return int(self._made.sum())

    def batch(self, size: int, random: np.random.Generator) -> Batch:
        """Return `size` whole lessons from slots that were filled."""
        while True:
            ready = np.flatnonzero((self._versions > 0) & (self._versions % 2 == 0))
            # A few more than are wanted, because some may be overwritten meanwhile.
            chosen = random.choice(ready, size + 8, replace=len(ready) < size + 8)
            before = self._versions[chosen]
            batch = Batch(self._pictures[chosen], self._lessons[chosen], self._marks[chosen])
            whole = np.flatnonzero((self._versions[chosen] == before) & (before % 2 == 0))[:size]
            if len(whole) == size:
                if np.array_equal(whole, np.arange(size)):
                    return Batch(batch.pictures[:size], batch.lessons[:size], batch.marks[:size])
                return Batch(batch.pictures[whole], batch.lessons[whole], batch.marks[whole])

    def filled(self) -> int:
        """Return how many slots hold a lesson.

        Raises:
            RuntimeError: a worker ended.
        """
        if not all(process.is_alive() for process in self._processes):
            raise RuntimeError("a process that draws pictures ended; what it said is above")
        return int((self._versions > 0).sum())

    def close(self) -> None:
        """End the workers."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _work(self, number: int, own: range, tokenizer: Tokenizer, image: int, side: int, seed: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        parent = os.getppid()
        random = np.random.default_rng([seed, number])
        scenes, asker = SceneMaker(random), Asker(random)
        maker = LessonMaker(tokenizer, side * side, random)
        while os.getppid() == parent:
            for slot in own:
                scene = scenes.scene()
                if random.random() < 0.6:
                    # Drawn about as small as the tower sees it, which is much faster than drawing large and shrinking.
                    part = float(random.uniform(1.0, 1.3)) * image / max(scene.width, scene.height)
                    size = (max(32, round(scene.width * part)), max(32, round(scene.height * part)))
                    scene = replace(scene, width=size[0], height=size[1])
                pixels = paint(scene, random)
                if random.random() < 0.25:
                    pixels = through_jpeg(pixels, int(random.integers(35, 96)))
                lesson = maker.lesson(asker.questions(scene))
                self._versions[slot] += 1
                self._pictures[slot] = prepared(pixels, image)
                for index, name in enumerate(FIELDS):
                    self._lessons[slot, index] = getattr(lesson, name)
                self._marks[slot] = marks(scene, side)
                self._versions[slot] += 1
                self._made[number] += 1


def _shared(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, max(1, size)), dtype, int(np.prod(shape))).reshape(shape)
