"""Who runs what: the layers of a model on the devices of one start, with the weights that have to be fetched.

Source: `ggml/src/ggml-backend.cpp` (ggml_backend_sched_backend_id_from_cur: work with weights in host memory
goes to the first GPU when the batch is large enough), `src/llama-context.cpp` (pipeline parallelism), b11434.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from variet_gui.events import ParameterValue
from variet_gui.forecast.layers import Part, Step
from variet_gui.forecast.overrides import Override
from variet_gui.forecast.placement import Placement, gpu_layer_count, placement
from variet_gui.forecast.settings import Settings
from variet_gui.forecast.shape import ModelShape
from variet_gui.forecast.weights import WeightBytes, layer_weights, weight_bytes

SMALLEST_OFFLOADED_BATCH = 32
"""Tokens; below, the CPU works with the weights that it has."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One distribution of one model."""

    placed: Placement
    weights: WeightBytes
    steps: tuple[tuple[Step, ...], ...]
    """Per device, in the order of computation."""
    host_steps: tuple[Step, ...]
    """Layers that the CPU runs."""
    cache_place: tuple[int | None, ...]
    """Per layer, the device of its cache; None: host memory."""
    split_experts: bool
    """Some weights stay with the CPU although their layer is on a GPU, and the CPU works with them."""
    all_on_gpu: bool
    """Every layer and the output head."""


_Key: TypeAlias = tuple[
    int,
    ParameterValue | None,
    tuple[float, ...],
    tuple[str, ...],
    tuple[float, ...],
    tuple[tuple[str, str], ...],
    bool,
    bool,
    bool,
]
_ENTRIES = 256
_kept: OrderedDict[_Key, tuple[ModelShape, Plan]] = OrderedDict()
_steps: dict[tuple[int, tuple[tuple[str, int], ...], bool, str, bool], Step] = {}
_MOST_STEPS = 2048
_lock = threading.Lock()


def plan_of(
    model: ModelShape, settings: Settings, names: Sequence[str], free_mib: Sequence[float], *, offload: bool
) -> Plan:
    """Return who runs what; the same question gives the same answer.

    Args:
        model: the model.
        settings: of the start.
        names: devices in the order of use.
        free_mib: of each device; decides only where there is no tensor split.
        offload: the first device works with weights in host memory.
    """
    split = settings.tensor_split if any(settings.tensor_split) else ()
    shares = tuple(free_mib) if not split and len(names) > 1 else (1.0,) * len(names)
    overrides = tuple((override.pattern.pattern, override.buffer) for override in settings.overrides)
    key = (
        id(model),
        settings.n_gpu_layers,
        split,
        tuple(names),
        shares,
        overrides,
        settings.cache_on_gpu,
        offload,
        settings.predicts,
    )
    with _lock:
        found = _kept.get(key)
        if found is not None and found[0] is model:
            _kept.move_to_end(key)
            return found[1]
    plan = _Planner(model, settings, names, shares, offload=offload).plan()
    with _lock:
        _kept[key] = (model, plan)
        if len(_kept) > _ENTRIES:
            _kept.popitem(last=False)
    return plan


class _Planner:
    def __init__(
        self, model: ModelShape, settings: Settings, names: Sequence[str], shares: Sequence[float], *, offload: bool
    ) -> None:
        self._model, self._settings, self._names, self._offload = model, settings, names, offload
        count = len(model.layers)
        layers = gpu_layer_count(settings.n_gpu_layers)
        self._placed = placement(count, layers, settings.tensor_split, shares)
        self._steps: list[list[Step]] = [[] for _ in names]
        self._host: list[Step] = []
        self._split_experts = False

    def plan(self) -> Plan:
        model, placed = self._model, self._placed
        overrides: tuple[Override, ...] = self._settings.overrides
        weights = layer_weights(model, overrides)
        for index in range(model.trunk_layers):
            where = placed.layer_device[index]
            if where is None:
                self._on_cpu(index, weights[index].everything)
            else:
                self._on_device(index, where, weights[index].staged)
        home = placed.layer_device if self._settings.cache_on_gpu else (None,) * len(model.layers)
        return Plan(
            placed,
            weight_bytes(model, placed, self._names, overrides, predicts=self._settings.predicts),
            tuple(tuple(steps) for steps in self._steps),
            tuple(self._host),
            home,
            self._split_experts,
            None not in placed.layer_device and placed.output_device is not None,
        )

    def _on_cpu(self, index: int, everything: tuple[tuple[str, int], ...]) -> None:
        if self._offload and self._steps:
            self._steps[0].append(self._step(index, everything, cache_on_host=True))
        else:
            self._host.append(self._step(index))

    def _on_device(self, index: int, where: int, staged: tuple[tuple[str, int], ...]) -> None:
        on_host = not self._settings.cache_on_gpu
        if not staged:
            self._steps[where].append(self._step(index, cache_on_host=on_host))
        elif not self._offload:
            self._split_experts = True
            self._steps[where].append(self._step(index, cache_on_host=on_host))
        elif where == 0:
            self._steps[0].append(self._step(index, staged, cache_on_host=on_host))
        else:
            self._steps[where].append(self._step(index, staged, cache_on_host=on_host, part=Part.AT_HOME))
            self._steps[0].append(self._step(index, staged, cache_on_host=on_host, part=Part.AWAY))

    def _step(
        self,
        index: int,
        staged: tuple[tuple[str, int], ...] = (),
        *,
        cache_on_host: bool = False,
        part: Part = Part.WHOLE,
    ) -> Step:
        """Return the step; equal ones, of other plans too, are one object: they are told apart by identity."""
        model = self._model
        layer, picks = model.layers[index], model.picks_early and index == model.trunk_layers - 1
        key = (id(layer), staged, cache_on_host, part.value, picks)
        with _lock:
            step = _steps.get(key)
            if step is None or step.layer is not layer:
                if len(_steps) >= _MOST_STEPS:
                    _steps.clear()
                step = _steps[key] = Step(layer, staged, cache_on_host=cache_on_host, part=part, picks_rows=picks)
            return step
