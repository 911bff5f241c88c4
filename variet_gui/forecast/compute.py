"""The compute buffer of every device: llama.cpp's own allocation, replayed.

Each device runs a programme: its inputs, its layers, perhaps the output head. The peak of the allocator over it is the
size of the buffer. Layers repeat and so do the allocator's states, so a programme costs a few replays, however many
layers it has. Sources: `src/llama-context.cpp` (sched_reserve, graph_reserve, graph_get_cb), `src/llama-graph.cpp`
(build_inp_embd), `ggml/src/ggml-backend.cpp` (ggml_backend_sched_split_graph), b11434.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from variet_gui.forecast.device_run import Course, DeviceRun, Timed
from variet_gui.forecast.graph_inputs import BatchSettings, GraphInputs
from variet_gui.forecast.layer_graph import WANTED, GraphSettings
from variet_gui.forecast.layers import Part, Step, layer_tape
from variet_gui.forecast.shape import Attention, ModelShape

_ENTRIES = 256
_Key: TypeAlias = tuple[int, GraphSettings, bool, bool, bool, tuple[int, ...]]
_courses: OrderedDict[_Key, Course] = OrderedDict()
_names: dict[tuple[int, GraphSettings, bool, tuple[int, ...]], Course] = {}
_lock = threading.Lock()


class Programme:
    """Measures the devices of one context."""

    def __init__(self, model: ModelShape, batch: BatchSettings) -> None:
        self._model, self._batch = model, batch
        self._inputs = GraphInputs(model, batch)
        self._pipeline = batch.copies > 1

    def device(self, steps: Sequence[Step], *, first: bool, output: bool, after_host: bool = False) -> int:
        """Return the bytes that one device needs for `steps`, 0 when it runs nothing.

        Args:
            steps: its layers.
            first: it runs the first layer, so that the embeddings come to it.
            output: it has the output head.
            after_host: the CPU runs the layers before.
        """
        if not steps and not output:
            return 0
        tapes = self._tapes(steps, first=first, after_host=after_host)
        run = DeviceRun(self._model, self._batch, self._inputs, tapes, first=first, after_host=after_host)
        return run.peak(output=output)

    def host(self, steps: Sequence[Step], own: Sequence[Step] = ()) -> int:
        """Return the bytes of the buffer in host memory: all inputs, the embeddings, and layers that the CPU runs.

        Args:
            steps: every layer of the context.
            own: those that the CPU itself runs.
        """
        names = [name for name in self._names(steps) if name != WANTED]  # which is among the first
        inputs = self._batch.copies * (self._inputs.host_bytes + sum(map(self._inputs.host_size, names)))
        if own:
            # Its layers begin with the embeddings, which are counted among the inputs' rows.
            return inputs + DeviceRun(
                self._model, self._batch, self._inputs, self._tapes(own, first=True), first=True, on_host=True
            ).peak(output=False)
        return inputs + self._inputs.state_bytes * (2 if self._batch.mixed_inputs else 1)

    def _names(self, steps: Sequence[Step]) -> tuple[str, ...]:
        """Return the inputs of all layers, which are the same for any number of tokens."""
        key = (id(self._model), replace(self._batch.graph, tokens=0), self._batch.dry_run, tuple(map(id, steps)))
        with _lock:
            found = _names.get(key)
            if found is not None and found.model is self._model:
                return found.names
        course = self._tapes(steps, first=True)
        with _lock:
            if len(_names) >= _ENTRIES:
                _names.clear()
            _names[key] = course
        return course.names

    def _tapes(self, steps: Sequence[Step], *, first: bool, after_host: bool = False) -> Course:
        """Return the tapes of `steps`; the same steps with other numbers of cells have the same."""
        stays = normed = False
        if steps and not steps[0].predicts:
            # Gemma scales the embeddings first, so that what enters its first layer is no input any more.
            stays = self._pipeline and not (first and self._inputs.scales_embeddings)
            normed = self._batch.dry_run and not first and not after_host and not self._pipeline
        # Steps are shared objects: looking them up by their fields would take longer than all the rest.
        key = (id(self._model), self._batch.graph, self._batch.dry_run, stays, normed, tuple(map(id, steps)))
        with _lock:
            found = _courses.get(key)
            if found is not None and found.model is self._model:
                _courses.move_to_end(key)
                return found
        made = self._course(steps, stays=stays, normed=normed)
        with _lock:
            _courses[key] = made
            if len(_courses) > _ENTRIES:
                _courses.popitem(last=False)
        return made

    def _course(self, steps: Sequence[Step], *, stays: bool, normed: bool) -> Course:
        known: dict[int, Timed] = {}
        timed = []
        for step in steps:
            if id(step) not in known:
                known[id(step)] = self._timed(step)
            timed.append(known[id(step)])
        if stays:
            timed[0] = self._timed(replace(steps[0], entrance_stays=True))
        elif normed:
            timed[0] = self._timed(replace(steps[0], comes_normed=True))
        kinds = dict.fromkeys(timed)
        names = dict.fromkeys(name for one in kinds for part in one.tape.parts for name in part.inputs)
        return Course(self._model, tuple(steps), tuple(timed), tuple(names))

    def _timed(self, step: Step) -> Timed:
        away = self._batch.dry_run and step.part is not Part.WHOLE
        tape = layer_tape(self._model, self._batch.graph, replace(step, norms_away=True) if away else step)
        return Timed(tape, step.layer.attention is Attention.SLIDING, step.part is Part.AWAY, step.predicts)
